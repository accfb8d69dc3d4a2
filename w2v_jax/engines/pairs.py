"""The reference engine: each positive with its own negatives, gathered pair by pair."""

from functools import partial

import jax
import jax.numpy as jnp

from w2v_jax import huffman, losses, model, table_ops
from w2v_jax.losses import LOSSES, Loss
from w2v_jax.table_ops import look_up
from w2v_jax.types import (
    Batch,
    Metrics,
    Params,
    PathBatch,
    Rows,
    StaticConfig,
    Work,
    no_metrics,
)

PART = 2**18  # gathered floats that a part of a batch may have: half and twice are slower (CPU)
LARGE_PART = 2**26  # on accelerators, and of tables split by columns: a part has its own all-reduce


def flattened(batch: Batch | PathBatch) -> Rows:
    """Each positive with its negatives behind it, as one row's outputs: O = P (1 + K).

    Of a PathBatch each positive's path: O = P L.
    """
    if isinstance(batch, PathBatch):
        path = batch.paths.reshape(len(batch.paths), -1)
        weights = jnp.repeat(batch.weights, batch.paths.shape[2], axis=1)
        return Rows(
            inputs=batch.inputs,
            input_weights=batch.input_weights,
            outputs=huffman.nodes(path),
            labels=huffman.labels(path),
            weights=jnp.where(path != 0, weights, 0),
        )

    def joined(of_positives, of_negatives):  # [T, P] and [T, P, K] -> [T, P (1 + K)]
        both = jnp.concatenate([of_positives[:, :, None], of_negatives], axis=2)
        return both.reshape(len(both), -1)

    return Rows(
        inputs=batch.inputs,
        input_weights=batch.input_weights,
        outputs=joined(batch.positives, batch.negatives),
        labels=joined(jnp.ones_like(batch.weights), jnp.zeros_like(batch.negative_weights)),
        weights=joined(batch.weights, batch.negative_weights),
    )


def objective(
    input_rows: jax.Array, output_rows: jax.Array, rows: Rows, static: StaticConfig
) -> tuple[jax.Array, jax.Array]:
    """What is minimised, as a function of the gathered rows, and the loss to report, both sums.

    input_rows [T, C, D]; output_rows [T, O, D], or for a loss over the vocabulary the whole table
    [V, D]. The objective weighs the terms by rows.weights; the loss counts those in use once each,
    where the two differ.
    """
    loss = losses.of(static)
    h = jax.vmap(partial(model.hidden, legacy_gradient=static.cbow_legacy_gradient))(
        input_rows, rows.input_weights
    )
    if loss.vocabulary:
        scores = jnp.matmul(h, output_rows.T, precision=model.PRECISION)
        labels = rows.outputs
    else:
        scores, labels = jax.vmap(model.dot_scores)(h, output_rows), rows.labels
    total = jnp.sum(jax.vmap(loss)(scores, labels, rows.weights))
    if loss.weigh is None:
        return total, total
    once = (rows.weights > 0).astype(scores.dtype)
    return total, jnp.sum(jax.vmap(loss)(scores, labels, once))


def _weighed(rows: Rows, loss: Loss) -> Rows:
    """The rows with the weights that the loss gives a centre's outputs, [T, O]."""
    return rows._replace(weights=jax.vmap(loss.weigh)(rows.weights)) if loss.weigh else rows


def vocabulary_gradient(
    params: Params, batch: Batch, static: StaticConfig
) -> tuple[Params, jax.Array, jax.Array]:
    """d objective / d tables where it takes all words' scores, [V, D] each; objective and loss."""
    flat = _weighed(flattened(batch), LOSSES[static.loss])
    grad = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    rows = model.gather(params.input, flat.inputs)
    (total, loss), (of_inputs, of_output) = grad(rows, params.output, flat, static)
    of_input = table_ops.scatter_add(jnp.zeros_like(params.input), flat.inputs, of_inputs)
    return Params(of_input, of_output), total, loss


