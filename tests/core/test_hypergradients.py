"""Derivatives through a whole run, against differences, closed forms and NumPy loops."""

import json
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import reference
from scripts import start

from w2v_jax import hypergradients, sampling, subsampling
from w2v_jax.data import vocab
from w2v_jax.engines import pairs
from w2v_jax.types import Batch, Params, StaticConfig

V, D, T, STEPS, SLOTS, K = 9, 3, 6, 5, 4, 2
RNG = np.random.default_rng(3)
COUNTS = np.array([40.0, 31, 17, 12, 9, 5, 3, 2, 1])
POWER, RATE = 0.6, {"sgd": 0.05, "adam": 0.1, "adagrad": 0.2}


def drawn_batch(*lead):
    """Skip-gram rows with random positives, some slots empty."""
    weights = (RNG.random((*lead, T, SLOTS)) < 0.7).astype(float)
    return Batch(
        inputs=RNG.integers(0, V, (*lead, T, 1)).astype(np.int32),
        input_weights=np.ones((*lead, T, 1)),
        positives=RNG.integers(0, V, (*lead, T, SLOTS)).astype(np.int32),
        weights=weights,
        negatives=np.zeros((*weights.shape, 0), np.int32),
        negative_weights=np.zeros((*weights.shape, 0)),
    )


TABLES = Params(0.5 * RNG.normal(size=(V, D)), 0.5 * RNG.normal(size=(V, D)))
BATCHES, HELDOUT = drawn_batch(STEPS), drawn_batch()


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def run(x64):
    return jax.tree.map(jnp.asarray, hypergradients.Unrolled(TABLES, BATCHES, HELDOUT, COUNTS))


@pytest.fixture
def hyper(x64, make_hyper):
    def wide(x):
        return x.astype(jnp.float64) if x.dtype == jnp.float32 else x

    return jax.tree.map(wide, make_hyper(COUNTS, epsilon=1e-8, weight_decay=0.01))


@cache
def compiled(optimizer):
    static = StaticConfig(optimizer=optimizer)
    function = partial(hypergradients.loss_after_training, static=static)
    return jax.jit(function), jax.jit(jax.grad(function, argnums=(0, 1, 2)))


def after(run, hyper, optimizer, compiled=compiled):
    """(rate, power, scoring power) -> loss, and its gradient."""
    return [partial(function, run=run, hyper=hyper) for function in compiled(optimizer)]


def difference(function, x, h):
    return (function(x + h) - function(x - h)) / (2 * h)


@pytest.mark.parametrize("optimizer", RATE)
def test_derivatives_are_central_differences(run, hyper, optimizer):
    loss, grad = after(run, hyper, optimizer)
    rate, power = jnp.float64(RATE[optimizer]), jnp.float64(POWER)
    by_rate, by_training, by_scoring = grad(rate, power, power)
    wanted = difference(lambda x: loss(x, power, power), rate, 1e-6)
    np.testing.assert_allclose(by_rate, wanted, rtol=1e-6)
    wanted = difference(lambda x: loss(rate, x, x), power, 1e-6)
    np.testing.assert_allclose(by_training + by_scoring, wanted, rtol=1e-6)
    wanted = difference(lambda x: loss(rate, x, power), power, 1e-6)
    np.testing.assert_allclose(by_training, wanted, rtol=1e-6)
    assert min(map(abs, (by_rate, by_training, by_scoring))) > 1e-4  # nothing is compared with 0


def test_a_step_has_a_rate_of_its_own(run, hyper):
    loss, grad = after(run, hyper, "adam")
    rates, power = jnp.linspace(0.05, 0.15, STEPS), jnp.float64(POWER)
    by_step, *_ = grad(rates, power, power)
    for step in range(STEPS):
        one = jnp.zeros(STEPS).at[step].set(1.0)
        wanted = difference(lambda x, one=one: loss(rates + x * one, power, power), 0.0, 1e-6)
        np.testing.assert_allclose(by_step[step], wanted, rtol=1e-6)


