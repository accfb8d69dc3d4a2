"""Embedding tables, the gather, the hidden layer and the dot score, each for one row."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from w2v_jax import table_ops
from w2v_jax.types import Params, Registry, UserError

PRECISION = jax.lax.Precision.HIGHEST  # accelerators would round float32 products otherwise


def book(input_key: jax.Array, output_key: jax.Array, shape: tuple[int, int]) -> Params:
    """0.01 N(0, 1) both (Deep Learning from Scratch 2, ch. 4)."""
    return Params(0.01 * _normal(input_key, shape), 0.01 * _normal(output_key, shape))


def xavier(input_key: jax.Array, output_key: jax.Array, shape: tuple[int, int]) -> Params:
    """U(+-sqrt(6 / (V + D))) both (Dive into Deep Learning 15.4)."""
    bound = (6.0 / sum(shape)) ** 0.5
    return Params(_uniform(input_key, shape, bound), _uniform(output_key, shape, bound))


def word2vec_c(input_key: jax.Array, output_key: jax.Array, shape: tuple[int, int]) -> Params:
    """Input U(+-0.5 / D), output 0."""
    del output_key
    return Params(_uniform(input_key, shape, 0.5 / shape[1]), jnp.zeros(shape, jnp.float32))


def gensim(input_key: jax.Array, output_key: jax.Array, shape: tuple[int, int]) -> Params:
    """Input U(+-1 / D), output 0."""
    del output_key
    return Params(_uniform(input_key, shape, 1.0 / shape[1]), jnp.zeros(shape, jnp.float32))


def ppmi_svd(input_key: jax.Array, output_key: jax.Array, shape: tuple[int, int]) -> Params:
    """U sqrt(S), V sqrt(S) of the text's PPMI: a text makes them, by `ppmi.tables`, and no key.

    Raises UserError.
    """
    raise UserError("`init=ppmi_svd`: such tables are made of a text, and none is given here")


def _normal(key: jax.Array, shape: tuple[int, int]) -> jax.Array:
    # Within a program XLA would make one factor of ours and normal's own, and round otherwise.
    return jax.lax.optimization_barrier(jax.random.normal(key, shape))


def _uniform(key: jax.Array, shape: tuple[int, int], bound: float) -> jax.Array:
    return jax.random.uniform(key, shape, minval=-bound, maxval=bound)


# (key of the input table, key of the output table, (V, D)) -> the two tables
INITS = Registry(
    "init",
    book=book,
    xavier=xavier,
    word2vec_c=word2vec_c,
    gensim=gensim,
    ppmi_svd=ppmi_svd,
)


def init_params(key: jax.Array, vocab_size: int, dim: int, init: str) -> Params:
    """The two tables as INITS[init] draws them, [V, D] float32 each.

    Raises UserError for another name.
    """
    return INITS[init](*jax.random.split(key), (vocab_size, dim))


class Composed(NamedTuple):
    """Some rows of a table that is nowhere whole."""

    rows: jax.Array  # [n, D]
    slot: jax.Array  # [V] int32, which of the rows an id has; of ids without one any number

    @property
    def shape(self) -> tuple[int, int]:
        """(V, D), as of a whole table."""
        return self.slot.shape[0], self.rows.shape[1]


def gather(table: jax.Array | Composed, ids: jax.Array) -> jax.Array:
    """W[ids]: rows of a table, [V, D] and [..] -> [.., D].

    Its derivative adds the gradients of a repeated id, as one-hot times W does
    (Deep Learning from Scratch 2, 4.1).
    """
    if isinstance(table, Composed):
        return table_ops.gather(table.rows, table_ops.gather(table.slot, ids))
    return table_ops.gather(table, ids)


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
