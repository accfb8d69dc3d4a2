"""Where replicas meet: what each has added to a row, combined to one change.

The bits depend on the replicas alone, never on which process combines which of their rows.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax.optimizers import OPTIMIZERS
from w2v_jax.partners import ALONE, Partners
from w2v_jax.types import Params, StaticConfig, TrainState

BLOCK = 256  # rows that are combined at a time
ZERO = np.int32(0)  # an argument, never a constant of a program: see `_product`


class Change(NamedTuple):
    """What a replica, or several together, have added to a state."""

    params: Params
    memory: list[jax.Array]  # to the optimiser's accumulators or moments


def meet(
    base: TrainState,
    own: list[TrainState],
    since: int,
    taken: int,
    static: StaticConfig,
    partners: Partners = ALONE,
) -> TrainState:
    """The state from which all replicas go on; base, own: where they last met, and each one's.

    Two changes a and b of a row become (1 - ab / 2aa) a + (1 - ab / 2bb) b: their sum where they
    are orthogonal, their mean where they are equal (Adasum, Maleki et al. 2021; of word vectors,
    GraphWord2Vec, Gill et al. 2021). Accumulators add up, moments are averaged. since, taken: the
    steps of replica 0, and of all. The memory of base and own[0] is the result's.
    """
    change = _over_processes(_of_all(own[0], own[1:], base, ZERO), partners)
    averaged = 1 if OPTIMIZERS[static.optimizer].memory_adds else static.replicas
    return _moved(base, change, jnp.int32(since), jnp.int32(taken), jnp.float32(averaged))


def _over_processes(change: Change, partners: Partners) -> Change:
    """The change of all processes; the memory of `change` is the result's.

    At a level two partners combine half of the rows each, and then give each other their halves:
    of P processes each sends less than twice its tables, however many they are.
    """
    wholes = []
    for level in partners.levels():
        rows = change.params.input.shape[0]
        half = -(-rows // 2)  # of an odd number both have the row in the middle
        low, high = _part(change, 0, half), _part(change, rows - half, half)
        wholes.append(change)
        own, others = (high, low) if partners.number >> level & 1 else (low, high)
        other = partners.swap(level, others)
        change = _combined(*partners.in_order(level, own, other), ZERO)
    for level in reversed(partners.levels()):
        change = _whole(wholes.pop(), *partners.pair(level, change))
    return change


_part = jax.jit(lambda change, first, count: _rows(change, first, count), static_argnums=(1, 2))


@partial(jax.jit, donate_argnums=0)
def _whole(change: Change, low: Change, high: Change) -> Change:
    """A change, its first and its last rows replaced."""

    def put(whole, low, high):
        return whole.at[: len(low)].set(low).at[len(whole) - len(high) :].set(high)

    return jax.tree.map(put, change, low, high)


@partial(jax.jit, donate_argnums=0)
def _of_all(first: TrainState, others: list[TrainState], base: TrainState, zero) -> Change:
    """What all of them have added to `base`, two by two."""
    first, *others, base = (Change(x.params, _memory(x)) for x in (first, *others, base))

    def combined(first, *others):
        *others, before = others
        changes = [jax.tree.map(jnp.subtract, after, before) for after in (first, *others)]
        while len(changes) > 1:
            two_by_two = zip(changes[::2], changes[1::2], strict=True)
            changes = [_adasum(*two, zero) for two in two_by_two]
        return changes[0]

    return _by_blocks(combined, first, *others, base)


@jax.jit
def _combined(a: Change, b: Change, zero) -> Change:
    return _by_blocks(lambda a, b: _adasum(a, b, zero), a, b)


def _by_blocks(combined: Callable, first: Change, *others: Change) -> Change:
    """combined(first, *others), some rows at a time; the memory of `first` may be the result's.

    What lies between stays in a core's cache: sixteen replicas meet in half the time. And XLA gives
    a sum other bits in other shapes: so a row's are the same in whatever part it is combined.
    """
    rows = first.params.input.shape[0]
    if rows < BLOCK:
        whole = _by_blocks(combined, *(_padded(change) for change in (first, *others)))
        return _rows(whole, 0, rows)

    def block(begin, first):
        return combined(*(_rows(change, begin, BLOCK) for change in (first, *others)))

    def put(number, change):
        return _put(change, number * BLOCK, block(number * BLOCK, change))

    last = block(rows - BLOCK, first)  # before its rows are replaced
    return _put(jax.lax.fori_loop(0, rows // BLOCK, put, first), rows - BLOCK, last)


def _padded(change: Change) -> Change:
    """A block: rows of zeros behind these."""
    return jax.tree.map(
        lambda x: jnp.pad(x, [(0, BLOCK - len(x))] + [(0, 0)] * (x.ndim - 1)), change
    )


def _rows(change: Change, begin, count: int) -> Change:
    """`count` rows from `begin` on."""
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, begin, count), change)


def _put(change: Change, begin, rows: Change) -> Change:
    """A change with these rows from `begin` on."""

    def put(whole, own):
        return jax.lax.dynamic_update_slice_in_dim(whole, own, begin, 0)

    return jax.tree.map(put, change, rows)


def _adasum(a: Change, b: Change, zero) -> Change:
    params = jax.tree.map(partial(_adasum_of_rows, zero=zero), a.params, b.params)
    return Change(params, jax.tree.map(jnp.add, a.memory, b.memory))


def _adasum_of_rows(a: jax.Array, b: jax.Array, zero) -> jax.Array:
    """(1 - ab / 2aa) a + (1 - ab / 2bb) b, row by row: [V, D]; a row of zeros leaves the other."""
    half = jnp.sum(_product(a, b, zero), axis=1, keepdims=True) / 2

    def weighted(x):
        square = jnp.sum(_product(x, x, zero), axis=1, keepdims=True)
        return _product(1 - half / jnp.maximum(square, jnp.finfo(x.dtype).tiny), x, zero)

    return weighted(a) + weighted(b)


def _product(a: jax.Array, b: jax.Array, zero: jax.Array) -> jax.Array:
    """a b, rounded before anything is added to it.

    A compiler may make one operation of a product and a sum, which rounds once, or leave two:
    what stands around them decides it, and that depends on how many replicas a process carries. So
    between the two is an exclusive or with a zero that it does not know.
    """
    bits = jax.lax.bitcast_convert_type(a * b, jnp.int32)
    return jax.lax.bitcast_convert_type(bits ^ zero, a.dtype)


@partial(jax.jit, donate_argnums=0)
def _moved(base: TrainState, change: Change, since, taken, averaged) -> TrainState:
    memory = iter(change.memory)

    def leaf(old):
        if jnp.issubdtype(old.dtype, jnp.floating):
            return old + next(memory) / averaged
        return old if old.ndim else old + since  # Adam's count; or scratch

    return TrainState(
        params=jax.tree.map(jnp.add, base.params, change.params),
        opt_state=jax.tree.map(leaf, base.opt_state),
        step=base.step + taken,
    )


def _memory(state: TrainState) -> list[jax.Array]:
    """What the optimiser remembers of rows: floats, neither counts nor scratch."""
    leaves = jax.tree.leaves(state.opt_state)
    return [leaf for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.floating)]
