"""Small operations of this JAX on this device, op by op and compiled, against NumPy."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from w2v_jax import sampling, table_ops

KEY = 7
SIZE = 4096


class Check(NamedTuple):
    """An operation, what it gets, and what NumPy makes of that."""

    function: Callable
    given: tuple[Any, ...]
    expected: np.ndarray
    most: float = 0.0  # relative error allowed; 0: equal bits


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """A row an operation: its largest relative error both ways, and whether both are allowed."""
    del sizes, given
    for name, check in checks().items():
        yield {"operation": name, **_row(check)}


def _row(check: Check) -> dict:
    found = {}
    for way, function in (("op_by_op", check.function), ("jit", jax.jit(check.function))):
        arrays = [jnp.asarray(x) for x in check.given]
        found[way] = error(np.asarray(function(*arrays)), check.expected)
    return {**found, "right": max(found.values()) <= check.most}


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest relative error; infinite where shapes, or what isn't a number, differ.

    Where |expected| is below 1 it is the absolute one.
    """
    if found.shape != expected.shape:
        return float("inf")
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0, np.abs(found - expected) / np.maximum(np.abs(expected), 1))
    return float(np.max(np.where(np.isnan(apart), np.inf, apart), initial=0))


def checks() -> dict[str, Check]:
    """All operations, by name."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=SIZE).astype(np.float32)
    positive = (np.abs(x) + np.float32(0.01)) * 300
    square = draw.normal(size=(256, 128)).astype(np.float32)
    bits = draw.integers(0, 2**32, SIZE, dtype=np.uint32)
    return {
        "sqrt": Check(jnp.sqrt, (positive,), np.sqrt(positive), 5e-7),
        "rsqrt": Check(jax.lax.rsqrt, (positive,), 1 / np.sqrt(positive.astype(float)), 1e-6),
        "exp": Check(jnp.exp, (x,), np.exp(x.astype(float)), 1e-5),
        "log_sigmoid": Check(jax.nn.log_sigmoid, (x,), -np.log1p(np.exp(-x.astype(float))), 1e-5),
        "sum": Check(jnp.sum, (positive,), np.sum(positive.astype(float)), 1e-5),
        "dot": Check(_dot, (square,), square.astype(float) @ square.T.astype(float), 2e-2),
        "dot, highest precision": Check(
            lambda a: jnp.dot(a, a.T, precision="highest"),
            *((square,), square.astype(float) @ square.T.astype(float), 1e-5),
        ),
        "sort": Check(jnp.sort, (x,), np.sort(x)),
        "sort of 64 bits": Check(_order, (bits,), np.argsort(bits, kind="stable")),
        "cumsum": Check(jnp.cumsum, (bits >> 12,), np.cumsum(bits >> 12).astype(np.uint32)),
        "searchsorted": Check(
            lambda a, b: jnp.searchsorted(a, b, side="right"),
            *((np.sort(bits), bits[::-1]), np.searchsorted(np.sort(bits), bits[::-1], "right")),
        ),
        **_random(),
        **_rows(draw),
        **_loops(),
    }


def _dot(a):
    return jnp.dot(a, a.T)


def _order(rank):
    return sampling.order_of(rank, jax.devices()[0].platform)


def _random() -> dict[str, Check]:
    """Random numbers: the bits are Threefry's, whatever the device."""
    drawn = threefry_bits(KEY, SIZE)
    uniform = ((drawn >> 9) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)
    low = np.nextafter(np.float32(-1), np.float32(0), dtype=np.float32)
    between = np.maximum(low, uniform * (np.float32(1) - low) + low)
    normal = np.sqrt(2) * special.erfinv(between.astype(float))
    seed = np.uint32(KEY)
    return {
        "random bits": Check(lambda s: jax.random.bits(jax.random.key(s), (SIZE,)), (seed,), drawn),
        "random uniform": Check(
            lambda s: jax.random.uniform(jax.random.key(s), (SIZE,)), (seed,), uniform
        ),
        "random normal": Check(
            lambda s: jax.random.normal(jax.random.key(s), (SIZE,)), (seed,), normal, 1e-4
        ),
    }


