"""Steps on tables that no cache holds."""

from collections.abc import Iterator

import jax

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator import steps
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from w2v_jax.config import Config


def configs(sizes: Sizes) -> Iterator[tuple[Config, int]]:
    """What is trained, each with its V."""
    for batch_size in sizes.large_batch_sizes:
        fields = {**sizes.blocks(batch_size), "dim": sizes.large_dim}
        yield steps.config_of(**fields), sizes.large_vocab_size


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """A row a batch size, from the smallest on."""
    del given
    corpus = zipf.corpus(sizes.large_vocab_size, sizes.chunk_words, 1)
    for config, vocab_size in configs(sizes):
        ready = steps.prepare(config, corpus, jax.devices()[0])
        row = steps.row_of(ready, sizes.repeats)
        yield {**row, "vocab_size": vocab_size, "dim": config.dim}