def test_one_step_of_sgd_in_closed_form(run, hyper):
    """d loss(start - r g) / dr = -<grad loss at the end, g>, with g from NumPy loops."""
    one = run._replace(batches=jax.tree.map(lambda x: x[:1], run.batches))
    _, grad = after(one, hyper, "sgd")
    by_rate, *_ = grad(jnp.float64(0.1), jnp.float64(POWER), jnp.float64(POWER))
    noise = vocab.noise_distribution(COUNTS, POWER)
    g = naive_gradient(TABLES, jax.tree.map(lambda x: x[0], BATCHES), noise)
    end = Params(*(jnp.asarray(w - 0.1 * dw) for w, dw in zip(TABLES, g, strict=True)))
    slope = jax.jit(jax.grad(hypergradients.heldout_loss))(end, run.heldout, jnp.log(noise))
    wanted = -sum(float(np.sum(a * b)) for a, b in zip(slope, g, strict=True))
    np.testing.assert_allclose(by_rate, wanted, rtol=1e-11)


def naive_objective(params, batch, noise):
    """The formula, term by term."""
    total = 0.0
    for t in range(T):
        h = params.input[batch.inputs[t, 0]]
        for o in range(SLOTS):
            if batch.weights[t, o]:
                total -= np.log(reference.sigmoid(h @ params.output[batch.positives[t, o]]))
                for v in range(V):
                    total -= K * noise[v] * np.log(reference.sigmoid(-h @ params.output[v]))
    return total


def naive_gradient(params, batch, noise):
    """(sigma(s) - 1) for a positive, K Pn(v) sigma(s) for noise, times the other vector."""
    g = Params(np.zeros((V, D)), np.zeros((V, D)))
    for t in range(T):
        c = batch.inputs[t, 0]
        h = params.input[c]
        for o in range(SLOTS):
            if not batch.weights[t, o]:
                continue
            word = batch.positives[t, o]
            terms = [(word, reference.sigmoid(h @ params.output[word]) - 1)]
            terms += [(v, K * noise[v] * reference.sigmoid(h @ params.output[v])) for v in range(V)]
            for v, slope in terms:
                g.input[c] += slope * params.output[v]
                g.output[v] += slope * h
    return g


def test_the_objective_and_its_gradient_are_the_formulas(run):
    noise = vocab.noise_distribution(COUNTS, POWER)
    batch = jax.tree.map(lambda x: x[0], BATCHES)
    value, gradient = jax.jit(jax.value_and_grad(hypergradients.expected_objective))(
        run.start, jax.tree.map(jnp.asarray, batch), jnp.asarray(noise), jnp.float64(K)
    )
    np.testing.assert_allclose(value, naive_objective(TABLES, batch, noise), rtol=1e-12)
    for mine, wanted in zip(gradient, naive_gradient(TABLES, batch, noise), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-10, atol=1e-13)


