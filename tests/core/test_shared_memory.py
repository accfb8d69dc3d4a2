"""What partners give each other through memory is what they gave, whoever is slow."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.core.test_replicas import Together
from w2v_jax import shared_memory

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memfd_create is Linux's")


def rows_of(number, level, turn, slow):
    """A process's arrays at a turn: of other sizes at other levels."""
    time.sleep(slow[turn % len(slow)])
    rng = np.random.default_rng([number, level, turn])
    table = jnp.asarray(rng.random((5 - level, 3)), jnp.float32)
    return {"table": table, "ids": jnp.arange(7 + level) + turn, "one": jnp.float32(number)}


@pytest.mark.parametrize("count", [2, 4])
def test_each_gets_its_partners_arrays_of_this_turn(count):
    together, file = Together(count), shared_memory.make()

    def one(number):
        slow = [0.004, 0] if number % 2 else [0, 0.002, 0]
        swap = together.partners(number).swap
        exchange, found = shared_memory.Exchange(file, count, number, swap), []
        for turn in range(6):
            for level in [*range(count.bit_length() - 1), 0]:
                theirs = exchange(level, rows_of(number, level, turn, slow))
                found.append((level, turn, theirs))
        return found

    with ThreadPoolExecutor(count) as pool:
        all_found = list(pool.map(one, range(count)))
    os.close(file)
    for number, found in enumerate(all_found):
        for level, turn, theirs in found:
            expected = rows_of(number ^ (1 << level), level, turn, [0])
            jax.tree.map(np.testing.assert_array_equal, theirs, expected)


def test_the_file_is_gone_with_its_last_holder():
    file = shared_memory.make()
    assert os.get_inheritable(file) and not os.fstat(file).st_nlink
    os.close(file)
