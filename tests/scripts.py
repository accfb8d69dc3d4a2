"""The scripts started as a user starts them, in this process or in one of their own."""

import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from absl import flags

import w2v_jax

ROOT = Path(w2v_jax.__file__).parent.parent
WORDS = [f"w{i}" for i in range(12)]
QUICK = [
    *("--dim=4", "--window=2", "--negatives=2", "--noise=with_replacement", "--subsample=0"),
    *("--batch_size=16", "--epochs=2", "--log_every_steps=3", "--noevaluate", "--noplots"),
    *("--engine=pairs", "--update=dense"),
]

SMALL = ("--block=16", "--group_size=32", "--negatives_per_group=8", "--batch_size=64")


def text_of(lines=30, seed=0):
    draws = np.random.default_rng(seed).integers(0, len(WORDS), (lines, 6))
    return "".join(" ".join(WORDS[i] for i in row) + "\n" for row in draws)


def start(script, *args):
    """Runs a script in this process as `python -m` does; returns its exit status."""
    before, argv, term = set(flags.FLAGS), sys.argv, signal.getsignal(signal.SIGTERM)
    sys.argv = [script, *map(str, args)]
    try:
        runpy.run_module(f"experiments.{script}", run_name="__main__")
    except SystemExit as end:
        return end.code
    finally:
        sys.argv = argv
        signal.signal(signal.SIGTERM, term)
        for name in set(flags.FLAGS) - before:
            delattr(flags.FLAGS, name)
    raise AssertionError("the script went on")


def in_a_process(folder, script, *args):
    env = {"JAX_PLATFORMS": "cpu", "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{script}", *map(str, args)],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
