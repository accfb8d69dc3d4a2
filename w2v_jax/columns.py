"""Tables split by columns over the devices of a mesh: how a state lies, and nothing else of a step.

Each device holds D / S columns of all rows. Scores and rows' mean squares are sums over columns, so
XLA puts two all-reduces into a step, whatever V is; optimisers that treat elements apart need the
first alone (Ordentlich et al. 2016, arXiv 1606.08495). Batches, and what has a number a row, are
the same on all devices.
"""

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from w2v_jax import layouts
from w2v_jax.counting import counted
from w2v_jax.types import Params, StaticConfig, TrainState, UserError

AXIS = "columns"
MOST = 1024  # devices of a mesh
ROWS = 2**16  # of a table that are whole on a device at a time, on their way to the host


def count(mesh: str) -> int:
    """S of `mesh` = columns:S; 1 where it is empty. Raises UserError for a text that is neither."""
    if not mesh:
        return 1
    found = re.fullmatch(rf"{AXIS}:([1-9][0-9]{{0,3}})", mesh)
    if not found or int(found[1]) > MOST:
        raise UserError(f"`mesh={mesh}`: must be {AXIS}:S, with S devices from 1 to {MOST:,}")
    return int(found[1])


def check(mesh: str, dim: int) -> None:
    """Raises UserError where D columns can't be shared evenly."""
    if dim % count(mesh):
        raise UserError(f"`mesh={mesh}`: `dim={dim}` is not a multiple of {count(mesh)}")


def devices(mesh: str) -> Mesh:
    """The mesh: S of the devices of all processes, of each process as many.

    Raises UserError where there are fewer.
    """
    size, there = count(mesh), jax.devices()
    if size > len(there):
        kind = there[0].platform
        raise UserError(f"`mesh={mesh}`: there {_are(len(there))} of {kind} here")
    processes = jax.process_count()
    if size % processes:
        raise UserError(f"`mesh={mesh}`: {size} is not a multiple of the {processes} processes")
    taken, seen = [], Counter()
    for device in there:
        seen[device.process_index] += 1
        if seen[device.process_index] <= size // processes:
            taken.append(device)
    if len(taken) < size:
        raise UserError(f"`mesh={mesh}`: a process has not its share of devices")
    return Mesh(np.array(taken), (AXIS,))


def _are(number: int) -> str:
    return f"{'is' if number == 1 else 'are'} {counted(number, 'device')}"


def shardings(state: Any, mesh: Mesh) -> Any:
    """Of each leaf how it lies: [V, D] by columns, [V] and [] whole on each device."""
    return jax.tree.map(
        lambda leaf: NamedSharding(mesh, P(None, AXIS) if leaf.ndim == 2 else P()), state
    )


def made(make: Callable[..., TrainState], given: jax.Array | Params, mesh: str) -> TrainState:
    """make(given), split: each device makes its own columns, and none ever holds a table.

    given: a key, or tables of the host. The bits are those of one device. Raises UserError as
    `devices`.
    """
    on = devices(mesh)
    lying = shardings(jax.eval_shape(make, given), on)
    is_tables = isinstance(given, Params)
    given = like(given, shardings(given, on)) if is_tables else everywhere(given, on)
    return jax.jit(make, out_shardings=lying)(given)


def everywhere(tree: Any, mesh: Mesh) -> Any:
    """Arrays of this process, equal in all processes, whole on each device of the mesh."""
    whole = NamedSharding(mesh, P())

    def put(leaf):
        if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = put(jax.random.key_data(leaf))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
        return leaf if getattr(leaf, "sharding", None) == whole else _put(leaf, whole)

    return jax.tree.map(put, tree)


def like(tree: Any, shardings: Any) -> Any:
    """A state of the host's arrays, equal in all processes, as another one lies."""
    return jax.tree.map(_put, tree, shardings)


def _put(leaf: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    if sharding.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    leaf = np.asarray(leaf)  # `device_put` would compare it with all other processes'
    return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])


def gathered(tree: Any) -> Any:
    """The arrays as this process can read them: those of others' devices come to the host.

    All processes call it then. A device holds `ROWS` rows of a table at a time.
    """
    return jax.tree.map(_gathered, tree)


def _gathered(leaf: Any) -> Any:
    if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated:
        return leaf
    found, length = np.empty(leaf.shape, leaf.dtype), min(ROWS, len(leaf))
    rows = _rows(leaf.sharding.mesh, length)
    for first in range(0, len(leaf), length):
        begin = min(first, len(leaf) - length)
        found[begin : begin + length] = rows(leaf, np.int32(begin))
    return found


def _rows(mesh: Mesh, length: int) -> Callable:
    """(table, begin) -> rows begin .. begin + length - 1, whole on each device."""
    cut = partial(jax.lax.dynamic_slice_in_dim, slice_size=length)
    return jax.jit(cut, out_shardings=NamedSharding(mesh, P()))


# What a program is told of it


def mesh_of(state: Any, static: StaticConfig) -> Mesh | None:
    """The devices over which a state is split; None: over none.

    Raises UserError where it does not lie as `static.mesh` says.
    """
    if not static.mesh:
        return None
    lying = jax.tree.leaves(state)[0].sharding
    if not isinstance(lying, NamedSharding) or lying.mesh.size != count(static.mesh):
        raise UserError(f"`mesh={static.mesh}`: the state is not split so")
    return lying.mesh


def of_steps(state: Any, others: int, static: StaticConfig) -> dict[str, Any]:
    """How the arguments and results of a program lie that takes a state and `others` beside it.

    It returns the state and two results more. Where nothing is to be said, nothing is.
    """
    mesh = mesh_of(state, static)
    if static.platform == "tpu":
        lying = layouts.by_rows(state)
    elif mesh:
        lying = shardings(state, mesh)
    else:
        return {}
    rest = mesh and NamedSharding(mesh, P())
    return {"in_shardings": (lying, *[rest] * others), "out_shardings": (lying, rest, rest)}


def of_draws(state: Any, static: StaticConfig) -> dict[str, Any]:
    """The same of a program whose arguments and results are whole on each device."""
    mesh = mesh_of(state, static)
    whole = mesh and NamedSharding(mesh, P())
    return {"in_shardings": whole, "out_shardings": whole} if mesh else {}


def putting(state: Any, static: StaticConfig) -> Callable:
    """What puts a program's other arguments where the state lies."""
    mesh = mesh_of(state, static)
    return partial(everywhere, mesh=mesh) if mesh else jax.device_put
