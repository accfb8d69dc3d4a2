"""A function of one trial, compiled for all trials, which are sharded over devices."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from w2v_jax import layouts, training, xla_flags


def compile_over(
    function: Callable, arguments: Sequence[tuple], vmap_width: int, *, donates: bool = False
) -> Callable:
    """function(one trial's leaves, *shared) -> leaves, compiled for all trials on all devices.

    arguments: what each device will get, (leaves [S, ..], *shared). The result takes such
    arguments and gives what the function gives, [S, ..], for each device; devices work side by
    side. donates: the first of the leaves is gone after a call, its memory the result's.
    """

    xla_flags.warn_of_slow_scatter(training.platform_of(arguments))
    devices = [jax.tree.leaves(leaves)[0].device for leaves, *_ in arguments]
    mesh, own = Mesh(np.array(devices), ("device",)), 2 if donates else 1

    def glued(arguments):
        return _glued([taken_apart(*a) if donates else a for a in arguments], mesh, own)

    given = glued(arguments)
    program = lower_over(function, given, mesh, vmap_width, donates=donates).compile()
    if devices[0].platform == "tpu":
        program = layouts.laid(program) if donates else layouts.all_laid(program)
    return lambda arguments: _parted(program(*glued(arguments)), devices)


def taken_apart(leaves: tuple, *shared) -> tuple:
    """The first of the leaves, that is donated, the others, and what all trials share."""
    return leaves[0], leaves[1:], *shared


def lower_over(
    function: Callable, given: tuple, mesh: Mesh, vmap_width: int, *, donates: bool = False
) -> jax.stages.Lowered:
    """`compile_over`'s program, of arrays or shapes that lie on all devices of a mesh.

    donates: the leaves come `taken_apart`, and the first of the results is as the first of them.
    """

    def local(trials, *shared):
        if vmap_width == 1:
            return jax.lax.map(lambda trial: function(trial, *shared), trials)
        one = partial(jax.vmap, in_axes=(0, *[None] * len(shared)))(function)
        grouped = jax.tree.map(lambda x: x.reshape(-1, vmap_width, *x.shape[1:]), trials)
        result = jax.lax.map(lambda group: one(group, *shared), grouped)
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), result)

    def apart(first, others, *shared):
        if mesh.devices.flat[0].platform == "tpu" and vmap_width == 1:
            return own_memory(function, first, others, *shared)
        return local((first, *others), *shared)

    own = 2 if donates else 1
    # Each device runs `local` as it stands: were it partitioned, XLA would round otherwise.
    each = jax.shard_map(
        apart if donates else local,
        mesh=mesh,
        in_specs=(*[P("device")] * own, *[P()] * (len(given) - own)),
        out_specs=P("device"),
        check_vma=False,
    )
    edges = {}
    if donates and mesh.devices.flat[0].platform == "tpu":
        lying, results = layouts.by_rows(given[0]), jax.eval_shape(each, *given)
        edges["in_shardings"] = lying, *[None] * (len(given) - 1)
        edges["out_shardings"] = lying, *[None] * (len(results) - 1)
    return jax.jit(each, donate_argnums=(0,) if donates else (), **edges).lower(*given)


def own_memory(function: Callable, first: Any, others: Any, *shared) -> tuple:
    """`function` of one trial after the other, each one's first result where its first leaf was.

    A `lax.map` holds the leaves and the results of all trials.
    """

    def one(first, of_trial):
        number, rest = of_trial
        own = jax.tree.map(lambda x: x[number], first)
        new, *results = function((own, *rest), *shared)
        return jax.tree.map(lambda x, y: x.at[number].set(y), first, new), tuple(results)

    count = jax.tree.leaves(first)[0].shape[0]
    first, results = jax.lax.scan(one, first, (jnp.arange(count), others))
    return first, *results


def _glued(arguments: Sequence[tuple], mesh: Mesh, own: int) -> tuple:
    """What the devices of a mesh get, as arrays that lie on all of them; nothing is copied there.

    The first `own` of each device's arguments are its share, the others are the same on all.
    """
    devices = mesh.devices.tolist()

    def glue(spec, *parts):
        parts = [jax.device_put(part, device) for part, device in zip(parts, devices, strict=True)]
        rows = len(devices) if spec else 1
        shape = tuple(n * (rows if i == 0 else 1) for i, n in enumerate(parts[0].shape))
        return jax.make_array_from_single_device_arrays(shape, NamedSharding(mesh, spec), parts)

    specs = [P("device") if i < own else P() for i in range(len(arguments[0]))]
    return tuple(
        jax.tree.map(partial(glue, spec), *of_devices)
        for spec, of_devices in zip(specs, zip(*arguments, strict=True), strict=True)
    )


def _parted(tree: Any, devices: Sequence[jax.Device]) -> list:
    """Each device's share of arrays that `_glued` would glue."""

    def share(device, x):
        return next(part.data for part in x.addressable_shards if part.device == device)

    return [jax.tree.map(partial(share, device), tree) for device in devices]
