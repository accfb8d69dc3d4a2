"""The library with subwords: training, measures, files, and words without a context."""

import jax
import jax.numpy as jnp
import numpy as np

import w2v_jax as w2v
from w2v_jax import beginning, heldout, heldout_text, prediction
from w2v_jax.config import Config
from w2v_jax.defaults import resolve
from w2v_jax.types import Params, TrainState

SENTENCES = [
    ["walk", "walked", "walking", "fast"],
    ["talk", "talked", "talking", "slow"],
    ["walker", "talker", "fast", "slow"],
] * 40


SMALL = {"dim": 8, "min_count": 1, "epochs": 2, "block": 16, "group_size": 32, "batch_size": 64}


def test_heldout_and_predictions_are_of_words():
    run = w2v.train(SENTENCES, subwords=True, seed=1, progress=False, **SMALL)
    corpus = w2v.Corpus.from_sentences(SENTENCES, min_count=1)
    static, hyper = run.config.static(), beginning.make_hyper(run.config, corpus.vocab)
    plain = static._replace(subwords=False)
    windows = heldout_text.windows(
        heldout_text.of_lines(SENTENCES, corpus.vocab, unk="drop", eos=False), 5
    )
    words = Params(jnp.asarray(run.vectors.vectors), run.params.output)
    with_ngrams = heldout.measure(run.params, hyper, windows, static)
    without = heldout.measure(words, hyper.replace(ngrams=None), windows, plain)
    for one, other in zip(with_ngrams, without, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    found = prediction.centre_log_probs(run.params, corpus.vocab, run.config, [0, 1])
    config = Config(**{**vars(run.config), "subwords": False})
    expected = prediction.centre_log_probs(words, corpus.vocab, config, [0, 1])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_library_trains_saves_and_loads_them(tmp_path):
    run = w2v.train(SENTENCES, subwords=True, seed=1, progress=False, **SMALL)
    assert run.vectors.has_vector("walks") and "walks" not in run.vectors
    run.save(tmp_path / "x.npz")
    again = w2v.load(tmp_path / "x.npz")
    np.testing.assert_array_equal(again["walks"], run.vectors["walks"])
    np.testing.assert_array_equal(again.vectors, run.vectors.vectors)
    run.save(tmp_path / "x.txt")
    assert not w2v.load(tmp_path / "x.txt").has_vector("walks")
    sweep = w2v.sweep(
        w2v.Corpus.from_sentences(SENTENCES, min_count=1),
        subwords=True,
        learning_rate=[0.5, 1.0],
        seeds=[1],
        **{name: value for name, value in SMALL.items() if name != "min_count"},
    )
    alone = w2v.train(SENTENCES, subwords=True, seed=1, learning_rate=0.5, progress=False, **SMALL)
    np.testing.assert_allclose(sweep.trials[0].vectors["walks"], alone.vectors["walks"], atol=1e-6)


def test_a_state_has_no_scratch_that_grows_with_buckets():
    corpus = w2v.Corpus.from_sentences(SENTENCES, min_count=1)
    config = resolve(Config(subwords=True, dim=8, min_count=1), corpus)
    hyper = beginning.make_hyper(config, corpus.vocab)
    state = beginning.initial_state(config, len(corpus.vocab.words), jax.random.key(1), hyper)
    assert isinstance(state, TrainState)
    largest = max(leaf.shape[0] for leaf in jax.tree.leaves(state) if leaf.ndim)
    assert largest == hyper.ngrams.count < 200


def test_hyperparameters_of_a_trace_do_not_outlive_it():
    corpus = w2v.Corpus.from_sentences([["trace", "traced"], ["tracing", "traces"]], min_count=1)
    config = resolve(Config(subwords=True, dim=4, min_count=1), corpus)
    jax.eval_shape(lambda: beginning.make_hyper(config, corpus.vocab))
    after = beginning.make_hyper(config, corpus.vocab).ngrams
    assert len(np.asarray(after.rows)) == np.asarray(after.begin)[-1]


def test_words_that_share_ngrams_with_trained_ones_are_trained():
    lines = [["walk", "talk"], ["walked", "talked"], ["walks"], ["zzz"]] * 5
    corpus = w2v.Corpus.from_sentences(lines, min_count=1)
    for subwords, expected in ((True, {"zzz"}), (False, {"zzz", "walks"})):
        config = resolve(Config(subwords=subwords, dim=4, min_count=1), corpus)
        never = beginning.untrained(config, corpus)
        assert {w for w, alone in zip(corpus.vocab.words, never, strict=True) if alone} == expected
    run = w2v.train(lines, subwords=True, dim=4, min_count=1, epochs=2, progress=False)
    assert len(run.vectors.most_similar("walks")) > 0
