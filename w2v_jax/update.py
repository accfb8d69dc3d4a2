"""loss -> jax.grad -> optax -> new TrainState."""

from collections.abc import Callable
from functools import partial, wraps

import jax
import jax.numpy as jnp
import optax

from w2v_jax import checks, sparse_update, subword_rows, table_ops
from w2v_jax.engines import ENGINES, pairs
from w2v_jax.losses import LOSSES
from w2v_jax.optimizers import OPTIMIZERS, SCHEDULES
from w2v_jax.types import (
    Batch,
    BlockBatch,
    HyperParams,
    Metrics,
    NgramIndex,
    Params,
    PathBatch,
    StaticConfig,
    SubwordParams,
    TrainState,
)


def gradient(
    params: Params, batch: Batch | PathBatch | BlockBatch, static: StaticConfig
) -> tuple[Params, Metrics]:
    """d objective / d tables, [V, D] each, and the sums to report.

    jax.grad gives the gradients of the gathered rows; those of one id are added up. With
    static.reduction = mean they are divided by the number of rows that have a positive (the book
    averages over the batch; d2l and word2vec.c sum). Raises UserError as `checks.check`.
    """
    checks.check(static)
    if LOSSES[static.loss].vocabulary:
        grads, total, loss = pairs.vocabulary_gradient(params, batch, static)
        metrics = pairs.counted(batch, total, loss)
        return _reduced(grads, metrics.rows, static), metrics
    zeros = jax.tree.map(jnp.zeros_like, params)
    work = ENGINES[static.engine].work(params, batch, static)
    grads, metrics = work.add(work.ids, zeros)
    return _reduced(grads, work.rows, static), metrics


def _reduced(grads: Params, count: jax.Array, static: StaticConfig) -> Params:
    if static.reduction == "sum":
        return grads
    return jax.tree.map(lambda g: g / jnp.maximum(count, 1), grads)


def rate(hyper: HyperParams, static: StaticConfig, progress: jax.Array) -> jax.Array:
    """The learning rate when a fraction `progress` of the words planned is done."""
    schedule = SCHEDULES[static.schedule]
    return hyper.learning_rate * schedule.shape(progress, **_constants(hyper, schedule.uses))


def _constants(hyper: HyperParams, names: tuple[str, ...]) -> dict[str, jax.Array]:
    return {name: getattr(hyper, name) for name in names}


def _promoting(make: Callable) -> Callable:
    """The same transformation under jax_numpy_dtype_promotion=strict as under standard.

    Optax's Adam multiplies an integer count by a traced beta, which strict promotion refuses.
    """

    def made(*args):
        transformation = make(*args)

        def update(*args, **kwargs):
            with jax.numpy_dtype_promotion("standard"):
                return transformation.update(*args, **kwargs)

        return optax.GradientTransformation(transformation.init, update)

    return wraps(make)(made)


@_promoting
def optimizer(
    static: StaticConfig, hyper: HyperParams, learning_rate: jax.Array, step: jax.Array
) -> optax.GradientTransformation:
    """Optax's transformation with its traced constants, for each table apart.

    With epsilon_hat Adam's epsilon stands beside the root of the raw second moment (Kingma & Ba
    2015, end of section 2), as in the book's code: the same as epsilon / sqrt(1 - beta2^t) beside
    the corrected one.
    """
    chosen = OPTIMIZERS[static.optimizer]
    constants = _constants(hyper, chosen.uses)
    if static.epsilon_hat:
        root = jnp.sqrt(1 - hyper.beta2 ** (step + 1).astype(jnp.float32))
        constants["epsilon"] = hyper.epsilon / root
    return chosen.make(learning_rate, **constants)


def init_state(params: Params, hyper: HyperParams, static: StaticConfig) -> TrainState:
    """The state before the first step."""
    step = jnp.zeros((), jnp.int32)
    transformation = optimizer(static, hyper, hyper.learning_rate, step)
    if static.update == "sparse":
        opt_state = Params(*(sparse_update.init(table, transformation) for table in params[:2]))
    else:
        opt_state = Params(*(transformation.init(table) for table in params))
    if static.subwords:
        ngrams = subword_rows.init(params.ngrams, transformation)
        opt_state = SubwordParams(*opt_state, ngrams)
    return TrainState(params=params, opt_state=opt_state, step=step)


