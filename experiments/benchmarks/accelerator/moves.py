"""Gathers and scatter-adds of rows alone, against a copy of as many bytes."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import zipf
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from w2v_jax import table_ops

CALLS = 10  # that a time is measured of


def programs(sizes: Sizes) -> Iterator[tuple[str, Callable, tuple]]:
    """What is compiled: (name, function, shapes of its arguments)."""
    ids = jax.ShapeDtypeStruct((sizes.moved_rows,), jnp.int32)
    for dim in sizes.moved_dims:
        table = jax.ShapeDtypeStruct((sizes.vocab_size, dim), jnp.float32)
        rows = jax.ShapeDtypeStruct((sizes.moved_rows, dim), jnp.float32)
        yield f"gather, D {dim}", table_ops.gather, (table, ids)
        yield f"scatter-add, D {dim}", table_ops.scatter_add, (table, ids, rows)
    yield "copy", jnp.negative, (jax.ShapeDtypeStruct((sizes.copied_floats,), jnp.float32),)


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """A row a D and law of ids: GB/s of bytes that must be read and written."""
    del given
    copy = jax.jit(jnp.negative).lower(jnp.zeros(sizes.copied_floats)).compile()
    copied = rate(bytes_moved(sizes.copied_floats, 2), seconds(copy, jnp.ones(sizes.copied_floats)))
    for dim in sizes.moved_dims:
        table = jnp.ones((sizes.vocab_size, dim))
        rows = jnp.ones((sizes.moved_rows, dim))
        any_ids = jnp.zeros(sizes.moved_rows, jnp.int32)
        gather = jax.jit(table_ops.gather).lower(table, any_ids).compile()
        add = jax.jit(table_ops.scatter_add, donate_argnums=0).lower(table, any_ids, rows).compile()
        floats = sizes.moved_rows * dim
        for law, ids in ids_by_law(sizes).items():
            ids = jax.device_put(ids)
            table, scattered = seconds_in_turn(add, table, ids, rows)
            yield {
                "dim": dim,
                "ids": law,
                "gather": rate(bytes_moved(floats, 2), seconds(gather, table, ids)),
                "scatter_add": rate(bytes_moved(floats, 3), scattered),
                "copy": copied,
            }


def ids_by_law(sizes: Sizes) -> dict[str, np.ndarray]:
    """Ids of rows, [n] int32: every row alike, by Zipf's law, one row alone."""
    even = np.random.default_rng(1).integers(0, sizes.vocab_size, sizes.moved_rows)
    return {
        "uniform": even.astype(np.int32),
        "Zipf": zipf.corpus(sizes.vocab_size, sizes.moved_rows, 1).ids,
        "one": np.zeros(sizes.moved_rows, np.int32),
    }


def bytes_moved(floats: int, times: int) -> int:
    """Of float32 read or written so many times: 2 of a copy and a gather, 3 of a scatter-add."""
    return 4 * floats * times


def rate(moved: int, sec: float) -> float:
    """GB/s, of 10^9 bytes."""
    return moved / sec / 1e9


def seconds(function: Callable, *arguments: Any) -> float:
    """Of a call, over CALLS of them that are asked for at once."""
    jax.block_until_ready(function(*arguments))
    began = time.perf_counter()
    for _ in range(CALLS):
        result = function(*arguments)
    jax.block_until_ready(result)
    return (time.perf_counter() - began) / CALLS


def seconds_in_turn(function: Callable, table: jax.Array, *arguments: Any):
    """The same where each call takes the last one's table; the last, and seconds a call."""
    table = jax.block_until_ready(function(table, *arguments))
    began = time.perf_counter()
    for _ in range(CALLS):
        table = function(table, *arguments)
    jax.block_until_ready(table)
    return table, (time.perf_counter() - began) / CALLS
