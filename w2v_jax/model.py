"""Embedding tables, the gather, the hidden layer and the dot score, each for one row."""

import jax
import jax.numpy as jnp

from w2v_jax import folding
from w2v_jax.types import Params

PRECISION = jax.lax.Precision.HIGHEST  # accelerators would round float32 products otherwise
INITS = ("book", "xavier", "word2vec_c", "gensim")


def init_params(key: jax.Array, vocab_size: int, dim: int, init: str) -> Params:
    """Draws the two tables, [V, D] float32 each.

    book: 0.01 N(0, 1) both (Deep Learning from Scratch 2, ch. 4);
    xavier: U(+-sqrt(6 / (V + D))) both (Dive into Deep Learning 15.4);
    word2vec_c: input U(+-0.5 / D), output 0; gensim: input U(+-1 / D), output 0.
    """
    shape = (vocab_size, dim)
    input_key, output_key = jax.random.split(key)
    if init == "book":
        return Params(
            0.01 * jax.random.normal(input_key, shape), 0.01 * jax.random.normal(output_key, shape)
        )
    bound = {
        "xavier": (6.0 / (vocab_size + dim)) ** 0.5,
        "word2vec_c": 0.5 / dim,
        "gensim": 1.0 / dim,
    }[init]

    def uniform(k):
        return jax.random.uniform(k, shape, minval=-bound, maxval=bound)

    output = uniform(output_key) if init == "xavier" else jnp.zeros(shape, jnp.float32)
    return Params(uniform(input_key), output)


def gather(table: jax.Array, ids: jax.Array) -> jax.Array:
    """W[ids]: rows of a table, [V, D] and [..] -> [.., D].

    Its derivative adds the gradients of a repeated id, as one-hot times W does
    (Deep Learning from Scratch 2, 4.1).
    """
    return folding.gather(table, ids)


def hidden(rows: jax.Array, weights: jax.Array, *, legacy_gradient: bool = False) -> jax.Array:
    """h = sum_c w_c v_c: the mean of the inputs of one row, [C, D] and [C] -> [D].

    With legacy_gradient every input gets dh whole, not divided by their number
    (word2vec.c and gensim; the fault is described in arXiv 2012.15332).
    """
    mean = jnp.matmul(weights, rows, precision=PRECISION)
    if not legacy_gradient:
        return mean
    total = jnp.matmul((weights > 0).astype(rows.dtype), rows, precision=PRECISION)
    return total + jax.lax.stop_gradient(mean - total)


def dot_scores(h: jax.Array, rows: jax.Array) -> jax.Array:
    """s_o = h . u_o: one row's score of each of its outputs, [D] and [O, D] -> [O]."""
    return jnp.matmul(rows, h, precision=PRECISION)
