"""The processes that `jax.distributed` has joined, as the partners of a training's replicas."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from w2v_jax.replicas import ALONE, Partners
from w2v_jax.types import UserError


def partners() -> Partners:
    """All processes, by their numbers. Raises UserError where they are no power of two."""
    count, number = jax.process_count(), jax.process_index()
    if count == 1:
        return ALONE
    if count & (count - 1):
        raise UserError(f"`replicas`: {count} processes carry them, which is no power of two")
    firsts = {device.process_index: device for device in reversed(jax.devices())}
    bits = count.bit_length() - 1
    axes = tuple(f"bit{bit}" for bit in reversed(range(bits)))
    devices = np.array([firsts[process] for process in range(count)])
    mesh = Mesh(devices.reshape((2,) * bits), axes)
    return Partners(count, number, partial(_add, mesh=mesh))


def _add(level: int, tree: Any, *, mesh: Mesh) -> Any:
    """A tree of this process's arrays [n, ..] or [], and the partner's at a level: their sum.

    Two numbers have one sum, whoever adds them: all processes get the same bits.
    """
    leaves, form = jax.tree.flatten(tree)
    whole = [_glued(jnp.atleast_1d(leaf), mesh) for leaf in leaves]
    sums = _psum(whole, mesh=mesh, axis=f"bit{level}")
    own = [x.addressable_data(0).reshape(leaf.shape) for x, leaf in zip(sums, leaves, strict=True)]
    return jax.tree.unflatten(form, own)


def _glued(leaf: jax.Array, mesh: Mesh) -> jax.Array:
    """A process's share of an array that lies on all of them."""
    sharding = NamedSharding(mesh, P(mesh.axis_names))
    shape = (mesh.size * leaf.shape[0], *leaf.shape[1:])
    return jax.make_array_from_single_device_arrays(shape, sharding, [leaf])


@partial(jax.jit, static_argnames=("mesh", "axis"))
def _psum(leaves: list[jax.Array], *, mesh: Mesh, axis: str) -> list[jax.Array]:
    spec = P(mesh.axis_names)
    add = partial(jax.lax.psum, axis_name=axis)
    shared = jax.shard_map(add, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)
    return shared(leaves)


def from_first(tree: Any, partners: Partners) -> Any:
    """The first process's numbers, to the bit; tree: of every process, equal in shape and dtype.

    What is added is no number but its bits, and nothing of the others'.
    """

    def bits(leaf):
        unsigned = {4: jnp.uint32, 1: jnp.uint8}[leaf.dtype.itemsize]
        found = jax.lax.bitcast_convert_type(leaf, unsigned)
        return found if partners.number == 0 else jnp.zeros_like(found)

    like = jax.tree.map(jnp.asarray, tree)
    sums = jax.tree.map(bits, like)
    for level in partners.levels():
        sums = partners.add(level, sums)
    return jax.tree.map(lambda x, leaf: jax.lax.bitcast_convert_type(x, leaf.dtype), sums, like)


def total(number: int, partners: Partners) -> int:
    """The sum of a number over all processes."""
    found = jnp.int32(number)
    for level in partners.levels():
        found = partners.add(level, found)
    return int(found)
