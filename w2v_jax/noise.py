"""The laws of negatives, and NOISE, where the code looks them up."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from w2v_jax.table_ops import look_up
from w2v_jax.types import Registry


class Draws(NamedTuple):
    """What a law makes negatives of, for T rows of P positives."""

    keys: jax.Array  # [T] a key a row
    noise: jax.Array  # [V] Pn
    words: Callable  # (round, n) -> [T, P, n] int32: independent draws of Pn, others each round


class NegativeDistribution(NamedTuple):
    """How K negatives are drawn for a positive, and what follows from it."""

    draw: Callable  # (Draws, positives [T, P], exists [T, P], K) -> [T, P, K] int32
    needs: Callable  # (W, K) -> number of words that Pn must be able to hit
    ratio: Callable | None = None  # law(word | positive) / Pn(word) for the blocks engine: below
    by_row: bool = False  # depends on all positives of a row, not on the positive alone
    log_noise: Callable | None = None  # Pn [V] -> log of the law that a perplexity takes, [V]
    hits_target: bool | None = None  # whether a negative may be its own positive; None: not known
    skips_target: bool = False  # a draw that is its own positive counts among the K, and weighs 0
    uses: tuple[str, ...] = ("noise_power",)  # flags that have an effect with it


def with_replacement(draws: Draws, positives: jax.Array, exists: jax.Array, k: int) -> jax.Array:
    """K independent draws of Pn; a positive may occur (word2vec's paper)."""
    del positives, exists
    return draws.words(0, k)


def exclude_target(draws: Draws, positives: jax.Array, exists: jax.Array, k: int) -> jax.Array:
    """Draws that hit their own positive are drawn again."""
    return first_good(draws, partial(_is_other, positives), exists, k)


def exclude_contexts(draws: Draws, positives: jax.Array, exists: jax.Array, k: int) -> jax.Array:
    """Draws that hit any positive of the row are drawn again (d2l 15.3.5)."""

    def good(words):
        hit = (words[..., None] == positives[:, None, None, :]) & exists[:, None, None, :]
        return ~jnp.any(hit, axis=-1)

    return first_good(draws, good, exists, k)


def without_replacement(draws: Draws, positives: jax.Array, exists: jax.Array, k: int) -> jax.Array:
    """K distinct words, none of them the positive, one after the other from what is left.

    Deep Learning from Scratch 2, 4.2.6, the CPU sampler.
    """
    return first_good(draws, partial(_is_other, positives), exists, k, distinct=True)


def _is_other(positives: jax.Array, words: jax.Array) -> jax.Array:
    """Which words are not their positive: [T, P], [T, P, n] -> [T, P, n]."""
    return words != positives[:, :, None]


def first_good(
    draws: Draws, good: Callable, exists: jax.Array, k: int, distinct: bool = False
) -> jax.Array:
    """The first K good words of an endless sequence of draws, [T, P, K].

    That has the law of zeroing and renormalising Pn. good: words [T, P, n] -> which are, [T, P, n].
    Positives that don't exist [T, P] get any words. distinct: none twice.
    """
    spare = k + 3 if distinct else 3  # so many too many that a second round is rare

    def draw_on(carry):  # what was chosen before comes first
        round_, chosen, filled = carry
        drawn = draws.words(round_, k + spare)
        known = jnp.arange(k)[None, None] < filled[..., None]
        sequence = jnp.concatenate([chosen, drawn], axis=-1)
        known = jnp.concatenate([known, good(drawn)], axis=-1)
        return round_ + 1, *_first_good(sequence, known, k, distinct)

    drawn = draws.words(0, k + spare)
    start = 1, *_first_good(drawn, good(drawn), k, distinct)
    _, chosen, _ = jax.lax.while_loop(lambda c: jnp.any((c[2] < k) & exists), draw_on, start)
    return chosen


def _first_good(
    words: jax.Array, good: jax.Array, k: int, distinct: bool
) -> tuple[jax.Array, jax.Array]:
    """The first K good words [T, P, K] of [T, P, n], then 0; how many they are [T, P].

    distinct: a word that is there already is not good again.
    """
    if distinct:
        good &= ~_seen_before(words, good)
    rank = jnp.cumsum(good, axis=-1) - 1
    take = (rank[..., None, :] == jnp.arange(k)[None, None, :, None]) & good[..., None, :]
    chosen = jnp.sum(jnp.where(take, words[..., None, :], 0), axis=-1)
    return chosen, jnp.minimum(rank[..., -1] + 1, k)


def _seen_before(words: jax.Array, good: jax.Array) -> jax.Array:
    """Which entries repeat an earlier good one of the last axis: [.., n] -> [.., n]."""
    n = words.shape[-1]
    same = (words[..., :, None] == words[..., None, :]) & good[..., None, :]
    return jnp.any(same & jnp.tri(n, k=-1, dtype=bool)[None, None], axis=-1)


# The blocks engine draws its words of Pn, for many positives together, and weighs each by
# law(word | positive) / Pn(word), where Pn(word) is not 0: the mean is the law's. Of a law that
# skips, law(word | positive) is the chance that a draw is the word and trains.
# ratio: (positives [.., 1], words [.., n], Pn [V]) -> two factors of it, [.., 1] and [.., n]; None
# in place of the second where the word has no say. Ids of V and more are no words.


def as_drawn(positives: jax.Array, words: jax.Array, noise: jax.Array) -> tuple:
    """1, for words that are drawn with replacement."""
    del words, noise
    return jnp.ones(positives.shape, jnp.float32), None


def but_the_target(positives: jax.Array, words: jax.Array, noise: jax.Array) -> tuple:
    """[w != t] / (1 - Pn(t)): draws that hit are repeated."""
    again = 1 / (1 - look_up(noise, positives))
    return again, positives != words


def skipping_the_target(positives: jax.Array, words: jax.Array, noise: jax.Array) -> tuple:
    """[w != t]: draws that hit are not repeated, so that the sum over words is 1 - Pn(t)."""
    del noise
    return jnp.ones(positives.shape, jnp.float32), positives != words


NOISE = Registry(
    "noise",
    with_replacement=NegativeDistribution(
        with_replacement, lambda window, k: 1, ratio=as_drawn, log_noise=jnp.log, hits_target=True
    ),
    exclude_target=NegativeDistribution(
        exclude_target,
        lambda window, k: 2,
        ratio=but_the_target,
        log_noise=jnp.log,
        hits_target=False,
    ),
    skip_target=NegativeDistribution(  # word2vec.c's TrainModelThread, gensim's word2vec_inner.pyx
        with_replacement,
        lambda window, k: 1,
        ratio=skipping_the_target,
        log_noise=jnp.log,
        hits_target=False,
        skips_target=True,
    ),
    exclude_contexts=NegativeDistribution(
        exclude_contexts,
        lambda window, k: 2 + 2 * window,
        by_row=True,
        log_noise=jnp.log,
        hits_target=False,
    ),
    without_replacement=NegativeDistribution(
        without_replacement, lambda window, k: 1 + k, log_noise=jnp.log, hits_target=False
    ),
)
