"""What training takes of a device's memory: an estimate before anything is compiled."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from w2v_jax import subsampling, update
from w2v_jax.engines import ENGINES
from w2v_jax.losses import LOSSES
from w2v_jax.sweeping import padded
from w2v_jax.types import HyperParams, Params, StaticConfig

DRAWING = 12  # arrays as long as a chunk that drawing a stream takes beside it


def memory_needed(
    count: int,
    static: StaticConfig,
    vocab_size: int,
    dim: int,
    hyper: HyperParams,
    size: int,
    chunks: int,
    devices: Sequence[jax.Device],
    vmap_width: int,
    states: int = 2,
) -> int:
    """Bytes, all devices together, of training `count` trials: an estimate before compilation.

    States twice (what a dispatch gets, and what it gives) or `states` times, the text on each
    device, and for each trial in work a chunk's stream with what drawing it takes, its batch and
    its gradients.
    """
    tables = jax.ShapeDtypeStruct((vocab_size, dim), jnp.float32)
    state = jax.eval_shape(partial(update.init_state, static=static), Params(tables, tables), hyper)
    ids = jax.ShapeDtypeStruct((size,), jnp.int32)
    index, key = jax.ShapeDtypeStruct((), jnp.int32), jax.eval_shape(lambda: jax.random.key(0))
    draw = partial(subsampling.sample_chunk, static=static)
    sampled = jax.eval_shape(draw, key, index, index, ids, ids, hyper)
    rows = 4 * dim * ENGINES[static.engine].rows_of_a_step(static)
    gradients = 3 * _bytes(state.params) if static.update == "dense" else rows
    scores = 3 * 4 * static.batch_size * vocab_size if LOSSES[static.loss].vocabulary else 0
    copies = _bytes(state) * (1 if vmap_width == 1 else 3)  # vmapped choices compute both sides
    work = 2 * _bytes(sampled) + DRAWING * _bytes(ids) + copies + rows + gradients + scores
    whole = padded(count, devices, vmap_width)
    text = 2 * chunks * _bytes(ids)
    return states * whole * (_bytes(state) + _bytes(hyper)) + len(devices) * (
        text + vmap_width * work
    )


def _bytes(tree: Any) -> int:
    leaves = jax.tree.leaves(tree)
    return sum(leaf.size * (leaf.dtype.itemsize if leaf.dtype != object else 8) for leaf in leaves)
