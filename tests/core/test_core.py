"""The textbook: its equations against NumPy; that it learns; that both engines agree with it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads

from w2v_jax import core, sampling, subsampling, update
from w2v_jax.engines import blocks
from w2v_jax.model import init_params
from w2v_jax.types import Params, StaticConfig

V, D, K = 12, 5, 3
KEY = jax.random.key(2)
LINES = np.random.default_rng(1).integers(0, V, (9, 7)).astype(np.int32)
ENGINE = {
    "pairs": StaticConfig(window=2, negatives=K, batch_size=64, noise="with_replacement"),
    # As many shared negatives as K: each positive has its group's, with weight 1.
    "blocks": StaticConfig(
        engine="blocks", window=2, negatives=K, negatives_per_group=K, block=4, group_size=8,
        batch_size=64, noise="with_replacement",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def params():
    return jax.tree.map(lambda table: 20 * table, init_params(KEY, V, D, "book"))


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def test_the_loss_is_binary_cross_entropy_of_a_positive_and_its_negatives(params):
    centre, context, negatives = 3, 5, np.array([1, 5, 9])
    table, output = np.asarray(params.input), np.asarray(params.output)
    expected = -np.log(sigmoid(output[context] @ table[centre]))
    expected -= np.log(1 - sigmoid(output[negatives] @ table[centre])).sum()
    found = core.skipgram_loss(params, centre, context, negatives)
    assert found == pytest.approx(expected, rel=1e-6)
    contexts = np.array([3, 3, 7])
    h = table[contexts].astype(np.float64).mean(axis=0)
    expected = -np.log(sigmoid(output[2] @ h)) - np.log(1 - sigmoid(output[negatives] @ h)).sum()
    found = core.cbow_loss(params, contexts, 2, negatives)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [core.skipgram_loss, core.cbow_loss])
def test_the_gradient_is_that_of_finite_differences(params, loss):
    first = np.array([1, 4]) if loss is core.cbow_loss else 1
    check_grads(lambda p: loss(p, first, 2, np.array([2, 6, 6])), (params,), 1, ["rev"])


def test_negatives_follow_the_noise_distribution():
    """A chi-square test of 20,000 draws; it rejects a right sampler once in 1,000 seeds."""
    counts = jnp.asarray([70.0, 29.0, 1.0])
    p = core.noise_distribution(counts)
    np.testing.assert_allclose(p, [0.64196878, 0.33150408, 0.02652714], rtol=1e-6)  # DLFS2 4.2
    drawn = np.bincount(core.sample_negatives(KEY, p, (4_000, 5)).ravel(), minlength=3)
    expected = 20_000 * np.asarray(p)
    assert ((drawn - expected) ** 2 / expected).sum() < 13.82


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.parametrize("engine", ["pairs", "blocks"])
@pytest.mark.slow
def test_an_engine_has_the_loss_and_the_gradient_of_the_textbook(params, make_hyper, engine, model):
    static = ENGINE[engine]._replace(model=model)
    hyper = make_hyper(np.arange(1, V + 1), negatives=K)
    batch = drawn(static, hyper)
    grads, metrics = jax.jit(partial(update.gradient, static=static))(params, batch)
    examples = examples_of(batch, static)
    assert len(examples) > 40
    assert metrics.positives == len(examples)
    loss = core.skipgram_loss if model == "skipgram" else core.cbow_loss
    value, of_textbook = jax.jit(jax.value_and_grad(partial(total, loss, examples)))(params)
    assert metrics.loss == pytest.approx(float(value), rel=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-5), grads, of_textbook)


def total(loss, examples, params):
    """The sum of the loss over examples, those of one shape vmapped."""
    by_shape = {}
    for one in examples:
        by_shape.setdefault(one[0].shape, []).append(one)
    batches = [tuple(map(np.stack, zip(*alike, strict=True))) for alike in by_shape.values()]
    return sum(core.batch_loss(loss, params, b) * np.float32(len(b[0])) for b in batches)


def drawn(static, hyper):
    """The whole text as one batch."""
    line = np.repeat(np.arange(len(LINES), dtype=np.int32), LINES.shape[1])
    zero = jnp.int32(0)
    sampled = subsampling.sample_chunk(KEY, zero, zero, LINES.ravel(), line, hyper, static)
    make = blocks.make_blocks if static.engine == "blocks" else sampling.make_batch
    return jax.tree.map(np.asarray, make(sampled, zero, hyper, static))


def examples_of(batch, static):
    """What the batch stands for, a positive with its negatives at a time."""
    each = of_blocks(batch, static) if static.engine == "blocks" else of_pairs(batch)
    return [tuple(np.asarray(x, np.int32) for x in one) for one in each]


def of_pairs(batch):
    for inputs, shares, *positives in zip(*batch, strict=True):
        inputs = inputs[shares > 0]
        for positive, weight, negatives, in_use in zip(*positives, strict=True):
            assert (in_use == weight).all()
            if weight:
                yield (inputs if len(batch.inputs[0]) > 1 else inputs[0]), positive, negatives


def of_blocks(batch, static):
    w = static.window
    for number, (tokens, context_weights) in enumerate(
        zip(batch.tokens, batch.context_weights, strict=True)
    ):
        negatives = batch.negatives[number * static.block // static.group_size]
        for index, weights in enumerate(context_weights):
            contexts, centre = tokens[weights > 0], tokens[w + index]
            if static.model == "cbow" and len(contexts):
                yield contexts, centre, negatives
            elif static.model == "skipgram":
                yield from ((centre, context, negatives) for context in contexts)


@pytest.mark.parametrize("loss", [core.skipgram_loss, core.cbow_loss])
def test_words_that_share_contexts_become_neighbours(loss):
    """Two groups of words, each with contexts of its own: training tells them apart."""
    draw = np.random.default_rng(0)
    group = draw.integers(0, 2, 6_000)
    centre = group * 3 + draw.integers(0, 3, 6_000)
    contexts = 6 + group[:, None] * 3 + draw.integers(0, 3, (6_000, 2))
    words = np.append(centre, contexts)
    p = core.noise_distribution(jnp.asarray(np.bincount(words, minlength=V), jnp.float32))
    optimizer, params = optax.adam(0.05), init_params(KEY, V, D, "book")
    opt_state, losses = optimizer.init(params), []
    for step in range(60):
        of_step = slice(100 * step, 100 * (step + 1))
        negatives = core.sample_negatives(jax.random.fold_in(KEY, step), p, (100, K))
        if loss is core.skipgram_loss:
            batch = centre[of_step], contexts[of_step, 0], negatives
        else:
            batch = contexts[of_step], centre[of_step], negatives
        with jax.numpy_dtype_promotion("standard"):  # optax's own arithmetic
            params, opt_state, value = core.train_step(
                params, opt_state, batch, loss=loss, optimizer=optimizer
            )
        losses.append(float(value))
    assert losses[-1] < losses[0] - 0.3
    table = np.asarray(params.input if loss is core.skipgram_loss else params.output)[:6]
    table = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = table @ table.T
    same = np.arange(6)[:, None] // 3 == np.arange(6) // 3
    assert cosines[same].min() > 0.5 > cosines[~same].max()


def test_a_loss_of_ones_own_is_trained(params):
    """A margin loss in three lines: it moves what its gradient says, by plain SGD."""

    def margin_loss(params, centre, context, negatives):
        h = core.embed(params.input, centre)
        gap = core.score(h, params.output[context]) - core.score(h, params.output[negatives])
        return jnp.sum(jnp.maximum(0, 1 - gap))

    batch = tuple(jnp.asarray(x) for x in ([1, 1], [2, 3], [[4, 5, 6], [7, 8, 9]]))
    optimizer = optax.sgd(0.1)
    new, _, value = core.train_step(
        params, optimizer.init(params), batch, loss=margin_loss, optimizer=optimizer
    )
    h, out = np.asarray(params.input[1]), np.asarray(params.output)
    gaps = np.stack([out[2] @ h - out[4:7] @ h, out[3] @ h - out[7:10] @ h])
    assert value == pytest.approx(np.maximum(0, 1 - gaps).sum() / 2, rel=1e-5)
    moved = out[2] + 0.1 * (gaps[0] < 1).sum() * h / 2
    np.testing.assert_allclose(new.output[2], moved, rtol=1e-5)
    assert isinstance(new, Params)
