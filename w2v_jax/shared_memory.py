"""What partners on one machine give each other, through memory that they share.

Loopback carries about 1 GB/s between two processes, memory ten times that.
"""

import mmap
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ALIGNED = 64  # bytes


def make() -> int | None:
    """A file without a name, in memory alone, gone with the last process that has it."""
    if not hasattr(os, "memfd_create"):  # Linux has it
        return None
    file = os.memfd_create("w2v_jax")
    os.set_inheritable(file, True)
    return file


class Exchange:
    """`Partners.swap` through a file of `make` that all processes have.

    At a level a process has two buffers, used in turn: what its partner still reads stays until
    both have met at this level again. Raises OSError where memory is short.
    """

    def __init__(self, file: int, processes: int, number: int, swap: Callable[[int, Any], Any]):
        self.file, self.processes, self.number = file, processes, number
        self.swap = swap  # of little things: both have written, when it returns
        self.size = 0  # of the part of the file that is in use
        self.buffers: dict[tuple[int, int], list] = {}  # level, bytes -> own and partner's, in turn

    def __call__(self, level: int, tree: Any) -> Any:
        """The partner's arrays at a level, of the same shapes."""
        leaves, form = jax.tree.flatten(tree)
        bounds = np.cumsum([0, *(_aligned(leaf.nbytes) for leaf in leaves)])
        buffers = self._buffers(level, int(bounds[-1]))
        own, theirs = buffers[0]
        buffers.reverse()
        for leaf, begin in zip(leaves, bounds, strict=False):
            np.copyto(_array(own, begin, leaf), np.asarray(leaf))
        jax.block_until_ready(self.swap(level, jnp.int32(0)))
        found = [
            jnp.array(_array(theirs, begin, leaf))
            for leaf, begin in zip(leaves, bounds, strict=False)
        ]
        return jax.tree.unflatten(form, jax.block_until_ready(found))

    def _buffers(self, level: int, size: int) -> list[tuple[mmap.mmap, mmap.mmap]]:
        """[(own, partner's)] twice; all processes ask for the same in the same order."""
        if (level, size) not in self.buffers:
            each = -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
            begin, self.size = self.size, self.size + 2 * each * self.processes
            os.posix_fallocate(self.file, begin, self.size - begin)
            partner = self.number ^ (1 << level)

            def buffer(number: int, turn: int) -> mmap.mmap:
                offset = begin + (2 * number + turn) * each
                return mmap.mmap(self.file, each, offset=offset)

            self.buffers[level, size] = [
                (buffer(self.number, turn), buffer(partner, turn)) for turn in (0, 1)
            ]
        return self.buffers[level, size]


def _aligned(size: int) -> int:
    return -(-size // ALIGNED) * ALIGNED


def _array(buffer: mmap.mmap, begin: int, like: jax.Array) -> np.ndarray:
    """The bytes from `begin` on as an array of another's shape and type."""
    found = np.frombuffer(buffer, like.dtype, like.size, int(begin))
    return found.reshape(like.shape)
