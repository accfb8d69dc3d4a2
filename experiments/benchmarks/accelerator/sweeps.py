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
    """A row a number of trials."""
    del given
    corpus = zipf.corpus(sizes.vocab_size, sizes.chunk_words, 1)
    for count in sizes.trials:
        found = [_row(config_of(sizes), corpus, count, width) for width in (count, 1)]
        yield joined(*found)


def joined(vmapped: dict, in_turn: dict) -> dict:
    """Both ways side by side; loss_apart: the largest relative difference of a trial's loss."""
    losses = vmapped["losses"], in_turn["losses"]
    return {
        "trials": vmapped["trials"],
        "vmapped": vmapped["words_per_sec"],
        "in_turn": in_turn["words_per_sec"],
        "times": vmapped["words_per_sec"] / in_turn["words_per_sec"],
        "loss_apart": float(np.max(np.abs(losses[0] - losses[1]) / np.abs(losses[1]))),
        "compile_sec": vmapped["compile_sec"],
        "compile_sec_in_turn": in_turn["compile_sec"],
        "peak_mb": vmapped["peak_mb"],
    }


def _row(config: Config, corpus: Corpus, count: int, vmap_width: int) -> dict:
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
