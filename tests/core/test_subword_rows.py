"""Training with subwords against whole tables in float64, fastText's own step, and itself."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from batches import batch_of
from fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st

import w2v_jax as w2v
from w2v_jax import checks, subword_rows, update
from w2v_jax.config import Config
from w2v_jax.engines import ENGINES
from w2v_jax.types import (
    BlockBatch,
    HyperParams,
    Params,
    StaticConfig,
    SubwordParams,
    UserError,
)
from w2v_jax.vectors.subwords import Subwords, ngrams

WORDS = ("the", "there", "a", "größe", "größer", "</s>", "internationally", "nation", "한국어")
V, D, K, BUCKETS = len(WORDS), 5, 3, 40
RATE, EPSILON = 0.1, 0.2


def index_of(words=WORDS, buckets=BUCKETS):
    return subword_rows.of_words(tuple(words), 3, 6, buckets)


def matrix(words=WORDS, buckets=BUCKETS):
    """M [V, V + U], so that M Z are the words' embeddings, Z own rows and n-grams'."""
    found, used = ngrams(words, 3, 6, buckets), index_of(words, buckets).buckets
    whole = np.concatenate([np.eye(len(words)), np.zeros((len(words), len(used)))], axis=1)
    for word, bucket in zip(*found, strict=True):
        whole[word, len(words) + np.searchsorted(used, bucket)] += 1
    return whole / whole.sum(axis=1, keepdims=True)


def tables(words=WORDS, buckets=BUCKETS, seed=0):
    rng = np.random.default_rng(seed)
    sizes = len(words), len(words), len(index_of(words, buckets).buckets)
    return SubwordParams(*(rng.normal(0, 0.5, (n, D)).astype(np.float32) for n in sizes))


def by_definition(params, whole):
    return whole @ np.concatenate([params.input, params.ngrams]).astype(np.float64)


texts = st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=12, unique=True)


@cases(60)
@given(texts.filter(lambda words: not any("\ud800" <= x <= "\udfff" for w in words for x in w)))
def test_words_are_the_means_of_their_rows(words):
    params, found = tables(words), index_of(words)
    of_words = subword_rows.of_all_words(params, found.index)
    np.testing.assert_allclose(of_words.input, by_definition(params, matrix(words)), atol=1e-5)
    assert of_words.output is params.output
    made_up = Subwords(params.ngrams, 3, 6, BUCKETS, found.buckets)
    np.testing.assert_allclose(
        made_up.composed(words, params.input), of_words.input, atol=1e-5
    )  # on the host


def test_unknown_words_have_the_ngrams_that_the_text_has():
    found = index_of(buckets=10**6)
    made_up = Subwords(tables(buckets=10**6).ngrams, 3, 6, 10**6, found.buckets)
    buckets = ngrams(["theretofore"], 3, 6, 10**6).bucket
    known = [b for b in buckets if b in found.buckets]
    assert 0 < len(known) < len(buckets)
    expected = made_up.table[np.searchsorted(found.buckets, known)].mean(axis=0)
    np.testing.assert_allclose(made_up.vector("theretofore"), expected, rtol=1e-5)
    assert made_up.vector("zzz") is None
    none = Subwords(np.zeros((0, D), np.float32), 3, 6, 10, np.zeros(0, np.int64))
    assert none.vector("there") is None


def test_no_ngram_is_a_word_alone():
    words = ("a", "b")
    found = subword_rows.of_words(words, 4, 6, BUCKETS)
    params = SubwordParams(*(np.ones((n, D), np.float32) for n in (2, 2, 1)))
    of_words = subword_rows.of_all_words(params, found.index)
    np.testing.assert_array_equal(of_words.input, params.input)


def static_of(model="skipgram", engine="pairs", optimizer="row_adagrad", **changes):
    return StaticConfig(
        model=model,
        engine=engine,
        optimizer=optimizer,
        update="sparse",
        subwords=True,
        window=2,
        negatives=K,
        batch_size=32,
        block=8,
        group_size=16,
        negatives_per_group=4,
        noise="with_replacement",
        **changes,
    )


def hyper_of(index=None):
    one = jnp.float32
    noise = np.full(V, 1 / V, np.float32)
    return HyperParams(
        learning_rate=one(RATE),
        keep_prob=jnp.ones(V),
        noise=jnp.asarray(noise),
        noise_cdf=jnp.zeros(V, jnp.uint32),
        window=jnp.int32(2),
        negatives=jnp.int32(K),
        beta1=one(0.9),
        beta2=one(0.999),
        epsilon=one(EPSILON),
        weight_decay=one(0),
        ngrams=index,
    )


def random_batch(static, seed):
    """A batch with empty slots, of either engine."""
    rng = np.random.default_rng(seed)
    if static.engine == "blocks":
        tokens = rng.integers(0, V + 1, (4, 12)).astype(np.int32)
        there = tokens < V
        weights = rng.random((4, 8, 12)).round() * there[:, None] * there[:, 2:10, None]
        negatives = rng.integers(0, V, (2, 4)).astype(np.int32)
        of_noise = weights.max(axis=2) if static.model == "cbow" else weights.sum(axis=2)
        shares = of_noise.reshape(2, 16, 1) * K / 4
        floats = weights.astype(np.float32), shares.astype(np.float32)
        return BlockBatch(tokens, floats[0], negatives, floats[1])
    exists = (rng.random((7, 4)) < 0.6).astype(float)
    some = exists.max(axis=1, keepdims=True)
    contexts, centres = rng.integers(0, V, (7, 4)), rng.integers(0, V, (7, 1))
    if static.model == "skipgram":
        inputs, input_weights, positives, weights = centres, some, contexts, exists
    else:
        inputs, positives, weights = contexts, centres, some
        input_weights = exists / np.maximum(exists.sum(axis=1, keepdims=True), 1)
    noise = rng.integers(0, V, (7, positives.shape[1], K))
    outputs = np.concatenate([positives[..., None], noise], axis=2).reshape(7, -1)
    return batch_of(inputs, input_weights, outputs, np.repeat(weights, 1 + K, axis=1), K)


def moved(optimizer, z, memory, grad):
    """An optimiser's step of a whole table in float64: rows without a gradient stay."""
    if optimizer == "sgd":
        return z - RATE * grad, memory
    mean = grad**2 if optimizer == "adagrad" else (grad**2).mean(axis=1, keepdims=True)
    memory = memory + mean
    step = np.where(memory > 0, grad / np.sqrt(memory + EPSILON), 0)
    return z - RATE * step, memory


