"""A program of a sweep at its end -> a line for each of its trials."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from experiments.report import chance
from experiments.runs.newest import word_vectors
from experiments.sweeps.plan import Program, Trial
from experiments.sweeps.run import Compiled, Trained
from w2v_jax import heldout, sweeping
from w2v_jax.vectors import evaluation, item_sets
from w2v_jax.vectors.item_sets import ItemSet
from w2v_jax.vectors.word_vectors import WordVectors


class Result(NamedTuple):
    """What is known of a trial at its end."""

    trial: Trial
    line: dict  # its measures
    items: dict[str, np.ndarray]  # its results item by item
    wv: WordVectors


def results(
    program: Program,
    trained: Trained,
    compiled: Compiled,
    own: Sequence[ItemSet] | None,
    done: Collection[int] = (),
    by_line: heldout.ByLine | None = None,
) -> Iterator[Result]:
    """Each trial that isn't done measured: held-out loss, perplexity, word pairs, analogies.

    own: sets beside the standard ones; None: no word pairs and no analogies at all. by_line: what
    compiled.heldout gives for these trials, where it is there already.
    """
    corpus, held = compiled.corpus, compiled.held
    if held and by_line is None:
        by_line = compiled.heldout(trained.trials)
    steps = sweeping.joined([m.state.step for m in trained.trials])
    params = sweeping.joined([m.state.params for m in trained.trials])
    for i, trial in enumerate(program.trials):
        if trial.index in done:
            continue
        measures, items, of_text = {}, {}, sums_of(by_line, i)
        own_params = jax.tree.map(lambda table: table[i], params)  # noqa: B023 (used at once)
        wv = word_vectors(own_params, trial.config, corpus.vocab)
        if own is not None:
            items = item_sets.items_of(wv, own)
            measures = {m.name: m for m in item_sets.measured(wv, own, items)}
        line = {
            "epochs": trial.config.epochs,
            "steps": int(steps[i]),
            "frozen_step": int(steps[i]) if trained.diverged[i] else None,
            "stopped_epoch": int(trained.stopped[i]) or None,
            "best_epoch": int(trained.best_epoch[i]) or None,
            "loss": _finite(trained.loss[i]),
            "chance_loss": chance.of(
                trial.config.loss, trial.config.negatives, len(corpus.vocab.words)
            ),
            **_curves(trained.curve[i]),
            **figures(of_text),
            **headlines(measures, own or ()),
        }
        yield Result(trial, line, items | of_text, wv)


def _curves(curve: np.ndarray) -> dict[str, list]:
    """A trial's losses by epoch [epochs, 2], up to its last; those that were measured."""
    known = np.flatnonzero(np.isfinite(curve[:, 0]))
    length = known[-1] + 1 if len(known) else 0
    found = zip(("curve", "heldout_curve"), curve[:length].T, strict=True)
    return {name: [_finite(x) for x in of] for name, of in found if np.isfinite(of).any()}


def sums_of(by_line: heldout.ByLine | None, trial: int) -> dict[str, np.ndarray]:
    """A trial's held-out measures, those that there are, by line: [lines, 2] float64 each."""
    found = {"heldout_loss": by_line.loss, "perplexity": by_line.nats} if by_line else {}
    return {name: x[trial].astype(np.float64) for name, x in found.items() if x is not None}


def headlines(measures: Mapping[str, evaluation.Measure], own: Sequence[ItemSet] = ()) -> dict:
    """What a line tells of word pairs and analogies: the figures, and [covered, in all] of each."""
    names = [*evaluation.HEADLINES, *(one.headline for one in own)]
    found = {name: measures[name] for name in names if name in measures}
    values = {name: found[name].value if name in found else None for name in names}
    return {**values, "coverage": {name: [m.covered, m.total] for name, m in found.items()}}


def of_text(by_line: heldout.ByLine | None, trial: int) -> dict[str, float | None]:
    """A trial's held-out loss and perplexity, None where they aren't measured or not finite."""
    return figures(sums_of(by_line, trial))


def figures(sums: dict[str, np.ndarray]) -> dict[str, float | None]:
    """The same over all lines."""
    mean = {name: heldout.mean(of_lines) for name, of_lines in sums.items()}
    with np.errstate(over="ignore"):  # of tables that are nearly infinite
        perplexity = np.exp(mean.get("perplexity", np.nan))
    loss = mean.get("heldout_loss", np.nan)
    return {"heldout_loss": _finite(loss), "perplexity": _finite(perplexity)}


def _finite(value) -> float | None:
    return float(value) if np.isfinite(value) else None
