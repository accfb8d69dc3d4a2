"""python split_training.py HOST:PORT N I FILE: process I of N, and what they train together.

Each process has one CPU device, and a part of every table's columns.
"""

import sys

import jax
import numpy as np

import w2v_jax as w2v

SETTINGS = {
    "skipgram": {"optimizer": "row_adagrad"},
    "cbow": {"model": "cbow", "engine": "pairs", "optimizer": "adam", "learning_rate": 0.002},
}


def sentences():
    """200 lines of 12 words, frequent and rare ones."""
    words = np.random.default_rng(0).zipf(1.5, (200, 12)) % 60
    return [[f"w{i}" for i in line] for line in words.tolist()]


def trained(mesh):
    """Both tables, and the loss, of each of `SETTINGS`."""
    found = {}
    for name, fields in SETTINGS.items():
        run = w2v.train(
            *(sentences(),),
            **{"dim": 8, "min_count": 1, "epochs": 2, "batch_size": 128, "mesh": mesh, **fields},
            progress=False,
        )
        found |= {f"{name}_input": run.params.input, f"{name}_output": run.params.output}
        found[f"{name}_loss"] = np.float64(run.loss)
    return found


if __name__ == "__main__":
    address, count, own, file = sys.argv[1:]
    jax.distributed.initialize(address, int(count), int(own), initialization_timeout=60)
    np.savez(file, **trained(f"columns:{count}"))
    jax.distributed.shutdown()
