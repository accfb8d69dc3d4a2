"""ENGINES: the ways to compute a step, each a few functions that the code looks up."""

from collections.abc import Callable
from typing import NamedTuple

from w2v_jax import sampling
from w2v_jax.engines import blocks, pairs
from w2v_jax.losses import LOSSES
from w2v_jax.noise import NOISE
from w2v_jax.types import Registry, StaticConfig, UserError


class Engine(NamedTuple):
    """A way to compute a step."""

    centres_of_a_chunk: Callable  # (kept [C], has_contexts [C]) -> which positions are centres [C]
    negatives_of_a_chunk: Callable  # (SampledChunk, HyperParams, StaticConfig) -> drawn at once
    order: Callable  # (key, SampledChunk, StaticConfig) -> centres, or blocks, as they are trained
    make_batch: Callable  # (SampledChunk, step [], HyperParams, StaticConfig) -> its batch
    work: Callable  # (Params, batch, StaticConfig) -> Work, from which `update` takes the gradient
    input_ids: Callable  # (batch, V, StaticConfig) -> ids of input embeddings in use [n]; V: none
    rows_of_a_step: Callable  # (StaticConfig, L of a loss of paths) -> rows gathered for a batch
    check: Callable  # (StaticConfig) -> None; raises UserError for what it can't do
    uses: tuple[str, ...] = ()  # flags that have an effect with it


def _check_blocks(static: StaticConfig) -> None:
    """What the blocks engine can't do is refused, not ignored."""
    allowed = {
        "loss": [name for name, loss in LOSSES.items() if loss.in_blocks],
        "noise": [name for name, law in NOISE.items() if law.ratio],
        "redraw": ["epoch"],
        "order": ["random"],  # the loss is taken of each step's first blocks
        "full_windows": [False],
        "drop_last": [False],
    }
    for name, values in allowed.items():
        value = getattr(static, name)
        if value not in values:
            shown = " or ".join(f"`{name}={str(v).lower()}`" for v in values)
            raise UserError(
                f"`{name}={str(value).lower()}`: `engine=blocks` has {shown}; give "
                "`engine=pairs`, which has all"
            )
    if static.group_size % static.block:
        raise UserError(
            f"`group_size={static.group_size}`: not a multiple of `block={static.block}`"
        )
    if static.batch_size % static.group_size:
        raise UserError(
            f"`batch_size={static.batch_size}`: not a multiple of `group_size={static.group_size}`"
        )


ENGINES = Registry(
    "engine",
    pairs=Engine(
        centres_of_a_chunk=lambda kept, has_contexts: has_contexts,
        negatives_of_a_chunk=sampling.negatives_of_a_chunk,
        order=sampling.order_of_centres,
        make_batch=sampling.make_batch,
        work=pairs.work,
        input_ids=pairs.input_ids,
        rows_of_a_step=pairs.rows_of_a_step,
        check=lambda static: None,
    ),
    blocks=Engine(
        centres_of_a_chunk=blocks.centres_of_a_chunk,
        negatives_of_a_chunk=blocks.negatives_of_a_chunk,
        order=blocks.order_of_blocks,
        make_batch=blocks.make_blocks,
        work=blocks.work,
        input_ids=blocks.input_ids,
        rows_of_a_step=blocks.rows_of_a_step,
        check=_check_blocks,
        uses=("block", "group_size", "negatives_per_group"),
    ),
)