def part_size(pairs: int, embeddings: int, dim: int, static: StaticConfig) -> int:
    """Pairs that a part may have, of so many in all, with so many embeddings a pair."""
    small = static.platform == "cpu" and not static.mesh
    part = PART if small else LARGE_PART
    return min(pairs, max(1, part // (embeddings * dim)))


def pairs_in_use(
    batch: Batch | PathBatch, shape: tuple[int, int], static: StaticConfig
) -> tuple[Rows, jax.Array]:
    """A row for each positive with its K negatives or its path, those in use first; their number.

    Windows are dynamic: nearly half the slots of a batch are empty. Rows after those in
    use weigh nothing; there are whole parts of rows. Slots that weigh nothing have an id outside
    the tables, of shape [V, D]: a gather reads some row for them, a scatter leaves them out.
    """
    vocab_size, dim = shape
    flat, slots = _weighed(flattened(batch), LOSSES[static.loss]), batch.positives.shape[1]
    outputs = flat.outputs.shape[1] // slots

    def by_pair(x):  # [T, P O] -> [T P, O]
        return x.reshape(-1, outputs)

    weights = by_pair(flat.weights)
    exists = weights[:, 0] > 0
    multiple = part_size(len(exists), batch.inputs.shape[1] + outputs, dim, static)
    rows = -(-len(exists) // multiple) * multiple
    source, used = _true_indices(exists, rows)
    in_use = (jnp.arange(rows) < used)[:, None]
    weights = jnp.where(in_use, look_up(weights, source), 0)
    input_weights = jnp.where(in_use, look_up(batch.input_weights, source // slots), 0)
    inputs = look_up(batch.inputs, source // slots)
    pairs = Rows(
        inputs=jnp.where(input_weights > 0, inputs, vocab_size),
        input_weights=input_weights,
        outputs=jnp.where(weights > 0, look_up(by_pair(flat.outputs), source), vocab_size),
        labels=look_up(by_pair(flat.labels), source),
        weights=weights,
    )
    return pairs, used


def _true_indices(values: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
    """Where values [n] are true, in order, then 0: [size]; and how many are."""
    rank = jnp.cumsum(values) - 1
    to = jnp.where(values, rank, size)
    every = jnp.arange(len(values), dtype=jnp.int32)
    return table_ops.scatter_set(jnp.zeros(size, jnp.int32), to, every), rank[-1] + 1


def input_ids(batch: Batch | PathBatch, vocab_size: int, static: StaticConfig) -> jax.Array:
    """Ids of the input embeddings that a batch uses, V where a slot is empty: [n] int32."""
    del static
    return jnp.where(batch.input_weights > 0, batch.inputs, vocab_size).reshape(-1)


def ids(pairs: Rows) -> Params:
    """Ids of the rows that each table's gradient touches, an occurrence each: [n] int32 each."""
    return Params(pairs.inputs.reshape(-1), pairs.outputs.reshape(-1))


def add_gradient(
    params: Params,
    pairs: Rows,
    used: jax.Array,
    indices: Params,
    sums: Params,
    static: StaticConfig,
) -> tuple[Params, jax.Array, jax.Array]:
    """Sums [n, D] each plus the gradient of each occurrence of `ids`, at its index.

    A part of the pairs in use at a time: the rows gathered for it stay in a core's cache.
    Returns the sums, the objective and the loss.
    """
    grad = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    count, embeddings = len(pairs.inputs), pairs.inputs.shape[1] + pairs.outputs.shape[1]
    size = part_size(count, embeddings, params.input.shape[1], static)
    of_slots = Params(
        indices.input.reshape(pairs.inputs.shape), indices.output.reshape(pairs.outputs.shape)
    )

    def add_part(i, carry):
        sums, total, loss = carry
        part, index = jax.tree.map(
            lambda x: jax.lax.dynamic_slice_in_dim(x, i * size, size), (pairs, of_slots)
        )
        inputs = model.gather(params.input, part.inputs)
        outputs = model.gather(params.output, part.outputs)
        (value, new_loss), (of_inputs, of_outputs) = grad(inputs, outputs, part, static)
        sums = Params(
            table_ops.scatter_add(sums.input, index.input, of_inputs),
            table_ops.scatter_add(sums.output, index.output, of_outputs),
        )
        return sums, total + value, loss + new_loss

    zero = jnp.zeros((), jnp.float32)
    parts = table_ops.most(-(-used // size))
    return jax.lax.fori_loop(0, parts, add_part, (sums, zero, zero))


def work(params: Params, batch: Batch | PathBatch, static: StaticConfig) -> Work:
    """The batch ready for its gradient: pairs in use first."""
    in_use, used = pairs_in_use(batch, params.input.shape, static)
    zero = jnp.zeros((), jnp.float32)

    def add(indices, sums):
        sums, total, loss = add_gradient(params, in_use, used, indices, sums, static)
        return sums, counted(batch, total, loss)

    return Work(ids(in_use), counted(batch, zero, zero).rows, add)


def counted(batch: Batch | PathBatch, total: jax.Array, loss: jax.Array) -> Metrics:
    """The sums of a batch, of which objective and loss are given."""
    rows, positives = jnp.sum(jnp.max(batch.weights, axis=1)), jnp.sum(batch.weights)
    return no_metrics()._replace(loss=loss, positives=positives, objective=total, rows=rows)


def rows_of_a_step(static: StaticConfig, path_length: int = 0) -> int:
    """Rows gathered for a batch; path_length: L, for a loss of paths."""
    positive_slots = 2 * static.window if static.model == "skipgram" else 1
    inputs = 1 if static.model == "skipgram" else 2 * static.window
    outputs = path_length or 1 + static.negatives
    return static.batch_size * positive_slots * (inputs + outputs)
