"""How alike the neighbours of a word are in several trainings, and the mean of their tables.

One training's neighbours are a draw: of its random numbers, and of the texts that it might have
been given. Source: Antoniak & Mimno 2018, Evaluating the Stability of Embedding-based Word
Similarities; Wendlandt, Kummerfeld & Mihalcea 2018.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from w2v_jax.vectors.similarity import most_similar

ROUNDS, ENOUGH = 20, 1e-6  # of alignment; the mean table's relative change that ends it


class Interval(NamedTuple):
    """Figures and half their 95% intervals over members drawn anew."""

    mean: np.ndarray  # [..]
    half: np.ndarray  # [..]; NaN of fewer than three members


def neighbours(tables: Sequence[np.ndarray], ids: np.ndarray, topn: int) -> np.ndarray:
    """The topn nearest words of each of these, in each table: [n, Q, topn] ids, best first."""
    return np.stack([most_similar(table, ids, topn)[0] for table in tables])


def overlaps(neighbours: np.ndarray) -> np.ndarray:
    """The share of a word's neighbours that two members have in common: [n, n, Q].

    |A and B| / k of two lists of k neighbours; the diagonal is 1. Source: Wendlandt et al. 2018.
    """
    count, words, topn = neighbours.shape
    found = np.ones((count, count, words))
    for i in range(count):
        for j in range(i):
            same = neighbours[i][:, :, None] == neighbours[j][:, None, :]
            found[i, j] = found[j, i] = same.any(axis=2).sum(axis=1) / topn
    return found


def over_pairs(values: np.ndarray) -> Interval:
    """Mean over all pairs of members, of [n, n, ..] symmetric values, and its interval.

    The jackknife over members: with U the mean over pairs, U_i that without member i,
    var = (n - 1) / n sum_i (U_i - mean U_i)^2. Two pairs that share a member vary together, so that
    n members are n draws, not n (n - 1) / 2. Source: Arvesen 1969, Jackknifing U-statistics.
    """
    count = len(values)
    if count < 2:
        raise ValueError("a pair needs two members")
    of_one = values.sum(axis=1) - np.einsum("ii...->i...", values)
    total = of_one.sum(axis=0) / 2
    mean = total / (count * (count - 1) / 2)
    if count < 3:
        return Interval(mean, np.full_like(mean, np.nan))
    without = (total - of_one) / ((count - 1) * (count - 2) / 2)
    return Interval(mean, jackknifed(without))


def jackknifed(without: np.ndarray) -> np.ndarray:
    """Half the 95% interval of a figure, of what it is without each member: [n, ..] -> [..].

    t_{.975, n-1} sqrt((n - 1) / n sum (x_i - mean x)^2). Source: Tukey 1958.
    """
    count = len(without)
    variance = (count - 1) / count * np.sum((without - without.mean(axis=0)) ** 2, axis=0)
    return stdtrit(count - 1, 0.975) * np.sqrt(variance)


def aligned(tables: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The tables' unit rows, each turned so that all lie as near to their mean as they can.

    R_i = argmin |X_i R - M|^2 over orthogonal R, which is U V^T of X_i^T M = U S V^T, and M the
    mean of the X_i R_i; in turn, until M stays. No cosine within a table changes. [V, D] each, of
    one V and D. Source: Schoenemann 1966; Gower 1975, Generalized Procrustes analysis.
    """
    units = [_unit_rows(table) for table in tables]
    mean, turned = units[0], units
    for _ in range(ROUNDS):
        turned = [unit @ _rotation(unit, mean) for unit in units]
        new = np.mean(turned, axis=0)
        change = np.linalg.norm(new - mean) / max(np.linalg.norm(new), 1e-30)
        mean = new
        if change < ENOUGH:
            break
    return turned


def _rotation(unit: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The orthogonal [D, D] that turns one table nearest to another."""
    left, _, right = np.linalg.svd(unit.T @ target)
    return left @ right


def _unit_rows(table: np.ndarray) -> np.ndarray:
    rows = np.asarray(table, np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)


def means(turned: Sequence[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The mean of aligned tables, and the means without each of them: [V, D] float32."""
    total, count = np.sum(turned, axis=0), len(turned)
    without = [np.float32((total - one) / (count - 1)) for one in turned]
    return np.float32(total / count), without