@pytest.mark.parametrize("part", [2**18, 7 * D], ids=["one_part", "parts_of_seven"])
@pytest.mark.parametrize("optimizer", ["row_adagrad", "adagrad", "sgd"])
@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.parametrize("engine", ["pairs", "blocks"])
def test_steps_are_those_of_whole_tables(monkeypatch, engine, model, optimizer, part):
    monkeypatch.setattr(subword_rows, "PART", part)
    static, index, whole = static_of(model, engine, optimizer), index_of().index, matrix()
    plain = static._replace(subwords=False)
    hyper, params = hyper_of(index), tables()
    state = update.init_state(jax.tree.map(jnp.asarray, params), hyper, static)
    step = jax.jit(partial(update.update_step, static=static))
    z = np.concatenate([params.input, params.ngrams]).astype(np.float64)
    output, memory = params.output.astype(np.float64), [np.zeros((1, 1))] * 2
    for seed in range(3):
        batch = random_batch(static, seed)
        of_words = Params(jnp.asarray(whole @ z, jnp.float32), jnp.asarray(output, jnp.float32))
        grads, metrics = update.gradient(of_words, batch, plain)
        state, found = step(state, batch, jnp.float32(RATE), hyper)
        z, memory[0] = moved(optimizer, z, memory[0], whole.T @ np.asarray(grads.input, float))
        output, memory[1] = moved(optimizer, output, memory[1], np.asarray(grads.output, float))
        np.testing.assert_allclose(found.loss, metrics.loss, rtol=1e-4)
        np.testing.assert_allclose(state.params.input, z[:V], atol=1e-4)
        np.testing.assert_allclose(state.params.ngrams, z[V:], atol=1e-4)
        np.testing.assert_allclose(state.params.output, output, atol=1e-4)
        np.testing.assert_allclose(state.opt_state.ngrams.sums, 0, atol=1e-6)


