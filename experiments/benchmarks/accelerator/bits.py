"""Whether the same training leaves the same bits twice, and what deterministic operations cost."""

from collections.abc import Iterator

import jax
import numpy as np
from jax.errors import JaxRuntimeError

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator import steps
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from w2v_jax.config import Config

# Options of XLA: what --deterministic asks for.
OPTIONS = {"yes": {"xla_gpu_deterministic_ops": True, "xla_gpu_enable_triton_gemm": False}}


def configs(sizes: Sizes) -> Iterator[tuple[Config, int]]:
    """What is trained, each with its V."""
    for batch_size in sizes.profiled_batch_sizes:
        yield steps.config_of(**sizes.blocks(batch_size)), sizes.vocab_size


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """A row a batch size and way."""
    del given
    corpus = zipf.corpus(sizes.vocab_size, sizes.chunk_words, 1)
    for config, _ in configs(sizes):
        ready = steps.prepare(config, corpus, jax.devices()[0], sizes.profiled_steps)
        yield {"batch_size": config.batch_size, "deterministic": "no", **row_of(ready, sizes)}
        yield {"batch_size": config.batch_size, **deterministic(ready, sizes)}


def deterministic(ready: steps.Ready, sizes: Sizes) -> dict:
    """The row by the first of OPTIONS by which XLA compiles the steps, or why it does by none."""
    refused = {}
    for name, options in OPTIONS.items():
        try:
            one = steps.compiled_with(ready, options)
        except JaxRuntimeError as error:
            refused[name] = str(error).splitlines()[0]
        else:
            return {"deterministic": name, **row_of(one, sizes), "refused": refused}
    return {"deterministic": "does not compile", "same_bits": None, "ms": None, "refused": refused}


def row_of(ready: steps.Ready, sizes: Sizes) -> dict:
    """Whether two dispatches leave the same bits, and the time of a step."""
    return {"same_bits": same_bits(ready), "ms": 1000 * steps.seconds_a_step(ready, sizes.repeats)}


def same_bits(ready: steps.Ready) -> bool:
    """Whether two dispatches from the same state end in the same bits."""
    ends = [jax.device_get(ready.train(ready.copied())) for _ in range(2)]
    pairs = zip(*map(jax.tree.leaves, ends), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)
