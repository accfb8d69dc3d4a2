"""XLA's flags, which must be set before JAX starts a backend; a note where they weren't."""

import functools
import os
import re
import sys
import warnings
from importlib.metadata import version
from importlib.util import find_spec

from w2v_jax.types import UserError

OPTION = "--xla_backend_extra_options"
SCATTER = f"{OPTION}=-nvptx-allow-ftz-atomics"
DETERMINISTIC = "--xla_gpu_deterministic_ops"
# Without it jaxlib 0.11.2 has no deterministic form of a product, and does not compile.
NO_TRITON = "--xla_gpu_enable_triton_gemm=false"
AFFECTED = (0, 10, 2), (0, 11, 0)  # the first and the last jaxlib; 0.11.1 has the fix
PLUGINS = ("jax_cuda13_plugin", "jax_cuda12_plugin")


def configure(*, fast_scatter: bool = True, deterministic: bool = False) -> list[str]:
    """Sets for the whole process what XLA must know; returns a line for each note.

    Call it before JAX computes anything: XLA reads its flags once, when a backend starts.
    deterministic: a GPU leaves the same bits each time. XLA sorts what a scatter adds, which takes
    time; CPUs need nothing. Raises UserError where that can't be kept.
    fast_scatter: with a CUDA plugin and jaxlib 0.10.2 to 0.11.0, asks for hardware float atomics.
    These versions lower a float32 scatter-add to a compare-and-swap loop on NVIDIA's GPUs, hundreds
    of times slower where rows repeat. The user's own XLA_FLAGS stay as they are: the option is
    added behind them, and not at all where they set it already.
    """
    lines = _make_deterministic() if deterministic else []
    if not fast_scatter or not _is_slow():
        return lines
    if has_started():
        _warn()
        return lines
    own = os.environ.get("XLA_FLAGS", "")
    if _names_a_file(own):
        line = f"XLA_FLAGS names a file: add {SCATTER} to it, for fast scatters on the GPU"
        return [*lines, line]
    os.environ["XLA_FLAGS"] = f"{own} {SCATTER}".strip()
    return [*lines, f"XLA_FLAGS: {SCATTER} added, for fast scatters on the GPU"]


def _make_deterministic() -> list[str]:
    """Asks XLA for deterministic operations; returns a note that says so. Raises UserError."""
    option, told = f"{DETERMINISTIC}=true {NO_TRITON}", _told()
    said = re.findall(rf"{DETERMINISTIC}(?:=(\S+)|(?=\s|$))", told)
    if said and said[-1].lower() not in ("", "true", "1"):
        raise UserError(f"`deterministic`: XLA_FLAGS has {DETERMINISTIC}={said[-1]}")
    if said and (NO_TRITON.partition("=")[0] in told or has_started()):
        return []
    if said:
        option = NO_TRITON
    if _names_a_file(os.environ.get("XLA_FLAGS", "")):
        raise UserError(f"`deterministic`: XLA_FLAGS names a file: add {option} to it")
    if has_started():
        raise UserError("`deterministic`: call configure before JAX computes anything")
    os.environ["XLA_FLAGS"] = f"{told} {option}".strip()
    return [f"XLA_FLAGS: {option} added, for the same bits each time on a GPU"]


def warn_of_slow_scatter(platform: str) -> None:
    """Warns once where a program is compiled for a GPU that `configure` was not called for."""
    if platform in ("gpu", "cuda") and _is_slow():
        _warn()


def _is_slow() -> bool:
    """Whether scatters on a GPU that JAX can use would be slow, as XLA_FLAGS are now."""
    numbers = re.match(r"(\d+)\.(\d+)\.(\d+)", version("jaxlib"))
    first, last = AFFECTED
    if numbers is None or not first <= tuple(map(int, numbers.groups())) <= last:
        return False
    return any(find_spec(name) for name in PLUGINS) and OPTION not in _told()


def _told() -> str:
    """What XLA reads: XLA_FLAGS, or the text of the file that they name."""
    own = os.environ.get("XLA_FLAGS", "")
    if not _names_a_file(own):
        return own
    try:
        with open(own, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _names_a_file(own: str) -> bool:
    return bool(own) and not own.lstrip().startswith("-")


def has_started() -> bool:
    """Whether JAX has started a backend; it has no public name for that."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and getattr(bridge, "backends_are_initialized", bool)()


@functools.cache
def _warn() -> None:
    warnings.warn(
        f"jaxlib {version('jaxlib')} makes scatters on NVIDIA's GPUs, and so training, many times "
        "slower than they need be: call w2v_jax.configure() before JAX computes anything, or set "
        f"XLA_FLAGS={SCATTER}",
        stacklevel=3,
    )
