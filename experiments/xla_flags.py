"""What XLA must be told before JAX starts."""

import os
from importlib.util import find_spec

OPTION = "--xla_backend_extra_options"
SCATTER = f"{OPTION}=-nvptx-allow-ftz-atomics"
PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")


def avoid_slow_scatter() -> str:
    """Where JAX has a CUDA plugin, asks for hardware float atomics; returns what to say of it.

    jaxlib 0.10.2 to 0.11.0 lowers a float32 scatter-add to a compare-and-swap loop on NVIDIA's
    GPUs, hundreds of times slower where rows repeat. The user's own XLA_FLAGS stay as they are: the
    option is added behind them, and not at all where they set it already.
    """
    own = os.environ.get("XLA_FLAGS", "")
    is_file = own and not own.lstrip().startswith("-")  # JAX reads the flags from it
    if OPTION in own or is_file or not any(find_spec(name) for name in PLUGINS):
        return ""
    os.environ["XLA_FLAGS"] = f"{own} {SCATTER}".strip()
    return f"XLA_FLAGS: {SCATTER} added, for fast scatters on the GPU"
