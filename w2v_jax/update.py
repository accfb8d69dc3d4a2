"""loss -> jax.grad -> optax -> new TrainState."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from w2v_jax import losses, model
from w2v_jax.types import Batch, Hyper, Metrics, Params, Static, TrainState

OPTIMIZERS = ("adam", "adamw", "adagrad", "sgd")
SCHEDULES = ("constant", "linear", "cosine")


PART = 2**17  # gathered floats that a part of a batch may have: more fall out of a core's cache


def objective(
    input_rows: jax.Array, output_rows: jax.Array, batch: Batch, static: Static
) -> tuple[jax.Array, jax.Array]:
    """What is minimised, as a function of the gathered rows, and the loss to report, both sums.

    input_rows [T, C, D]; output_rows [T, O, D], or for the full softmax the whole table [V, D].
    The objective weighs the terms by batch.weights; the loss counts those in use once each.
    """
    h = jax.vmap(partial(model.hidden, legacy_gradient=static.cbow_legacy_gradient))(
        input_rows, batch.input_weights
    )
    if static.loss == "softmax":
        scores = jnp.matmul(h, output_rows.T, precision=model.PRECISION)
        total = jnp.sum(jax.vmap(losses.softmax)(scores, batch.outputs, batch.weights))
        return total, total
    scores = jax.vmap(model.dot_scores)(h, output_rows)
    total = jnp.sum(jax.vmap(losses.negative_sampling)(scores, batch.labels, batch.weights))
    if static.loss == "negative_sampling":
        return total, total
    once = (batch.weights > 0).astype(scores.dtype)
    return total, jnp.sum(jax.vmap(losses.negative_sampling)(scores, batch.labels, once))


def gradient(params: Params, batch: Batch, static: Static) -> tuple[Params, Metrics]:
    """d objective / d tables, [V, D] each, and the sums to report.

    jax.grad gives the gradients of the gathered rows; those of one id are added up. With
    static.reduction = mean they are divided by the number of rows that have a positive (the book
    averages over the batch; d2l and word2vec.c sum).
    """
    positive = jnp.where(batch.weights > 0, batch.labels, 0)
    rows = jnp.sum(jnp.max(positive, axis=1))
    of_loss = _softmax_gradient if static.loss == "softmax" else _sampled_gradient
    grads, total, loss = of_loss(params, batch, static)
    if static.reduction == "mean":
        grads = jax.tree.map(lambda g: g / jnp.maximum(rows, 1), grads)
    return grads, Metrics(loss=loss, positives=jnp.sum(positive), objective=total, rows=rows)


def _softmax_gradient(params: Params, batch: Batch, static: Static):
    grad = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    rows = model.gather(params.input, batch.inputs)
    (total, loss), (of_inputs, of_output) = grad(rows, params.output, batch, static)
    of_input = jnp.zeros_like(params.input).at[batch.inputs].add(of_inputs)
    return Params(of_input, of_output), total, loss


def _sampled_gradient(params: Params, batch: Batch, static: Static):
    """A part of the pairs in use at a time, so that the rows gathered for it stay in cache."""
    grad = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    vocab_size, dim = params.input.shape
    if static.loss == "masked_mean":
        batch = batch._replace(weights=jax.vmap(losses.mean_weights)(batch.weights))
    slots = batch.inputs.shape[1] + 1 + static.negatives
    size = max(1, PART // (slots * dim))
    pairs, used = pairs_in_use(batch, static.negatives, vocab_size, size)

    def add_part(i, carry):
        grads, total, loss = carry
        part = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * size, size), pairs)
        inputs = model.gather(params.input, part.inputs)
        outputs = model.gather(params.output, part.outputs)
        (value, new_loss), (of_inputs, of_outputs) = grad(inputs, outputs, part, static)
        grads = Params(
            grads.input.at[part.inputs].add(of_inputs, mode="drop"),
            grads.output.at[part.outputs].add(of_outputs, mode="drop"),
        )
        return grads, total + value, loss + new_loss

    zero = jnp.zeros((), jnp.float32)
    start = jax.tree.map(jnp.zeros_like, params), zero, zero
    return jax.lax.fori_loop(0, -(-used // size), add_part, start)


def pairs_in_use(
    batch: Batch, negatives: int, vocab_size: int, multiple: int
) -> tuple[Batch, jax.Array]:
    """A row for each positive with its K noise words, those in use first, and their number.

    Windows are dynamic, so that nearly half the slots of a batch are empty. Rows after those in
    use weigh nothing; there are a `multiple` of rows. Slots that weigh nothing have the id
    `vocab_size`: a gather reads some row for them, a scatter leaves them out.
    """
    count, slots = batch.outputs.shape
    positives = slots // (1 + negatives)

    def by_pair(x):  # [T, P + P K] -> [T P, 1 + K]
        noise = x[:, positives:].reshape(count * positives, negatives)
        return jnp.concatenate([x[:, :positives].reshape(-1, 1), noise], axis=1)

    weights = by_pair(batch.weights)
    exists = weights[:, 0] > 0
    rows = -(-len(exists) // multiple) * multiple
    source = jnp.nonzero(exists, size=rows, fill_value=0)[0]
    used = jnp.sum(exists)
    in_use = (jnp.arange(rows) < used)[:, None]
    weights = jnp.where(in_use, weights[source], 0)
    input_weights = jnp.where(in_use, batch.input_weights[source // positives], 0)
    inputs = batch.inputs[source // positives]
    pairs = Batch(
        inputs=jnp.where(input_weights > 0, inputs, vocab_size),
        input_weights=input_weights,
        outputs=jnp.where(weights > 0, by_pair(batch.outputs)[source], vocab_size),
        labels=by_pair(batch.labels)[source],
        weights=weights,
    )
    return pairs, used


def no_metrics() -> Metrics:
    """The sums of no rows."""
    return Metrics(*[jnp.zeros((), jnp.float32)] * 4)


def rate(hyper: Hyper, static: Static, progress: jax.Array) -> jax.Array:
    """The learning rate when a fraction `progress` of the words planned is done."""
    shape = {
        "constant": optax.constant_schedule(1.0),
        "linear": optax.linear_schedule(1.0, 0.0, 1),
        "cosine": optax.cosine_decay_schedule(1.0, 1),
    }[static.schedule]
    return hyper.learning_rate * shape(progress)


def optimizer(
    static: Static, hyper: Hyper, learning_rate: jax.Array, step: jax.Array
) -> optax.GradientTransformation:
    """Optax's transformation with traced constants.

    With epsilon_hat Adam's epsilon stands beside the root of the raw second moment (Kingma & Ba
    2015, end of section 2), as in the book's code: the same as epsilon / sqrt(1 - beta2^t) beside
    the corrected one.
    """
    epsilon = hyper.epsilon
    if static.epsilon_hat:
        epsilon = epsilon / jnp.sqrt(1 - hyper.beta2 ** (step + 1).astype(jnp.float32))
    if static.optimizer == "adam":
        return optax.adam(learning_rate, hyper.beta1, hyper.beta2, epsilon)
    if static.optimizer == "adamw":
        return optax.adamw(
            learning_rate, hyper.beta1, hyper.beta2, epsilon, weight_decay=hyper.weight_decay
        )
    if static.optimizer == "adagrad":
        return optax.adagrad(learning_rate, initial_accumulator_value=0.0, eps=epsilon)
    return optax.sgd(learning_rate)


def init_state(params: Params, hyper: Hyper, static: Static) -> TrainState:
    """The state before the first step."""
    step = jnp.zeros((), jnp.int32)
    transformation = optimizer(static, hyper, hyper.learning_rate, step)
    return TrainState(params=params, opt_state=transformation.init(params), step=step)


def apply_batch(
    state: TrainState, batch: Batch, learning_rate: jax.Array, hyper: Hyper, static: Static
) -> tuple[TrainState, Metrics]:
    """One step: (state, batch) -> (state, metrics). Dense: every row moves, as optax defines it."""
    grads, metrics = gradient(state.params, batch, static)
    transformation = optimizer(static, hyper, learning_rate, state.step)
    updates, opt_state = transformation.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return TrainState(params=params, opt_state=opt_state, step=state.step + 1), metrics