def test_an_undivided_gradient_is_fasttexts():
    """fastText's Model::update in float64, a pair after the other, on the same draws."""
    static = static_of(optimizer="sgd", subword_legacy_gradient=True)
    hyper, params = hyper_of(index_of().index), tables()
    # An n-gram may occur twice in a word.
    times = [np.rint(row / row[word]).astype(int) for word, row in enumerate(matrix())]
    z = np.concatenate([params.input, params.ngrams]).astype(np.float64)
    output = params.output.astype(np.float64)
    state = update.init_state(jax.tree.map(jnp.asarray, params), hyper, static)
    step = jax.jit(partial(update.update_step, static=static))
    rng = np.random.default_rng(3)
    for _ in range(40):
        centre = rng.integers(V)
        targets = rng.permutation(V)[: 1 + K]  # one occurs once: the C++ moves a row in between
        own = np.repeat(np.arange(len(z)), times[centre])
        hidden, of_hidden = z[own].mean(axis=0), np.zeros(D)
        for number, target in enumerate(targets):
            label = float(number == 0)
            alpha = RATE * (label - 1 / (1 + np.exp(-output[target] @ hidden)))
            of_hidden += alpha * output[target]
            output[target] += alpha * hidden
        for row in own:
            z[row] += of_hidden
        one = np.ones((1, 1))
        batch = batch_of(one * centre, one, targets[None], np.ones((1, 1 + K)), K)
        state, _ = step(state, batch, jnp.float32(RATE), hyper)
    np.testing.assert_allclose(state.params.input, z[:V], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(state.params.ngrams, z[V:], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(state.params.output, output, rtol=1e-4, atol=1e-4)


def test_trials_under_vmap_are_those_alone():
    static, hyper = static_of(engine="blocks"), hyper_of(index_of().index)
    every = [tables(seed=seed) for seed in range(3)]
    batches = [random_batch(static, seed) for seed in range(3)]
    states = [update.init_state(jax.tree.map(jnp.asarray, p), hyper, static) for p in every]
    step = jax.jit(partial(update.update_step, static=static))
    stacked = [jax.tree.map(lambda *x: jnp.stack(x), *each) for each in (states, batches)]
    whole, _ = jax.vmap(lambda state, batch: step(state, batch, jnp.float32(RATE), hyper))(*stacked)
    for number, (state, batch) in enumerate(zip(states, batches, strict=True)):
        alone, _ = step(state, batch, jnp.float32(RATE), hyper)
        for one, of_all in zip(alone.params, whole.params, strict=True):
            np.testing.assert_allclose(of_all[number], one, atol=1e-6)


def test_rows_of_words_without_a_gradient_stay():
    static, hyper, params = static_of(), hyper_of(index_of().index), tables()
    state = update.init_state(jax.tree.map(jnp.asarray, params), hyper, static)
    batch = random_batch(static, 0).where(False, V)
    after, _ = update.update_step(state, batch, jnp.float32(RATE), hyper, static)
    jax.tree.map(np.testing.assert_array_equal, after.params, state.params)


def test_what_does_not_go_with_subwords_is_refused():
    for changes, named in (
        ({"update": "dense"}, "`update=dense`"),
        ({"optimizer": "adam"}, "`optimizer=adam`"),
        ({"replicas": 2}, "`replicas=2`"),
        ({"mesh": "columns:2"}, "`mesh=columns:2`"),
    ):
        with pytest.raises(UserError, match=named):
            checks.check(static_of()._replace(**changes))
        with pytest.raises(UserError, match=named):
            Config(subwords=True, **changes)
    for changes, named in (
        ({"min_n": 4, "max_n": 3}, "`max_n=3`"),
        ({"subwords": True, "loss": "softmax", "engine": "pairs"}, "`loss=softmax`"),
        ({"buckets": 0}, "`buckets=0`"),
    ):
        with pytest.raises(UserError, match=named):
            Config(**changes)
    with pytest.raises(UserError, match="`hyper`"):
        checks.check_noise(static_of(), hyper_of())
    with pytest.raises(UserError, match="`hyper`"):
        checks.check_noise(static_of()._replace(subwords=False), hyper_of(index_of().index))
    with pytest.raises(UserError, match="`bucket` is not"):
        w2v.train([["a", "b"]], bucket=5)


def test_each_engine_says_which_inputs_it_reads():
    for engine in ENGINES:
        for model in ("skipgram", "cbow"):
            static = static_of(model, engine)
            batch = random_batch(static, 0)
            ids = np.asarray(ENGINES[engine].input_ids(batch, V, static))
            read = ENGINES[engine].work(Params(*jnp.ones((2, V, D))), batch, static).ids.input
            assert set(np.asarray(read)[np.asarray(read) < V]) <= set(ids)


@cases(60)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=30), st.data())
def test_there_is_room_for_the_longest_words(lengths, data):
    words = [f"{number:x}".rjust(n, "z") for number, n in enumerate(lengths)]
    index = index_of(words).index
    sizes = np.diff(index.begin)
    count = data.draw(st.integers(1, len(words)))
    ids = np.argsort(-sizes, kind="stable")[:count].astype(np.int32)
    found = subword_rows.occurrences(jnp.asarray(ids), jnp.ones(count, bool), index, D)
    assert len(found.row) >= sizes[ids].sum()
    expected = [row for w in ids for row in index.rows[index.begin[w] : index.begin[w + 1]]]
    assert np.asarray(found.row)[: len(expected)].tolist() == expected
    assert (np.asarray(found.row)[len(expected) :] == index.count).all()
