"""The fast engine: the same loss, and no pair is ever written down.

A block is L consecutive kept tokens with a margin of W on each side. Its positives are the band of
one small product, centres x contexts^T; its negatives are shared by a group of blocks, and
weighted so that the objective is that of K negatives a positive in expectation: only its
variance differs. Gradients are taken with respect to the gathered rows, L + X a block and M a
group, where the pairs engine gathers up to 2W (1 + K) a centre.
"""

from functools import partial

import jax
import jax.numpy as jnp

from w2v_jax import losses, model, sampling, table_ops
from w2v_jax.engines import products
from w2v_jax.noise import NOISE
from w2v_jax.table_ops import look_up
from w2v_jax.types import (
    Batch,
    BlockBatch,
    HyperParams,
    Metrics,
    Params,
    SampledChunk,
    StaticConfig,
    Work,
    no_metrics,
)

PARTS = 2  # independent halves of a step, which XLA may run beside one another on CPU cores
MEASURED = 128  # centres of each step whose loss is taken: of all it costs a third of a step (CPU)


def centres_of_a_chunk(kept: jax.Array, has_contexts: jax.Array) -> jax.Array:
    """Which positions are centres [C]: every kept token; without a context it weighs nothing.

    Where none has a context there is no centre, and so no step.
    """
    return kept & jnp.any(has_contexts)


