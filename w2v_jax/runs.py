"""Trainings of the library: a run with its vectors, and its progress while it trains."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
import tqdm.auto

from w2v_jax import beginning, columns, prediction, replicas, subword_rows, training
from w2v_jax.config import Config
from w2v_jax.data.corpus import Corpus
from w2v_jax.epoch_ends import EpochEnds
from w2v_jax.heldout_text import Windows
from w2v_jax.metrics import loss_error, mean_loss
from w2v_jax.types import Metrics, Params, UserError, Vocab
from w2v_jax.vectors import io, similarity
from w2v_jax.vectors.measures import Measures, measures
from w2v_jax.vectors.word_vectors import WordVectors

STEPS = 100  # a line of the history


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A training, done."""

    config: Config  # resolved: no field is None
    seed: int
    vectors: WordVectors  # the input embeddings
    params: Params = field(repr=False)  # the tables, [V, D]; with subwords SubwordParams
    # step, epoch, words, loss, learning_rate; heldout_loss and perplexity where an epoch ends
    history: list[dict[str, Any]] = field(repr=False)
    loss: float  # mean loss per positive, of the epoch whose tables these are
    loss_error: float | None  # half its 95% interval, where it is measured on a sample
    train_sec: float  # without compilation and held-out measures
    heldout_loss: float | None = None  # of the epoch whose tables these are
    perplexity: float | None = None
    best_epoch: int | None = None  # whose tables these are, where early_stopping chose it
    stopped_epoch: int | None = None  # after which the training was stopped early

    def __repr__(self) -> str:
        return f"Run({self.config.model}, {self.vectors}, loss {self.loss:.4f})"

    def most_similar(self, word: str, topn: int = 10) -> list[tuple[str, float]]:
        """The words with the greatest cosine: [(word, cosine)], best first."""
        return self.vectors.most_similar(word, topn)

    def predict(self, contexts: Sequence[str], topn: int = 10) -> list[tuple[str, float]]:
        """The likeliest centres of a window of these words: [(word, probability)], best first.

        Exact, over the whole vocabulary: see `prediction.centre_log_probs`. Raises UserError where
        a word is not in the vocabulary.
        """
        if isinstance(contexts, str):
            raise UserError("`contexts`: a list of words")
        words, counts = self.vectors.words, self.vectors.counts
        if counts is None:
            raise UserError("`vectors`: have no counts of words, which the noise is made of")
        vocabulary = Vocab(words, counts)
        ids = [similarity.find(words, word) for word in contexts]
        log_probs = prediction.centre_log_probs(self.params, vocabulary, self.config, ids)
        best = np.argsort(-log_probs, kind="stable")[:topn]
        return [(words[i], float(np.exp(log_probs[i]))) for i in best]

    def evaluate(self) -> Measures:
        """WordSim-353, SimLex-999 (where it is installed) and Google's analogies."""
        return measures(self.vectors)

    def save(self, path) -> None:
        """The vectors in a file: .npz, .bin, .safetensors, .parquet, .kv, else word2vec's text."""
        io.save(path, self.vectors)


def run(
    corpus: Corpus,
    config: Config,
    seed: int,
    progress: bool | Callable | None,
    windows: Windows | None = None,
    early_stopping: int = 0,
) -> Run:
    """Trains a resolved config; progress, early_stopping as of `w2v_jax.train`.

    windows: of a text that is measured where an epoch ends.
    """
    beginning.check(config, corpus)
    key = jax.random.key(checked_seed(seed))
    hyper, static = beginning.make_hyper(config, corpus.vocab), config.static()
    first = beginning.tables(config, corpus)
    state = beginning.initial_state(config, len(corpus.vocab.words), key, hyper, first)
    steps = replicas.dispatch_steps(STEPS, config.replicas, config.sync_every)
    program = training.compile_program(state, key, corpus.chunk_size, hyper, static, steps)
    history: list[dict[str, Any]] = []
    epoch, sums = 0, np.zeros(len(Metrics._fields))
    ends = EpochEnds(config, hyper, state.params, windows, early_stopping)
    began = time.perf_counter()
    with _shown(progress, corpus.words * config.epochs) as show:
        whole = training.Training(
            *(key, corpus, program, hyper, static, config.epochs, config.sync_every)
        )
        for after, report in replicas.train(state, whole):
            state = after
            found = np.array(report.metrics)
            if not np.isfinite(found).all():
                raise UserError(
                    _not_finite(f"the loss is not finite at step {report.step:,}", config)
                )
            sums = found if report.epoch != epoch else sums + found
            epoch = report.epoch
            line = _line(report, found)
            history.append(line)
            if report.words == corpus.words * epoch:
                line |= ends.after(epoch, state.params, sums)
            show(line)
            if ends.stopped:
                break
    train_sec = time.perf_counter() - began - ends.seconds
    params, sums = ends.chosen(jax.device_get(columns.gathered(state.params)), sums)
    loss = mean_loss(sums)  # None where no step of the epoch was measured
    if not all(np.isfinite(table).all() for table in jax.tree.leaves(params)):
        raise UserError(_not_finite("the tables are not finite", config))
    tables, made_up = subword_rows.word_tables(params, config, corpus.vocab)
    return Run(
        config=config,
        seed=seed,
        vectors=WordVectors(
            corpus.vocab.words,
            np.asarray(tables.input),
            tuple(np.flatnonzero(beginning.untrained(config, corpus)).tolist()),
            corpus.vocab.counts,
            made_up,
        ),
        params=params,
        history=history,
        loss=math.nan if loss is None else loss,
        loss_error=loss_error(sums),
        train_sec=train_sec,
        heldout_loss=ends.best.get("heldout_loss"),
        perplexity=ends.best.get("perplexity"),
        best_epoch=ends.best.get("epoch") if early_stopping else None,
        stopped_epoch=ends.stopped,
    )


def _not_finite(what: str, config: Config) -> str:
    return f"{what}: a smaller `learning_rate` than {config.learning_rate:g} may help"


def checked_seed(seed: int) -> int:
    """The seed. Raises UserError where it is none."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise UserError(f"`seed={seed}`: must be a whole number from 0 to 2^32 - 1")
    return int(seed)


def _line(report: training.Report, sums: np.ndarray) -> dict[str, Any]:
    return {
        "step": report.step,
        "epoch": report.epoch,
        "words": report.words,
        "loss": mean_loss(sums),
        "learning_rate": report.learning_rate,
    }


@contextmanager
def _shown(progress: bool | Callable | None, words: int) -> Iterator[Callable[[dict], None]]:
    """What is called with each line of the history: a bar, the user's function, or nothing."""
    if callable(progress):
        yield progress
        return
    if progress is None:
        progress = "ipykernel" in sys.modules or sys.stderr.isatty()
    with tqdm.auto.tqdm(
        total=words, unit="word", unit_scale=True, smoothing=0.1, disable=not progress
    ) as bar:

        def show(line: dict) -> None:
            loss = line["loss"]
            bar.set_postfix_str("" if loss is None else f"loss {loss:.4f}", False)
            bar.update(line["words"] - bar.n)

        yield show