def threefry_bits(seed: int, count: int) -> np.ndarray:
    """What `jax.random.bits` of the key of a seed below 2^32 draws: [count] uint32.

    Threefry-2x32 with 20 rounds of the numbers 0 .. count - 1 (Salmon et al. 2011); both words of
    its result are combined by exclusive or, as JAX does with jax_threefry_partitionable.
    """
    keys = [np.uint32(0), np.uint32(seed)]
    keys.append(keys[0] ^ keys[1] ^ np.uint32(0x1BD11BDA))
    one = np.zeros(count, np.uint32) + keys[0]
    two = np.arange(count, dtype=np.uint32) + keys[1]
    for group, turns in enumerate([(13, 15, 26, 6), (17, 29, 16, 24)] * 2 + [(13, 15, 26, 6)], 1):
        for turn in turns:
            one = one + two
            two = one ^ (two << np.uint32(turn) | two >> np.uint32(32 - turn))
        one = one + keys[group % 3]
        two = two + keys[(group + 1) % 3] + np.uint32(group)
    return one ^ two


def _rows(draw: np.random.Generator) -> dict[str, Check]:
    """Gathers and scatters of rows, ids past the end and repeated ones among them."""
    table = draw.normal(size=(300, 100)).astype(np.float32)
    ids = draw.integers(0, 310, SIZE).astype(np.int32) // draw.integers(1, 9, SIZE).astype(np.int32)
    rows = draw.normal(size=(SIZE, 100)).astype(np.float32)
    added = table.astype(np.float64)
    np.add.at(added, ids[ids < 300], rows[ids < 300])
    unique = draw.permutation(300)[:200].astype(np.int32)
    replaced = table.copy()
    replaced[unique] = rows[:200]
    two = np.stack([table, table + 1]), np.stack([ids, ids[::-1]]), np.stack([rows, rows])
    other = table.astype(np.float64) + 1
    np.add.at(other, ids[::-1][ids[::-1] < 300], rows[ids[::-1] < 300])
    return {
        "gather": Check(table_ops.gather, (table, ids), table[np.minimum(ids, 299)]),
        "scatter-add": Check(table_ops.scatter_add, (table, ids, rows), added, 1e-4),
        "scatter-set": Check(table_ops.scatter_set, (table, unique, rows[:200]), replaced),
        "scatter-add, vmapped": Check(
            jax.vmap(table_ops.scatter_add), two, np.stack([added, other]), 1e-4
        ),
    }


def _loops() -> dict[str, Check]:
    """Loops of a static length, of a length that is read, and with a branch."""
    starts = np.arange(1, 257, dtype=np.int32)
    lengths = []
    for number in starts.tolist():
        length = 0
        while number != 1:
            number, length = (number // 2 if number % 2 == 0 else 3 * number + 1), length + 1
        lengths.append(length)

    def collatz(number):
        def one(carry):
            value, length = carry
            return jnp.where(value % 2 == 0, value // 2, 3 * value + 1), length + 1

        return jax.lax.while_loop(lambda carry: carry[0] != 1, one, (number, jnp.int32(0)))[1]

    def nested(bound):
        def inner(total, i):
            odd = jax.lax.cond(i % 2 == 1, lambda: i, lambda: jnp.int32(0))
            return jax.lax.fori_loop(0, 10, lambda _, t: t + odd, total)

        return jax.lax.fori_loop(0, bound, lambda i, total: inner(total, i), jnp.int32(0))

    return {
        "while": Check(jax.vmap(collatz), (starts,), np.array(lengths)),
        "loops and a branch": Check(nested, (np.int32(100),), np.array(25_000)),
    }
