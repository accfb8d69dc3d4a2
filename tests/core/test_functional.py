"""A whole training as one pure function: the bits of a run alone, under vmap, its derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import w2v_jax as w2v
from w2v_jax import grid
from w2v_jax.data import corpus as corpora

KINDS = {
    "blocks": {"batch_size": 64, "group_size": 32, "block": 8, "epsilon": 1.0},
    "pairs, cbow, dense sgd": {
        "engine": "pairs",
        "model": "cbow",
        "update": "dense",
        "optimizer": "sgd",
        "batch_size": 32,
    },
}
SMALL = {"dim": 8, "epochs": 2, "window": 3, "negatives": 2, "learning_rate": 0.05}
RATES = (0.05, 0.02, 0.1)


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(3)
    lines = [[f"w{i}" for i in rng.integers(0, 20, n)] for n in rng.integers(2, 12, 60)]
    return w2v.Corpus.from_sentences(lines, min_count=1)


@pytest.fixture(scope="module", params=KINDS)
def made(request, corpus):
    """Config, the function, its result for a key and hyperparameters, alone."""
    config = w2v.Config(**SMALL, **KINDS[request.param])
    train, hyper = w2v.make_train(corpus, config), w2v.make_hyper(corpus, config)
    return config, train, hyper, jax.jit(train)(jax.random.key(1), hyper)


@pytest.mark.bits
@pytest.mark.slow
def test_alone_it_has_the_bits_of_train(corpus, made):
    config, _, _, (params, metrics) = made
    run = w2v.train(corpus, config, seed=1, progress=False)
    np.testing.assert_array_equal(params.input, run.params.input)
    np.testing.assert_array_equal(params.output, run.params.output)
    np.testing.assert_allclose(metrics.loss[-1] / metrics.positives[-1], run.loss, rtol=1e-6)
    assert metrics.loss.shape == (config.epochs,)


@pytest.mark.bits
@pytest.mark.slow
def test_texts_of_several_chunks_are_trained_in_their_order(corpus, monkeypatch):
    config = w2v.Config(**SMALL, **KINDS["pairs, cbow, dense sgd"])
    monkeypatch.setattr(corpora, "CHUNK", 150)
    assert len(corpus.bounds) == 4
    hyper = w2v.make_hyper(corpus, config)
    params, _ = jax.jit(w2v.make_train(corpus, config))(jax.random.key(5), hyper)
    run = w2v.train(corpus, config, seed=5, progress=False)
    np.testing.assert_array_equal(params.input, run.params.input)


@pytest.mark.slow
def test_vmapped_it_is_each_training_alone(corpus, made):
    config, train, hyper, (params, metrics) = made
    axes = (0, 0) if config.engine == "blocks" else (0, None)
    keys = jnp.stack([jax.random.key(seed) for seed in (1, 2, 3)])
    hypers = w2v.stack([hyper.replace(learning_rate=jnp.float32(rate)) for rate in RATES])
    together, sums = jax.jit(jax.vmap(train, in_axes=axes))(keys, hypers if axes[1] == 0 else hyper)
    assert together.input.shape == (3, len(corpus.vocab.words), config.dim)
    for one, many in zip(jax.tree.leaves(params), jax.tree.leaves(together), strict=True):
        np.testing.assert_allclose(many[0], one, atol=1e-4)
        assert np.abs(many[1] - one).max() > 1e-3
    np.testing.assert_allclose(sums.loss[0], metrics.loss, rtol=1e-4)


@pytest.mark.slow
def test_its_derivative_in_the_learning_rate_is_that_of_central_differences(made):
    """Fixed draws; differences of float32 sums of about 10 are good to some parts of a thousand."""
    _, train, hyper, _ = made

    def size(rate):
        params, _ = train(jax.random.key(1), hyper.replace(learning_rate=rate))
        return jnp.sum(params.input.astype(jnp.float32) ** 2)

    rate, step = hyper.learning_rate, jnp.float32(2e-3)
    _, slope = jax.jit(lambda x: jax.jvp(size, (x,), (jnp.float32(1),)))(rate)
    measured = jax.jit(lambda x: (size(x + step) - size(x - step)) / (2 * step))(rate)
    assert abs(slope) > 0.01
    np.testing.assert_allclose(slope, measured, rtol=0.02)


@pytest.mark.bits
@pytest.mark.slow
def test_a_sweep_is_its_trainings_alone(corpus):
    axes = {"noise_power": [0.0, 0.75], "window": [1, 3]}
    sweep = w2v.sweep(
        corpus, w2v.Config(**{**SMALL, **KINDS["blocks"], "epochs": 1}), seeds=[4], **axes
    )
    assert [trial.values for trial in sweep.trials] == sweep.settings
    assert len({trial.loss for trial in sweep.trials}) == 4
    for trial in (sweep.trials[0], sweep.trials[-1]):
        run = w2v.train(corpus, trial.config, seed=4, progress=False)
        np.testing.assert_array_equal(trial.vectors.vectors, run.vectors.vectors)
        np.testing.assert_allclose(trial.loss, run.loss, rtol=1e-6)


@pytest.mark.slow
def test_a_sweep_vmapped_is_the_same(corpus):
    config = w2v.Config(**{**SMALL, **KINDS["blocks"], "epochs": 1})
    axes = {"learning_rate": [0.02, 0.05, 0.1]}
    alone = w2v.sweep(corpus, config, seeds=1, **axes)
    together = w2v.sweep(corpus, config, seeds=1, vmap_width=2, **axes)
    for one, other in zip(alone.trials, together.trials, strict=True):
        np.testing.assert_allclose(one.vectors.vectors, other.vectors.vectors, atol=1e-4)
        assert one.values == other.values


MISTAKES = {
    "sentences": (([["a", "b"]],), {}, "`corpus`: give a Corpus"),
    "no value": ((), {"window": []}, "`window`: holds no value"),
    "twice": ((), {"window": [2, 2]}, "`window`: a value occurs twice"),
    "a seed": ((), {"seeds": [1, -1]}, "`seed=-1`: must be a whole number"),
    "no seeds": ((), {"seeds": 0}, "`seeds=0`: how many"),
    "a width": ((), {"vmap_width": -1}, "`vmap_width=-1`: must be a whole number"),
    "of the text": ((), {"min_count": [1, 5]}, "`min_count=5`: the corpus was made with"),
    "gensim's name": ((), {"alpha": [0.1]}, "`alpha` is not a field of Config: it is"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_sweep_that_is_none_is_told(corpus, name):
    args, axes, said = MISTAKES[name]
    with pytest.raises(w2v.UserError) as caught:
        w2v.sweep(*(args or (corpus,)), **axes)
    assert str(caught.value).startswith(said)


def test_a_pure_function_of_another_text_is_refused(corpus):
    for make in (w2v.make_train, w2v.make_hyper):
        with pytest.raises(w2v.UserError, match="`min_count=7`: the corpus was made with"):
            make(corpus, w2v.Config(min_count=7))
    with pytest.raises(w2v.UserError, match="noise=exclude_contexts` needs"):
        w2v.make_hyper(corpus, engine="pairs", noise="exclude_contexts", window=20)


def test_a_setting_that_diverges_is_never_the_best():
    words = w2v.WordVectors(("a", "b"), np.eye(2, dtype=np.float32))
    trials = [
        grid.Trial({"rate": rate}, 1, w2v.Config(), loss, words)
        for rate, loss in ((9.0, float("nan")), (0.1, 2.0), (0.2, 1.5))
    ]
    sweep = w2v.Sweep(trials)
    assert sweep.best("loss") == {"rate": 0.2}
    assert sweep.table().splitlines()[1].split()[:2] == ["9.0", "–"]
    with pytest.raises(w2v.UserError, match="`measure=nonesuch`"):
        sweep.best("nonesuch")


@pytest.mark.slow
def test_an_axis_may_be_one_value(corpus):
    sweep = w2v.sweep(corpus, w2v.Config(**KINDS["blocks"]), epochs=1, dim=4, seeds=1)
    assert len(sweep.trials) == 1 and sweep.settings == [{}]
    assert sweep.trials[0].vectors.vectors.shape[1] == 4


def test_hyperparameters_of_another_text_or_program_are_refused(corpus, made):
    _, train, hyper, _ = made
    other = w2v.Corpus.from_sentences([["a", "b", "c"]] * 9, min_count=1)
    wider = hyper.replace(window=jnp.int32(9))
    for key, wrong, said in (
        (
            jax.random.key(1),
            w2v.make_hyper(other, w2v.Config(**SMALL)),
            "`hyper`: is of a text of 3",
        ),
        (jax.random.key(1), wider, "`window=9`: the program has room for 3"),
        (1, hyper, "`key`: give a key"),
    ):
        with pytest.raises(w2v.UserError, match=said):
            train(key, wrong)
    with pytest.raises(w2v.UserError, match="`hypers`: holds none"):
        w2v.stack([])
