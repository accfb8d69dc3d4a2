"""The flagfiles that train as other programs do: what each says, in this project's terms."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scripts import ROOT, start

from w2v_jax import beginning, model, update
from w2v_jax.data.vocab import noise_distribution
from w2v_jax.defaults import resolve
from w2v_jax.noise import NOISE
from w2v_jax.types import Vocab

FLAGFILES = ROOT / "experiments" / "flagfiles"
SHARED = {
    "reading": "sentences",
    "unk": "drop",
    "lower": False,
    "tokens": "words",
    "max_vocab": 0,
    "loss": "negative_sampling",
    "negatives": 5,
    "window": 5,
    "dynamic_window": True,
    "expected_window": False,
    "full_windows": False,
    "redraw": "epoch",
    "order": "text",
    "subsample_rule": "word2vec_c",
    "engine": "pairs",
    "update": "sparse",
    "optimizer": "sgd",
    "reduction": "sum",
    "schedule": "linear",
    "drop_last": False,
    "replicas": 1,
    "min_n": 3,
    "max_n": 6,
    "buckets": 2_000_000,
    "export_vectors": "input",
}
OWN = {
    "word2vec_c": dict(
        model="cbow", dim=100, min_count=5, epochs=5, learning_rate=0.05, init="word2vec_c",
        subsample=1e-3, noise="skip_target", noise_power=0.75, cbow_legacy_gradient=True,
    ),
    "gensim": dict(
        model="cbow", dim=100, min_count=5, epochs=5, learning_rate=0.025, init="gensim",
        subsample=1e-3, noise="skip_target", noise_power=0.75, cbow_legacy_gradient=True,
    ),
    "fasttext": dict(
        model="skipgram", dim=100, min_count=5, epochs=5, learning_rate=0.05, init="gensim",
        subsample=1e-4, noise="exclude_target", noise_power=0.5, cbow_legacy_gradient=False,
        subwords=True, subword_legacy_gradient=True,
    ),
    "koan": dict(
        model="cbow", dim=200, min_count=1, epochs=1, learning_rate=0.075, init="word2vec_c",
        subsample=1e-3, noise="with_replacement", noise_power=0.75, cbow_legacy_gradient=False,
    ),
}  # fmt: skip
BOUND = {"word2vec_c": 0.5, "gensim": 1.0, "fasttext": 1.0, "koan": 0.5}  # of input, times 1 / D
END = {"word2vec_c": 0.05 * 1e-4, "gensim": 1e-4, "fasttext": 0.0, "koan": 1e-4}  # the last rate
SKIPS = {"word2vec_c": True, "gensim": True, "fasttext": False, "koan": False}
COUNTS = np.array([900, 300, 90, 30, 9])


@pytest.fixture(scope="module", params=OWN)
def baseline(request):
    """(name, the run that its flagfile describes)."""
    from experiments.runs import run as wiring

    seen = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "run", lambda config, *_: seen.append(config))
        args = f"--flagfile={FLAGFILES / request.param}.cfg", "--corpus=any.txt"
        assert start("train_corpus", *args) == 0
    return request.param, seen[0]


def test_a_flagfile_says_every_choice_that_makes_the_baseline(baseline, make_corpus):
    name, config = baseline
    whole = resolve(config, make_corpus([np.arange(2000) % 50]))  # of a small text: nothing changes
    assert {field: getattr(whole, field) for field in SHARED} == SHARED
    assert {field: getattr(whole, field) for field in OWN[name]} == OWN[name]
    said = re.findall(r"^--(?:no(?=\w+$))?(\w+)", (FLAGFILES / f"{name}.cfg").read_text(), re.M)
    assert len(said) == len(set(said)) and "batch_size" in said
    idle = {"lower", "tokens", "max_vocab", "full_windows", "redraw", "drop_last", "replicas"}
    idle |= {"cbow_legacy_gradient"} if name == "fasttext" else {"min_n", "max_n", "buckets"}
    assert {*SHARED, *OWN[name]} - idle <= {*said}  # what defaults may change isn't left to them


def test_its_tables_rates_and_laws_are_the_baselines(baseline):
    name, config = baseline[0], resolve(baseline[1])
    vocabulary = Vocab(tuple("abcde"), COUNTS)
    hyper, static = beginning.make_hyper(config, vocabulary), config.static()
    tables = model.init_params(jax.random.key(0), 500, config.dim, config.init)
    largest = np.abs(tables.input).max() * config.dim
    assert BOUND[name] * 0.99 < largest <= BOUND[name] and not np.any(tables.output)
    first, middle, last = (
        float(update.rate(hyper, static, jnp.float32(done))) for done in (0, 0.5, 1)
    )
    start_rate = OWN[name]["learning_rate"]
    assert first == pytest.approx(start_rate)
    assert middle == pytest.approx((start_rate + END[name]) / 2, rel=1e-6)
    assert last == pytest.approx(END[name], rel=1e-3, abs=1e-9)
    power = 0.5 if name == "fasttext" else 0.75
    np.testing.assert_allclose(hyper.noise, noise_distribution(COUNTS, power), rtol=1e-6)
    t, f = OWN[name]["subsample"], COUNTS / COUNTS.sum()
    kept = np.minimum(np.sqrt(t / f) + t / f, 1)
    np.testing.assert_allclose(hyper.keep_prob, kept, rtol=1e-6)
    assert NOISE[config.noise].skips_target == SKIPS[name]
    assert NOISE[config.noise].hits_target == (name == "koan")
