"""Losses, noise distributions, optimisers, schedules: each entry is what it says of itself."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from batches import batch_of, flat
from entries import SMALL, D, K, V, drawing, names, tables
from jax.test_util import check_grads
from laws import chi_square
from messages import told

from experiments.cli import config
from w2v_jax import beginning, heldout, losses, update
from w2v_jax.checks import check
from w2v_jax.engines import blocks
from w2v_jax.losses import LOSSES
from w2v_jax.noise import NOISE, Draws
from w2v_jax.optimizers import OPTIMIZERS, Optimizer
from w2v_jax.types import Params, Vocab

of = partial(pytest.mark.parametrize, "name")

# Losses


def random_batch(name, seed=0):
    """Repeated ids, windows of different widths, an empty row at the end."""
    rng, slots = np.random.default_rng(seed), 3
    exists = (rng.random((5, slots)) < 0.7).astype(np.float32)
    exists[:, 0], exists[-1] = 1, 0
    inputs, has = rng.integers(0, V, (5, 1)), exists.max(axis=1, keepdims=True)
    positives = rng.integers(0, V, (5, slots))
    if LOSSES[name].vocabulary:
        return batch_of(inputs, has, positives, exists, 0)
    noise = rng.integers(0, V, (5, slots, K))
    outputs = np.concatenate([positives[..., None], noise], axis=2).reshape(5, -1)
    return batch_of(inputs, has, outputs, np.repeat(exists, 1 + K, axis=1), K)


def written_out(params, batch, static):
    """The sum of a loss's own function over rows, a positive with its negatives each."""
    loss, total, batch = losses.of(static), 0.0, flat(batch)
    h = params.input[batch.inputs[:, 0]] * jnp.asarray(batch.input_weights, params.input.dtype)
    for t in range(len(h)):
        weights = jnp.asarray(batch.weights[t], h.dtype)
        if loss.weigh:
            weights = loss.weigh(weights)
        if loss.vocabulary:
            total += loss(params.output @ h[t], batch.outputs[t], weights)
            continue
        scores = params.output[batch.outputs[t]] @ h[t]
        for pair in range(0, len(scores), 1 + K):
            part = slice(pair, pair + 1 + K)
            total += loss(scores[part], jnp.asarray(batch.labels[t, part], h.dtype), weights[part])
    return total


@pytest.mark.usefixtures("added")
@of(names("loss"))
def test_the_gradient_that_trains_is_the_slope_of_the_losss_own_function(name):
    static, batch = SMALL._replace(loss=name), random_batch(name)
    rng = np.random.default_rng(1)
    params = Params(*rng.normal(size=(2, V, D)))
    narrow = jax.tree.map(jnp.float32, params)
    grads, metrics = jax.jit(partial(update.gradient, static=static))(narrow, batch)
    with jax.enable_x64(True):
        value = jax.jit(partial(written_out, batch=batch, static=static))
        np.testing.assert_allclose(metrics.objective, value(params), rtol=1e-5)
        for _ in range(6):
            way = Params(*rng.normal(size=(2, V, D)))
            ahead, behind = (
                float(value(jax.tree.map(lambda p, w: p + step * w, params, way)))  # noqa: B023
                for step in (1e-5, -1e-5)
            )
            slope = sum(np.sum(np.asarray(g) * w) for g, w in zip(grads, way, strict=True))
            assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)


@pytest.mark.usefixtures("added")
@of(names("loss"))
def test_a_losss_slope_in_its_scores_is_its_difference_quotient(name):
    rng, loss = np.random.default_rng(2), losses.of(SMALL._replace(loss=name))
    with jax.enable_x64(True):
        labels = jnp.array([3, 0, 3] if loss.vocabulary else [1.0, 0.0, 0.0])
        for weights in ([1.0, 1.0, 1.0], [0.5, 0.5, 0.0]):
            scores = jnp.asarray(rng.normal(size=5 if loss.vocabulary else 3))
            own = partial(loss, labels=labels, weights=jnp.asarray(weights))
            check_grads(own, (scores,), 1, ["rev"], atol=1e-6, rtol=1e-6)


@pytest.mark.usefixtures("added")
@of(names("loss"))
def test_a_row_without_weights_costs_nothing_and_has_no_slope(name):
    loss = losses.of(SMALL._replace(loss=name))
    labels = jnp.int32([3, 0]) if loss.vocabulary else jnp.float32([1, 0])
    for scores in ([0.3, -2.0, 1.0, 7.0], [50.0, -50.0, 50.0, -50.0]):
        scores = jnp.float32(scores if loss.vocabulary else scores[:2])
        value, slope = jax.value_and_grad(loss)(scores, labels, jnp.zeros(2))
        assert value == 0 and not np.any(slope)


@pytest.mark.usefixtures("added")
@of(names("loss", lambda loss: not loss.vocabulary))
def test_a_loss_that_takes_expected_windows_is_in_proportion_to_its_weights(name):
    loss = losses.of(SMALL._replace(loss=name))
    scores, labels = jnp.float32([0.3, -2.0, 1.0]), jnp.float32([1, 0, 0])
    weights = jnp.float32([1, 1, 1])
    values = [
        loss(scores, labels, loss.weigh(w) if loss.weigh else w) for w in (weights, weights / 2)
    ]
    assert (values[1] == pytest.approx(float(values[0]) / 2)) == loss.in_proportion