def update_step(
    state: TrainState,
    batch: Batch | PathBatch | BlockBatch,
    learning_rate: jax.Array,
    hyper: HyperParams,
    static: StaticConfig,
) -> tuple[TrainState, Metrics]:
    """One step: (state, batch) -> (state, metrics).

    update = dense: every row moves, as optax defines it; sparse: those of the batch.
    The blocks engine reports the sums of a sample of the batch's rows. Raises UserError as
    `checks.check`.
    """
    checks.check(static)
    transformation = optimizer(static, hyper, learning_rate, state.step)
    move = _sparse if static.update == "sparse" else _dense
    if static.subwords:
        move = partial(_subwords, index=hyper.ngrams)
    params, opt_state, metrics = move(state, batch, transformation, static)
    return TrainState(params=params, opt_state=opt_state, step=state.step + 1), metrics


def _dense(state: TrainState, batch, transformation, static: StaticConfig):
    """New params and optimiser state, of all rows; metrics.

    A state a table: then each step's 1 - beta^t divides one table alone, and XLA makes a
    multiplication of it.
    """
    grads, metrics = gradient(state.params, batch, static)
    moved = [
        transformation.update(grad, own, table)
        for grad, own, table in zip(grads, state.opt_state, state.params, strict=True)
    ]
    params = optax.apply_updates(state.params, Params(*(updates for updates, _ in moved)))
    return params, Params(*(own for _, own in moved)), metrics


def _sparse(state: TrainState, batch, transformation, static: StaticConfig):
    """New params and optimiser state, of which only the batch's rows differ; metrics."""
    params, opt_state = state.params, state.opt_state
    work = ENGINES[static.engine].work(params, batch, static)
    deduplicated = [
        sparse_update.deduplicate(s.representative, ids)
        for s, ids in zip(opt_state, work.ids, strict=True)
    ]
    indices = Params(*(index for _, index in deduplicated))
    dim = params.input.shape[1]
    row_grads = Params(*(jnp.zeros((len(ids), dim), jnp.float32) for ids in work.ids))
    row_grads, metrics = work.add(indices, row_grads)
    row_grads = _reduced(row_grads, work.rows, static)
    moved = [
        sparse_update.update(
            table, s.replace(representative=own), ids, index, row_grad, transformation
        )
        for table, s, (own, index), ids, row_grad in zip(
            params, opt_state, deduplicated, work.ids, row_grads, strict=True
        )
    ]
    return Params(*(m[0] for m in moved)), Params(*(m[1] for m in moved)), metrics


def _subwords(state: TrainState, batch, transformation, static: StaticConfig, index: NgramIndex):
    """The same where words' input embeddings are made up of their own rows and n-grams'."""
    params, opt_state, engine = state.params, state.opt_state, ENGINES[static.engine]
    size, dim = params.input.shape
    ids = engine.input_ids(batch, size, static)
    batched = subword_rows.of_batch(
        params, opt_state.input.representative, ids, index, static.platform
    )
    work = engine.work(Params(batched.table, params.output), batch, static)
    slots = table_ops.gather(batched.representative, work.ids.input)
    representative, of_output = sparse_update.deduplicate(
        opt_state.output.representative, work.ids.output
    )
    indices = Params(jnp.where(work.ids.input < size, slots, len(ids)), of_output)
    row_grads = Params(*(jnp.zeros((len(x), dim), jnp.float32) for x in (ids, of_output)))
    row_grads, metrics = work.add(indices, row_grads)
    row_grads = _reduced(row_grads, work.rows, static)
    output, state_of_output = sparse_update.update(
        params.output,
        opt_state.output.replace(representative=representative),
        work.ids.output,
        of_output,
        row_grads.output,
        transformation,
    )
    (own, ngrams), (state_of_own, of_ngrams) = subword_rows.update(
        *(params, opt_state, batched, row_grads.input, index, transformation),
        static.subword_legacy_gradient,
    )
    new_state = SubwordParams(state_of_own, state_of_output, of_ngrams)
    return SubwordParams(own, output, ngrams), new_state, metrics
