"""What memory there is, before anything takes it."""

import os
from pathlib import Path

import jax

from experiments.config import Config
from w2v_jax import sweep
from w2v_jax.types import Hyper, UserError


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


def check(config: Config, vocab_size: int, hyper: Hyper, size: int) -> None:
    """Raises UserError where a run needs more than there is; size: tokens of the largest chunk.

    hyper: its shapes are enough. Two chunks of the text are on the device at a time.
    """
    device = jax.devices()[0]
    needed = sweep.memory_needed(
        1, config.static(), vocab_size, config.dim, hyper, size, 2, [device], 1
    )
    there = room(config.memory_gb, [device])
    if needed > there:
        source = "--memory_gb gives" if config.memory_gb else f"the {device.platform} has"
        raise UserError(
            f"training takes about {needed / 1e9:,.1f} GB, {source} {there / 1e9:,.1f} GB "
            f"({vocab_size:,} types x --dim={config.dim}, --batch_size={config.batch_size}): try a "
            "smaller --dim or --batch_size, or a larger --min_count"
        )
