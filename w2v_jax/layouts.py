"""How tables lie in a TPU's memory where a program begins and ends: row by row, as its steps go.

Left to itself XLA lays [V, D] there the other way about, which pads D to no full register, turns
each table round before the loop and back behind it, and holds both at once.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.experimental.layout import Format, Layout
from jax.sharding import SingleDeviceSharding


def by_rows(tree: Any) -> Any:
    """Of each leaf how it is to lie where it is: tables [.., V, D] by rows, others as they would.

    A leaf is an array, or its shape; a shape without a sharding is of the first device.
    """

    def lying(leaf):
        where = leaf.sharding or SingleDeviceSharding(jax.devices()[0])
        return where if leaf.ndim < 2 else Format(Layout(tuple(range(leaf.ndim))), where)

    return jax.tree.map(lying, tree)


def laid(program: jax.stages.Compiled) -> Callable:
    """The program, which gets its first argument as it is to lie; what lies so isn't copied.

    It is gone after a call.
    """
    lying = program.input_formats[0][0]

    def of_laid(first, *others):
        return program(jax.device_put(first, lying, donate=True), *others)

    return of_laid


def all_laid(program: jax.stages.Compiled) -> Callable:
    """The program, which gets each argument as its compiler wants it, and leaves them."""
    lying = program.input_formats[0]

    def lay(leaf, form):
        is_key = jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return leaf if is_key else jax.device_put(leaf, form)

    return lambda *arguments: program(*jax.tree.map(lay, arguments, lying))
