"""What partners give each other through memory is what they gave, whoever is slow."""

import mmap
import os
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from w2v_jax import shared_memory

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memfd_create is Linux's")


def rows_of(number, level, turn, slow):
    """A process's arrays at a turn: of other sizes at other levels."""
    time.sleep(slow[turn % len(slow)])
    rng = np.random.default_rng([number, level, turn])
    table = jnp.asarray(rng.random((2000 - level, 3)), jnp.float32)
    return {"table": table, "ids": jnp.arange(7 + level) + turn, "one": jnp.float32(number)}


@pytest.mark.parametrize("count", [2, 4])
def test_each_gets_its_partners_arrays_of_this_turn(count, monkeypatch):
    monkeypatch.setattr(shared_memory, "PIECE", mmap.ALLOCATIONGRANULARITY)  # many pieces
    file, ends = shared_memory.make(), shared_memory.connections(count)

    def one(number):
        slow = [0.004, 0] if number % 2 else [0, 0.002, 0]
        swap, found = shared_memory.partners(file, ends[number], number).swap, []
        for turn in range(6):
            for level in [*range(count.bit_length() - 1), 0]:
                theirs = swap(level, rows_of(number, level, turn, slow))
                found.append((level, turn, theirs))
        return found

    with ThreadPoolExecutor(count) as pool:
        all_found = list(pool.map(one, range(count)))
    os.close(file)
    for number, found in enumerate(all_found):
        for level, turn, theirs in found:
            expected = rows_of(number ^ (1 << level), level, turn, [0])
            jax.tree.map(np.testing.assert_array_equal, theirs, expected)


def test_a_lost_partner_is_an_error_at_once():
    file, ends = shared_memory.make(), shared_memory.connections(2)
    ends[1][0].close()
    with pytest.raises(ConnectionError):
        shared_memory.partners(file, ends[0], 0).swap(0, np.zeros(3))
    os.close(file)


def test_the_file_is_gone_with_its_last_holder():
    file = shared_memory.make()
    assert not os.fstat(file).st_nlink
    os.close(file)
