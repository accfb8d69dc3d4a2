"""Derivatives of a held-out loss in what one sets before a run, through the run itself.

Every step of a short run, optax's update included, is one differentiable program, and jax.grad goes
back through all of it. Drawn negatives have no derivative in the distribution that they are drawn
from. Training here minimises the exact expectation over them, a sum over the vocabulary. It suits
small vocabularies. Float64 where the derivative is to be compared with differences.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from w2v_jax import losses, model, update
from w2v_jax.table_ops import look_up
from w2v_jax.types import Batch, HyperParams, Params, StaticConfig


class Unrolled(NamedTuple):
    """A short run: all that it needs but what the derivative is taken in."""

    start: Params  # [V, D] each
    batches: Batch  # a step's batch in each entry of the leading axis, without negatives
    heldout: Batch  # [rows, ..], without negatives
    counts: jax.Array  # [V] occurrences of each word in the text trained on


def log_noise(counts: jax.Array, power: jax.Array) -> jax.Array:
    """log Pn = log(counts^power / sum counts^power): [V], [] -> [V]; -inf where a count is 0.

    d log Pn(w) / d power = log counts(w) - sum_v Pn(v) log counts(v).
    Mikolov et al. 2013b, section 2.2; vocab.noise_distribution with a derivative in the power.
    """
    seen = counts > 0
    logs = jnp.log(jnp.where(seen, counts, 1))
    normalised = jax.nn.log_softmax(jnp.where(seen, power * logs, -jnp.inf))
    return jnp.where(seen, normalised, -jnp.inf)  # so that its derivative is 0 there


def expected_objective(
    params: Params, batch: Batch, noise: jax.Array, negatives: jax.Array
) -> jax.Array:
    """The mean of negative sampling's objective over all draws of its negatives, a sum over rows.

    sum_t sum_o w_to [ -log sigma(s_to) - K sum_v Pn(v) log sigma(-s_tv) ], s_tv = h_t . u_v, over
    the positives o of row t: Mikolov et al. 2013b, eq. 4, with its expectation written out. Noise
    is drawn with replacement and may be the positive.

    Tables [V, D], batch of T rows whose negatives don't count, noise Pn [V], negatives K [] float.
    """

    def row(scores, positives, weights):  # every word of the vocabulary as K Pn(v) negatives
        negative_weights = jnp.sum(weights) * negatives * noise
        all_scores = jnp.concatenate([look_up(scores, positives), scores])
        labels = jnp.concatenate([jnp.ones_like(weights), jnp.zeros_like(scores)])
        return losses.negative_sampling(
            all_scores, labels, jnp.concatenate([weights, negative_weights])
        )

    return jnp.sum(jax.vmap(row)(_scores(params, batch), batch.positives, batch.weights))


def heldout_loss(params: Params, batch: Batch, log_pn: jax.Array) -> jax.Array:
    """-mean log p(o | t) of held-out positives, in nats: tables [V, D], batch, log Pn [V] -> [].

    p(. | t) = softmax(s_t + log Pn). Negative sampling's optimum is s = log p(o | t) - log(K Pn(o))
    (Levy & Goldberg 2014, section 3.1), so that this undoes the shift which the noise leaves in the
    scores. The likelihood of the same words is one yardstick for every Pn, as negative sampling's
    own loss, whose task changes with its noise, is not; K drops out with the normalisation.
    """

    def row(scores, positives, weights):
        return losses.softmax(scores + log_pn, positives, weights)

    total = jnp.sum(jax.vmap(row)(_scores(params, batch), batch.positives, batch.weights))
    return total / jnp.sum(batch.weights)


def train(
    start: Params,
    batches: Batch,
    rates: jax.Array,
    noise: jax.Array,
    hyper: HyperParams,
    static: StaticConfig,
) -> Params:
    """The tables after one step of static.optimizer a batch, at each step's rate: rates [steps].

    The backward pass keeps the state before each step and computes the step again
    (jax.checkpoint): its memory is a state a step and one step's scores.
    """
    negatives = hyper.negatives.astype(noise.dtype)
    opt_state = _optimizer(static, hyper, rates[0], jnp.int32(0)).init(start)

    @jax.checkpoint
    def step(state, given):
        params, opt_state = state
        batch, rate, number = given
        grads = jax.grad(expected_objective)(params, batch, noise, negatives)
        transformation = _optimizer(static, hyper, rate, number)
        updates, opt_state = transformation.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), None

    numbers = jnp.arange(len(rates), dtype=jnp.int32)
    (params, _), _ = jax.lax.scan(step, (start, opt_state), (batches, rates, numbers))
    return params


def loss_after_training(
    rates: jax.Array,
    power: jax.Array,
    scoring_power: jax.Array,
    run: Unrolled,
    hyper: HyperParams,
    static: StaticConfig,
) -> jax.Array:
    """Held-out loss of a run, as a function of its rates, [] or [steps], and its noise power [].

    The power acts twice: on the noise that trains, and, as `scoring_power`, on the Pn with which
    the held-out words are scored. One value goes to both; apart, they split the derivative into the
    part through training and the part through the correction. hyper's rate and noise are not used.
    """
    steps = run.batches.positives.shape[0]
    rates = jnp.broadcast_to(rates, (steps,))
    noise = jnp.exp(log_noise(run.counts, power))
    params = train(run.start, run.batches, rates, noise, hyper, static)
    return heldout_loss(params, run.heldout, log_noise(run.counts, scoring_power))


def away_from_zero() -> optax.GradientTransformation:
    """A gradient of exactly 0 becomes the smallest number whose square is safe; others stay.

    Adam divides by sqrt(v) + epsilon, and v is 0 where every gradient so far was: in the input
    table as long as the output table is 0 (word2vec.c's start), in rows never touched, in output
    rows of words that noise never draws. The step has a derivative there (g / (|g| + epsilon) has
    slope 1 / epsilon at 0), but sqrt has none: epsilon, outside the root, doesn't keep the chain
    rule from infinity times 0, NaN. As such a gradient is 0 whatever rate and power are, its
    derivative in them is 0: the number takes its place, cut off from the derivative. It moves the
    table by less than 1e-15 / epsilon of the rate (1e-145 / epsilon in float64). Optax's own
    remedy, eps_root, changes every step.
    """

    def safe(g):
        limits = jnp.finfo(g.dtype)
        least = jnp.sqrt(limits.tiny / limits.eps).astype(g.dtype)
        return jnp.where(g == 0, least, g)

    def apply(grads, state, params=None):
        del params
        return jax.tree.map(safe, grads), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), apply)


def _optimizer(static: StaticConfig, hyper: HyperParams, rate: jax.Array, number: jax.Array):
    transformation = update.optimizer(static, hyper, rate, number)
    if static.optimizer == "sgd":
        return transformation
    return optax.chain(away_from_zero(), transformation)


def _scores(params: Params, batch: Batch) -> jax.Array:
    """Scores of the whole vocabulary: [T, V]."""
    # Not model.gather: its rule for trials of a sweep can't be differentiated twice in reverse.
    rows = look_up(params.input, batch.inputs)
    h = jax.vmap(model.hidden)(rows, batch.input_weights)
    return jax.vmap(model.dot_scores, (0, None))(h, params.output)
