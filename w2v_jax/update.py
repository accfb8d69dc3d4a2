"""loss -> jax.grad -> optax -> new TrainState."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from w2v_jax import losses, model
from w2v_jax.types import Batch, Hyper, Metrics, Params, Static, TrainState

OPTIMIZERS = ("adam", "adamw", "adagrad", "sgd")
SCHEDULES = ("constant", "linear", "cosine")


PART = 2**20  # gathered floats that a part of a batch may have: more fall out of a core's cache


def objective(
    input_rows: jax.Array, output_rows: jax.Array, batch: Batch, static: Static
) -> tuple[jax.Array, Metrics]:
    """Sum over rows of the loss, as a function of the gathered rows, and the sums to report.

    input_rows [T, C, D]; output_rows [T, O, D], or for the full softmax the whole table [V, D].
    """
    h = jax.vmap(partial(model.hidden, legacy_gradient=static.cbow_legacy_gradient))(
        input_rows, batch.input_weights
    )
    if static.loss == "softmax":
        scores = jnp.matmul(h, output_rows.T, precision=model.PRECISION)
        row = jax.vmap(losses.softmax)(scores, batch.outputs, batch.weights)
        loss = jnp.sum(row)
    else:
        scores = jax.vmap(model.dot_scores)(h, output_rows)
        row = jax.vmap(getattr(losses, static.loss))(scores, batch.labels, batch.weights)
        loss = jnp.sum(jax.vmap(losses.negative_sampling)(scores, batch.labels, batch.weights))
    positive = jnp.where(batch.weights > 0, batch.labels, 0)
    rows = jnp.sum(jnp.max(positive, axis=1))
    total = jnp.sum(row)
    return total, Metrics(loss=loss, positives=jnp.sum(positive), objective=total, rows=rows)


def gradient(params: Params, batch: Batch, static: Static) -> tuple[Params, Metrics]:
    """d objective / d tables, [V, D] each, and the sums to report.

    jax.grad gives the gradients of the gathered rows; those of one id are added up. The sum over
    the batch is taken a part at a time, so that gathered rows stay in cache; with
    static.reduction = mean it is divided by the number of rows that have a positive (the book
    averages over the batch; d2l and word2vec.c sum).
    """
    grad = jax.grad(objective, argnums=(0, 1), has_aux=True)

    def add_part(total, part):
        grads, metrics = total
        rows = model.gather(params.input, part.inputs)
        if static.loss == "softmax":
            (of_inputs, of_output), new = grad(rows, params.output, part, static)
            output = grads.output + of_output
        else:
            outputs = model.gather(params.output, part.outputs)
            (of_inputs, of_outputs), new = grad(rows, outputs, part, static)
            output = grads.output.at[part.outputs].add(of_outputs)
        grads = Params(grads.input.at[part.inputs].add(of_inputs), output)
        return (grads, jax.tree.map(jnp.add, metrics, new)), None

    start = jax.tree.map(jnp.zeros_like, params), no_metrics()
    parts = _parts(batch, params.input.shape[1], static)
    (grads, metrics), _ = jax.lax.scan(add_part, start, parts)
    if static.reduction == "mean":
        grads = jax.tree.map(lambda g: g / jnp.maximum(metrics.rows, 1), grads)
    return grads, metrics


def no_metrics() -> Metrics:
    """The sums of no rows."""
    return Metrics(*[jnp.zeros((), jnp.float32)] * 4)


def _parts(batch: Batch, dim: int, static: Static) -> Batch:
    """The batch in equal parts, [parts, T / parts, ..]; rows added at the end weigh nothing."""
    rows, slots = batch.outputs.shape
    slots += batch.inputs.shape[1]
    parts = 1 if static.loss == "softmax" else -(-rows * slots * dim // PART)
    size = -(-rows // parts)

    def split(x):
        padded = jnp.pad(x, [(0, parts * size - rows), (0, 0)])
        return padded.reshape(parts, size, x.shape[1])

    return jax.tree.map(split, batch)


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