@pytest.mark.usefixtures("added")
@pytest.mark.parametrize(
    ("name", "law"),
    [(loss, "with_replacement") for loss in names("loss", lambda loss: loss.in_blocks)]
    + [("negative_sampling", law) for law in names("noise", lambda law: law.ratio)],
)
@pytest.mark.slow
def test_both_engines_have_the_same_objective(hyper, name, law):
    static = SMALL._replace(engine="blocks", loss=name, noise=law)
    check(static)
    batch = jax.tree.map(lambda x: x[0], drawing(static)(hyper))

    @jax.jit
    def both(params):
        per_pair = static._replace(engine="pairs", negatives=static.negatives_per_group)
        expanded = blocks.expand(batch, V, hyper, static)
        grads, metrics = update.gradient(params, expanded, per_pair)
        of_blocks, _ = update.gradient(params, batch, static)
        objective = blocks.objective(*blocks.gather(params, batch, static), batch, static)
        return (of_blocks, objective), (grads, metrics.objective)

    assert blocks.positives(batch, static) > 5
    for one, other in zip(*map(jax.tree.leaves, both(tables())), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


# Noise distributions


@cache
def draw(name):
    @jax.jit
    def drawn(keys, positives, pn):
        rows, slots = positives.shape

        def words(round_, n):
            own = jax.vmap(jax.random.fold_in, (0, None))(keys, round_)
            choose = partial(jax.random.choice, a=5, shape=(slots * n,), p=pn)
            return jax.vmap(lambda key: choose(key))(own).reshape(rows, slots, n)

        draws = Draws(keys, pn, words)
        return NOISE[name].draw(draws, positives, jnp.ones((rows, slots), bool), K)

    return drawn


def drawn(name, positives, pn, count=6000):
    """[count, 2, K] negatives for two positives in a row, of five words."""
    keys = jax.random.split(jax.random.key(1), count)
    both = jnp.tile(jnp.int32(positives), (count, 1))
    return np.asarray(draw(name)(keys, both, jnp.float32(pn)))


PN = np.array([0.4, 0.3, 0.15, 0.1, 0.05])


@pytest.mark.usefixtures("added")
@of(names("noise"))
def test_the_blocks_engines_weights_give_the_law_that_the_pairs_engine_draws(name):
    ratio = NOISE[name].ratio
    static = SMALL._replace(engine="blocks", noise=name)
    if ratio is None:
        with told(f"--noise={name}: --engine=blocks has"):
            check(static)
        return
    check(static)
    for target in (0, 2):
        law = PN.copy()
        for factor in ratio(jnp.int32([target]), jnp.arange(5), jnp.float32(PN)):
            law = law if factor is None else law * np.asarray(factor, float)
        skips = NOISE[name].skips_target
        assert law.sum() == pytest.approx(1 - PN[target] if skips else 1)
        law /= law.sum()
        words = drawn(name, [target, 1], PN)[:, 0]
        words = words[words != target] if skips else words
        assert chi_square(np.bincount(words.ravel(), minlength=5), law * words.size) > 1e-3


@pytest.mark.usefixtures("added")
@of(names("noise"))
def test_a_law_depends_on_its_row_where_it_says_so(name):
    one, other = (drawn(name, [1, beside], PN)[:, 0] for beside in (0, 3))
    assert (one != other).any() == NOISE[name].by_row


@pytest.mark.usefixtures("added")
@of(names("noise"))
def test_as_many_words_as_a_law_needs_are_enough_and_one_less_is_refused(name):
    settings = config.RunConfig(noise=name, window=1, negatives=2)
    needed = NOISE[name].needs(1, 2)
    words = tuple(map(str, range(needed)))
    beginning.check_negatives(settings, Vocab(words, np.full(needed, 5)))
    pn = np.where(np.arange(5) < needed, 1 / needed, 0)
    found = drawn(name, np.arange(2) % needed, pn)
    assert found.max() < needed or "noise_power" not in NOISE[name].uses
    if needed > 1:
        with told(f"--noise={name} needs {needed} words"):
            beginning.check_negatives(settings, Vocab(words[1:], np.full(needed - 1, 5)))


# Perplexity


@pytest.mark.usefixtures("added")
def test_perplexity_takes_the_correction_of_loss_and_law_or_there_is_none(hyper):
    def correction(**fields):
        return np.asarray(heldout.correction(hyper, SMALL._replace(**fields)))

    np.testing.assert_allclose(correction(), np.log(np.asarray(hyper.noise)), rtol=1e-6)
    np.testing.assert_allclose(correction(noise="uniform"), -np.log(V), rtol=1e-6)
    np.testing.assert_array_equal(correction(loss="softmax", noise="distinct"), 0)
    for field, name in (("loss", "hinge"), ("noise", "distinct")):
        with told(f"--{field}={name}: has no perplexity"):
            correction(**{field: name})


# Optimisers and schedules


@pytest.mark.usefixtures("added")
@of(names("optimizer"))
def test_an_optimiser_that_takes_touched_rows_treats_rows_apart(hyper, name):
    static = SMALL._replace(optimizer=name, update="sparse")
    if not OPTIMIZERS[name].sparse:
        with told(f"--optimizer={name}"):
            check(static)
        return
    rng = np.random.default_rng(0)
    table, grad = jnp.float32(rng.normal(size=(6, D))), jnp.float32(rng.normal(size=(6, D)))
    transformation = update.optimizer(static, hyper, hyper.learning_rate, jnp.int32(0))
    move = jax.jit(
        lambda grad, table: transformation.update(grad, transformation.init(table), table)
    )
    whole, _ = move(grad, table)
    for some in (slice(0, 2), slice(2, 6)):
        alone, _ = move(grad[some], table[some])
        np.testing.assert_allclose(alone, whole[some], rtol=1e-6)


def test_rows_that_depend_on_one_another_are_refused(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "lars", Optimizer(optax.lars))
    with told("--update=sparse: --optimizer=lars"):
        check(SMALL._replace(optimizer="lars", update="sparse"))
    check(SMALL._replace(optimizer="lars"))
