"""Word vectors on sets of judgements: figures, their intervals over items, and differences of two.

An interval is over the population that a set's items are a sample of: other pairs, other analogies
(see `over_items`). It says nothing of other seeds.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from experiments.report import over_items
from w2v_jax.vectors import categorisation, evaluation, item_sets, judgements, suites
from w2v_jax.vectors.evaluation import LEAST, Measure
from w2v_jax.vectors.suites import ANALOGIES, CATEGORIES, PAIRS
from w2v_jax.vectors.word_vectors import WordVectors


class Row(NamedTuple):
    """A figure, how well the items tell it, and how far it is from another table's."""

    measure: Measure
    half: float | None = None  # of its 95% interval over items drawn anew; None: not known
    difference: float | None = None  # to the other vectors, on the items that both know
    difference_half: float | None = None
    p: float | None = None  # of no difference

    @property
    def needed(self) -> float | None:
        """The difference that two tables need which have no luck with items in common."""
        return None if self.half is None else math.sqrt(2) * self.half


class Tables(NamedTuple):
    """The vectors that are measured, and those that they are held against, if any."""

    wv: WordVectors
    other: WordVectors | None = None


def rows(tables: Tables, kind: str, path, name: str, score_column: str = "") -> Iterator[Row]:
    """A set's rows. Raises UserError for a file that cannot be read so."""
    if kind == PAIRS:
        yield from _of_pairs(tables, path, name, score_column)
    elif kind == ANALOGIES:
        yield from _of_analogies(tables, path, name)
    else:
        assert kind == CATEGORIES
        yield Row(*_told(categorisation.categorisation(tables.wv, path, name)))


def _of_pairs(tables: Tables, path, name: str, column: str) -> Iterator[Row]:
    people, *cosines = (
        part
        for i, wv in enumerate(filter(None, tables))
        for part in evaluation.pair_items(wv, path, column)[min(i, 1) :]
    )
    groups = item_sets.grouped([(a, b) for a, b, _ in judgements.pairs(path, column)])
    spearman, pearson = evaluation.word_pairs(tables.wv, path, name, cosines[0], column)

    def influences(values):
        return over_items.correlation_influences(values, people)

    def value(values):
        known = np.isfinite(values)
        return evaluation.correlation("spearman", values[known], people[known])

    both = [np.where(np.isfinite(sum(cosines)), values, np.nan) for values in cosines]
    yield _row(spearman, cosines[0], both, influences, value, groups)
    yield Row(*_told(pearson))


def _of_analogies(tables: Tables, path, name: str) -> Iterator[Row]:
    answers = [evaluation.analogy_items(wv, path) for wv in filter(None, tables)]
    sections, items = judgements.analogies(path)
    groups = item_sets.grouped(item_sets.analogy_words(items))
    section = np.array([item.section for item in items])
    chosen = {f"{name}_{head}": section == i for i, head in enumerate(sections) if head}
    if name == "google_analogies":
        for part, belongs in suites.PARTS.items():
            index = [i for i, head in enumerate(sections) if belongs(head)]
            chosen[part] = np.isin(section, index)
    chosen[name] = section >= 0
    folded = {m.name: m.folded for m in evaluation.analogies(tables.wv, path, name, answers[0])}

    def value(found):
        known = found >= 0
        return float(np.mean(found[known] == 1)) if known.any() else None

    for label, mask in chosen.items():
        mine = [np.where(mask, found, -1) for found in answers]
        covered = int((mine[0] >= 0).sum())
        measure = Measure(
            *(f"{label}_accuracy", value(mine[0]), covered, int(mask.sum())),
            folded.get(f"{label}_accuracy", 0),
        )
        both = [np.where(np.min(mine, axis=0) >= 0, found, -1) for found in mine]
        yield _row(measure, mine[0], both, over_items.accuracy_influences, value, groups)


def _row(
    measure: Measure,
    items: np.ndarray,
    both: Sequence[np.ndarray],
    influences: Callable,
    value: Callable,
    groups: np.ndarray,
) -> Row:
    """A figure's row; both: each table's items, of those that all know."""
    told, half = _told(measure, *over_items.spread(influences(items), groups)[:1])
    if len(both) < 2 or told.value is None:
        return Row(told, half)
    ours, theirs = map(value, both)
    if ours is None or theirs is None:
        return Row(told, half)
    of_difference, p_of = over_items.spread(influences(both[0]) - influences(both[1]), groups)
    return Row(told, half, ours - theirs, of_difference, p_of(ours - theirs))


def _told(measure: Measure, half: float | None = None) -> tuple[Measure, float | None]:
    """Without its value, of fewer than LEAST items."""
    if measure.covered < LEAST or measure.value is None:
        return measure._replace(value=None), None
    return measure, half
