"""What training takes of a device's memory: an estimate before anything is compiled."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from w2v_jax import columns, subsampling, training, update
from w2v_jax.engines import ENGINES
from w2v_jax.losses import LOSSES
from w2v_jax.sweeping import padded
from w2v_jax.types import HyperParams, Params, StaticConfig, SubwordParams

REGISTER_WIDTH = 128  # of a TPU's register
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

    States twice (those of the epoch's beginning, and those in work) or `states` times, the text on
    each device, and for each trial in work a copy of its state, a chunk's stream with what drawing
    it takes, its batches and its gradients. A TPU's tables have rows of whole registers. Split by
    columns, each device has D / S of them.
    """
    dim //= columns.count(static.mesh)
    platform = devices[0].platform
    static = static._replace(platform=platform)
    tables = jax.ShapeDtypeStruct((vocab_size, dim), jnp.float32)
    params = Params(tables, tables)
    if hyper.ngrams is not None:
        ngrams = jax.ShapeDtypeStruct((hyper.ngrams.count, dim), jnp.float32)
        params = SubwordParams(tables, tables, ngrams)
    state = jax.eval_shape(partial(update.init_state, static=static), params, hyper)
    ids = jax.ShapeDtypeStruct((size,), jnp.int32)
    index, key = jax.ShapeDtypeStruct((), jnp.int32), jax.eval_shape(lambda: jax.random.key(0))
    draw = partial(subsampling.sample_chunk, static=static)
    sampled = jax.eval_shape(draw, key, index, index, ids, ids, hyper)
    length = () if hyper.paths is None else hyper.paths.shape[-1:]
    rows = 4 * dim * ENGINES[static.engine].rows_of_a_step(static, *length)
    gradients = 3 * _bytes(state.params) if static.update == "dense" else rows
    scores = 3 * 4 * static.batch_size * vocab_size if LOSSES[static.loss].vocabulary else 0
    state_bytes = _bytes(state, platform)
    copies = 2 if platform == "tpu" and states else 1  # of a sweep: a trial before and after
    work = 2 * _bytes(sampled) + DRAWING * _bytes(ids) + rows + gradients + scores
    work += copies * state_bytes
    if training.in_runs(static):
        make = partial(ENGINES[static.engine].make_batch, static=static)
        batch = jax.eval_shape(make, sampled, index, hyper)
        work += training.run_length(training.RUN, size, static) * _bytes(batch)
    whole = padded(count, devices, vmap_width)
    # [chunks, C] lies in tiles of 8 rows there.
    text = 2 * (-(-chunks // 8) * 8 if platform == "tpu" else chunks) * _bytes(ids)
    return states * whole * (state_bytes + _bytes(hyper)) + len(devices) * (
        text + vmap_width * work
    )


def _bytes(tree: Any, platform: str = "") -> int:
    leaves = jax.tree.leaves(tree)
    return sum(
        _elements(leaf.shape, platform) * (leaf.dtype.itemsize if leaf.dtype != object else 8)
        for leaf in leaves
    )


def _elements(shape: tuple[int, ...], platform: str) -> int:
    if platform == "tpu" and len(shape) > 1:
        shape = *shape[:-1], -(-shape[-1] // REGISTER_WIDTH) * REGISTER_WIDTH
    return math.prod(shape)
