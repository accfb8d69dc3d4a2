"""A library leaves the process as it found it: at import, and where states are saved and read."""

import os
import subprocess
import sys

import pytest
from scripts import QUICK, ROOT, text_of

SURROUNDINGS = """
import importlib, logging, os, pkgutil, signal, sys, threading, warnings
import jax, jax.numpy, flax.struct, optax, numpy, scipy.stats, absl.flags, absl.logging, tqdm

def loggers():
    known = {name: x for name, x in logging.root.manager.loggerDict.items()
             if isinstance(x, logging.Logger)}
    return {name: (x.level, x.disabled, x.propagate, list(x.handlers), list(x.filters))
            for name, x in {**known, "": logging.root}.items()}

def surroundings():
    return {
        "environment": dict(os.environ),
        "jax's settings": dict(jax.config.values),
        "loggers": loggers(),
        "hooks": (sys.unraisablehook, sys.excepthook, sys.displayhook, threading.excepthook),
        "signals": [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
        "warnings": list(warnings.filters),
        "numpy's errors": numpy.geterr(),
        "recursion": sys.getrecursionlimit(),
    }

def import_all(package):
    found = importlib.import_module(package)
    for module in pkgutil.walk_packages(found.__path__, package + "."):
        if not module.name.endswith("d2l_training"):  # it needs torch
            importlib.import_module(module.name)

def check(before):
    after = surroundings()
    for name in before:
        old, new = before[name], after[name]
        if name == "loggers":  # a new one is nobody's, as long as nothing is set on it
            plain = {x: v for x, v in new.items() if x not in old}
            assert all(v == (0, False, True, [], []) for v in plain.values()), plain
            new = {x: v for x, v in new.items() if x in old}
        assert old == new, (name, old, new)
"""


def in_python(folder, code):
    """On a machine that seems to have a CUDA plugin; what the code printed on stderr."""
    (folder / "jax_cuda13_plugin.py").write_text("")
    path = os.pathsep.join([str(ROOT), str(folder)])
    env = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    command = [sys.executable, "-c", SURROUNDINGS + code]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("package", ["w2v_jax", "experiments"])
@pytest.mark.slow
def test_importing_every_module_sets_nothing(tmp_path, package):
    code = f"""
before = surroundings()
import_all("{package}")
check(before)
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()  # or `configure` would come too late
"""
    done = in_python(tmp_path, code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_saving_and_reading_a_state_sets_nothing(tmp_path):
    code = f"""
import orbax.checkpoint
from w2v_jax.checkpoint import Checkpoints
before = surroundings()
checkpoints = Checkpoints({str(tmp_path / "states")!r}, 2)
checkpoints.save(1, {{"a": numpy.ones(3)}}, {{}})
checkpoints.wait()
checkpoints.close()
assert Checkpoints({str(tmp_path / "states")!r}, None).newest(print).step == 1
check(before)
"""
    done = in_python(tmp_path, code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_command_tells_of_a_save_that_fails_in_one_line(tmp_path):
    """Its files may not grow; Orbax, TensorStore and asyncio have many lines for that."""
    (tmp_path / "text.txt").write_text(text_of())
    args = [*QUICK, "--dim=2000", f"--corpus={tmp_path}/text.txt", f"--workdir={tmp_path}/out"]
    code = f"""
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
sys.argv = ["ptb_skipgram", *{[*args, "--checkpoint_every_steps=2"]!r}]
runpy.run_module("experiments.ptb_skipgram", run_name="__main__")
"""
    done = in_python(tmp_path, code)
    told = [line for line in done.stderr.splitlines() if not line.startswith("note: XLA_FLAGS")]
    assert done.returncode == 1, done.stderr
    assert [line for line in told if line.startswith("error: ")] == told[-1:], done.stderr
    assert "no checkpoint can be written (File too large)" in told[-1]
    expected = ("files: ", "about ", "warning: ", "note: ", "compiling ", "error: ")
    assert all(line.startswith(expected) for line in told), done.stderr
