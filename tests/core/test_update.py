"""One step: gradients, optimisers, schedules."""

from functools import cache, partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
from batches import batch_of, flat

from w2v_jax import losses, model, sampling, subsampling, update
from w2v_jax.engines import pairs
from w2v_jax.types import Params, StaticConfig

V, D, T, C, K = 9, 4, 7, 4, 2


def tables(seed=0, vocab_size=V, scale=1.0):
    rng = np.random.default_rng(seed)
    return Params(*(rng.normal(size=(2, vocab_size, D)).astype(np.float32) * np.float32(scale)))


def random_batch(name, loss, rows=T, full=False, seed=0):
    """Repeated ids, windows of different widths unless full, an empty row at the end."""
    rng = np.random.default_rng(seed)
    exists = np.ones((rows, C)) if full else (rng.random((rows, C)) < 0.6).astype(float)
    exists[:, 0] = 1
    if not full:
        exists[-1] = 0
    some = exists.max(axis=1, keepdims=True)
    contexts, centres = rng.integers(0, V, (rows, C)), rng.integers(0, V, (rows, 1))
    if name == "skipgram":
        inputs, input_weights, positives, weights = centres, some, contexts, exists
    else:
        input_weights = exists / np.maximum(exists.sum(axis=1, keepdims=True), 1)
        inputs, positives, weights = contexts, centres, some
    outputs, k = positives, 0
    if loss != "softmax":
        k, noise = K, rng.integers(0, V, (rows, positives.shape[1], K))
        outputs = np.concatenate([positives[..., None], noise], axis=2).reshape(rows, -1)
        weights = np.repeat(weights, 1 + K, axis=1)
    return batch_of(inputs, input_weights, outputs, weights, k)


def in_parts_of_three_pairs(monkeypatch, batch):
    monkeypatch.setattr(pairs, "PART", 3 * (batch.inputs.shape[1] + 1 + K) * D)


@cache
def gradient_of(static):
    return jax.jit(partial(update.gradient, static=static))


def in_float64(params):
    return [np.asarray(table, np.float64) for table in params]


# Gradients

DERIVED = ("negative_sampling", "masked_mean", "softmax")  # in reference.py
CASES = [
    *((name, loss, False) for name in ("skipgram", "cbow") for loss in DERIVED),
    ("cbow", "negative_sampling", True),
]


