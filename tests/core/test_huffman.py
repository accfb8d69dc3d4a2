"""Hierarchical softmax against word2vec.c's codes, its definition in float64 and core.py."""

import dataclasses
import heapq
from fractions import Fraction
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fuzzing import cases
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

import w2v_jax as w2v
from w2v_jax import (
    beginning,
    checks,
    core,
    heldout,
    heldout_text,
    huffman,
    prediction,
    sampling,
    subsampling,
    update,
)
from w2v_jax.config import Config
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import resolve
from w2v_jax.types import Params, UserError

# What CreateBinaryTree of word2vec.c (github.com/tmikolov/word2vec, 0.1c) makes of these counts:
# node + 1, negative where the code is 1.
COUNTS = (10, 7, 7, 4, 3, 3, 1, 1, 1)
CODES = (
    *((-8, 7), (8, -6), (8, 6), (-8, -7, -5, -4), (-8, -7, -5, 4), (-8, -7, 5, -3)),
    *((-8, -7, 5, 3, 2), (-8, -7, 5, 3, -2, -1), (-8, -7, 5, 3, -2, 1)),
)
LETTERS = "abcdefghijklmnopq"


def of_word(paths, word):
    return tuple(int(turn) for turn in paths[word] if turn)


def test_codes_are_those_of_word2vec_c():
    paths = huffman.paths(COUNTS)
    assert paths.dtype == np.int32 and paths.shape == (9, 6)
    assert tuple(of_word(paths, word) for word in range(9)) == CODES
    assert (np.diff((paths != 0).astype(int), axis=1) <= 0).all()  # no turn behind a path's end


counts_of = st.lists(st.integers(1, 10**9), min_size=2, max_size=60)


@cases(100)
@given(counts_of)
def test_the_tree_is_a_whole_one_of_least_cost(counts):
    counts = sorted(counts, reverse=True)
    paths = [of_word(huffman.paths(counts), word) for word in range(len(counts))]
    assert sum(Fraction(1, 2 ** len(path)) for path in paths) == 1
    assert len(set(paths)) == len(paths)
    assert {abs(turn) for path in paths for turn in path} == set(range(1, len(counts)))
    for one in paths:  # a path is no beginning of another, and a node has one way to it
        for other in paths:
            turns = enumerate(zip(one, other, strict=False))
            shared = next((i for i, (a, b) in turns if a != b), -1)
            assert one is other or (shared >= 0 and one[shared] == -other[shared])
    heap, cost = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        cost += both
        heapq.heappush(heap, both)
    assert sum(n * len(path) for n, path in zip(counts, paths, strict=True)) == cost


def test_one_word_has_no_tree():
    with pytest.raises(UserError, match="at least two words"):
        huffman.paths([3])


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(1)
    p = 1 / np.arange(1, 18)
    lines = rng.choice(list(LETTERS), (60, 9), p=p / p.sum()).tolist()
    return Corpus.from_sentences(lines, min_count=1)


def config_of(corpus, **changes):
    shared = dict(loss="hierarchical_softmax", engine="pairs", dim=5, window=2, batch_size=16)
    shared |= dict(init="xavier", optimizer="sgd", learning_rate=0.1, schedule="constant")
    return resolve(
        Config(**{**shared, "subsample": 0.0, "expected_window": False, **changes}), corpus
    )


def tables(size, dim=5, seed=0):
    rng = np.random.default_rng(seed)
    return Params(*(jnp.asarray(rng.normal(size=(size, dim)), jnp.float32) for _ in "io"))


def log_prob(h, output, path):
    """The definition, in float64, a turn at a time."""
    total = 0.0
    for turn in path:
        if turn:
            score = float(np.dot(h, output[abs(turn) - 1]))
            total -= np.log1p(np.exp(-np.sign(turn) * score))
    return total


def test_probabilities_are_products_over_paths_and_sum_to_1():
    params, paths = tables(9), huffman.paths(COUNTS)
    h, output = (np.asarray(table, np.float64) for table in params)
    expected = np.array([[log_prob(row, output, path) for path in paths] for row in h])
    np.testing.assert_allclose(np.exp(expected).sum(axis=1), 1, atol=1e-12)
    found = huffman.all_log_probs(*params, jnp.asarray(paths))
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    by_word = jnp.broadcast_to(jnp.asarray(paths), (9, *paths.shape))
    np.testing.assert_allclose(huffman.log_probs(*params, by_word), expected, rtol=2e-6, atol=2e-6)


KEY = jax.random.key(2)


def batch_of(config, corpus):
    """The whole text as one batch, its hyperparameters and its shape."""
    hyper, static = beginning.make_hyper(config, corpus.vocab), config.static()
    tokens, line = corpus.arrays(0, len(corpus.ids), corpus.chunk_size)
    zero = jnp.int32(0)
    sampled = subsampling.sample_chunk(KEY, zero, zero, tokens, line, hyper, static)
    return sampling.make_batch(sampled, zero, hyper, static), hyper, static


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_the_pairs_engine_has_the_loss_and_the_gradient_of_the_textbook(corpus, model):
    config = config_of(corpus, model=model, batch_size=1024)
    batch, _, static = batch_of(config, corpus)
    params = tables(len(corpus.vocab.words))
    grads, metrics = jax.jit(partial(update.gradient, static=static))(params, batch)
    batch, examples = jax.tree.map(np.asarray, batch), []
    for inputs, shares, _, weights, paths in zip(*batch, strict=True):
        for path in paths[weights > 0]:
            h = inputs[shares > 0] if model == "cbow" else inputs[0]
            codes = np.where(path == 0, -1, path < 0)
            examples.append((h, np.maximum(abs(path) - 1, 0), codes))
    assert len(examples) > 400 and metrics.positives == len(examples)
    loss = core.skipgram_path_loss if model == "skipgram" else core.cbow_path_loss

    def total(params):
        by_shape = {}
        for one in examples:
            by_shape.setdefault(np.shape(one[0]), []).append(one)
        batches = [tuple(map(np.stack, zip(*alike, strict=True))) for alike in by_shape.values()]
        return sum(core.batch_loss(loss, params, b) * np.float32(len(b[0])) for b in batches)

    value, expected = jax.value_and_grad(total)(params)
    assert metrics.loss == pytest.approx(float(value), rel=1e-5)
    for ours, theirs in zip(grads, expected, strict=True):
        np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("loss", [core.skipgram_path_loss, core.cbow_path_loss])
