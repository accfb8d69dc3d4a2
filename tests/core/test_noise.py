"""Negatives: each law, by chi-square at p > 0.001 with fixed seeds."""

import itertools
from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from laws import chi_square
from scipy import stats

from w2v_jax import draws, sampling
from w2v_jax.data import vocab
from w2v_jax.types import StaticConfig

TALK = np.array([0.7, 0.29, 0.01]) ** 0.75 / np.sum(np.array([0.7, 0.29, 0.01]) ** 0.75)
COUNTS = np.array([60, 25, 9, 4, 2])
PN = COUNTS**0.75 / np.sum(COUNTS**0.75)


@pytest.fixture(scope="module", params=["choice", "table"])
def noise_of(request, make_hyper):
    """(law, positives, pn, k) -> [rows, P, K] negatives, each row with the same positives.

    As words are drawn up to draws.CHOICE, and beyond.
    """
    draw_negatives = jax.jit(partial(sampling.draw_negatives), static_argnames="static")

    def drawn(law, positives, pn, k, exists=None, rows=4000, seed=0):
        positives = jnp.tile(jnp.int32(positives), (rows, 1))
        exists = jnp.tile(jnp.asarray(True if exists is None else exists), (rows, 1))
        exists = jnp.broadcast_to(exists, positives.shape)
        keys = jax.random.split(jax.random.key(seed), rows)
        static = StaticConfig(noise=law, negatives=k)
        return np.asarray(draw_negatives(keys, positives, exists, make_hyper(pn), static=static))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draws, "CHOICE", 0 if request.param == "table" else draws.CHOICE)
        yield drawn


def without(pn, *words):
    """pn with the words' probabilities set to zero, renormalised."""
    left = np.array(pn)
    left[list(words)] = 0
    return left / left.sum()


def test_the_talks_distribution():
    np.testing.assert_allclose(TALK, [0.64196878, 0.33150408, 0.02652714], atol=5e-9)
    np.testing.assert_allclose(vocab.noise_distribution(np.array([70, 29, 1]), 0.75), TALK)


def test_noise_with_replacement_is_unigram_to_three_quarters_and_independent(noise_of):
    drawn = noise_of("with_replacement", [0, 1], PN, 3)
    counts = np.bincount(drawn.ravel(), minlength=5)
    assert chi_square(counts, PN * drawn.size) > 1e-3
    across = [
        drawn[:, 0, :2],
        drawn[:, :, 0],
        drawn[1:, 0, :1].reshape(-1, 1)[:3998].reshape(-1, 2),
    ]
    for two in across:  # two draws of a slot, two slots of a row, two rows
        joint = np.bincount(two[:, 0] * 5 + two[:, 1], minlength=25)
        assert chi_square(joint, np.outer(PN, PN).ravel() * len(two)) > 1e-3


@pytest.mark.parametrize("target", [0, 1, 2])
def test_excluding_the_target_is_the_law_with_its_probability_at_zero(noise_of, target):
    drawn = noise_of("exclude_target", [target], TALK, 5)
    counts = np.bincount(drawn.ravel(), minlength=3)
    assert chi_square(counts, without(TALK, target) * drawn.size) > 1e-3


def test_excluding_the_target_holds_a_slot_at_a_time(noise_of):
    drawn = noise_of("exclude_target", [0, 3], PN, 2)
    for slot, target in enumerate([0, 3]):
        counts = np.bincount(drawn[:, slot].ravel(), minlength=5)
        assert chi_square(counts, without(PN, target) * counts.sum()) > 1e-3
        joint = np.bincount(drawn[:, slot, 0] * 5 + drawn[:, slot, 1], minlength=25)
        law = without(PN, target)
        assert chi_square(joint, np.outer(law, law).ravel() * len(drawn)) > 1e-3


@pytest.mark.parametrize("exists", [[True, True], [True, False]])
def test_excluding_contexts_excludes_those_of_the_row_that_exist(noise_of, exists):
    drawn = noise_of("exclude_contexts", [0, 2], PN, 3, exists)
    out = [word for word, there in zip([0, 2], exists, strict=True) if there]
    for slot in np.flatnonzero(exists):
        counts = np.bincount(drawn[:, slot].ravel(), minlength=5)
        assert chi_square(counts, without(PN, *out) * counts.sum()) > 1e-3


@pytest.mark.parametrize(("target", "k"), [(0, 2), (3, 2), (0, 4)])
def test_without_replacement_is_the_sequential_law_of_distinct_words(noise_of, target, k):
    drawn = noise_of("without_replacement", [target], PN, k)[:, 0]
    found, expected = Counter(map(tuple, drawn.tolist())), {}
    for words in itertools.permutations(set(range(5)) - {target}, k):
        p = 1.0
        for index, word in enumerate(words):
            p *= without(PN, target, *words[:index])[word]
        expected[words] = p * len(drawn)
    assert set(found) <= set(expected)
    likely = [words for words in expected if expected[words] >= 5]
    rest = len(drawn) - sum(expected[words] for words in likely)
    observed = [found[words] for words in likely]
    assert (
        chi_square([*observed, len(drawn) - sum(observed)], [*map(expected.get, likely), rest])
        > 1e-3
    )


def test_every_word_drawn_follows_the_law_and_all_together_closely(make_hyper):
    counts = np.array([60, 25, 9, 4, 2, 0])
    pn = vocab.noise_distribution(counts, 0.75)
    hyper = make_hyper(pn)
    for groups, size in ((1, 1), (3, 2), (4, 5)):
        draw = jax.vmap(lambda key: sampling.draw_words(key, groups, size, hyper))  # noqa: B023
        drawn = np.asarray(jax.jit(draw)(jax.random.split(jax.random.key(0), 8000)))
        assert drawn.shape == (8000, groups, size) and not (drawn == 5).any()
        for column in drawn.reshape(8000, -1).T:
            observed = np.bincount(column, minlength=6)[:5]
            assert stats.chisquare(observed, pn[:5] * 8000).pvalue > 1e-3
        hot = np.eye(6)[drawn]
        times = hot.sum(axis=(1, 2))
        assert np.abs(times - groups * size * pn).max() < 2  # a share an end, and all between
        assert np.abs(hot.sum(axis=2) - size * pn).max() < 2
