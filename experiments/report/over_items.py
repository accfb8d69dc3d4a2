"""How the trials' figures vary together when the items that they are measured on are drawn anew.

The estimand: the mean over all seeds and over the population that the items are a sample of: other
word pairs, analogies of other words in the same sections, other lines of such text. Items
that share a word are drawn together: word pairs share words, and Google's analogies combine a few
hundred words with one another. So are lines that follow one another.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.special import stdtr, stdtrit

from experiments.report import stats
from w2v_jax.data.writing import whole_file
from w2v_jax.vectors import evaluation, item_sets
from w2v_jax.vectors.item_sets import ItemSet
from w2v_jax.vectors.suites import PAIRS

BLOCKS = 20  # of a held-out text; more of them give shorter intervals on PTB, fewer do not longer


class Items(NamedTuple):
    """What the items of one measure tell."""

    trials: tuple[Hashable, ...]  # S of them
    covariance: np.ndarray  # [S, S] of the trials' figures, over items drawn anew
    freedom: float  # its degrees of freedom; below 1: too few items to tell


def correlation_influences(cosines: np.ndarray, people: np.ndarray) -> np.ndarray:
    """What each pair adds to Spearman's rho: [N] cosines, NaN where unknown, [N] people's -> [N].

    The derivative of rho in the pair's weight, by which other pairs' ranks move too; 0 for an
    unknown pair, and for all where rho is undefined. With a, b the centred mid-ranks over n, s_ab
    the mean of a b and A b the mean of b over what has a larger a (ties by half):
    rho = s_ab / sqrt(s_aa s_bb), d s_ab = (a b + A b + B a - 3 s_ab) / n.
    Source: Croux & Dehon 2010, Influence Functions of the Spearman and Kendall Correlation.
    """
    known = np.isfinite(cosines)
    found = np.zeros(len(cosines))
    if known.sum() < 2:
        return found
    (a, of_a), (b, of_b) = _centred_ranks(cosines[known]), _centred_ranks(people[known])

    def moment(x, of_x, y, of_y):
        mean = np.mean(x * y)
        return mean, x * y + _mean_above(of_x, y) + _mean_above(of_y, x) - 3 * mean

    ab, d_ab = moment(a, of_a, b, of_b)
    (aa, d_aa), (bb, d_bb) = moment(a, of_a, a, of_a), moment(b, of_b, b, of_b)
    if aa > 0 and bb > 0:
        found[known] = d_ab - ab / 2 * (d_aa / aa + d_bb / bb)
    return found / np.sqrt(aa * bb or 1) / known.sum()


def _centred_ranks(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mid-ranks over n less a half [n], and each one's index among the different values [n]."""
    # One sort has both; scipy.stats.rankdata needs two, and twice the time.
    _, index, counts = np.unique(x, return_inverse=True, return_counts=True)
    return ((np.cumsum(counts) - counts / 2) / len(x) - 0.5)[index], index


