"""An optax transformation applied to the rows that a batch touches, at a cost without V in it."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from w2v_jax import table_ops


@struct.dataclass
class RowState:
    """What rows remember between steps."""

    inner: Any  # optax's state of the whole table: leaves [V, ..] are a row's, others shared
    representative: jax.Array  # [V] int32, scratch: the occurrence of a row that counts


def init(table: jax.Array, transformation: optax.GradientTransformation) -> RowState:
    """The state before the first step; table [V, D]."""
    representative = jnp.zeros(table.shape[:1], jnp.int32)
    return RowState(inner=transformation.init(table), representative=representative)


def deduplicate(representative: jax.Array, ids: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Makes one occurrence of each id its representative: [V], ids [n] -> [V], indices [n].

    indices[i] is where in n row gradients the gradient of occurrence i is to be added: at the
    representative of ids[i]. Ids of V and more have none: their index is n, outside.
    Nothing of size V is made or read.
    """
    size, count = representative.shape[0], ids.shape[0]
    representative = table_ops.scatter_set(representative, ids, jnp.arange(count, dtype=jnp.int32))
    # Were they to share an index, a GPU would add their zeros there one after the other.
    return representative, jnp.where(ids < size, table_ops.gather(representative, ids), count)


def update(
    table: jax.Array,
    state: RowState,
    ids: jax.Array,
    indices: jax.Array,
    summed: jax.Array,
    transformation: optax.GradientTransformation,
) -> tuple[jax.Array, RowState]:
    """Each row of ids [n] moves once, by the transformation of its summed gradient.

    summed [n, D]: at each representative's index the sum of its id's gradients (`deduplicate`).
    Exact for every transformation that treats elements or rows apart (sgd, adagrad, row_adagrad,
    adam, adamw). Rows not in ids keep their values and their state: the same as dense optax where
    a zero gradient moves nothing (sgd, adagrad, row_adagrad), not where momentum or decay would
    (adam, adamw).
    """
    written = _once(ids, indices, table.shape[0])

    def is_rows(leaf):
        return jnp.ndim(leaf) > 0 and leaf.shape[0] == table.shape[0]

    def add(whole, new, old):
        # Adding the difference, not setting: a set after a gather makes XLA copy the table.
        return table_ops.scatter_add_unique(whole, written, new - old) if is_rows(whole) else new

    before = jax.tree.map(
        lambda leaf: table_ops.gather(leaf, ids) if is_rows(leaf) else leaf, state.inner
    )
    updates, after = transformation.update(summed, before, table_ops.gather(table, ids))
    inner = jax.tree.map(add, state.inner, after, before)
    table = table_ops.scatter_add_unique(table, written, updates.astype(table.dtype))
    return table, state.replace(inner=inner)


def _once(ids: jax.Array, indices: jax.Array, size: int) -> jax.Array:
    """The ids [n] at their representatives, the others moved outside: size and up, each apart."""
    occurrence = jnp.arange(ids.shape[0], dtype=ids.dtype)
    return jnp.where(indices == occurrence, ids, size + occurrence)


def scale_by_row_adagrad(epsilon: jax.Array) -> optax.GradientTransformation:
    """g / sqrt(s + epsilon), where s sums over steps the mean square of a row's gradient.

    Adagrad (Duchi et al. 2011) with one accumulator a row instead of one an element: s [V].
    """

    def init_fn(params):
        return jax.tree.map(lambda p: jnp.zeros(p.shape[:1], p.dtype), params)

    def update_fn(updates, state, params=None):
        del params
        state = jax.tree.map(lambda s, g: s + jnp.mean(jnp.square(g), axis=-1), state, updates)
        updates = jax.tree.map(
            lambda s, g: g * jnp.where(s > 0, jax.lax.rsqrt(s + epsilon), 0)[:, None],
            state,
            updates,
        )
        return updates, state

    return optax.GradientTransformation(init_fn, update_fn)