def test_training_is_sgd_on_the_formulas(run, hyper):
    noise, params = vocab.noise_distribution(COUNTS, POWER), TABLES
    rates = np.linspace(0.02, 0.1, STEPS)
    for step in range(STEPS):
        batch = jax.tree.map(lambda x, step=step: x[step], BATCHES)
        g = naive_gradient(params, batch, noise)
        params = Params(*(w - rates[step] * dw for w, dw in zip(params, g, strict=True)))
    mine = hypergradients.train(
        run.start,
        run.batches,
        jnp.asarray(rates),
        jnp.asarray(noise),
        hyper,
        StaticConfig(optimizer="sgd"),
    )
    for a, b in zip(mine, params, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


@pytest.mark.slow
def test_the_objective_is_the_mean_over_drawn_noise(make_hyper, make_corpus):
    """Of the reference engine's own objective, noise drawn with replacement."""
    ids = RNG.choice(V, 40, p=COUNTS / COUNTS.sum()).astype(np.int32)
    noise = vocab.noise_distribution(COUNTS, POWER)
    drawing = make_hyper(noise)
    static = StaticConfig(window=2, negatives=K, noise="with_replacement", batch_size=T)
    first, lines = jnp.int32(0), jnp.zeros(40, jnp.int32)
    args = (jax.random.key(0), first, first, jnp.asarray(ids), lines, drawing)
    sampled = jax.jit(partial(subsampling.sample_chunk, static=static))(*args)
    start = jax.tree.map(partial(jnp.asarray, dtype=jnp.float32), TABLES)

    @jax.jit
    @jax.vmap
    def drawn(key):
        batch = sampling.make_batch(sampled._replace(negatives_key=key), first, drawing, static)
        flat = pairs.flattened(batch)
        rows = start.input[flat.inputs], start.output[flat.outputs]
        return pairs.objective(*rows, flat, static)[0]

    sample = np.asarray(drawn(jax.random.split(jax.random.key(1), 1000)), np.float64)
    of_positives = partial(sampling.make_batch, static=static._replace(loss="softmax"))
    positives = jax.jit(of_positives)(sampled, first, drawing)
    objective = jax.jit(hypergradients.expected_objective)
    exact = float(objective(start, positives, jnp.asarray(noise, jnp.float32), jnp.float32(K)))
    error = sample.std(ddof=1) / np.sqrt(len(sample))
    assert abs(sample.mean() - exact) < 4 * error
    assert error < 4e-3 * exact  # so that another power or K would be seen


def test_log_noise_is_the_noise_distribution_with_a_derivative(x64):
    counts = np.append(COUNTS, 0)
    with np.errstate(divide="ignore"):
        wanted = np.log(vocab.noise_distribution(counts, POWER))
    found = hypergradients.log_noise(jnp.asarray(counts), jnp.float64(POWER))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    jacobian = jax.jit(jax.jacobian(hypergradients.log_noise, 1))
    slope = jacobian(jnp.asarray(COUNTS), jnp.float64(POWER))
    logs = np.log(COUNTS)
    mean = vocab.noise_distribution(COUNTS, POWER) @ logs
    np.testing.assert_allclose(slope, logs - mean, rtol=1e-11)
    slope = jacobian(jnp.asarray(counts), jnp.float64(POWER))
    np.testing.assert_allclose(slope, np.append(logs - mean, 0), rtol=1e-11)


def test_the_yardstick_undoes_the_noise(x64):
    """At negative sampling's optimum it is the entropy of the text, whatever power and K."""
    joint = RNG.random((V, V))
    conditional = joint / joint.sum(axis=1, keepdims=True)
    everything = Batch(
        inputs=jnp.arange(V)[:, None],
        input_weights=jnp.ones((V, 1)),
        positives=jnp.broadcast_to(jnp.arange(V)[None, :], (V, V)),
        weights=jnp.asarray(joint),
        negatives=jnp.zeros((V, V, 0), jnp.int32),
        negative_weights=jnp.zeros((V, V, 0)),
    )
    entropy = -np.sum(joint * np.log(conditional)) / joint.sum()
    gradient = jax.jit(jax.grad(hypergradients.expected_objective))
    yardstick = jax.jit(hypergradients.heldout_loss)
    for power, k in ((0.0, 1), (0.75, 5)):
        noise = vocab.noise_distribution(COUNTS, power)
        optimum = np.log(conditional) - np.log(k * noise)[None, :]
        params = Params(jnp.eye(V), jnp.asarray(optimum.T))  # scores of any kind: D = V
        negative_sampling = gradient(params, everything, jnp.asarray(noise), jnp.float64(k))
        np.testing.assert_allclose(negative_sampling.output, 0, atol=1e-12)
        loss = yardstick(params, everything, jnp.log(jnp.asarray(noise)))
        np.testing.assert_allclose(loss, entropy, rtol=1e-12)


def test_adam_at_gradients_of_zero(run, hyper, monkeypatch):
    """From an output table of 0, which leaves the input table without gradient for a step."""
    rate, power = jnp.float64(0.1), jnp.float64(POWER)
    run = run._replace(start=run.start._replace(output=jnp.zeros((V, D))))
    loss, grad = after(run, hyper, "adam")
    _, by_training, by_scoring = grad(rate, power, power)
    wanted = difference(lambda x: loss(rate, x, x), power, 1e-6)
    np.testing.assert_allclose(by_training + by_scoring, wanted, rtol=1e-6)

    helped = loss(rate, power, power)
    monkeypatch.setattr(hypergradients, "away_from_zero", optax.identity)
    loss, grad = after(run, hyper, "adam", compiled.__wrapped__)  # traced anew
    assert np.isnan(grad(rate, power, power)[1])
    assert helped == loss(rate, power, power)  # the help is too small to be seen


def test_a_word_that_noise_never_draws(run, hyper):
    run = run._replace(
        counts=run.counts.at[V - 1].set(0),
        batches=run.batches._replace(positives=run.batches.positives % (V - 1)),
        heldout=run.heldout._replace(positives=run.heldout.positives % (V - 1)),
    )
    rate, power = jnp.float64(0.1), jnp.float64(POWER)
    loss, grad = after(run, hyper, "adam")
    by_rate, by_training, by_scoring = grad(rate, power, power)
    wanted = difference(lambda x: loss(x, power, power), rate, 1e-6)
    np.testing.assert_allclose(by_rate, wanted, rtol=1e-6)
    wanted = difference(lambda x: loss(rate, x, x), power, 1e-6)
    np.testing.assert_allclose(by_training + by_scoring, wanted, rtol=1e-6)


def test_float32_derivatives_are_finite_too(run, hyper):
    narrow = jax.tree.map(
        lambda x: x.astype(jnp.float32) if x.dtype == jnp.float64 else x, (run, hyper)
    )
    wide = after(run, hyper, "adam")[1](*map(jnp.float64, (0.1, POWER, POWER)))
    found = after(*narrow, "adam")[1](*map(jnp.float32, (0.1, POWER, POWER)))
    np.testing.assert_allclose(found, wide, rtol=1e-2)


TINY = [
    *("--max_vocab=8", "--dim=3", "--batch_size=8", "--steps=3", "--window=2", "--negatives=2"),
    *("--learning_rate=0.05", "--descent_steps=2", "--heldout_centres=16", "--cache_dir=none"),
    "--optimizers=adam",
]


@pytest.mark.slow
def test_the_script(text_folder, capsys):
    out = text_folder / "hypergradients"
    args = (*TINY, f"--corpus={text_folder / 'corpus.txt'}", f"--workdir={out}")
    assert start("hypergradients", *args) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == (out / "table.md").read_text().strip()
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [line["optimizer"] for line in lines] == ["adam"]
    for line in lines:
        losses = [point["loss"] for point in line["descent"]]
        assert len(losses) > 1 and losses == sorted(losses, reverse=True)
        check = line["checks"][0]
        for exact, found in zip(check["derivatives"], check["differences"], strict=True):
            np.testing.assert_allclose(found[1], exact, rtol=1e-5)
        np.testing.assert_allclose(sum(line["by_step"]), line["checks"][1]["derivatives"][0])
    assert (out / "hypergradients.png").stat().st_size > 10_000
    assert not jax.config.jax_enable_x64
    before = (out / "results.jsonl").read_bytes()  # a second start measures nothing anew
    assert start("hypergradients", *args) == 0
    assert (out / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--workdir=", "--workdir"),
        ("--optimizers=sgd,lion", "--optimizers=lion"),
        ("--learning_rate=0", "--learning_rate"),
        ("--noise_power=nan", "--noise_power"),
        ("--heldout_share=1", "--heldout_share"),
        ("--steps=1000", "--steps=1000"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(text_folder, capsys, flag, told):
    out = f"--workdir={text_folder / 'refused'}"
    args = (*TINY, f"--corpus={text_folder / 'corpus.txt'}", out, flag)
    assert start("hypergradients", *args) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and told in error and "\n" not in error