def _mean_above(index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each i the sum of the values of larger indices, those of its own by half, over n: [n]."""
    sums = np.bincount(index, values)
    return (np.cumsum(sums[::-1])[::-1] - sums / 2)[index] / len(index)


def accuracy_influences(answers: np.ndarray) -> np.ndarray:
    """What each analogy adds to right / covered: [N], 1 right, 0 wrong, -1 not covered -> [N]."""
    covered = answers >= 0
    if not covered.any():
        return np.zeros(len(answers))
    right = np.mean(answers[covered] == 1)
    return np.where(covered, (answers == 1) - right, 0.0) / covered.sum()


def loss_influences(sums: np.ndarray, perplexity: bool = False) -> np.ndarray:
    """What each line adds to the mean loss L = sum(l) / sum(w), or to exp(L).

    [.., N, 2], a line's losses l in nats and their weights w -> [.., N], (l - L w) / sum(w), times
    exp(L) for the perplexity; 0 for all where the figure is not finite.
    """
    losses, weights = np.moveaxis(sums, -1, 0)
    weight = weights.sum(axis=-1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = losses.sum(axis=-1, keepdims=True) / weight
        found = (losses - mean * weights) / weight * (np.exp(mean) if perplexity else 1)
    return np.where(np.isfinite(found).all(axis=-1, keepdims=True), found, 0.0)


def line_blocks(weights: np.ndarray) -> np.ndarray:
    """Blocks of lines that follow one another, about equal in weight: [N] -> groups [N, 1].

    Lines of one article have much in common: a variance by lines alone is too small by a factor of
    3 to 8 on PTB's valid text. Source: batch means; Flegal & Jones 2010.
    """
    middle = np.cumsum(weights) - weights / 2
    return np.minimum(middle / weights.sum() * BLOCKS, BLOCKS - 1).astype(np.int64)[:, None]


def together(groups: np.ndarray) -> sparse.csr_array:
    """Which items are drawn together: those with a group in common: [N, k] ids -> [N, N] of 1, 0.

    Source: Aronow, Samii & Assenova 2015, Cluster-Robust Variance Estimation for Dyadic Data, where
    a group is a trial of the pair.
    """
    items = np.repeat(np.arange(len(groups)), groups.shape[1])
    columns = np.unique(groups, return_inverse=True)[1].ravel()
    of = sparse.csr_array((np.ones(len(items)), (items, columns)))
    shared = (of @ of.T).tocsr()
    shared.data[:] = 1
    return shared


def covariance(influences: np.ndarray, shared: sparse.csr_array) -> np.ndarray:
    """Of the trials' figures over items drawn anew: [.., S, N], [N, N] -> [.., S, S].

    Sum of u_i v_j over items i, j that are drawn together, where u_i = influence / (1 - h_i), h_i
    the share of the items that are drawn together with i: what is left out with i moves the mean
    that i is measured against. Source: the cluster jackknife, CV3 of MacKinnon & White 1985.
    """
    count = shared.shape[0]
    left = np.maximum(1 - shared.sum(axis=1) / count, 1 / count)
    scaled = influences / left
    flat = scaled.reshape(-1, count)
    sums = (shared @ flat.T).T.reshape(influences.shape)
    return sums @ scaled.swapaxes(-1, -2)


def freedom(shared: sparse.csr_array) -> float:
    """Groups of equal size in which items would have as many companions, less 1: [N, N] -> scalar.

    N^2 / (pairs of items drawn together) - 1. Source: Kish 1965.
    """
    return shared.shape[0] ** 2 / shared.nnz - 1


def of_trials(influences: Mapping[Hashable, np.ndarray], groups: np.ndarray) -> Items:
    """trial -> [N] influences, the items' groups [N, k] -> Items."""
    table = np.stack(list(influences.values()))
    used = (table != 0).any(axis=0)
    if not used.any():
        return Items(tuple(influences), np.zeros((len(table),) * 2), 0.0)
    shared = together(groups[used])
    return Items(tuple(influences), covariance(table[:, used], shared), freedom(shared))


def spread(influences: np.ndarray, groups: np.ndarray) -> tuple[float | None, Callable]:
    """Of one figure half the 95% interval over items, and the p-value of it as a difference.

    [N] influences, groups [N, k]. None where the items can't tell.
    """
    items = of_trials({0: influences}, groups)
    error = math.sqrt(max(items.covariance[0, 0], 0))
    if items.freedom < 1 or not error:
        return None, lambda difference: None
    half = float(stdtrit(items.freedom, 0.975)) * error
    return half, lambda difference: float(2 * stdtr(items.freedom, -abs(difference) / error))


def measured(
    items: Mapping[Hashable, Mapping[str, np.ndarray]], own: Sequence[ItemSet] = ()
) -> dict[str, Items]:
    """trial -> name -> results item by item -> name -> Items, where there are any.

    wordsim353, simlex999, google_analogies as of `evaluation.standard_items`; heldout_loss and
    perplexity: each line's losses in nats and their weights, [lines, 2]; and one's own sets as of
    `item_sets.items_of`, those that are given. Raises UserError where the files of word pairs or
    analogies are missing.
    """
    own_sets = {one.name: one for one in own}
    names = dict.fromkeys(name for of in items.values() for name in of)
    names = [name for name in names if name in item_sets.TAKEN or name in own_sets]
    each = {name: {m: of[name] for m, of in items.items() if name in of} for name in names}
    return {
        name: of_trials(*influences_of(name, of, own_sets.get(name))) for name, of in each.items()
    }


def influences_of(
    name: str, of: Mapping[Hashable, np.ndarray], own: ItemSet | None = None
) -> tuple[dict, np.ndarray]:
    """Influences by trial, and the groups [N, k] of the measure's items.

    own: the set, where it is no standard one.
    """
    if own:
        if own.kind == PAIRS:
            people = item_sets.people_of(own)
            each = {trial: correlation_influences(values, people) for trial, values in of.items()}
        else:
            each = {trial: accuracy_influences(answers) for trial, answers in of.items()}
        return each, item_sets.groups_of(own)
    if name in evaluation.PAIR_SETS:
        people = evaluation.standard_people([name])[name]
        each = {trial: correlation_influences(values, people) for trial, values in of.items()}
    elif name in evaluation.ANALOGY_SETS:
        each = {trial: accuracy_influences(answers) for trial, answers in of.items()}
    else:
        exp = name == "perplexity"
        each = {trial: loss_influences(sums, exp) for trial, sums in of.items()}
        return each, line_blocks(next(iter(of.values()))[:, 1])
    return each, evaluation.standard_words()[name]


def with_items(
    estimate: stats.Estimate,
    items: Items | None,
    ours: Mapping[Hashable, Hashable],
    base: Mapping[Hashable, Hashable] | None = None,
) -> stats.Estimate | None:
    """An estimate over seeds and items: a mean, or a difference to the base's.

    ours, base: seed -> trial, the same as the estimate is of. None without items of all trials,
    or for fewer than MIN_SEEDS.
    """
    sides = [ours] if base is None else [ours, base]
    if base is not None and ours.keys() & base.keys():
        seeds = ours.keys() & base.keys()
        sides = [{seed: of[seed] for seed in seeds} for of in sides]
    index = {trial: i for i, trial in enumerate(items.trials)} if items else {}
    known = all(trial in index for side in sides for trial in side.values())
    if items is None or not known or estimate.seeds < stats.MIN_SEEDS:
        return None
    if items.freedom < 1:
        return stats.over_items_too(estimate, np.inf, 1.0)
    rows = [{seed: index[trial] for seed, trial in side.items()} for side in sides]
    return stats.over_items_too(estimate, _variance(items.covariance, *rows), items.freedom)


def _variance(covariance: np.ndarray, ours: Mapping, base: Mapping | None = None) -> float:
    """What items alone add to the variance of a mean over seeds, or of a difference of two.

    By trials of different seeds: what is theirs in common. That of one seed has the seed's own
    luck with each item in it, which is in the variance over seeds already. An unbiased estimate,
    but for the cut at 0.
    """

    def mean(rows, columns):
        pairs = [(i, j) for s, i in rows.items() for t, j in columns.items() if s != t]
        return np.mean(covariance[tuple(np.transpose(pairs))])

    found = mean(ours, ours)
    if base is not None:
        found += mean(base, base) - 2 * mean(ours, base)
    return max(float(found), 0.0)


def save(path: Path, every: Mapping[str, Items]) -> None:
    """Writes them; a covariance as its lower triangle."""
    arrays = {}
    for field, items in every.items():
        arrays[f"{field}.members"] = np.array(items.trials)
        arrays[f"{field}.covariance"] = items.covariance[np.tril_indices(len(items.trials))]
        arrays[f"{field}.freedom"] = np.array(items.freedom)
    with whole_file(path) as file:
        np.savez_compressed(file, **arrays)


def load(path: Path) -> dict[str, Items]:
    """What `save` wrote. Raises OSError, ValueError or KeyError for another file."""
    with np.load(path, allow_pickle=False) as file:
        fields = [name.removesuffix(".members") for name in file if name.endswith(".members")]
        return {field: _loaded(file, field) for field in fields}


def _loaded(file: Mapping, field: str) -> Items:
    trials = tuple(file[f"{field}.members"].tolist())
    covariance = np.zeros((len(trials),) * 2)
    lower = np.tril_indices(len(trials))
    covariance[lower] = file[f"{field}.covariance"]
    covariance.T[lower] = file[f"{field}.covariance"]
    return Items(trials, covariance, float(file[f"{field}.freedom"]))
