"""A step of one positive is word2vec.c's update, on the same draws, to float32's precision."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sequential

from w2v_jax import huffman, sampling, subsampling, update
from w2v_jax.types import Batch, Params, PathBatch, StaticConfig

V, D, K, STEPS = 60, 8, 4, 400
COUNTS = np.round(400 / np.arange(1, V + 1)).astype(int)
STATIC = StaticConfig(
    window=3,
    negatives=K,
    noise="skip_target",
    batch_size=64,
    update="sparse",
    optimizer="sgd",
    schedule="linear",
)
MODELS = {
    "skipgram": {},
    "cbow": {"model": "cbow", "cbow_legacy_gradient": True},
    "skipgram, hierarchical softmax": {"loss": "hierarchical_softmax"},
    "cbow, hierarchical softmax": {
        "model": "cbow",
        "cbow_legacy_gradient": True,
        "loss": "hierarchical_softmax",
    },
}


def tables():
    return Params(*np.random.default_rng(0).normal(size=(2, V, D)).astype(np.float32))


def singles_of(static, hyper):
    """The sampler's own draws of a text, a batch for each positive."""
    tokens = np.random.default_rng(1).permutation(np.repeat(np.arange(V), COUNTS))[:400]
    lines = np.arange(400) // 20
    zero = jnp.int32(0)
    draw = partial(subsampling.sample_chunk, static=static)
    key = jax.random.key(2)
    sampled = jax.jit(draw)(key, zero, zero, jnp.asarray(tokens), jnp.asarray(lines), hyper)
    make = jax.jit(partial(sampling.make_batch, static=static))
    found = []
    for step in range(int(sampling.steps_of(int(sampled.centres), static))):
        batch = jax.tree.map(np.asarray, make(sampled, jnp.int32(step), hyper))
        for t, p in zip(*np.nonzero(batch.weights), strict=True):
            inputs = batch.inputs[t : t + 1], batch.input_weights[t : t + 1]
            outputs = (x[t : t + 1, p : p + 1] for x in batch[2:])
            found.append(type(batch)(*inputs, *outputs))
    return found


def outputs_of(batch):
    if isinstance(batch, PathBatch):
        return sequential.turns_of(batch.paths[0, 0])
    return sequential.negatives_of(int(batch.positives[0, 0]), batch.negatives[0, 0])


def twice(batch):
    """Whether noise that counts was drawn twice for this positive."""
    rows = [row for row, _ in outputs_of(batch)]
    return len(rows) > len(set(rows))


def trained(batches, hyper, static):
    """Tables after an update a batch, and the rates of the updates."""
    static = static._replace(batch_size=1)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *batches)

    def step(state, given):
        batch, done = given
        rate = update.rate(hyper, static, done)
        return update.update_step(state, batch, rate, hyper, static)[0], rate

    @jax.jit
    def run(params):
        start = update.init_state(params, hyper, static)
        done = jnp.arange(len(batches), dtype=jnp.float32) / len(batches)
        return jax.lax.scan(step, start, (stacked, done))

    state, rates = run(jax.tree.map(jnp.asarray, tables()))
    return state.params, np.asarray(rates, np.float64)


def in_a_loop(batches, rates, delayed=False):
    w_in, w_out = (np.asarray(table, np.float64) for table in tables())
    for batch, rate in zip(batches, rates, strict=True):
        inputs = batch.inputs[batch.input_weights > 0]
        sequential.update(w_in, w_out, inputs, outputs_of(batch), rate, delayed)
    return w_in, w_out


@pytest.fixture
def hyper(make_hyper):
    made = make_hyper(COUNTS**0.75, window=3, negatives=K, learning_rate=0.1, final_rate=1e-4)
    return made.replace(paths=jnp.asarray(huffman.paths(COUNTS)))


@pytest.mark.parametrize("name", MODELS)
def test_hundreds_of_updates_end_at_the_tables_of_word2vec_cs_loops(hyper, name):
    static = STATIC._replace(**MODELS[name])
    batches = [batch for batch in singles_of(static, hyper) if not twice(batch)]
    kept = batches[:STEPS]
    assert len(kept) >= 300
    if not isinstance(kept[0], PathBatch):
        hit = [b for b in kept if (b.negatives == b.positives[..., None]).any()]
        assert hit and all((b.negative_weights == 0).any() for b in hit)
    found, rates = trained(kept, hyper, static)
    assert rates[0] == pytest.approx(0.1) and rates[-1] < 0.001
    for ours, theirs, start in zip(found, in_a_loop(kept, rates), tables(), strict=True):
        assert np.abs(theirs - start).max() > 0.1
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=3e-6)


def test_a_negative_drawn_twice_differs_by_the_rates_square(hyper):
    """word2vec.c scores it anew after its first move; a step down the gradient scores it once.

    With h = v of the input and g = rate sigma(u . h), the second draw's g is off by at most
    rate g h^2 / 4.
    """
    h, u = tables().input[0].astype(np.float64), tables().output[5].astype(np.float64)
    none, one = np.zeros((1, 1), np.int32), np.ones((1, 1), np.float32)
    drawn = np.array([[[5, 5, 7, 8]]], np.int32)
    batch = Batch(none, one, none + 3, one, drawn, np.ones(drawn.shape, np.float32))
    for rate in (0.1, 0.01):
        found, rates = trained([batch], hyper.replace(learning_rate=jnp.float32(rate)), STATIC)
        exact, delayed = in_a_loop([batch], rates), in_a_loop([batch], rates, delayed=True)
        for ours, same in zip(found, delayed, strict=True):
            np.testing.assert_allclose(ours, same, rtol=1e-5, atol=1e-6)
        size = rate**2 * (h @ h)
        apart = [np.abs(a - b).max() for a, b in zip(exact, delayed, strict=True)]
        assert 1e-3 * size < apart[1] <= size / 4 * np.abs(h).max()
        assert 0 < apart[0] <= size / 4 * np.abs(u).max() + rate**2 * np.abs(h).max()
