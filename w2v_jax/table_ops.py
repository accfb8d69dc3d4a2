"""Rows of tables, read and written; under `jax.vmap` the trials are folded into the row number.

A sweep vmaps a step over S trials, each with its own table [V, D]. XLA's scatter with a batch axis
goes a slow, strided way, so the rules below see the S tables as one of S V rows, trial s's rows
from s V on, and stay plain gathers and scatters. Ids of V and more belong to no row: they read
the last row of their own trial, and write none.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.custom_batching import custom_vmap


def look_up(values: jax.Array, indices: jax.Array) -> jax.Array:
    """values[indices], the last of them for indices past the end: [n, ..] and [..] -> [.., ..].

    `values[indices]` says the same of indices inside alone: JAX takes it for a promise.
    """
    return jnp.asarray(values).at[indices].get(mode="clip", wrap_negative_indices=False)


def _folds(plain: Callable) -> Callable:
    """plain(table, ids, *values), with a batching rule that folds the trials into the rows."""
    op = custom_vmap(plain)

    @op.def_vmap
    def rule(count, batched, table, ids, *values):
        whole = [
            x if is_batched else jnp.broadcast_to(x[None], (count, *x.shape))
            for x, is_batched in zip((table, ids, *values), batched, strict=True)
        ]
        table, ids, *values = whole
        rows = table.shape[1]
        folded = table.reshape(count * rows, *table.shape[2:])
        inside, ids = _fold_ids(ids, rows)
        if not values:
            # Read before it is written: a GPU would read once more behind that, from a copy.
            return jax.lax.optimization_barrier(op(folded, inside)), True
        flat = [v.reshape(-1, *v.shape[ids.ndim :]) for v in values]
        return op(folded, ids.reshape(-1), *flat).reshape(table.shape), True

    return op


def _fold_ids(ids: jax.Array, rows: int) -> tuple[jax.Array, jax.Array]:
    """Ids [S, ..] of tables of V rows as rows of all S: to read, and to write; [S, ..] each.

    Trials are never mixed: a product of 0 and a neighbour's NaN would be NaN. Ids outside stay
    apart, so that ids [S, n] below V + n of which none repeats have no repetition here.
    """
    count = ids.shape[0]
    trial = jnp.arange(count, dtype=ids.dtype).reshape(count, *[1] * (ids.ndim - 1))
    inside = jnp.minimum(ids, rows - 1) + trial * rows
    outside = count * rows + jnp.maximum(ids - rows, 0) + trial * (ids.size // count)
    return inside, jnp.where(ids < rows, inside, outside)


_read = _folds(look_up)


@_folds
def scatter_add(table: jax.Array, ids: jax.Array, rows: jax.Array) -> jax.Array:
    """table with rows added at ids, repeated ids added up: [V, ..], [n], [n, ..] -> [V, ..]."""
    return table.at[ids].add(rows, mode="drop", wrap_negative_indices=False)


@_folds
def scatter_add_unique(table: jax.Array, ids: jax.Array, rows: jax.Array) -> jax.Array:
    """As `scatter_add`, of ids of which none occurs twice, and none is V + n or more.

    XLA needs no atomic addition for them, and no sort where it is to be deterministic.
    """
    return table.at[ids].add(rows, mode="drop", unique_indices=True, wrap_negative_indices=False)


@_folds
def scatter_set(table: jax.Array, ids: jax.Array, rows: jax.Array) -> jax.Array:
    """table with rows set at ids, one of them where an id repeats: [V, ..], [n], [n, ..]."""
    return table.at[ids].set(rows, mode="drop", wrap_negative_indices=False)


@jax.custom_jvp
def gather(table: jax.Array, ids: jax.Array) -> jax.Array:
    """table[ids], the last row for ids of V and more: [V, ..] and [..] -> [.., ..]."""
    return _read(table, ids)


@gather.defjvp
def _gather_jvp(primals, tangents):
    table, ids = primals
    return _read(table, ids), look_up(tangents[0], ids)


@custom_vmap
def most(number: jax.Array) -> jax.Array:
    """The number; under vmap the largest of all trials: a loop's bound is one for all."""
    return number


@most.def_vmap
def _most_of_trials(count, batched, number):
    del count, batched
    return jnp.max(number, axis=0), False
