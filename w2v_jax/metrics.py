"""Sums of Metrics -> the loss a positive, and its interval."""

import math

import numpy as np
from scipy.special import stdtrit  # scipy.stats.t.ppf, without half a second of import

from w2v_jax.types import Metrics


def mean_loss(sums: np.ndarray) -> float | None:
    """Mean loss a positive of the sums of Metrics; None where no step was measured."""
    m = Metrics(*sums)
    return float(m.loss / m.positives) if m.positives else None


def loss_error(sums: np.ndarray) -> float | None:
    """Half the 95% interval of `mean_loss` as of all positives; 0 of all; None: unknown.

    Of a ratio r = sum l / sum p over n steps, of each of which a share f was measured at random:
    t_{.975, n-1} sqrt((1 - f) n / (n - 1) sum (l - r p)^2) / sum p (Cochran, Sampling Techniques,
    1977, 6.4). What the loss falls meanwhile counts as chance: the interval is rather too wide.
    """
    m, r = Metrics(*sums), mean_loss(sums)
    if r is None or not np.isfinite(sums).all():
        return None
    if not m.positive_squares:
        return 0.0
    if m.steps < 2:
        return None
    squares = m.loss_squares - 2 * r * m.products + r * r * m.positive_squares
    error = math.sqrt(max(squares, 0) * m.steps / (m.steps - 1)) / m.positives
    return float(stdtrit(m.steps - 1, 0.975) * error)
