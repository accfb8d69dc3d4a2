"""An epoch from text to vectors by train_corpus; then what vectors are worth by batch size."""

import math
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from experiments.benchmarks.accelerator import steps, texts
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from experiments.report.tables import counted
from experiments.runs.store import cpus
from w2v_jax import beginning, training
from w2v_jax.config import Config
from w2v_jax.data import sources
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import resolve
from w2v_jax.metrics import mean_loss
from w2v_jax.types import HyperParams, TextSettings
from w2v_jax.vectors import evaluation
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.visits import Program

MEASURES = {
    "wordsim353_spearman": "wordsim353",
    "simlex999_spearman": "simlex999",
    "google_analogies_accuracy": "analogies",
}
NO_TEXT = "quality needs --corpus"


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """A row of the epoch; for each batch size a row a rate, of rank 1, and one of the best."""
    text = texts.path_of(sizes, given)
    yield end_to_end(text, sizes, given)  # first: from now on this process holds the device
    if not given.corpus:
        yield {"note": NO_TEXT}
        return
    source, settings = sources.locate("", corpus=text), TextSettings(max_words=sizes.max_words)
    corpus = Corpus.load(source, settings, cache_dir=str(texts.cache(given)))
    for batch_size in sizes.judged_batch_sizes:
        found = []
        for row in by_rate(corpus, sizes, batch_size):
            found.append(row)
            yield {**row, "rank": 1}
        yield {**best(found), "of_rates": len(found)}
    rates = counted(len(sizes.rates), "rate")
    yield {"note": f"best of {rates} by these very measures, a seed each"}


def end_to_end(text: str, sizes: Sizes, given: Given) -> dict:
    """The row of one epoch, all of a process: reading, compilation, training, vectors written."""
    summary = texts.trained(text, sizes, given, "epoch", sizes.max_words, cpus())
    kept = ("words_per_sec", "train_sec", "compile_sec", "total_sec", "words_per_epoch")
    batch_size = sizes.judged_batch_sizes[0]
    row = {name: summary[name] for name in kept}
    return {"batch_size": batch_size, **row, "loss": summary["final_loss"]}


def by_rate(corpus: Corpus, sizes: Sizes, batch_size: int) -> Iterator[dict]:
    """A row a rate, all by one program."""
    fields = sizes.blocks(batch_size)
    config = resolve(Config(**fields, epochs=sizes.text_epochs), corpus)
    device, key = jax.devices()[0], jax.random.key(1)
    hyper = beginning.make_hyper(config, corpus.vocab)
    state = beginning.initial_state(config, len(corpus.vocab.words), key, hyper)
    static = config.static()._replace(platform=device.platform)
    program = training.compile_program(state, key, corpus.chunk_size, hyper, static, steps.WHOLE)
    del state
    for rate in sizes.rates:
        tried = hyper.replace(learning_rate=jax.numpy.float32(rate))
        row = {"batch_size": batch_size, "learning_rate": rate, "seeds": 1}
        yield {**row, **judged(corpus, config, program, tried)}


def judged(corpus: Corpus, config: Config, program: Program, hyper: HyperParams) -> dict:
    """What one training took, its last epoch's loss, and its vectors' measures.

    Where it diverged there is neither loss nor measure.
    """
    key, static = jax.random.key(1), config.static()
    began = time.perf_counter()
    state = beginning.initial_state(config, len(corpus.vocab.words), key, hyper)
    sums: dict[int, Any] = {}
    whole = training.Training(key, corpus, program, hyper, static, config.epochs)
    reports = training.train(state, whole)
    for after, report in reports:
        state = after
        sums[report.epoch] = sums.get(report.epoch, 0) + np.array(report.metrics)
    table = np.asarray(jax.device_get(state.params.input))
    train_sec = time.perf_counter() - began
    loss = mean_loss(sums[max(sums)])
    row = {"train_sec": train_sec, "words_per_sec": corpus.words * config.epochs / train_sec}
    if loss is None or not math.isfinite(loss) or not np.isfinite(table).all():
        return {**row, "loss": None}
    measures = evaluation.standard(WordVectors(corpus.vocab.words, table))
    quality = {MEASURES[m.name]: m.value for m in measures if m.name in MEASURES}
    return {**row, "loss": loss, **quality, "total_sec": time.perf_counter() - began}


def best(rows: list[dict]) -> dict:
    """The row with the greatest sum of the measures that it has, or else the least loss."""

    def worth(row: dict) -> tuple:
        values = [row[name] for name in MEASURES.values() if row.get(name) is not None]
        loss = row["loss"]
        return len(values), sum(values), -math.inf if loss is None else -loss

    return max(rows, key=worth)
