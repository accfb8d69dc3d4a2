"""What memory there is, before anything takes it."""

import os
from pathlib import Path

import jax

from experiments.cli.config import RunConfig
from experiments.report.tables import counted
from w2v_jax import columns
from w2v_jax.data.corpus import Corpus
from w2v_jax.memory import memory_needed
from w2v_jax.replicas import ALONE, Partners
from w2v_jax.types import HyperParams, UserError


def room(memory_gb: float, devices, share: float = 1.0) -> int:
    """Bytes that training may take: --memory_gb, or a share of what the devices have."""
    if memory_gb:
        return int(memory_gb * 1e9)
    if devices[0].platform == "cpu":
        there = min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), _cgroup())
    else:
        stats = devices[0].memory_stats() or {}
        there = stats.get("bytes_limit", 8e9) * len(devices)
    return int(share * there)


def _cgroup() -> int:
    """What a container may take, where this is one."""
    try:
        return int(Path("/sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # no cgroup, or "max"
        return 2**63


def check(
    config: RunConfig,
    corpus: Corpus,
    hyper: HyperParams,
    partners: Partners = ALONE,
    sharing: int = 1,
) -> int:
    """Chunks of the text that --resident_gb has room for, which stay on the device.

    Raises UserError where a run with them, and with two that come and go, needs more than there is.
    hyper: its shapes are enough; sharing: processes of the run on this machine.
    """
    devices, vocab_size = [jax.local_devices()[0]], len(corpus.vocab.words)
    device = devices[0]
    if config.mesh:
        devices = list(columns.devices(config.mesh).local_devices)
        devices = devices if device.platform == "cpu" else devices[:1]  # which share their memory
    size = corpus.chunk_size
    chunks = len(corpus.bounds) - 1
    resident = min(int(config.resident_gb * 1e9) // (8 * size), chunks)
    states = 3 if device.platform == "cpu" else 0  # where copies that are saved lie too
    states += 2 if config.early_stopping else 0  # the best epoch's tables, and those to be saved
    if config.replicas > 1:  # each one's, what is combined, and what partners give each other
        states += len(partners.share(config.replicas)) + 4
    needed = memory_needed(
        1, config.static(), vocab_size, config.dim, hyper, size, resident + 2, devices, 1, states
    )
    there = room(config.memory_gb, [device])
    if device.platform == "cpu":
        there //= sharing
    if needed > there:
        source = "--memory_gb gives" if config.memory_gb else f"the {device.platform} has"
        raise UserError(
            f"training takes about {needed / 1e9:,.1f} GB, {source} {there / 1e9:,.1f} GB "
            f"({counted(vocab_size, 'type')} x --dim={config.dim}, "
            f"--batch_size={config.batch_size}): try a smaller --dim or --batch_size, "
            "or a larger --min_count"
        )
    return resident