def order_of_blocks(key: jax.Array, sampled: SampledChunk, static: StaticConfig) -> jax.Array:
    """The blocks of a chunk in random order, then those without a token: [C/L] int32."""
    block = jnp.arange(-(-sampled.line.shape[0] // static.block))
    bits = jax.random.bits(key, block.shape, jnp.uint32)
    rank = jnp.where(block * static.block < sampled.centres, bits >> 1, jnp.uint32(2**31))
    return sampling.order_of(rank, static.platform)


def negatives_of_a_chunk(
    sampled: SampledChunk, hyper: HyperParams, static: StaticConfig
) -> jax.Array:
    """Negatives of as many steps as a chunk may have, [steps, G, M].

    All at once: a step that drew its own would wait for a chain of small operations.
    """
    steps = jnp.arange(-(-sampled.tokens.shape[0] // static.batch_size))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(sampled.negatives_key, steps)
    groups = static.batch_size // static.group_size
    return jax.vmap(
        lambda key: sampling.draw_words(key, groups, static.negatives_per_group, hyper)
    )(keys)


def make_blocks(
    sampled: SampledChunk, step: jax.Array, hyper: HyperParams, static: StaticConfig
) -> BlockBatch:
    """The batch of a step: B blocks in the epoch's order, windows and noise as drawn.

    Every kept token is a centre of exactly one block; positions past the end of the text, or of the
    blocks, hold no token and weigh nothing. Noise is addressed by (seed, epoch, chunk, step).
    """
    w, length, size = static.window, static.block, sampled.tokens.shape[0]
    count = static.batch_size // length
    slot = step * count + jnp.arange(count)
    block = look_up(sampled.centre_order, slot)
    position = block[:, None] * length + jnp.arange(-w, length + w)[None, :]
    inside = (position >= 0) & (position < size) & (slot * length < sampled.centres)[:, None]
    position = jnp.clip(position, 0, size - 1)
    line = jnp.where(inside, look_up(sampled.line, position), -1)
    of_centres = slice(w, w + length)
    offset = jnp.arange(length + 2 * w)[None, :] - w - jnp.arange(length)[:, None]
    context_weights = (
        (jnp.abs(offset)[None] <= look_up(sampled.window, position[:, of_centres])[:, :, None])
        & (offset != 0)[None]
        & (line[:, of_centres, None] == line[:, None, :])
        & (line[:, of_centres, None] >= 0)
    )
    tokens = jnp.where(line >= 0, look_up(sampled.tokens, position), hyper.noise.shape[0])
    negatives = sampled.negatives[step]
    context_weights = context_weights.astype(jnp.float32)
    context_weights *= sampling.context_weights(jnp.abs(offset), hyper.window, static)[None]
    weights = _noise_weights(tokens, context_weights, negatives, hyper, static)
    return BlockBatch(tokens, context_weights, negatives, weights)


def _noise_weights(
    tokens, context_weights, negatives, hyper: HyperParams, static: StaticConfig
) -> jax.Array:
    """K / M for each positive of a centre that the negative may be drawn for, [G, T/G, M or 1].

    Times the law's ratio: how much more often than Pn it has the word beside the positive.
    """
    groups, m = negatives.shape
    share = hyper.negatives.astype(jnp.float32) / m
    ratio = NOISE[static.noise].ratio
    if static.model == "cbow":
        positives = jnp.max(context_weights, axis=-1).reshape(groups, -1, 1)
        targets = centres_of(tokens, static).reshape(groups, -1, 1)
        of_target, of_word = ratio(targets, negatives[:, None, :], hyper.noise)
        weights = positives * share * of_target
        return weights if of_word is None else weights * of_word.astype(jnp.float32)
    each = context_weights.shape[0] // groups
    targets = tokens.reshape(groups, each, -1, 1)
    of_target, of_word = ratio(targets, negatives[:, None, None, :], hyper.noise)
    positives = (
        context_weights.reshape(groups, each, *context_weights.shape[1:])
        * of_target[:, :, None, :, 0]
    )
    if of_word is None:
        weights = jnp.sum(positives, axis=-1, keepdims=True)
    else:
        of_word = of_word.astype(jnp.float32)
        weights = jnp.einsum("gblx,gbxm->gblm", positives, of_word, precision=model.PRECISION)
    return (weights * share).reshape(groups, -1, weights.shape[-1])


def centres_of(blocked: jax.Array, static: StaticConfig) -> jax.Array:
    """The part of [B, X, ..] that are the blocks' own positions, [B, L, ..]."""
    return blocked[:, static.window : static.window + static.block]


def ids(batch: BlockBatch, static: StaticConfig) -> Params:
    """Ids of the rows that each table's gradient touches, an occurrence each: [n] int32 each.

    Skip-gram: centres; contexts, then noise. CBOW: contexts; centres, then noise.
    """
    contexts = batch.tokens.reshape(-1)
    own = centres_of(batch.tokens, static).reshape(-1)
    if static.model == "skipgram":
        return Params(own, jnp.concatenate([contexts, batch.negatives.reshape(-1)]))
    return Params(contexts, jnp.concatenate([own, batch.negatives.reshape(-1)]))


def input_ids(batch: BlockBatch, vocab_size: int, static: StaticConfig) -> jax.Array:
    """Ids of the input embeddings that a batch uses, V where there is no token: [n] int32."""
    del vocab_size
    return ids(batch, static).input


def objective(
    input_rows: jax.Array,
    output_rows: jax.Array,
    noise_rows: jax.Array,
    batch: BlockBatch,
    static: StaticConfig,
) -> jax.Array:
    """Sum of the loss over positives and weighted noise, as a function of the gathered rows.

    Skip-gram: input_rows [B, L, D] of the centres, output_rows [B, X, D] of the contexts.
    CBOW: input_rows [B, X, D] of the contexts, output_rows [B, L, D] of the centres.
    noise_rows [G, M, D].
    """
    return _objective_and_sample(input_rows, output_rows, noise_rows, batch, static)[0]


def _objective_and_sample(
    input_rows, output_rows, noise_rows, batch: BlockBatch, static: StaticConfig, count: int = 0
) -> tuple[jax.Array, jax.Array]:
    """`objective`, and what of it belongs to the first `count` blocks."""
    groups, dim = noise_rows.shape[0], noise_rows.shape[2]
    loss = partial(_loss, terms=losses.of(static).terms)
    if static.model == "skipgram":
        h, weights = input_rows, batch.context_weights
        positive = products.product(h, output_rows)
    else:
        h = _hidden(input_rows, batch.context_weights, static)
        weights = jnp.max(batch.context_weights, axis=-1)
        positive = products.rowwise_scores(h, output_rows)
    negatives = products.product(h.reshape(groups, -1, dim), noise_rows)

    def first(x):
        return x.reshape(*batch.context_weights.shape[:2], -1)[:count]

    of_sample = map(first, (positive, weights, negatives, batch.negative_weights))
    return loss(positive, weights, negatives, batch.negative_weights), loss(*of_sample)


def _loss(positive, weights, negatives, negative_weights, *, terms) -> jax.Array:
    """Weighted sum over scores of positives and of negatives: []."""
    ones, zeros = jnp.ones_like(positive), jnp.zeros_like(negatives)
    return jnp.sum(weights * terms(positive, ones)) + jnp.sum(
        negative_weights * terms(negatives, zeros)
    )


def _hidden(rows: jax.Array, context_weights: jax.Array, static: StaticConfig) -> jax.Array:
    """h of each centre: the mean of its contexts, [B, X, D] and [B, L, X] -> [B, L, D]."""
    share = context_weights / jnp.maximum(jnp.sum(context_weights, axis=-1, keepdims=True), 1)
    mean = products.weighted_sums(share, rows)
    if not static.cbow_legacy_gradient:
        return mean
    total = products.weighted_sums(context_weights, rows)
    return total + jax.lax.stop_gradient(mean - total)


def positives(batch: BlockBatch, static: StaticConfig) -> jax.Array:
    """Number of positive pairs (skip-gram) or of centres with a context (CBOW)."""
    if static.model == "skipgram":
        return jnp.sum(batch.context_weights)
    return centres(batch)


def centres(batch: BlockBatch) -> jax.Array:
    """Number of centres with a context."""
    return jnp.sum(jnp.max(batch.context_weights, axis=-1))


def parts(batch: BlockBatch, static: StaticConfig) -> list[BlockBatch]:
    """The batch as PARTS batches, a run of whole groups each, or as one."""
    groups = batch.negatives.shape[0]
    count = PARTS if groups % PARTS == 0 and static.platform == "cpu" else 1
    split = jax.tree.map(lambda x: x.reshape(count, -1, *x.shape[1:]), batch)
    return [jax.tree.map(lambda x: x[i], split) for i in range(count)]  # noqa: B023


def sampled_blocks(parts: int, static: StaticConfig) -> int:
    """How many blocks of each part have their loss taken: its first, as their order is random."""
    return min(-(-MEASURED // (static.block * parts)), static.batch_size // static.block // parts)


def gather(params: Params, batch: BlockBatch, static: StaticConfig) -> tuple[jax.Array, ...]:
    """The rows that `objective` sees."""
    own = centres_of(batch.tokens, static)
    of_input, of_output = (own, batch.tokens) if static.model == "skipgram" else (batch.tokens, own)
    return (
        model.gather(params.input, of_input),
        model.gather(params.output, of_output),
        model.gather(params.output, batch.negatives),
    )


def add_gradient(
    parts: list[tuple[tuple[jax.Array, ...], BlockBatch]],
    indices: Params,
    sums: Params,
    static: StaticConfig,
) -> tuple[Params, jax.Array]:
    """sums [n, D] each plus the gradient of each occurrence of the batch's `ids`, at its index.

    parts: what `gather` gives for each of the batch's `parts`, and the part. Returns the loss of
    the first `sampled` blocks of each part too: a logarithm an entry, of scores that are there.
    """
    grad = jax.grad(_objective_and_sample, argnums=(0, 1, 2), has_aux=True)
    count, loss = sampled_blocks(len(parts), static), jnp.zeros((), jnp.float32)
    of_noise = indices.output.shape[0] - sum(part.negatives.size for _, part in parts)
    targets = indices.input, indices.output[:of_noise], indices.output[of_noise:]
    split = [of_table.reshape(len(parts), -1) for of_table in targets]
    for (gathered, part), *of_part in zip(parts, *split, strict=True):
        grads, of_sample = grad(*gathered, part, static, count)
        index = [a.reshape(g.shape[:-1]) for a, g in zip(of_part, grads, strict=True)]
        of_input = table_ops.scatter_add(sums.input, index[0], grads[0])
        of_output = table_ops.scatter_add(sums.output, index[1], grads[1])
        sums = Params(of_input, table_ops.scatter_add(of_output, index[2], grads[2]))
        loss += of_sample
    return sums, loss


def work(params: Params, batch: BlockBatch, static: StaticConfig) -> Work:
    """The batch ready for its gradient: its rows gathered."""
    gathered = [(gather(params, part, static), part) for part in parts(batch, static)]

    def add(indices, sums):
        sums, loss = add_gradient(gathered, indices, sums, static)
        return sums, _sampled(gathered, loss, static)

    return Work(ids(batch, static), centres(batch), add)


def _sampled(gathered, loss: jax.Array, static: StaticConfig) -> Metrics:
    """The sums of a blocks batch's sample, of which `loss` is the loss."""
    count = sampled_blocks(len(gathered), static)
    sample = [part._replace(context_weights=part.context_weights[:count]) for _, part in gathered]
    pairs = sum(positives(part, static) for part in sample)
    rows = sum(map(centres, sample))
    metrics = no_metrics()._replace(loss=loss, positives=pairs, objective=loss, rows=rows)
    left_out = 1 - count * len(gathered) * static.block / static.batch_size
    if not left_out:
        return metrics
    return metrics._replace(
        steps=(pairs > 0).astype(jnp.float32),
        loss_squares=left_out * loss * loss,
        products=left_out * loss * pairs,
        positive_squares=left_out * pairs * pairs,
    )


def rows_of_a_step(static: StaticConfig) -> int:
    """Rows gathered for a batch."""
    count = static.batch_size // static.block
    own = count * (2 * static.block + 2 * static.window)
    return own + static.batch_size // static.group_size * static.negatives_per_group


def expand(batch: BlockBatch, vocab_size: int, hyper: HyperParams, static: StaticConfig) -> Batch:
    """The same objective as the pairs engine's batch: a row a centre, M negatives a positive.

    For tests and reading: it is what this engine avoids.
    """
    centres = centres_of(batch.tokens, static).reshape(-1, 1)
    count, m = len(centres), batch.negatives.shape[1]
    contexts = jnp.repeat(batch.tokens, static.block, axis=0)
    context_weights = batch.context_weights.reshape(count, -1)
    has = jnp.max(context_weights, axis=1, keepdims=True)
    if static.model == "skipgram":
        inputs, input_weights, targets, weights = centres, has, contexts, context_weights
    else:
        input_weights = context_weights / jnp.maximum(
            jnp.sum(context_weights, axis=1, keepdims=True), 1
        )
        inputs, targets, weights = contexts, centres, has
    negatives = jnp.repeat(batch.negatives, static.group_size, axis=0)[:, None, :]
    negatives = jnp.broadcast_to(negatives, (count, targets.shape[1], m))
    share = hyper.negatives.astype(jnp.float32) / m
    negative_weights = jnp.broadcast_to(weights[:, :, None] * share, negatives.shape)
    for factor in NOISE[static.noise].ratio(targets[:, :, None], negatives, hyper.noise):
        if factor is not None:
            negative_weights = negative_weights * factor.astype(jnp.float32)
    return Batch(inputs, input_weights, targets, weights, negatives, negative_weights)
