"""Subsampled chunk -> windows, negatives -> Batch. All of it on the device.

Negatives are drawn by the address of their centre, (seed, epoch, chunk, position). So a batch is a
function of (seed, epoch, chunk, step), whatever was computed before it.
"""

import jax
import jax.numpy as jnp

from w2v_jax import draws
from w2v_jax.losses import LOSSES
from w2v_jax.noise import NOISE, Draws
from w2v_jax.table_ops import look_up
from w2v_jax.types import Batch, HyperParams, PathBatch, SampledChunk, StaticConfig

NOISE_BLOCK = 4096  # centres whose noise is drawn at a time where all of it is drawn at once


def order_of_centres(key: jax.Array, sampled: SampledChunk, static: StaticConfig) -> jax.Array:
    """The centres of a chunk in `static.order`, then the other positions: [C] int32."""
    centre = (sampled.line >= 0) & has_contexts(sampled.line, sampled.window, static)
    # One sort: centres first, in random order (ties of 31 random bits stay in text order).
    if static.order == "text":
        bits = jnp.zeros(sampled.line.shape, jnp.uint32)
    else:
        bits = jax.random.bits(key, sampled.line.shape, jnp.uint32)
    return order_of(jnp.where(centre, bits >> 1, jnp.uint32(2**31)), static.platform)


def order_of(rank: jax.Array, platform: str = "cpu") -> jax.Array:
    """The indices of a rank from its least to its greatest, equals in order: [n] uint32 -> int32.

    Rank and index are sorted as one number of 64 bits: XLA's CPU backend sorts single numbers much
    faster than pairs. TPUs have no such numbers.
    """
    if platform == "tpu":
        return jnp.argsort(rank).astype(jnp.int32)
    with jax.enable_x64(True):
        both = rank.astype(jnp.uint64) << 32 | jnp.arange(rank.shape[0], dtype=jnp.uint64)
        return (jnp.sort(both) & jnp.uint64(2**32 - 1)).astype(jnp.int32)


def negatives_of_a_chunk(
    sampled: SampledChunk, hyper: HyperParams, static: StaticConfig
) -> jax.Array:
    """What is drawn for a chunk at once: with redraw once every position's negatives [C, P K]."""
    if static.redraw != "once" or not LOSSES[static.loss].draws_negatives:
        return sampled.negatives
    return _all_negatives(sampled, hyper, static)


