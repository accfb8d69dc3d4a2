"""Which accelerator JAX finds, asked in a process of its own: this one must not hold its memory."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from experiments.benchmarks.accelerator import process
from w2v_jax.types import UserError

LIMIT_SEC = 90
ASKED = """
import json, jax
devices = jax.devices()
told = [devices[0].platform, devices[0].device_kind, len(devices), jax.__version__]
print("\\n" + json.dumps(told))
"""


class Machine(NamedTuple):
    """What JAX uses by default."""

    platform: str  # cpu | gpu | tpu
    kind: str  # of the device
    count: int
    jax: str  # its version


def found() -> Machine:
    """The machine. Raises UserError where JAX starts no backend."""
    env = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.txt"
        ended = process.run([sys.executable, "-c", ASKED], log, LIMIT_SEC, env)
        told = process.last_line(log)
    if ended.status != 0:
        reason = "did not answer" if ended.status is None else told
        raise UserError(f"JAX finds no device: {reason}")
    return Machine(*json.loads(told))


def environment(*, on_cpu: bool, beside_cpu: bool, programs: str = "") -> dict[str, str]:
    """What a process gets that is to use the CPU alone, or the CPU as a device too.

    programs: a rehearsal's folder of compiled programs. What it compiles is not optimised, and once
    is enough for all items.
    """
    env = dict(os.environ)
    if programs:
        env.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
        env.setdefault("JAX_COMPILATION_CACHE_DIR", programs)
        env.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    given = [name for name in env.get("JAX_PLATFORMS", "").split(",") if name]
    if on_cpu:
        env["JAX_PLATFORMS"] = "cpu"
    elif beside_cpu and given and "cpu" not in given:
        env["JAX_PLATFORMS"] = ",".join([*given, "cpu"])
    return env
