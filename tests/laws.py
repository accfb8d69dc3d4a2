"""Whether what was drawn follows a law."""

import numpy as np
from scipy import stats


def chi_square(observed, expected):
    observed, expected = np.asarray(observed, float), np.asarray(expected, float)
    assert not observed[expected == 0].any()
    possible = expected > 0
    return stats.chisquare(observed[possible], expected[possible]).pvalue
