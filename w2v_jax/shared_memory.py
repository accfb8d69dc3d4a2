"""Processes of one machine as the partners of a training, through memory that they share.

Each is a JAX of its own. They need neither ports nor `jax.distributed`; loopback carries about
1 GB/s between two processes, memory more than twice that.
"""

import mmap
import os
import socket
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax.replicas import Partners

PIECE = 2**20  # bytes given at a time: they stay in the processor's cache


def make() -> int | None:
    """A file without a name, in memory alone, gone with the last process that has it."""
    if not hasattr(os, "memfd_create"):  # Linux has it
        return None
    return os.memfd_create("w2v_jax")


def connections(processes: int) -> list[list[socket.socket]]:
    """Of each process the ends that lead to its partners, level by level."""
    ends: list[list[socket.socket]] = [[] for _ in range(processes)]
    for level in range(processes.bit_length() - 1):
        for number in range(processes):
            partner = number ^ (1 << level)
            if number < partner:
                one, other = socket.socketpair()
                ends[number].append(one)
                ends[partner].append(other)
    return ends


def partners(file: int, ends: Sequence[socket.socket], number: int) -> Partners:
    """Those of process `number`; file, ends: of `make` and `connections`."""
    return Partners(1 << len(ends), number, Exchange(file, ends, number))


class Exchange:
    """`Partners.swap`. Raises ConnectionError where the partner is lost, OSError without memory.

    At a level a process has two buffers, used in turn: when both have written the next piece, its
    partner has read the one before.
    """

    def __init__(self, file: int, ends: Sequence[socket.socket], number: int):
        levels = len(ends)
        os.posix_fallocate(file, 0, 2 * PIECE * (levels << levels))

        def buffers(process: int, level: int) -> list[np.ndarray]:
            offset = 2 * PIECE * (process * levels + level)
            found = np.frombuffer(mmap.mmap(file, 2 * PIECE, offset=offset), np.uint8)
            return [found[:PIECE], found[PIECE:]]

        self._ends = ends
        self._own = [buffers(number, level) for level in range(levels)]
        self._theirs = [buffers(number ^ (1 << level), level) for level in range(levels)]

    def __call__(self, level: int, tree: Any) -> Any:
        """The partner's arrays at a level, of the same shapes."""
        leaves, form = jax.tree.flatten(tree)
        return jax.tree.unflatten(form, [self._leaf(level, np.asarray(leaf)) for leaf in leaves])

    def _leaf(self, level: int, leaf: np.ndarray) -> jax.Array:
        found = np.empty_like(leaf, order="C")
        given, taken = _bytes(leaf), _bytes(found)
        for begin in range(0, len(given), PIECE):
            piece = slice(begin, min(begin + PIECE, len(given)))
            count = piece.stop - begin
            self._own[level][0][:count] = given[piece]
            self._wait(level)
            taken[piece] = self._theirs[level][0][:count]
            self._own[level].reverse()
            self._theirs[level].reverse()
        return jnp.asarray(found)

    def _wait(self, level: int) -> None:
        """Until the partner has written too."""
        self._ends[level].sendall(b".")
        if not self._ends[level].recv(1):
            raise ConnectionError("a partner is gone")


def _bytes(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
