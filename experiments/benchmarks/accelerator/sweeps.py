"""A sweep's trials vmapped, against one after the other in one program."""

import time
from collections.abc import Iterator
from functools import partial

import jax
import numpy as np

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator import steps
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from w2v_jax import beginning, sweeping
from w2v_jax.config import Config
from w2v_jax.data.corpus import Corpus


def config_of(sizes: Sizes) -> Config:
    """What every trial trains; its seed is its own."""
    return steps.config_of(**sizes.blocks(sizes.batch_sizes[0]))


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """A row a number of trials and way."""
    del given
    corpus = zipf.corpus(sizes.vocab_size, sizes.chunk_words, 1)
    for count in sizes.trials:
        ways = [("vmapped", count), ("in turn", 1)]
        found = [_row(config_of(sizes), corpus, count, *way) for way in ways]
        losses = [row.pop("losses") for row in found]
        apart = float(np.max(np.abs(losses[0] - losses[1]) / losses[1]))
        yield {**found[0], "loss_apart": apart}
        yield found[1]


def _row(config: Config, corpus: Corpus, count: int, way: str, vmap_width: int) -> dict:
    device = jax.devices()[0]
    trials, texts = trials_of(config, corpus, count, device), sweeping.text_of(corpus, [device])
    began = time.perf_counter()
    program = sweeping.compile_train_chunk(trials, texts, config.static(), vmap_width)
    compile_sec = time.perf_counter() - began
    train = partial(sweeping.train_epoch, trials, corpus, texts, program, 0, 1)
    jax.block_until_ready(train())
    began = time.perf_counter()
    _, sums = jax.block_until_ready(train())
    return {
        "trials": count,
        "way": way,
        "words_per_sec": count * corpus.words / (time.perf_counter() - began),
        "compile_sec": compile_sec,
        "peak_mb": steps.peak(device),
        "losses": sums.loss / sums.positives,
    }


def trials_of(config: Config, corpus: Corpus, count: int, device: jax.Device) -> sweeping.Sharded:
    """So many trials of seeds 0, 1, .. on the device."""

    def first(number: int):
        key, hyper = jax.random.key(number), beginning.make_hyper(config, corpus.vocab)
        return key, hyper, beginning.initial_state(config, len(corpus.vocab.words), key, hyper)

    return sweeping.shard(first, count, count, [device])
