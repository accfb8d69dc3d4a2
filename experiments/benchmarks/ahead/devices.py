"""Devices that programs are compiled for without one: what XLA must be told of each.

Each needs a plugin that holds its compiler, and no driver (the extra [aot]).
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

from w2v_jax.types import UserError
from w2v_jax.xla_flags import SCATTER

INSTALL = "pip install '.[aot]', in an environment of its own"

# XLA's GpuTargetConfigProto of an H100 with 80 GB.
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84929347584 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 }
runtime_version { major: 13 minor: 0 patch: 0 } device_description_str: "NVIDIA H100 80GB HBM3"
"""


class Target(NamedTuple):
    """A kind of device."""

    platform: str  # StaticConfig.platform
    plugin: str  # the module that holds its compiler
    package: str  # and where that comes from
    topology: Callable  # -> jax's description of such devices
    xla_flags: str = ""


def _tpu(name: str, **more):
    from jax.experimental import topologies

    return topologies.get_topology_desc(name, "tpu", **more)


def _h100():
    from jax.experimental import topologies

    return topologies.get_topology_desc(platform="cuda", target_config=H100, topology="1x1x1")


TARGETS = {
    "v5e": Target("tpu", "libtpu", "libtpu", lambda: _tpu("v5e:2x2")),
    "v6e": Target(
        "tpu", "libtpu", "libtpu", lambda: _tpu("v6e:1x1", chips_per_host_bounds=(1, 1, 1))
    ),
    # Kernels can't be tried out for the fastest; the flag of scatters is `w2v_jax.configure`'s.
    "h100": Target(
        "gpu",
        "jax_cuda13_plugin",
        "jax-cuda13-plugin",
        _h100,
        f"--xla_gpu_autotune_level=0 {SCATTER}",
    ),
}


def environment(target: Target, dump: str) -> dict[str, str]:
    """What a process must have in its environment before JAX starts.

    dump: the folder where XLA leaves a GPU's kernels and what its host starts.
    """
    flags = target.xla_flags
    if target.platform == "gpu":
        flags = f"{flags} --xla_dump_to={dump}"
    return {
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # no device is used, so none is shared
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "false",
        "TPU_SKIP_MDS_QUERY": "1",
        "XLA_FLAGS": flags,
    }


def check(names: list[str]) -> None:
    """Raises UserError for a device that is none, or whose compiler is not installed."""
    for name in names:
        if name not in TARGETS:
            raise UserError(f"--devices={name}: not one of {', '.join(TARGETS)}")
        if not find_spec(TARGETS[name].plugin):
            raise UserError(
                f"--devices={name}: {TARGETS[name].plugin} is not installed, which compiles for "
                f"it: {INSTALL}"
            )
