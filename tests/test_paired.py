"""Paired comparisons: against SciPy, and the bootstrap against the evaluation's own figures."""

import numpy as np
import pytest
from scipy import stats

from experiments import paired
from w2v_jax import evaluation


def test_a_difference_is_the_paired_t_test_of_the_seeds_that_both_have():
    draw = np.random.default_rng(0)
    for n in (2, 3, 5, 20):
        a, b = draw.normal(0.3, 1, n), draw.normal(0, 1, n)
        ours = dict(zip(range(1, n + 1), a, strict=True)) | {77: 100.0}
        base = {88: -100.0} | dict(zip(range(1, n + 1), b, strict=True))
        expected = stats.ttest_rel(a, b)
        low, high = expected.confidence_interval()
        found = paired.difference(ours, base)
        assert found.seeds == n
        assert found.mean == pytest.approx((low + high) / 2)
        assert found.half == pytest.approx((high - low) / 2)
        assert found.p == pytest.approx(expected.pvalue)
        assert found.sd == pytest.approx(np.std(a - b, ddof=1))


def test_differences_at_their_limits():
    assert paired.difference({1: 2.0}, {2: 1.0}) is None
    assert paired.difference({1: 2.0, 3: 9.0}, {1: 0.5}) == (1.5, None, None, None, 1)
    assert paired.difference({1: 2.0, 2: 3.0}, {1: 1.0, 2: 2.0}) == (1.0, 0.0, 0.0, 0.0, 2)
    assert paired.difference({1: 2.0, 2: 3.0}, {1: 2.0, 2: 3.0}) == (0.0, 0.0, 1.0, 0.0, 2)


