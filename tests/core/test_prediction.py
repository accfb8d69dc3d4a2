"""The distribution of a centre given its contexts, against loops in float64."""

import math
from functools import partial

import jax
import numpy as np
import pytest

import w2v_jax as w2v
from w2v_jax import prediction
from w2v_jax.config import Config
from w2v_jax.data import vocab as vocabs
from w2v_jax.types import Params, UserError, Vocab

COUNTS = np.array([50, 30, 12, 7, 3, 1])
CONFIG = partial(Config, noise="with_replacement", learning_rate=0.1, epsilon=1.0, optimizer="sgd")
VOCAB = Vocab(("a", "b", "c", "d", "e", "f"), COUNTS)
PARAMS = Params(
    *(np.random.default_rng(i).normal(size=(6, 4)).astype(np.float32) for i in range(2))
)


def softmax(scores):
    most = max(scores)
    terms = [math.exp(score - most) for score in scores]
    return [term / sum(terms) for term in terms]


def given_one(row, config):
    """p(w | one hidden vector), a word at a time."""
    weights = [count**config.noise_power for count in COUNTS]
    keep = vocabs.keep_probability(COUNTS, config.subsample, config.subsample_rule)
    scores = []
    for w in range(6):
        product = sum(float(x) * float(y) for x, y in zip(row, PARAMS.output[w], strict=True))
        scores.append(product + math.log(weights[w] / sum(weights)) - math.log(keep[w]))
    return softmax(scores)


@pytest.mark.parametrize("subsample", [0.0, 0.05])
@pytest.mark.parametrize("contexts", [[2], [0, 3], [1, 4, 4, 0]])
@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_it_is_the_loops_distribution_and_sums_to_one(model, contexts, subsample):
    config = CONFIG(model=model, subsample=subsample)
    found = np.exp(prediction.centre_log_probs(PARAMS, VOCAB, config, contexts))
    if model == "cbow":
        expected = given_one(PARAMS.input[contexts].astype(float).mean(axis=0), config)
    else:
        each = [given_one(PARAMS.input[c].astype(float), config) for c in contexts]
        share = COUNTS / COUNTS.sum()
        expected = [
            math.prod(p[w] for p in each) / share[w] ** (len(contexts) - 1) for w in range(6)
        ]
        expected = [value / sum(expected) for value in expected]
    np.testing.assert_allclose(found, expected, rtol=2e-5)
    assert abs(found.sum() - 1) < 1e-12


def test_of_the_tables_that_the_counts_make_it_is_the_counts():
    """Where scores are exactly log p(w | c) - log(K Pn(w)), one context gives p(w | c) back."""
    joint = np.random.default_rng(3).random((6, 6)) + 0.1
    joint = joint + joint.T
    given = joint / joint.sum(axis=1, keepdims=True)
    noise = COUNTS**0.75 / (COUNTS**0.75).sum()
    scores = np.log(given) - np.log(5 * noise)
    params = Params(np.eye(6, dtype=np.float32), scores.T.astype(np.float32))
    config = CONFIG(subsample=0.0, negatives=5)
    for c in range(6):
        found = np.exp(prediction.centre_log_probs(params, VOCAB, config, [c]))
        np.testing.assert_allclose(found, given[c], rtol=1e-5)


def test_what_has_no_probabilities_is_refused():
    with pytest.raises(UserError, match="at least one word"):
        prediction.centre_log_probs(PARAMS, VOCAB, CONFIG(subsample=0.0), [])


def test_a_run_predicts_the_word_in_the_middle():
    rng = np.random.default_rng(0)
    pairs = [("k", "queen"), ("n", "east"), ("p", "ink")]
    lines = [
        [first, middle, second] for first, second in pairs for middle in [first + second] * 100
    ]
    lines = [lines[i] for i in rng.permutation(len(lines))]
    for model in ("skipgram", "cbow"):
        run = w2v.train(lines, model=model, dim=8, window=2, epochs=40, subsample=0.0, min_count=1)
        found = run.predict(["k", "queen"], topn=2)
        assert found[0][0] == "kqueen" and 0 < found[0][1] <= 1
        assert sum(p for _, p in run.predict(["k"], topn=99)) == pytest.approx(1)
        with pytest.raises(UserError, match="a list of words"):
            run.predict("k")
        with pytest.raises(UserError, match="not in the vocabulary"):
            run.predict(["zebra"])
    assert jax.tree.leaves(run.params)