def test_the_textbooks_gradient_is_that_of_finite_differences(loss):
    first = np.array([1, 4]) if loss is core.cbow_path_loss else 1
    path = np.array([7, 6, 0]), np.array([1, 0, -1])
    check_grads(lambda p: loss(p, first, *path), (tables(9),), 1, ["rev"])


def test_the_textbooks_loss_is_minus_the_log_probability():
    params, paths = tables(9), huffman.paths(COUNTS)
    h = np.asarray(params.input, np.float64)[3]
    for path in paths:
        codes = np.where(path == 0, -1, path < 0)
        found = core.skipgram_path_loss(params, 3, np.maximum(abs(path) - 1, 0), codes)
        expected = -log_prob(h, np.asarray(params.output, np.float64), path)
        assert found == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "row_adagrad"])
@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_sparse_and_dense_updates_are_one(corpus, model, optimizer):
    config = config_of(corpus, model=model, optimizer=optimizer, epsilon=1e-3, init="book")
    ends = [
        w2v.train(corpus, dataclasses.replace(config, update=way, epochs=2)).params
        for way in ("dense", "sparse")
    ]
    for dense, sparse in zip(*ends, strict=True):
        np.testing.assert_allclose(np.asarray(dense), np.asarray(sparse), rtol=1e-5, atol=1e-6)
    key, hyper = jax.random.key(1), beginning.make_hyper(config, corpus.vocab)
    first = beginning.initial_state(config, len(corpus.vocab.words), key, hyper).params
    for params in ends:  # no node has the last row
        moved = np.any(np.asarray(params.output) != np.asarray(first.output), axis=1)
        assert moved.tolist() == [True] * (len(moved) - 1) + [False]


@pytest.mark.parametrize("subsample", [0.0, 0.05])
@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_heldout_measures_are_exact(corpus, model, subsample):
    """-log p, and the perplexity with what subsampling keeps divided out, in float64 loops."""
    config = config_of(corpus, model=model, subsample=subsample, dynamic_window=False)
    hyper, static = beginning.make_hyper(config, corpus.vocab), config.static()
    params = tables(len(corpus.vocab.words))
    windows = heldout_text.windows(corpus, 2)
    found = heldout.measure(params, hyper, windows, static)
    table, output = (np.asarray(t, np.float64) for t in params)
    paths, keep = np.asarray(hyper.paths), np.asarray(hyper.keep_prob, np.float64)
    losses, nats = np.zeros(2), np.zeros(2)
    for centre, contexts, weights in zip(*windows[:3], strict=True):
        words = contexts[weights > 0]
        pairs = [(table[centre], o, w) for o, w in zip(words, weights[weights > 0], strict=True)]
        if model == "cbow":
            pairs = [(table[words].mean(axis=0), centre, 1.0)]
        for h, target, weight in pairs:
            log_p = np.array([log_prob(h, output, path) for path in paths])
            kept = weight * keep[target] * (keep[centre] if model == "skipgram" else 1)
            losses += kept * np.array([-log_p[target], 1])
            corrected = log_p - np.log(keep)
            nats += weight * np.array([np.logaddexp.reduce(corrected) - corrected[target], 1])
    assert heldout.mean(found.loss) == pytest.approx(losses[0] / losses[1], rel=1e-5)
    assert heldout.mean(found.nats) == pytest.approx(nats[0] / nats[1], rel=1e-5)
    if not subsample:
        assert heldout.mean(found.nats) == pytest.approx(heldout.mean(found.loss), rel=1e-5)


def test_the_distribution_of_a_centre_is_exact(corpus):
    config = config_of(corpus, model="cbow")
    params = tables(len(corpus.vocab.words))
    found = prediction.centre_log_probs(params, corpus.vocab, config, [1, 2])
    h = np.asarray(params.input, np.float64)[[1, 2]].mean(axis=0)
    paths = huffman.paths(corpus.vocab.counts)
    expected = [log_prob(h, np.asarray(params.output, np.float64), path) for path in paths]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_hyperparameters_of_another_loss_are_refused(corpus):
    config = config_of(corpus)
    other = beginning.make_hyper(config_of(corpus, loss="negative_sampling"), corpus.vocab)
    params, windows = tables(len(corpus.vocab.words)), heldout_text.windows(corpus, 2)
    for ask in (
        lambda: heldout.measure(params, other, windows, config.static()),
        lambda: checks.check_noise(config.static(), other),
        lambda: w2v.make_train(corpus, config, epochs=1)(KEY, other),
    ):
        with pytest.raises(UserError, match="`hyper`: was made for another loss"):
            ask()
