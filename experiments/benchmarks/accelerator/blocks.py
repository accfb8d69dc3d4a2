"""Steps and epochs of the blocks engine against the batch size."""

from collections.abc import Iterator

import jax

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator import steps
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from w2v_jax.config import Config


def configs(sizes: Sizes) -> Iterator[tuple[Config, int]]:
    """What is trained, each with its V."""
    for batch_size in sizes.batch_sizes:
        yield steps.config_of(**sizes.blocks(batch_size)), sizes.vocab_size


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """A row a batch size, from the smallest on: the peak of memory is the process's own."""
    del given
    corpus = zipf.corpus(sizes.vocab_size, sizes.epoch_words, 1)
    for config, _ in configs(sizes):
        ready = steps.prepare(config, corpus, jax.devices()[0])
        row = steps.row_of(ready, sizes.repeats)
        yield {**row, "epoch_words_per_sec": steps.words_per_sec_of_an_epoch(ready)}
