"""Estimates over seeds and over items too: against SciPy, and at their limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.report import stats as paired


def samples(n):
    draw = np.random.default_rng(n)
    return draw.normal(0.3, 1, n), draw.normal(0, 2, n)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_a_mean_is_that_of_students_t_test(n):
    a, _ = samples(n)
    expected, found = stats.ttest_1samp(a, 0), paired.over_seeds(a)
    low, high = expected.confidence_interval()
    assert (found.mean, found.seeds) == (pytest.approx(np.mean(a)), n)
    assert found.half == pytest.approx((high - low) / 2)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.error == pytest.approx(stats.sem(a)) and found.freedom == expected.df


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_a_difference_is_the_paired_t_test_of_the_seeds_that_both_have(n):
    a, b = samples(n)
    ours = dict(zip(range(1, n + 1), a, strict=True)) | {77: 100.0}
    base = {88: -100.0} | dict(zip(range(1, n + 1), b, strict=True))
    expected, found = stats.ttest_rel(a, b), paired.difference(ours, base)
    low, high = expected.confidence_interval()
    assert found.seeds == n and found.mean == pytest.approx((low + high) / 2)
    assert found.half == pytest.approx((high - low) / 2)
    assert found.p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_without_shared_seeds_it_is_welchs_test(n):
    a, b = samples(n)[0], samples(7)[1]
    found = paired.difference(dict(enumerate(a)), dict(enumerate(b, 100)))
    expected = stats.ttest_ind(a, b, equal_var=False)
    low, high = expected.confidence_interval()
    assert found == paired.welch(a, b) and found.seeds == min(n, 7)
    assert found.mean == pytest.approx((low + high) / 2)
    assert found.half == pytest.approx((high - low) / 2)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.freedom == pytest.approx(expected.df)


def test_estimates_at_their_limits():
    assert paired.difference({1: 2.0}, {2: 1.0}) is None
    one = paired.difference({1: 2.0, 3: 9.0}, {1: 0.5})
    assert (one.mean, one.half, one.p, one.seeds) == (1.5, None, None, 1)
    assert one.minimum_detectable_effect() is None
    same = paired.difference({1: 2.0, 2: 3.0}, {1: 1.0, 2: 2.0})
    assert (same.mean, same.half, same.p) == (1.0, 0.0, 0.0)
    none = paired.difference({1: 2.0, 2: 3.0}, {1: 2.0, 2: 3.0})
    assert (none.mean, none.half, none.p) == (0.0, 0.0, 1.0)
    apart = paired.welch([1.0, 1.0], [3.0, 3.0])
    assert (apart.mean, apart.half, apart.p) == (-2.0, 0.0, 0.0)
    assert paired.welch([1.0], [3.0, 4.0]).half is None


def test_the_items_part_is_added_as_welch_adds_a_sample():
    a, b = samples(5)
    alone, other = paired.over_seeds(a), paired.over_seeds(b)
    wide = paired.over_items_too(alone, other.error**2, other.freedom)
    expected = paired.welch(a, b)
    assert (wide.error, wide.freedom) == pytest.approx((expected.error, expected.freedom))
    assert wide.mean == alone.mean and wide.seeds == 5
    steady = paired.over_items_too(paired.over_seeds([2.0, 2.0, 2.0]), 0.25, 40.0)
    assert steady.half == pytest.approx(stats.t.ppf(0.975, 40) * 0.5)
    assert steady.p == pytest.approx(2 * stats.t.sf(4, 40))


def test_items_that_cannot_tell_leave_nothing_significant():
    wide = paired.over_items_too(paired.over_seeds([5.0, 5.01, 5.02]), math.inf, 1.0)
    assert (wide.half, wide.p) == (math.inf, 1.0)
    assert wide.minimum_detectable_effect() == math.inf
    one = paired.over_items_too(paired.over_seeds([5.0]), 0.1, 30.0)
    assert one.half is None and one.p is None


@given(
    st.lists(st.floats(-3, 3), min_size=2, max_size=12),
    st.floats(0, 10),
    st.floats(1, 1000),
)
def test_an_interval_over_items_too_never_lies_inside_that_over_seeds(values, variance, freedom):
    alone = paired.over_seeds(values)
    wide = paired.over_items_too(alone, variance, freedom)
    assert wide.half >= alone.half and wide.p >= alone.p
    assert wide.minimum_detectable_effect() >= alone.minimum_detectable_effect()
    if wide.error > 1e-9 and abs(abs(wide.mean) - wide.half) > 1e-9:
        assert (wide.p < 0.05) == (abs(wide.mean) > wide.half)


def test_the_longer_of_both_intervals_is_not_always_that_over_items():
    """Satterthwaite's alone would be shorter here: the bound is no idle one."""
    alone = paired.over_seeds([1.0, 2.0, 4.0])
    wide = paired.over_items_too(alone, 0.2 * alone.error**2, 200.0)
    assert stats.t.ppf(0.975, wide.freedom) * wide.error < alone.half == wide.half


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


def test_a_minimum_detectable_effect_is_detected_four_times_in_five():
    sd, n = 2.0, 8

    def of(seeds):  # whose standard deviation is sd
        values = np.random.default_rng(seeds).normal(size=seeds)
        return paired.over_seeds(sd * (values - values.mean()) / values.std(ddof=1))

    size = of(n).minimum_detectable_effect()
    drawn = np.random.default_rng(2).normal(size, sd, (20_000, n))
    found = np.mean(stats.ttest_1samp(drawn, 0, axis=1).pvalue < 0.05)
    assert found == pytest.approx(0.8, abs=0.03)
    assert of(n).minimum_detectable_effect(alpha=0.05 / 20) > size
    assert of(2 * n).minimum_detectable_effect() < size
