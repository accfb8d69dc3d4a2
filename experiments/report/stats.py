"""Means and differences over seeds, and over seeds and items, with their 95% intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats.t's, without half a second of import

# Not scipy.stats' t tests: they keep the standard error, which the items' part is added to, to
# themselves, and answer NaN for constant samples.
MIN_SEEDS = 3  # fewer decide nothing: a t interval of two seeds is 12.7 standard errors wide


class Estimate(NamedTuple):
    """A mean or a difference of means, and how well it is known."""

    mean: float
    error: float | None  # standard error; None for one seed
    freedom: float  # degrees of freedom of the error
    seeds: int
    narrower: "Estimate | None" = None  # over seeds alone, where this is over items too

    @property
    def half(self) -> float | None:
        """Half width of the 95% interval, t_{.975, freedom} error; never below `narrower`'s.

        More degrees of freedom can make the interval over more sources of chance the shorter one;
        the longer of the two covers .943 to .957 for 3 or more seeds, however large the items' part
        is beside that of the seeds.
        """
        if self.error is None:
            return None
        own = float(stdtrit(self.freedom, 0.975)) * self.error if self.error else 0.0
        return max(own, self.narrower.half) if self.narrower else own

    @property
    def p(self) -> float | None:
        """Of no difference, two-sided: below .05 where the interval leaves out 0."""
        if self.error is None:
            return None
        if self.error == 0:  # the limit of the test
            own = float(self.mean == 0)
        else:
            own = float(2 * stdtr(self.freedom, -abs(self.mean) / self.error))
        return max(own, self.narrower.p) if self.narrower else own

    def minimum_detectable_effect(self, alpha: float = 0.05, power: float = 0.8) -> float | None:
        """The smallest true difference that the test at level alpha finds with that chance.

        (t_{1 - alpha/2, freedom} + t_{power, freedom}) error; alpha / m for the first of m
        comparisons under Holm's correction. The usual approximation of the noncentral t.
        Source: Bloom 1995, Minimum Detectable Effects.
        """
        if self.error is None:
            return None
        needed = stdtrit(self.freedom, 1 - alpha / 2) + stdtrit(self.freedom, power)
        own = float(needed) * self.error
        if self.narrower:
            return max(own, self.narrower.minimum_detectable_effect(alpha, power))
        return own


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean of independent runs: standard error s / sqrt(n), n - 1 degrees of freedom."""
    n = len(values)
    mean = float(np.mean(values))
    if n < 2:
        return Estimate(mean, None, 0.0, n)
    return Estimate(mean, float(np.std(values, ddof=1)) / math.sqrt(n), n - 1.0, n)


def difference(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate | None:
    """Mean of a minus mean of b: paired over the seeds that both have, else `welch`.

    a, b: seed -> value; runs of one seed share their random numbers. None where no seed is shared
    and one side has fewer than two. Source: Student 1908.
    """
    shared = sorted(a.keys() & b.keys())
    if shared:
        return over_seeds([a[seed] - b[seed] for seed in shared])
    return welch(list(a.values()), list(b.values())) if min(len(a), len(b)) > 1 else None


def welch(a: Sequence[float], b: Sequence[float]) -> Estimate:
    """Mean of a minus mean of b, of two independent samples. Source: Welch 1947."""
    one, other = over_seeds(a), over_seeds(b)
    mean, seeds = one.mean - other.mean, min(len(a), len(b))
    if one.error is None or other.error is None:
        return Estimate(mean, None, 0.0, seeds)
    return Estimate(mean, *_added(one, other.error, other.freedom), seeds)


def over_items_too(estimate: Estimate, variance: float, freedom: float) -> Estimate:
    """An estimate over seeds, with the part of its variance that its items have.

    variance: that of the mean over all seeds if items are drawn anew; infinite where the items
    can't tell. Crossed random effects of seeds and items, whose variances add; the error's degrees
    of freedom are Satterthwaite's. Sources: Satterthwaite 1946; Cameron, Gelbach & Miller 2011.
    """
    if estimate.error is None:
        return estimate._replace(narrower=None)
    error, freedom = _added(estimate, math.sqrt(variance), freedom)
    return Estimate(estimate.mean, error, freedom, estimate.seeds, estimate)


def _added(estimate: Estimate, error: float, freedom: float) -> tuple[float, float]:
    """Root of the sum of two squared errors, and its degrees of freedom.

    (u + v)^2 / (u^2 / f + v^2 / g) for variances u, v of f, g degrees of freedom.
    """
    u, v = estimate.error**2, error**2
    if u + v == 0 or math.isinf(v):
        return error, freedom
    shares = (u / (u + v)) ** 2 / estimate.freedom, (v / (u + v)) ** 2 / freedom
    return math.sqrt(u + v), 1 / sum(shares)


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
