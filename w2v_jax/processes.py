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
    return Partners(count, number, partial(_swap, mesh=mesh))


def _swap(level: int, tree: Any, *, mesh: Mesh) -> Any:
    """What the partner at a level gives for this process's arrays [n, ..] or []."""
    leaves, form = jax.tree.flatten(tree)
    whole = [_glued(jnp.atleast_1d(leaf), mesh) for leaf in leaves]
    found = _permuted(whole, mesh=mesh, axis=f"bit{level}")
    theirs = [x.addressable_data(0).reshape(y.shape) for x, y in zip(found, leaves, strict=True)]
    return jax.tree.unflatten(form, theirs)


def _glued(leaf: jax.Array, mesh: Mesh) -> jax.Array:
    """A process's share of an array that lies on all of them."""
    sharding = NamedSharding(mesh, P(mesh.axis_names))
    shape = (mesh.size * leaf.shape[0], *leaf.shape[1:])
    return jax.make_array_from_single_device_arrays(shape, sharding, [leaf])


@partial(jax.jit, static_argnames=("mesh", "axis"))
def _permuted(leaves: list[jax.Array], *, mesh: Mesh, axis: str) -> list[jax.Array]:
    spec = P(mesh.axis_names)
    swap = partial(jax.lax.ppermute, axis_name=axis, perm=[(0, 1), (1, 0)])
    shared = jax.shard_map(
        lambda leaves: [swap(leaf) for leaf in leaves],
        mesh=mesh,
        in_specs=spec,
        out_specs=spec,
        check_vma=False,
    )
    return shared(leaves)


def from_first(tree: Any, partners: Partners) -> Any:
    """The first process's arrays; tree: of every process, equal in shapes and types."""
    tree = jax.tree.map(jnp.asarray, tree)
    for level in partners.levels():
        other = partners.swap(level, tree)
        if partners.number >> level == 1:  # its partner there has them already
            tree = other
    return tree


def total(number: int, partners: Partners) -> int:
    """The sum of a number over all processes."""
    found = jnp.int32(number)
    for level in partners.levels():
        found = found + partners.swap(level, found)
    return int(found)
