"""The law of random words, by which numbers draw each: no sampling, up to 10^6 words."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import equations

from w2v_jax import draws, sampling
from w2v_jax.data import vocab
from w2v_jax.types import HyperParams, SampledChunk, StaticConfig

SIZES = (10_000, draws.CHOICE, draws.CHOICE + 1, 10**6)


def zipf(size, power=0.75):
    """Pn of counts in proportion to 1 / rank."""
    return vocab.noise_distribution(1 / np.arange(1.0, size + 1), power)


def hyper_of(pn):
    one, ones = jnp.float32(1), jnp.ones(len(pn), jnp.float32)
    table = jnp.asarray(vocab.cumulative(pn))
    counts = jnp.int32(2), jnp.int32(2)
    return HyperParams(one, ones, jnp.float32(pn), table, *counts, one, one, one, one)


def law_of(pn):
    """The exact law of `draws.independent`, [V]; and what a number from 0 to 1 draws."""
    if len(pn) <= draws.CHOICE:  # of jax.random.choice, from each value of jax.random.uniform
        sums = np.asarray(jnp.cumsum(jnp.float32(pn)))

        def word(u):
            return np.searchsorted(sums, sums[-1] * (np.float32(1) - u))

        words = word(np.arange(2**23, dtype=np.float32) / 2**23)
        return np.bincount(words, minlength=len(pn)) / 2**23, word
    ends = np.append(vocab.cumulative(pn)[:-1].astype(np.int64), 2**32)
    return np.diff(ends, prepend=0) / 2**32, partial(np.searchsorted, ends, side="right")


@pytest.mark.parametrize("size", SIZES)
def test_a_words_probability_is_right_at_any_size(size):
    """Within 1% of Pn at the rarest word too, as by choice up to CHOICE; beyond within .1%."""
    pn = zipf(size)
    law, _ = law_of(pn)
    assert np.abs(law / pn - 1).max() < (0.01 if size <= draws.CHOICE else 0.001)
    assert np.abs(law - pn).max() < (1.3 / 2**23 if size <= draws.CHOICE else 1 / 2**32)
    assert law.sum() == 1


@pytest.mark.parametrize("size", SIZES)
def test_words_are_drawn_by_that_law(size):
    hyper, key, n = hyper_of(zipf(size)), jax.random.key(0), 20_000
    _, word = law_of(zipf(size))
    found = jax.jit(draws.independent, static_argnums=1)(key, n, hyper)
    number = jax.random.uniform if size <= draws.CHOICE else jax.random.bits
    np.testing.assert_array_equal(found, word(np.asarray(number(key, (n,)))))


@pytest.mark.parametrize("power", [0, 0.75, 1, 2, 4])
def test_the_table_gives_each_of_a_million_words_its_numbers(power):
    """Its first and its last, as many as Pn says to 1 of 2^32, one word to 2; sums of words too."""
    counts = 1 / np.arange(1.0, 10**6 + 1)
    counts[[10, 1000, -2, -1]] = 0
    pn = vocab.noise_distribution(counts, power)
    ends = np.append(vocab.cumulative(pn)[:-1].astype(np.int64), 2**32)
    ends[ends == 2**32 - 1] = 2**32  # the numbers end there: nothing is left for words behind
    begins, owned = np.append(0, ends[:-1]), np.diff(ends, prepend=0)
    off = np.sort(np.abs(owned - pn * 2**32))
    assert off[-2] <= 1 and off[-1] <= 2
    assert np.abs(ends - np.cumsum(pn) * 2**32).max() <= 1.51  # where it ends; before, half
    assert not owned[counts == 0].any() and (owned[pn >= 2 / 2**32] > 0).all()
    some, of_bits = np.flatnonzero(owned), jax.jit(draws.of_bits)
    for numbers in (begins[some], ends[some] - 1):
        np.testing.assert_array_equal(of_bits(jnp.uint32(numbers), hyper_of(pn)), some)


@pytest.mark.parametrize("counts", [[5], [5, 0], [1, 1, 1], [0, 3, 0], [1] * 7 + [0] * 3])
def test_the_ends_of_the_table_belong_to_words_that_occur(counts):
    pn = vocab.noise_distribution(np.array(counts), 0.75)
    occur = np.flatnonzero(counts)
    found = draws.of_bits(jnp.uint32([0, 2**32 - 2, 2**32 - 1]), hyper_of(pn))
    assert found.tolist() == [occur[0], occur[-1], occur[-1]]


@pytest.mark.parametrize("law", sampling.NOISE)
def test_beyond_choice_no_step_makes_anything_as_large_as_the_vocabulary(monkeypatch, law):
    size, slots = draws.CHOICE + 1, 64
    hyper = hyper_of(zipf(size))
    ids = jnp.zeros(slots, jnp.int32)
    sampled = SampledChunk(*[ids] * 5, jnp.int32(slots), jax.random.key(0), ids[:, None][:, :0])
    static = StaticConfig(noise=law, window=2, negatives=2, batch_size=16)

    def shapes():
        make = partial(sampling.make_batch, static=static)
        made = jax.make_jaxpr(make)(sampled, jnp.int32(0), hyper)
        return {var.aval.shape for eqn in equations(made.jaxpr) for var in eqn.outvars}

    assert (16, 4, 2) in shapes() and (size,) not in shapes()
    monkeypatch.setattr(draws, "CHOICE", size)
    assert (size,) in shapes()  # choice's cumulative sum
