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
    """A row a law of ids: GB/s of bytes that must be read and written."""
    del given
    flat = jnp.ones(sizes.copied_floats)
    copy = jax.jit(jnp.negative).lower(flat).compile()
    copied = rate(bytes_moved(sizes.copied_floats, 2), seconds(copy, flat))
    del flat
    yield {"note": f"a copy on the device: {copied:,.0f}"}
    compiled = {dim: compile_of(dim, sizes) for dim in sizes.moved_dims}
    for law, ids in ids_by_law(sizes).items():
        row: dict = {"ids": law, "copy": copied}
        for dim, (gather, add) in compiled.items():
            table, rows = jnp.ones((sizes.vocab_size, dim)), jnp.ones((sizes.moved_rows, dim))
            floats, indices = rows.size, jax.device_put(ids)
            gathered = seconds(gather, table, indices)
            row[f"gather_{dim}"] = rate(bytes_moved(floats, 2), gathered)
            added = seconds_in_turn(add, table, indices, rows)
            row[f"scatter_add_{dim}"] = rate(bytes_moved(floats, 3), added)
        yield row


def compile_of(dim: int, sizes: Sizes) -> tuple[Callable, Callable]:
    """Gather and scatter-add of rows of a D; the second takes its table for good."""
    ids = jax.ShapeDtypeStruct((sizes.moved_rows,), jnp.int32)
    table = jax.ShapeDtypeStruct((sizes.vocab_size, dim), jnp.float32)
    rows = jax.ShapeDtypeStruct((sizes.moved_rows, dim), jnp.float32)
    add = jax.jit(table_ops.scatter_add, donate_argnums=0)
    gather = jax.jit(table_ops.gather).lower(table, ids).compile()
    return gather, add.lower(table, ids, rows).compile()


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


def seconds_in_turn(function: Callable, table: jax.Array, *arguments: Any) -> float:
    """The same where each call takes the last one's table; the table given is gone."""
    table = jax.block_until_ready(function(table, *arguments))
    began = time.perf_counter()
    for _ in range(CALLS):
        table = function(table, *arguments)
    jax.block_until_ready(table)
    return (time.perf_counter() - began) / CALLS
