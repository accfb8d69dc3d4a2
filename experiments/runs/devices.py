"""The devices of a run whose tables are split: on a CPU they are made."""

import os

import jax

from experiments.cli.config import RunConfig
from w2v_jax import columns
from w2v_jax.xla_flags import has_started

FORCED = "--xla_force_host_platform_device_count"


def make(config: RunConfig) -> None:
    """As many CPU devices as --mesh names, of one process; it must be called before JAX starts.

    Where the user's XLA_FLAGS say how many there are, they stay as they are.
    """
    if not config.mesh or has_started():
        return
    if FORCED not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", columns.count(config.mesh))
