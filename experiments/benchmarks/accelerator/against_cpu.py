"""The same training on the device and on the CPU of one process: ids drawn, tables after steps."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product

import jax
import numpy as np

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator import steps
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from experiments.runs.store import cpus
from w2v_jax.config import Config
from w2v_jax.engines import ENGINES
from w2v_jax.types import Params

MOST = 1e-4  # that elements of the tables may differ by
UPDATES = {
    "sparse": {"update": "sparse", "optimizer": "row_adagrad"},
    "dense": {"update": "dense", "optimizer": "adam"},
}
THREADS = 8  # programs that are compiled at a time


def cases(sizes: Sizes) -> dict[str, dict[str, Config]]:
    """Engines and models, each with its optimisers."""
    found = {}
    for engine, model in product(("blocks", "pairs"), ("skipgram", "cbow")):
        fields = {**getattr(sizes, engine)(sizes.compared_batch_size), "model": model}
        found[f"{engine}, {model}"] = {
            name: steps.config_of(**fields, **update) for name, update in UPDATES.items()
        }
    return found


def configs(sizes: Sizes) -> Iterator[tuple[Config, int]]:
    """What is trained, each with its V."""
    for of_case in cases(sizes).values():
        for config in of_case.values():
            yield config, sizes.compared_vocab_size


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """A row an engine and model."""
    del given
    corpus = zipf.corpus(sizes.compared_vocab_size, sizes.chunk_words, 1)
    devices = tuple(dict.fromkeys((jax.devices()[0], jax.devices("cpu")[0])))
    with ThreadPoolExecutor(min(THREADS, cpus())) as pool:
        made = {
            (case, update): [
                pool.submit(steps.prepare, config, corpus, device, sizes.compared_steps)
                for device in devices
            ]
            for case, of_case in cases(sizes).items()
            for update, config in of_case.items()
        }
        for case in cases(sizes):
            found = {name: compared(*both(made.pop((case, name)))) for name in UPDATES}
            yield joined(case, found)


def both(made: list[Future]) -> tuple[steps.Ready, steps.Ready]:
    """On the device and on the CPU; the same twice where they are one."""
    return made[0].result(), made[-1].result()


def joined(case: str, found: dict[str, dict]) -> dict:
    """The row of a case, of what `compared` found with each optimiser."""
    apart = {name: of_update["difference"] for name, of_update in found.items()}
    return {
        "case": case,
        "same_ids": all(of_update["same_ids"] for of_update in found.values()),
        **apart,
        "within": max(apart.values()) <= MOST,
        "moved": min(of_update["moved"] for of_update in found.values()),
        "steps": min(of_update["steps"] for of_update in found.values()),
    }


def compared(one: steps.Ready, other: steps.Ready) -> dict:
    """Whether both draw the same ids, and by how much their tables differ after the steps.

    moved: by how much the steps have changed an element at most, to hold the difference against.
    """
    before = jax.device_get(other.state.params)
    one_after, other_after = (jax.device_get(x.train(x.copied()).params) for x in (one, other))
    return {
        "same_ids": same_ids(one, other),
        "difference": largest(one_after, other_after),
        "moved": largest(before, other_after),
        "steps": one.steps,
    }


def same_ids(one: steps.Ready, other: steps.Ready) -> bool:
    """Whether chunks and the first and last batches hold the same integers."""
    sides = [[ready.sampled, *batches(ready)] for ready in (one, other)]
    leaves = [[x for x in jax.tree.leaves(side) if _is_integer(x)] for side in sides]
    pairs = zip(*(map(np.asarray, map(_plain, side)) for side in leaves), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def batches(ready: steps.Ready) -> list:
    """The chunk's first and last batch."""
    make = jax.jit(
        lambda sampled, step, hyper: ENGINES[ready.static.engine].make_batch(
            sampled, step, hyper, ready.static
        )
    )
    with jax.default_device(ready.device):
        return [
            make(ready.sampled, jax.device_put(np.int32(step), ready.device), ready.hyper)
            for step in (0, steps.steps_of(ready) - 1)
        ]


def largest(one: Params, other: Params) -> float:
    """The largest difference between elements of tables; infinite where one is no number."""
    apart = [np.max(np.abs(a - b)) for a, b in zip(one, other, strict=True)]
    return float(max(apart)) if np.isfinite(apart).all() else float("inf")


def _is_integer(leaf) -> bool:
    return _is_key(leaf) or jax.numpy.issubdtype(leaf.dtype, jax.numpy.integer)


def _is_key(leaf) -> bool:
    return jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(leaf):
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf
