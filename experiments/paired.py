"""Settings against a baseline, over the seeds both have; and over items drawn anew."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from experiments.tables import difference as two_samples
from experiments.tables import interval

RESAMPLES = 1000


class Difference(NamedTuple):
    """A setting minus the baseline, over the seeds that both have; None where that is one seed."""

    mean: float
    half: float | None  # half width of the 95% interval
    p: float | None  # of no difference, two-sided
    sd: float | None  # of one seed's difference
    seeds: int


def difference(a: Mapping[int, float], b: Mapping[int, float]) -> Difference | None:
    """Paired t over seeds: d_s = a_s - b_s, mean(d) ± t_{.975, n-1} sd(d) / sqrt(n).

    a, b: seed -> value; runs of one seed share their random numbers. Where none is shared it is
    Welch's t of two samples, sd^2 the sum of their variances; None where one has no two values.
    Sources: Student 1908; Welch 1947.
    """
    if not a.keys() & b.keys():
        return _of_two_samples(list(a.values()), list(b.values()))
    gaps = np.array([a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())], np.float64)
    mean, half = interval(gaps)
    if half is None:
        return Difference(mean, None, None, None, 1)
    sd = float(np.std(gaps, ddof=1))
    if sd == 0:  # the limit of the test
        p = float(mean == 0)
    else:
        p = float(2 * stdtr(len(gaps) - 1, -abs(mean) / sd * math.sqrt(len(gaps))))
    return Difference(mean, half, p, sd, len(gaps))


def _of_two_samples(a: Sequence[float], b: Sequence[float]) -> Difference | None:
    mean, half = two_samples(a, b) if a and b else (0.0, None)
    if half is None:
        return None
    n, m = len(a), len(b)
    u, v = np.var(a, ddof=1) / n, np.var(b, ddof=1) / m
    if u + v == 0:
        return Difference(mean, half, float(mean == 0), 0.0, min(n, m))
    freedom = (u + v) ** 2 / (u**2 / (n - 1) + v**2 / (m - 1))
    p = float(2 * stdtr(freedom, -abs(mean) / math.sqrt(u + v)))
    return Difference(mean, half, p, math.sqrt(u * n + v * m), min(n, m))


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values corrected for their number: max over j <= i of min(1, (m - j + 1) p_(j)).

    [m] -> [m], in the order given. The chance that any true "no difference" falls below .05 is at
    most .05. Source: Holm 1979.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(steps, 1)
    return adjusted


def detectable(sd: float, seeds: int, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """Smallest difference that a paired t test finds with that chance; None for one seed.

    (t_{1 - alpha/2, n-1} + t_{power, n-1}) sd / sqrt(n); sd that of one seed's difference, n seeds.
    alpha / m for the first of m comparisons under Holm's correction. The usual approximation of
    the noncentral t. Source: Cohen 1988; Bloom 1995, Minimum Detectable Effects.
    """
    if seeds < 2:
        return None
    needed = stdtrit(seeds - 1, 1 - alpha / 2) + stdtrit(seeds - 1, power)
    return float(needed * sd / math.sqrt(seeds))


def item_counts(drawn: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each resample holds each item: [N] bool, those to draw from -> [N, R] float32.

    As many draws with replacement as there are items to draw from; the same ones in every call.
    """
    items = np.flatnonzero(drawn)
    counts = np.zeros((len(drawn), resamples), np.float32)
    draw = np.random.default_rng(353)
    for r in range(resamples if len(items) else 0):
        counts[items, r] = np.bincount(draw.integers(len(items), size=len(items)), None, len(items))
    return counts


def resampled_ranks(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Every item's rank among a resample's, ties at their mean rank: [N], [N, R] -> [N, R].

    A value that the resample holds c times after n smaller ones has n + (c + 1) / 2.
    """
    order = np.argsort(values)
    new = np.append(True, values[order][1:] != values[order][:-1])
    held = np.add.reduceat(counts[order], np.flatnonzero(new), axis=0, dtype=np.float64)
    place = np.empty(len(values), np.int64)
    place[order] = np.cumsum(new) - 1
    return (np.cumsum(held, axis=0) - (held - 1) / 2)[place]


def resampled_correlations(
    cosines: Mapping[int, np.ndarray], people: np.ndarray, resamples: int = RESAMPLES
) -> dict[int, np.ndarray]:
    """Spearman's rho of every member in every resample of the pairs: member -> [R].

    cosines: member -> [N], NaN where a word is unknown; people [N]. All members see one resample
    of the pairs that any of them knows. NaN where rho is undefined.
    """
    known = {member: np.isfinite(values) for member, values in cosines.items()}
    counts = item_counts(np.any(list(known.values()), axis=0), resamples) if known else None
    of_people: dict[bytes, tuple] = {}
    result = {}
    for member, values in cosines.items():
        mine = known[member]
        if not mine.any():
            result[member] = np.full(resamples, np.nan)
            continue
        held = counts[mine]
        if mine.tobytes() not in of_people:
            of_people[mine.tobytes()] = _centred_ranks(people[mine], held)
        (x, xx), (y, yy) = of_people[mine.tobytes()], _centred_ranks(values[mine], held)
        with np.errstate(invalid="ignore"):
            result[member] = np.einsum("nr,nr,nr->r", held, x, y) / np.sqrt(xx * yy)
    return result


def _centred_ranks(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks less their mean (n + 1) / 2 [N, R], and the sum of their squares [R]."""
    ranks = resampled_ranks(values, counts)
    ranks -= (counts.sum(axis=0, dtype=np.float64)[None, :] + 1) / 2
    return ranks, np.einsum("nr,nr,nr->r", counts, ranks, ranks)


def resampled_accuracies(
    answers: Mapping[int, np.ndarray], resamples: int = RESAMPLES
) -> dict[int, np.ndarray]:
    """Right / covered of every member in every resample of the analogies: member -> [R].

    answers: member -> [N], 1 right, 0 wrong, -1 not covered. NaN where nothing is covered.
    """
    if not answers:
        return {}
    table = np.stack(list(answers.values()))
    used = np.flatnonzero((table >= 0).any(axis=0))
    counts = item_counts(np.ones(len(used), bool), resamples)
    right, covered = ((f(table[:, used]).astype(np.float32) @ counts) for f in (_is_1, _is_known))
    with np.errstate(invalid="ignore"):
        return dict(zip(answers, (right / covered).astype(np.float64), strict=True))


def _is_1(answers: np.ndarray) -> np.ndarray:
    return answers == 1


def _is_known(answers: np.ndarray) -> np.ndarray:
    return answers >= 0


def over_seeds_and_items(
    values: Mapping[int, np.ndarray], base: Mapping[int, np.ndarray] | None = None
) -> tuple[float, float] | None:
    """95% percentile interval of the mean over seeds, less the baseline's: items and seeds redrawn.

    values, base: seed -> [R], a value for each resample of the items. Each resample also redraws
    the seeds, for the setting and the baseline alike, those that both have: n - 1 of n, for which
    the mean's variance is unbiased. None for fewer than two seeds or nothing defined. Items that
    share words are taken for independent. Sources: Owen 2007, The Pigeonhole Bootstrap; McCarthy &
    Snowden 1985.
    """
    seeds = sorted(values if base is None else values.keys() & base.keys())
    if len(seeds) < 2:
        return None
    each = np.stack([values[s] if base is None else values[s] - base[s] for s in seeds])
    each = each[:, np.isfinite(each).all(axis=0)]
    if not each.size:
        return None
    draw = np.random.default_rng(999)
    picks = draw.integers(len(seeds), size=(len(seeds) - 1, each.shape[1]))
    means = np.take_along_axis(each, picks, axis=0).mean(axis=0)
    low, high = np.percentile(means, [2.5, 97.5]).tolist()
    return low, high