def _all_negatives(sampled: SampledChunk, hyper: HyperParams, static: StaticConfig) -> jax.Array:
    """The negatives of every position [C, P K], in blocks, as make_batch would draw them."""
    size = sampled.tokens.shape[0]
    block = min(NOISE_BLOCK, size)

    def draw(i, drawn):
        index = jnp.minimum(i * block, size - block) + jnp.arange(block)
        noise = _negatives_at(sampled, index, hyper, static).reshape(block, -1)
        return jax.lax.dynamic_update_slice_in_dim(drawn, noise, index[0], axis=0)

    slots = (2 * static.window if static.model == "skipgram" else 1) * static.negatives
    kept = jnp.sum(sampled.line >= 0)
    start = jnp.zeros((size, slots), jnp.int32)
    return jax.lax.fori_loop(0, -(-kept // block), draw, start)


def _negatives_at(
    sampled: SampledChunk, index: jax.Array, hyper: HyperParams, static: StaticConfig
) -> jax.Array:
    """Negatives of the centres at these positions, [n] -> [n, P, K]."""
    if static.model == "skipgram":
        positives, exists = windows(sampled, index, static)
    else:
        positives = look_up(sampled.tokens, index)[:, None]
        exists = jnp.ones_like(positives, bool)
    position = look_up(sampled.position, index)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(sampled.negatives_key, position)
    return draw_negatives(keys, positives, exists, hyper, static)


def has_contexts(line: jax.Array, window: jax.Array, static: StaticConfig) -> jax.Array:
    """Which positions [C] have a context, or, with full_windows, all 2 x span of them."""
    position = jnp.arange(line.shape[0])

    def same_line(offset):
        other = position + offset
        inside = (other >= 0) & (other < line.shape[0])
        return inside & (look_up(line, jnp.maximum(other, 0)) == line)

    if static.full_windows:
        return same_line(window) & same_line(-window)
    return same_line(1) | same_line(-1)


def centres_of(sampled: SampledChunk, step: jax.Array, static: StaticConfig):
    """The centres of one step: positions in the stream [T], and which slots hold one [T]."""
    slot = step * static.batch_size + jnp.arange(static.batch_size)
    return look_up(sampled.centre_order, slot), slot < sampled.centres


def _offsets(static: StaticConfig) -> jax.Array:
    """Where the contexts of a centre stand, [2W]."""
    w = static.window
    return jnp.concatenate([jnp.arange(-w, 0), jnp.arange(1, w + 1)])


def windows(sampled: SampledChunk, index: jax.Array, static: StaticConfig):
    """The windows of the centres at these positions: contexts [n, 2W], and which exist [n, 2W]."""
    size = sampled.tokens.shape[0]
    offsets = _offsets(static)
    position = index[:, None] + offsets[None, :]
    other = jnp.clip(position, 0, size - 1)
    exists = (
        (jnp.abs(offsets)[None, :] <= look_up(sampled.window, index)[:, None])
        & (position == other)
        & (look_up(sampled.line, other) == look_up(sampled.line, index)[:, None])
    )
    return look_up(sampled.tokens, other), exists


def context_weights(distance: jax.Array, window: jax.Array, static: StaticConfig) -> jax.Array:
    """Weight of a context at a distance of words, [..] both: 1, or P(a window holds it).

    With static.expected_window P(span >= distance) = 1 - (distance - 1) / window for a span of
    U{1..window}. Skip-gram's loss is a sum over contexts: this is its mean over drawn
    windows. CBOW's is not. There it is a mean of contexts weighted by distance, another model.
    """
    if not (static.dynamic_window and static.expected_window):
        return jnp.ones(distance.shape, jnp.float32)
    return jnp.maximum(1 - (distance - 1) / window, 0)


def steps_of(centres, static: StaticConfig):
    """Steps of an epoch over a chunk with so many centres."""
    if static.drop_last:
        return centres // static.batch_size
    return -(-centres // static.batch_size)


def make_batch(
    sampled: SampledChunk, step: jax.Array, hyper: HyperParams, static: StaticConfig
) -> Batch | PathBatch:
    """The batch of a step. Skip-gram: centre -> its contexts; CBOW: contexts -> their centre.

    T rows; C = 1 and P = 2W for skip-gram, C = 2W and P = 1 for CBOW; K is 0 for a loss over the
    vocabulary. Of hierarchical softmax the positives' paths.
    """
    index, real = centres_of(sampled, step, static)
    contexts, exists = windows(sampled, index, static)
    centre = look_up(sampled.tokens, index)[:, None]
    distance = jnp.abs(_offsets(static))
    exists = (exists & real[:, None]).astype(jnp.float32)
    exists *= context_weights(distance, hyper.window, static)[None, :]
    has_input = jnp.max(exists, axis=1, keepdims=True)
    if static.model == "skipgram":
        inputs, input_weights = centre, has_input
        positives, weights = contexts, exists
    else:
        inputs = contexts
        input_weights = exists / jnp.maximum(jnp.sum(exists, axis=1, keepdims=True), 1)
        positives, weights = centre, has_input
    if LOSSES[static.loss].paths:
        paths = look_up(hyper.paths, positives)
        return PathBatch(inputs, input_weights, positives, weights, paths)
    if LOSSES[static.loss].vocabulary:
        none = jnp.zeros((*positives.shape, 0))
        return Batch(inputs, input_weights, positives, weights, none.astype(jnp.int32), none)
    rows = static.batch_size
    if sampled.negatives.shape[1]:
        noise = look_up(sampled.negatives, index).reshape(rows, -1, static.negatives)
    else:
        noise = _negatives_at(sampled, index, hyper, static)  # [T, P, K]
    used = (jnp.arange(static.negatives) < hyper.negatives).astype(jnp.float32)
    negative_weights = weights[:, :, None] * used[None, None, :]
    if NOISE[static.noise].skips_target:
        negative_weights *= (noise != positives[:, :, None]).astype(jnp.float32)
    return Batch(inputs, input_weights, positives, weights, noise, negative_weights)


def draw_negatives(
    keys: jax.Array,
    positives: jax.Array,
    exists: jax.Array,
    hyper: HyperParams,
    static: StaticConfig,
) -> jax.Array:
    """K negatives for each positive, by the law static.noise.

    keys [T], positives [T, P], exists [T, P] -> [T, P, K].
    """
    law = NOISE[static.noise]
    rows, slots = positives.shape

    def candidates(round_, n):
        def row(key):  # drawn flat: small trailing dimensions cost four times as much on CPU
            key = jax.random.fold_in(key, round_)
            return draws.independent(key, slots * n, hyper)

        return jax.vmap(row)(keys).reshape(rows, slots, n)

    return law.draw(Draws(keys, hyper.noise, candidates), positives, exists, static.negatives)


def draw_words(key: jax.Array, groups: int, size: int, hyper: HyperParams) -> jax.Array:
    """Negatives [groups, size], stratified: one from each of as many equal shares of Pn.

    The shares are turned by one random number (a rotation modulo 1, Cranley and Patterson 1976).
    Every word alone has the law of `draws.of_bits`; together, and within a group, they follow Pn
    closer than independent draws would. The cost is log V a word, not V a call.
    """
    count = groups * size
    within, turn = jax.random.split(key)
    width = (2**32 - 1) // count
    bits = jnp.arange(count, dtype=jnp.uint32) * jnp.uint32(width)
    bits += jax.random.bits(within, (count,), jnp.uint32) % jnp.uint32(width)
    bits += jax.random.bits(turn, (), jnp.uint32)  # all turned by one draw: each is uniform
    words = draws.of_bits(bits, hyper)
    return words.reshape(size, groups).T  # neighbouring shares go to different groups
