"""Members of an ensemble -> how stable a word's neighbours are, and what their mean is worth."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from experiments.report import over_items, stats
from experiments.report.tables import counted
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation, stability
from w2v_jax.vectors.evaluation import HEADLINES
from w2v_jax.vectors.word_vectors import WordVectors

EDGES = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)  # of counts
FEWEST = 5  # words of a stratum, and members of an interval of a word


class Stratum(NamedTuple):
    """Words of like frequency."""

    low: int  # counts
    high: int | None  # below it; None: no bound
    words: int  # in the stratum
    asked: int  # whose neighbours were compared
    overlap: float
    half: float | None  # of the 95% interval over members and words


class Word(NamedTuple):
    """A word's neighbours in all members."""

    word: str
    count: int
    overlap: float
    half: float | None


class Worth(NamedTuple):
    """A measure of the members, of their mean table, and the difference."""

    name: str
    single: stats.Estimate  # of one member
    mean: stats.Estimate  # of the mean table
    difference: stats.Estimate  # the mean table's less one member's


class Stability(NamedTuple):
    """All of it."""

    size: int
    topn: int
    strata: list[Stratum]
    words: list[Word]
    worth: list[Worth]
    mean: WordVectors


def of_ensemble(
    ensemble: Sequence[WordVectors], counts: np.ndarray, topn: int, asked: int
) -> Stability:
    """The members' stability: of one vocabulary, whose counts are known.

    asked: words of a stratum whose neighbours are compared, drawn at random where it has more.
    """
    tables = [wv.vectors for wv in ensemble]
    if topn >= len(counts) - 1:
        most = counted(len(counts), "word")
        raise UserError(f"--topn={topn}: of a vocabulary of {most} that are all neighbours")
    chosen = _chosen(counts, asked)
    if not chosen:
        raise UserError(f"no range of frequencies has {counted(FEWEST, 'word')} or more")
    ids = np.concatenate([ids for _, _, ids in chosen])
    overlaps = stability.overlaps(stability.neighbours(tables, ids, topn))
    each = stability.over_pairs(overlaps)

    def told(half):  # of few members a word's interval is wider than what it may be
        if len(ensemble) < FEWEST:
            return None
        return alike if half <= 1e-9 else _known(half)

    alike = 6 / (len(ensemble) * topn)  # the rule of three, of n / 2 pairs without a common member
    words = [
        Word(ensemble[0].words[i], int(counts[i]), float(mean), told(half))
        for i, mean, half in zip(ids, *each, strict=True)
    ]
    strata, begin = [], 0
    for (low, high), total, of_stratum in chosen:
        part = overlaps[:, :, begin : begin + len(of_stratum)]
        strata.append(Stratum(low, high, total, len(of_stratum), *_of_stratum(part, total)))
        begin += len(of_stratum)
    turned = stability.aligned(tables)
    mean, without = stability.means(turned)
    made = WordVectors(ensemble[0].words, mean, counts=counts)
    return Stability(len(ensemble), topn, strata, words, _worth(ensemble, made, without), made)


def _chosen(counts: np.ndarray, asked: int) -> list[tuple[tuple[int, int | None], int, np.ndarray]]:
    """Each stratum's bounds, how many words it has, and the ids of those that are asked."""
    rng, found = np.random.default_rng(0), []
    for low, high in zip(EDGES, (*EDGES[1:], None), strict=True):
        ids = np.flatnonzero((counts >= low) & (counts < (high or np.inf)))
        if len(ids) >= FEWEST:
            some = np.sort(rng.permutation(ids)[:asked])
            found.append(((low, high), len(ids), some))
    return found


def _of_stratum(overlaps: np.ndarray, total: int) -> tuple[float, float | None]:
    """Mean overlap of a stratum, half its interval: over members, and words where some were drawn.

    [n, n, Q]. The variances of the two add.
    """
    count = overlaps.shape[2]
    mean, half = stability.over_pairs(overlaps.mean(axis=2))
    if not np.isfinite(half):
        return float(mean), None
    of_words = stability.over_pairs(overlaps).mean
    drawn = np.var(of_words, ddof=1) / count * (1 - count / total)
    return float(mean), float(np.hypot(half, 1.96 * np.sqrt(drawn)))


def _known(half: float) -> float | None:
    return float(half) if np.isfinite(half) else None


def _worth(
    ensemble: Sequence[WordVectors], mean: WordVectors, without: Sequence[np.ndarray]
) -> list[Worth]:
    """The measures of single members and of their mean table."""
    singles = [_measured(wv) for wv in ensemble]
    whole = _measured(mean)
    fewer = [_measured(WordVectors(mean.words, table)) for table in without]
    found = []
    for name in HEADLINES:
        values = [one.get(name) for one in singles]
        others = [one.get(name) for one in fewer]
        if name not in whole or None in values or None in others:
            continue
        found.append(_of_measure(name, values, whole[name], others))
    return found


class _Measured(NamedTuple):
    value: float
    influences: np.ndarray  # of each item
    groups: np.ndarray  # which items are drawn together


def _measured(wv: WordVectors) -> dict[str, _Measured]:
    """The headline measures that there are, with what each item adds to them."""
    items = evaluation.standard_items(wv)
    values = {m.name: m.value for m in evaluation.standard(wv, items)}
    found = {}
    for name in HEADLINES:
        if values.get(name) is not None:
            of_set = name.rsplit("_", 1)[0]
            each, groups = over_items.influences_of(of_set, {0: items[of_set]})
            found[name] = _Measured(values[name], each[0], groups)
    return found


def _of_measure(
    name: str, singles: list[_Measured], whole: _Measured, fewer: list[_Measured]
) -> Worth:
    """A measure's figures, with intervals over members and items.

    Over members by the jackknife: the mean table is itself a draw, of these members.
    """
    single = np.array([one.value for one in singles])
    without = np.array([one.value for one in fewer])
    rest = (single.sum() - single) / (len(single) - 1)  # the mean of all but one
    of_singles = np.mean([one.influences for one in singles], axis=0)

    def estimate(value, without, influences):
        half = float(stability.jackknifed(without))
        freedom = len(without) - 1.0
        error = half / float(stdtrit(freedom, 0.975))
        alone = stats.Estimate(float(value), error, freedom, len(without))
        items = over_items.of_trials({0: influences}, whole.groups)
        if items.freedom < 1:
            return alone
        return stats.over_items_too(alone, max(items.covariance[0, 0], 0.0), items.freedom)

    return Worth(
        name,
        estimate(single.mean(), rest, of_singles),
        estimate(whole.value, without, whole.influences),
        estimate(whole.value - single.mean(), without - rest, whole.influences - of_singles),
    )
