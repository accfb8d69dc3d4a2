"""(key, ids) -> subsampled chunk: the tokens kept, their windows, the order of the centres.

Randomness is addressed, not threaded: subsampling and windows are drawn by (seed, epoch, chunk,
position), the order by (seed, epoch, chunk).
"""

import jax
import jax.numpy as jnp

from w2v_jax import sampling
from w2v_jax.engines import ENGINES
from w2v_jax.table_ops import look_up
from w2v_jax.types import HyperParams, SampledChunk, StaticConfig


def sample_chunk(
    key: jax.Array,
    epoch: jax.Array,
    chunk: jax.Array,
    tokens: jax.Array,
    line: jax.Array,
    hyper: HyperParams,
    static: StaticConfig,
) -> SampledChunk:
    """What an epoch trains of a chunk, from its tokens [C] and their lines [C] (-1 in padding).

    A token is kept with probability hyper.keep_prob of its word; windows are laid over what is left
    (Dive into Deep Learning 15.3; word2vec.c) and stop at line ends. Every kept token with at
    least one context is a centre exactly once; with static.full_windows, every one with all.
    """
    engine, size = ENGINES[static.engine], tokens.shape[0]
    drawn = jnp.where(static.redraw == "once", 0, epoch)
    draw_key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, 0), drawn), chunk)
    keep_key, window_key, negatives_key = jax.random.split(draw_key, 3)

    keep = (line >= 0) & (jax.random.uniform(keep_key, (size,)) < look_up(hyper.keep_prob, tokens))
    if static.dynamic_window and not static.expected_window:
        window = jax.random.randint(window_key, (size,), 1, hyper.window + 1)
    else:
        window = jnp.full((size,), hyper.window)
    index = jnp.where(keep, jnp.cumsum(keep) - 1, size)
    position = jnp.zeros((size,), jnp.int32).at[index].set(jnp.arange(size), mode="drop")
    kept = jnp.arange(size) < jnp.sum(keep)
    line = jnp.where(kept, look_up(line, position), -1)
    window = look_up(window, position)

    has_contexts = kept & sampling.has_contexts(line, window, static)
    centre = engine.centres_of_a_chunk(kept, has_contexts)
    sampled = SampledChunk(
        tokens=look_up(tokens, position),
        line=line,
        position=position,
        window=window,
        centre_order=jnp.zeros((0,), jnp.int32),
        centres=jnp.sum(centre).astype(jnp.int32),
        negatives_key=negatives_key,
        negatives=jnp.zeros((size, 0), jnp.int32),
    )
    sampled = sampled._replace(negatives=engine.negatives_of_a_chunk(sampled, hyper, static))
    return sampled._replace(centre_order=shuffle(key, epoch, chunk, sampled, static))


def shuffle(
    key: jax.Array, epoch: jax.Array, chunk: jax.Array, sampled: SampledChunk, static: StaticConfig
) -> jax.Array:
    """The order in which an epoch trains the centres of a chunk [C], or its blocks [C/L]."""
    order_key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(key, 1), epoch), chunk)
    return ENGINES[static.engine].order(order_key, sampled, static)
