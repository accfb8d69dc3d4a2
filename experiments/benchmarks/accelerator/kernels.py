"""Which kernels the steps spend their time in."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import jax

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator import profile, steps
from experiments.benchmarks.accelerator.bits import configs as configs
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes

KEPT = 12  # kernels told of a batch size
FEW = 5  # names: a graph of kernels was recorded as one
NO_GRAPHS = {"xla_gpu_enable_command_buffer": ""}


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """For each batch size a row of all kernels, then one of each that takes most of the time.

    rank: 0 for all, then 1, 2, .. Where a GPU's graphs hide their kernels, the steps are profiled
    without graphs: `graphs` is false then.
    """
    corpus = zipf.corpus(sizes.vocab_size, sizes.chunk_words, 1)
    for config, _ in configs(sizes):
        ready = steps.prepare(config, corpus, jax.devices()[0], sizes.profiled_steps)
        folder = given.workdir / "profiles" / f"T{config.batch_size}"
        found, graphs = profiled(ready, folder), True
        if ready.device.platform == "gpu" and len(found) < FEW:
            ready, graphs = steps.compiled_with(ready, NO_GRAPHS), False
            found = profiled(ready, folder)
        about = {"batch_size": config.batch_size, "graphs": graphs}
        for row in rows(found, ready.steps):
            yield {**about, **row}


def profiled(ready: steps.Ready, folder: Path) -> list[profile.Kernel]:
    """Kernels of one dispatch, after one that is not profiled. Its trace is left in the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    state = jax.block_until_ready(ready.train(ready.copied()))
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    with jax.profiler.trace(str(folder), profiler_options=options):
        jax.block_until_ready(ready.train(state))
    return profile.kernels(folder)


def rows(found: list[profile.Kernel], number: int) -> Iterator[dict]:
    """Rows of the kernels of so many steps, all together first."""
    total = sum(kernel.ns for kernel in found)
    calls = sum(kernel.calls for kernel in found)
    every = profile.Kernel(f"all {len(found):,} names", total, calls)
    for rank, kernel in enumerate([every, *found[:KEPT]]):
        yield {
            "rank": rank,
            "kernel": kernel.name,
            "us": kernel.ns / 1000 / number,
            "share": kernel.ns / total if total else 0.0,
            "calls": kernel.calls / number,
        }