def test_holm_rejects_what_stepping_down_rejects():
    draw = np.random.default_rng(1)
    for m in (1, 2, 7, 30):
        p = draw.uniform(size=m) ** 4
        adjusted = paired.holm(p)
        for alpha in (0.01, 0.05, 0.2):
            rejected = np.zeros(m, bool)
            for step, i in enumerate(np.argsort(p)):
                if p[i] > alpha / (m - step):
                    break
                rejected[i] = True
            np.testing.assert_array_equal(adjusted <= alpha, rejected)
    np.testing.assert_allclose(paired.holm([0.04, 0.01, 0.03]), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(paired.holm([0.9, 0.8]), [1, 1])
    assert len(paired.holm([])) == 0


def test_a_detectable_difference_is_detected_four_times_in_five():
    sd, n = 2.0, 8
    size = paired.detectable(sd, n)
    samples = np.random.default_rng(2).normal(size, sd, (20_000, n))
    found = np.mean(stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05)
    assert found == pytest.approx(0.8, abs=0.03)
    assert paired.detectable(sd, n, alpha=0.05 / 20) > size > paired.detectable(sd, 2 * n)
    assert paired.detectable(sd, 1) is None


def ties(draw, n):
    return draw.normal(size=n).round(1)


def test_resampled_correlations_are_the_evaluations_own_on_the_same_resample():
    draw = np.random.default_rng(3)
    people = ties(draw, 60)
    cosines = {4: people + ties(draw, 60), 9: draw.normal(size=60), 2: ties(draw, 60)}
    for member in (4, 9):
        cosines[member][:20] = np.nan
    cosines[2][[0, 30]] = np.nan
    found = paired.resampled_correlations(cosines, people, 25)
    counts = paired.item_counts(np.arange(60) > 0, 25).astype(int)
    assert (counts.sum(axis=0) == 59).all() and (counts[0] == 0).all() and counts.max() > 2
    for member, values in cosines.items():
        for r in range(25):
            items = np.repeat(np.arange(60), counts[:, r])
            items = items[np.isfinite(values[items])]
            ranks = evaluation._ranks(people[items]), evaluation._ranks(values[items])
            assert found[member][r] == pytest.approx(evaluation._correlation(*ranks), abs=1e-12)
            assert found[member][r] == pytest.approx(stats.spearmanr(*ranks)[0], abs=1e-12)


def test_undefined_correlations_are_nan():
    found = paired.resampled_correlations({0: np.full(5, np.nan), 1: np.ones(5)}, np.arange(5.0), 7)
    assert np.isnan(found[0]).all() and np.isnan(found[1]).all() and len(found[0]) == 7
    assert paired.resampled_correlations({}, np.arange(5.0)) == {}
    assert paired.resampled_accuracies({}) == {}


def test_resampled_accuracies_count_what_is_covered():
    draw = np.random.default_rng(4)
    answers = {m: draw.integers(-1, 2, 50).astype(np.int8) for m in (5, 6)}
    for of in answers.values():
        of[:10] = -1
    found = paired.resampled_accuracies(answers, 20)
    used = np.flatnonzero((answers[5] >= 0) | (answers[6] >= 0))
    counts = paired.item_counts(np.ones(len(used), bool), 20).astype(int)
    for member, of in answers.items():
        for r in range(20):
            items = of[np.repeat(used, counts[:, r])]
            expected = np.sum(items == 1) / np.sum(items >= 0)
            assert found[member][r] == pytest.approx(expected, rel=1e-6)


def test_the_interval_over_seeds_and_items_pairs_both():
    draw = np.random.default_rng(5)
    shared = {seed: draw.normal(size=400) for seed in range(1, 6)}
    better = {seed: values + 0.25 for seed, values in shared.items()}
    assert paired.over_seeds_and_items(better, shared) == pytest.approx((0.25, 0.25))
    alone = paired.over_seeds_and_items(better)
    assert alone[0] < 0 < 0.25 < alone[1]
    assert paired.over_seeds_and_items({1: shared[1]}) is None
    assert paired.over_seeds_and_items(better, {1: shared[1], 9: shared[2]}) is None
    assert paired.over_seeds_and_items({1: np.full(3, np.nan), 2: np.zeros(3)}) is None


def test_seeds_are_redrawn_so_that_the_means_variance_is_unbiased():
    seeds = {seed: np.full(20_000, float(value)) for seed, value in enumerate((0, 1, 3, 7))}
    low, high = paired.over_seeds_and_items(seeds)
    means = [np.mean(t) for t in np.stack(np.meshgrid(*[[0, 1, 3, 7]] * 3), -1).reshape(-1, 3)]
    assert np.var(means) == pytest.approx(np.var([0, 1, 3, 7], ddof=1) / 4)
    expected = np.percentile(means, [2.5, 97.5], method="inverted_cdf")
    assert (low, high) == pytest.approx(expected, abs=0.4)


def test_intervals_over_items_and_seeds_cover_the_truth():
    """Right answers of probability q_i + a seed's own luck; the truth is the mean of q."""
    draw = np.random.default_rng(6)
    trials, covered, narrow = 120, 0, 0
    for _ in range(trials):
        chance = draw.beta(2, 3, 80)  # mean 0.4
        luck = draw.normal(0, 0.03, 10)
        chances = np.clip(chance[None, :] + luck[:, None], 0, 1)
        answers = {seed: (draw.random(80) < chances[seed]).astype(np.int8) for seed in range(10)}
        low, high = paired.over_seeds_and_items(paired.resampled_accuracies(answers, 300))
        covered += low <= 0.4 <= high
        narrow += high - low < 0.4
    assert 0.88 * trials <= covered and narrow == trials


def test_peoples_scores_are_those_of_the_files():
    if "simlex999" not in evaluation.standard_files():
        pytest.skip("SimLex-999 is not installed")
    scores = evaluation.standard_people()
    assert {name: len(of) for name, of in scores.items()} == {"wordsim353": 353, "simlex999": 999}
    assert scores["simlex999"][0] == 1.58 and scores["wordsim353"].max() == 10
