"""The losses of one row of scores."""

import jax
import jax.numpy as jnp

from w2v_jax.folding import look_up

LOSSES = ("negative_sampling", "masked_mean", "softmax")


@jax.custom_jvp
def negative_sampling_terms(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """-log sigma(s) for a positive, -log sigma(-s) for noise: [O], [O] -> [O].

    Mikolov et al. 2013 (arXiv 1310.4546), eq. 4; the same as binary cross entropy on sigma(s).
    Nothing is clipped: log_sigmoid is finite for every finite score.
    """
    return -jax.nn.log_sigmoid(jnp.where(labels > 0, scores, -scores))


@negative_sampling_terms.defjvp
def _negative_sampling_terms_jvp(primals, tangents):
    """-sigma(-s) for a positive, sigma(s) for noise: the compiler drops a value not asked for."""
    scores, labels = primals
    sign = jnp.where(labels > 0, -1, 1).astype(scores.dtype)
    slope = sign * jax.nn.sigmoid(sign * scores)
    return negative_sampling_terms(scores, labels), slope * tangents[0]


def negative_sampling(scores: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    """sum_o w_o l_o: each positive with its K noise words, summed. [O] three times -> []."""
    return jnp.sum(weights * negative_sampling_terms(scores, labels))


def mean_weights(weights: jax.Array) -> jax.Array:
    """w_o / sum_o w_o, all 0 for an empty row. [O] -> [O]."""
    total = jnp.sum(weights)
    return weights / jnp.where(total > 0, total, 1)


def masked_mean(scores: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    """sum_o w_o l_o / sum_o w_o, 0 for an empty row. [O] three times -> [].

    The accounting of Dive into Deep Learning 15.4.2: a centre's mean over its unmasked entries.
    """
    return negative_sampling(scores, labels, mean_weights(weights))


def softmax(scores: jax.Array, targets: jax.Array, weights: jax.Array) -> jax.Array:
    """-sum_o w_o log softmax(s)[t_o] over the whole vocabulary. [V], [O], [O] -> [].

    Mikolov et al. 2013, eq. 2; Deep Learning from Scratch 2, ch. 3, whose cost at large V
    negative sampling removes.
    """
    return -jnp.sum(weights * look_up(jax.nn.log_softmax(scores), targets))
