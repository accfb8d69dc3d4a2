"""Whether what was drawn follows a law."""

import jax.numpy as jnp
import numpy as np
from scipy import stats

from w2v_jax.data.vocab import cumulative
from w2v_jax.types import HyperParams


def chi_square(observed, expected):
    observed, expected = np.asarray(observed, float), np.asarray(expected, float)
    assert not observed[expected == 0].any()
    possible = expected > 0
    return stats.chisquare(observed[possible], expected[possible]).pvalue


def hyper_of_noise(pn):
    """A HyperParams that draws by Pn [V] and keeps everything."""
    one = jnp.float32(1)
    pn = np.asarray(pn, np.float64)
    return HyperParams(
        noise=jnp.asarray(pn, jnp.float32),
        noise_cdf=jnp.asarray(cumulative(pn)),
        keep_prob=jnp.ones(len(pn)),
        window=jnp.int32(2),
        negatives=jnp.int32(2),
        **dict.fromkeys(("learning_rate", "beta1", "beta2", "epsilon", "weight_decay"), one),
    )