@pytest.mark.parametrize(("name", "loss", "legacy"), CASES)
def test_gradient_in_parts_is_that_of_the_whole_tables_and_the_derivation(
    monkeypatch, name, loss, legacy
):
    static = StaticConfig(negatives=K, model=name, loss=loss, cbow_legacy_gradient=legacy)
    params, batch = tables(), random_batch(name, loss)
    in_parts_of_three_pairs(monkeypatch, batch)

    @jax.jit
    def both(params, batch):
        def of_tables(params):
            rows = pairs.flattened(batch)
            outputs = params.output if loss == "softmax" else params.output[rows.outputs]
            if loss == "masked_mean":
                rows = rows._replace(weights=jax.vmap(losses.mean_weights)(rows.weights))
            return pairs.objective(params.input[batch.inputs], outputs, rows, static)[0]

        total, whole = jax.value_and_grad(of_tables)(params)
        return whole, total, *update.gradient(params, batch, static)

    whole, whole_total, grads, metrics = both(params, batch)
    total, d_in, d_out = reference.objective(*in_float64(params), batch, loss, legacy)
    for found in (whole, grads):
        np.testing.assert_allclose(found.input, d_in, rtol=2e-5, atol=2e-6)
        np.testing.assert_allclose(found.output, d_out, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose([whole_total, metrics.objective], total, rtol=1e-5)


@pytest.mark.parametrize("name", ["skipgram", "cbow"])
def test_pairs_in_use_are_the_positives_of_the_batch_in_order_and_nothing_else(monkeypatch, name):
    batch = random_batch(name, "negative_sampling")
    monkeypatch.setattr(pairs, "PART", 8 * (batch.inputs.shape[1] + 1 + K) * D)
    found, used = jax.tree.map(
        np.asarray, pairs.pairs_in_use(batch, (V, D), StaticConfig(model=name, negatives=K))
    )
    by_pair = [x.reshape(T, -1, 1 + K) for x in (flat(batch).outputs, flat(batch).weights)]
    wanted = [
        (batch.inputs[t][batch.input_weights[t] > 0].tolist(), by_pair[0][t, p].tolist())
        for t, p in zip(*np.nonzero(by_pair[1][:, :, 0]), strict=True)
    ]
    rows = zip(found.inputs[:used], found.input_weights[:used], found.outputs[:used], strict=True)
    assert [(i[w > 0].tolist(), o.tolist()) for i, w, o in rows] == wanted
    slots = by_pair[1][:, :, 0].size
    part = min(8, slots)  # pairs a part: no more than there are slots
    assert len(found.inputs) == -(-slots // part) * part
    assert (found.labels[:used] == [1] + [0] * K).all() and (found.weights[:used] == 1).all()
    assert (found.inputs[found.input_weights == 0] == V).all()
    assert (found.outputs[used:] == V).all() and not found.weights[used:].any()


def test_the_derivation_is_the_slope_of_its_own_loss():
    for name, loss, legacy in CASES[:-1]:
        batch, point = random_batch(name, loss), in_float64(tables())
        _, *gradients = reference.objective(*point, batch, loss, legacy)
        way = [np.random.default_rng(1).normal(size=(V, D)) for _ in range(2)]
        ahead, behind = (
            reference.objective(
                *(p + step * w for p, w in zip(point, way, strict=True)), batch, loss
            )[0]
            for step in (1e-6, -1e-6)
        )
        slope = sum(np.sum(g * w) for g, w in zip(gradients, way, strict=True))
        np.testing.assert_allclose((ahead - behind) / 2e-6, slope, rtol=1e-7)


@pytest.mark.parametrize("name", ["skipgram", "cbow"])
def test_mean_over_full_windows_is_the_books_model(name):
    static = StaticConfig(negatives=K, model=name, reduction="mean")
    params, batch = tables(), random_batch(name, "negative_sampling", full=True)
    grads, metrics = gradient_of(static)(params, batch)
    if name == "cbow":
        contexts, targets, noise = batch.inputs, batch.positives[:, 0], batch.negatives[:, 0]
    else:
        contexts, targets, noise = batch.positives, batch.inputs[:, 0], batch.negatives
    book = getattr(reference, name)
    loss, d_in, d_out = book(*in_float64(params), contexts, targets, noise)
    np.testing.assert_allclose(metrics.loss / T, loss, rtol=1e-6)
    np.testing.assert_allclose(grads.input, d_in, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(grads.output, d_out, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", losses.LOSSES)
def test_mean_divides_by_the_rows_that_have_a_positive(loss):
    batch = random_batch("skipgram", loss)
    of = {
        reduction: gradient_of(StaticConfig(negatives=K, loss=loss, reduction=reduction))
        for reduction in ("sum", "mean")
    }
    (total, metrics), (mean, same) = (of[r](tables(), batch) for r in ("sum", "mean"))
    assert metrics.rows == T - 1 and metrics.objective == same.objective
    np.testing.assert_allclose(mean.input * (T - 1), total.input, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mean.output * (T - 1), total.output, rtol=1e-5, atol=1e-6)


def test_metrics_are_sums_and_counts_over_parts(monkeypatch):
    static = StaticConfig(negatives=K, loss="masked_mean")
    params, batch = tables(), random_batch("skipgram", "masked_mean")
    in_parts_of_three_pairs(monkeypatch, batch)
    _, metrics = jax.jit(partial(update.gradient, static=static))(params, batch)
    point = in_float64(params)
    wanted = [
        reference.objective(*point, batch, of)[0] for of in ("negative_sampling", static.loss)
    ]
    np.testing.assert_allclose([metrics.loss, metrics.objective], wanted, rtol=1e-5)
    assert metrics.positives == batch.weights.sum() and metrics.rows == T - 1


def test_a_batch_without_a_positive_has_zero_gradient_and_counts_nothing():
    batch = random_batch("cbow", "masked_mean")
    batch = batch._replace(
        input_weights=np.zeros_like(batch.input_weights),
        weights=np.zeros_like(batch.weights),
        negative_weights=np.zeros_like(batch.negative_weights),
    )
    static = StaticConfig(negatives=K, model="cbow", loss="masked_mean", reduction="mean")
    grads, metrics = gradient_of(static)(tables(), batch)
    assert not grads.input.any() and not grads.output.any()
    assert not any(map(float, metrics))


# Optimisers


@cache
def step_of(static):
    return jax.jit(partial(update.update_step, static=static))


def test_adam_with_epsilon_hat_is_the_books_over_many_steps(make_hyper):
    hyper = make_hyper(np.ones(V), learning_rate=0.05, epsilon=1e-3)
    static = StaticConfig(negatives=K, model="cbow", reduction="mean", epsilon_hat=True)
    start = tables(scale=0.1)
    state, step = update.init_state(start, hyper, static), step_of(static)
    book, own = reference.Adam(lr=0.05, eps=1e-3), in_float64(start)
    for s in range(60):
        batch = random_batch("cbow", "negative_sampling", full=True, seed=s)
        state, _ = step(state, batch, hyper.learning_rate, hyper)
        outputs = flat(batch).outputs
        grads = reference.cbow(*own, batch.inputs, outputs[:, 0], outputs[:, 1:])[1:]
        book.update(own, grads)
    assert state.step == 60
    for found, wanted, first in zip(state.params, own, start, strict=True):
        assert np.abs(wanted - first).max() > 0.1
        np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.slow
def test_100_steps_of_the_books_cbow_are_its_numpy_code_on_the_same_draws(make_hyper):
    rng, words, rows = np.random.default_rng(0), 40, 20
    static = StaticConfig(
        model="cbow",
        reduction="mean",
        window=3,
        negatives=5,
        noise="without_replacement",
        dynamic_window=False,
        full_windows=True,
        batch_size=rows,
        drop_last=True,
        epsilon_hat=True,
    )
    tokens = (words * rng.random(500) ** 2).astype(np.int32)
    hyper = make_hyper(
        np.bincount(tokens, minlength=words) ** 0.75,
        learning_rate=0.001,
        epsilon=1e-7,
        window=3,
        negatives=5,
    )
    key = jax.random.key(3)
    start = jax.tree.map(np.asarray, model.init_params(key, words, 10, "book"))
    state, own, book = update.init_state(start, hyper, static), in_float64(start), reference.Adam()
    draw = jax.jit(partial(subsampling.sample_chunk, static=static))
    make = jax.jit(partial(sampling.make_batch, static=static))
    step, lines, taken = step_of(static), np.zeros(500, np.int32), 0
    for epoch in range(5):
        sampled = draw(key, jnp.int32(epoch), jnp.int32(0), tokens, lines, hyper)
        steps = int(sampling.steps_of(int(sampled.centres), static))
        assert steps == 494 // rows
        for s in range(steps):
            batch = jax.tree.map(np.asarray, make(sampled, jnp.int32(s), hyper))
            assert (flat(batch).weights == 1).all()
            assert (batch.input_weights == np.float32(1 / 6)).all()
            loss, *grads = reference.cbow(
                *own, batch.inputs, batch.positives[:, 0], batch.negatives[:, 0]
            )
            book.update(own, grads)
            state, metrics = step(state, batch, hyper.learning_rate, hyper)
            np.testing.assert_allclose(metrics.objective / rows, loss, rtol=1e-5)
            taken += 1
    assert taken >= 100
    for found, wanted, first in zip(state.params, own, start, strict=True):
        assert np.abs(wanted - first).max() > 0.02
        np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_epsilon_hat_is_another_adam(make_hyper):
    hyper = make_hyper(np.ones(V), epsilon=0.1)
    batch = random_batch("skipgram", "negative_sampling")
    ends = []
    for hat in (False, True):
        static = StaticConfig(negatives=K, epsilon_hat=hat)
        state = update.init_state(tables(), hyper, static)
        ends.append(step_of(static)(state, batch, hyper.learning_rate, hyper)[0].params.output)
    grads, _ = gradient_of(StaticConfig(negatives=K))(tables(), batch)
    moved = [tables().output - np.asarray(end) for end in ends]
    for epsilon, found in zip((0.1, 0.1 / np.sqrt(0.001)), moved, strict=True):
        g = np.asarray(grads.output)
        np.testing.assert_allclose(found, 0.01 * g / (np.abs(g) + epsilon), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", update.OPTIMIZERS)
def test_a_state_a_table_moves_them_as_one_state_of_both_does(make_hyper, name):
    hyper = make_hyper(np.ones(V), learning_rate=0.1, weight_decay=0.1)
    static = StaticConfig(negatives=K, optimizer=name)

    @jax.jit
    def of_both(params, opt_state, grads, number):
        transformation = update.optimizer(static, hyper, hyper.learning_rate, number)
        updates, opt_state = transformation.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    state, params = update.init_state(tables(), hyper, static), tables()
    first = update.optimizer(static, hyper, hyper.learning_rate, jnp.int32(0))
    opt_state = first.init(params)
    for number in range(5):
        batch = random_batch("skipgram", "negative_sampling", seed=number)
        grads, _ = gradient_of(static)(params, batch)
        state, _ = step_of(static)(state, batch, hyper.learning_rate, hyper)
        params, opt_state = of_both(params, opt_state, grads, jnp.int32(number))
        for found, wanted in zip(state.params, params, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    assert all(np.abs(a - b).max() > 0.1 for a, b in zip(params, tables(), strict=True))


@pytest.mark.parametrize("name", update.OPTIMIZERS)
def test_every_optimizer_lowers_the_loss_of_a_fixed_batch(make_hyper, name):
    hyper, static = (
        make_hyper(np.ones(V), learning_rate=0.02),
        StaticConfig(negatives=K, optimizer=name),
    )
    batch, step = random_batch("skipgram", "negative_sampling"), step_of(static)
    state, found = update.init_state(tables(), hyper, static), []
    for _ in range(4):
        state, metrics = step(state, batch, hyper.learning_rate, hyper)
        found.append(float(metrics.loss))
    assert all(later < earlier for earlier, later in pairwise(found))


def test_first_steps_of_the_optimizers_are_their_equations(make_hyper):
    hyper = make_hyper(np.ones(V), learning_rate=0.5, weight_decay=0.1)
    batch, start = random_batch("skipgram", "negative_sampling"), tables()
    g = np.asarray(gradient_of(StaticConfig(negatives=K))(start, batch)[0].output)
    sign = g / (np.abs(g) + 1e-8)
    wanted = {
        "sgd": g,
        "adagrad": sign,
        "adam": sign,
        "adamw": sign + 0.1 * start.output,
    }
    for name, direction in wanted.items():
        static = StaticConfig(negatives=K, optimizer=name)
        state = update.init_state(start, hyper, static)
        end = step_of(static)(state, batch, hyper.learning_rate, hyper)[0].params.output
        np.testing.assert_allclose(start.output - end, 0.5 * direction, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["skipgram", "cbow"])
def test_a_step_of_sgd_moves_the_rows_of_the_batch_and_no_other(make_hyper, name):
    hyper, static = make_hyper(np.ones(V)), StaticConfig(negatives=K, model=name, optimizer="sgd")
    batch, start = random_batch(name, "negative_sampling", rows=2), tables()
    state = update.init_state(start, hyper, static)
    end = step_of(static)(state, batch, hyper.learning_rate, hyper)[0].params
    used = (
        batch.inputs[batch.input_weights > 0],
        flat(batch).outputs[flat(batch).weights > 0],
    )
    for before, after, ids in zip(start, end, used, strict=True):
        moved = (before != np.asarray(after)).any(axis=1)
        assert set(np.flatnonzero(moved)) == set(ids.tolist()) != set(range(V))


# Schedules


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        ("constant", [0.5, 0.5, 0.5, 0.5]),
        ("linear", [0.5, 0.375, 0.25, 0.0]),
        ("cosine", [0.5, 0.25 + 0.25 * 0.5**0.5, 0.25, 0.0]),
    ],
)
def test_rate_at_the_start_a_quarter_half_and_the_end(make_hyper, schedule, wanted):
    hyper = make_hyper(np.ones(V), learning_rate=0.5)
    rates = [
        update.rate(hyper, StaticConfig(schedule=schedule), jnp.float32(p))
        for p in (0, 0.25, 0.5, 1)
    ]
    np.testing.assert_allclose(rates, wanted, atol=1e-7)
    left = update.rate(hyper.replace(final_rate=0.2), StaticConfig(schedule=schedule), 1.0)
    assert left == pytest.approx(0.5 if schedule == "constant" else 0.1)
