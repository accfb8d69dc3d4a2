"""python split_training.py HOST:PORT N I FILE NAME ..: process I of N that train together.

Each process has one CPU device, and a part of every table's columns.
"""

import sys

import jax
import numpy as np

import w2v_jax as w2v
from w2v_jax import columns

SETTINGS = {
    "skipgram": {"optimizer": "row_adagrad"},
    "cbow": {"model": "cbow", "engine": "pairs", "optimizer": "adam", "learning_rate": 0.002},
}


def sentences():
    """200 lines of 12 words, frequent and rare ones."""
    words = np.random.default_rng(0).zipf(1.5, (200, 12)) % 60
    return [[f"w{i}" for i in line] for line in words.tolist()]


def trained(mesh, names=tuple(SETTINGS)):
    """Both tables, and the loss, of each of these `SETTINGS`."""
    found = {}
    for name in names:
        fields = {"dim": 8, "min_count": 1, "epochs": 2, "batch_size": 128, **SETTINGS[name]}
        run = w2v.train(sentences(), mesh=mesh, progress=False, **fields)
        found |= {f"{name}_input": run.params.input, f"{name}_output": run.params.output}
        found[f"{name}_loss"] = np.float64(run.loss)
    return found


if __name__ == "__main__":
    address, count, own, file, *names = sys.argv[1:]
    jax.distributed.initialize(address, int(count), int(own), initialization_timeout=60)
    columns.ROWS = 16  # tables come to the host in parts
    np.savez(file, **trained(f"columns:{count}", names))
    jax.distributed.shutdown()
