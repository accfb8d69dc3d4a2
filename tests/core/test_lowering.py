"""Every program lowers for devices that are not there: TPU, and GPUs of both makers."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import w2v_jax as w2v
from w2v_jax import beginning, subsampling, sweeping, training
from w2v_jax.config import Config
from w2v_jax.defaults import resolve
from w2v_jax.types import no_metrics

DEVICES = {"tpu": ["tpu"], "gpu": ["cuda", "rocm"]}
KINDS = {
    "blocks, skip-gram": {},
    "blocks, CBOW": {"model": "cbow"},
    "pairs, skip-gram": {"engine": "pairs", "noise": "exclude_contexts", "window": 2},
    "blocks, subwords": {"subwords": True},
    "pairs, a tree": {"engine": "pairs", "loss": "hierarchical_softmax"},
    "pairs, CBOW": {"engine": "pairs", "model": "cbow", "update": "dense", "optimizer": "adam"},
}
SMALL = {"dim": 8, "batch_size": 64, "group_size": 32, "block": 8, "negatives_per_group": 8}
SIZE = 512


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(0)
    lines = [[f"w{i}" for i in rng.integers(0, 30, 12)] for _ in range(40)]
    return w2v.Corpus.from_sentences(lines, min_count=1)


def lowered(function, devices, *arguments):
    """The text of a function's program for these devices."""
    return export.export(jax.jit(function), platforms=DEVICES[devices])(*arguments).mlir_module()


@pytest.mark.slow
@pytest.mark.parametrize("devices", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
def test_drawing_and_steps_lower(corpus, kind, devices):
    config = resolve(Config(**SMALL, **KINDS[kind]), corpus)
    static = config.static()._replace(platform=devices)
    hyper, key = beginning.make_hyper(config, corpus.vocab), jax.random.key(1)
    state = beginning.initial_state(config, len(corpus.vocab.words), key, hyper)
    zero, ids = jnp.int32(0), jnp.zeros(SIZE, jnp.int32)
    draw = partial(subsampling.sample_chunk, static=static)
    given = key, zero, zero, ids, ids, hyper
    text = lowered(draw, devices, *given)
    sorted_types = re.findall(r'"stablehlo\.sort".*?\n *\}\) : \((.*?)\)', text, re.DOTALL)
    assert sorted_types  # of 64 bits, but on a TPU
    assert any("ui64" in types for types in sorted_types) == (devices != "tpu")
    sampled = jax.eval_shape(draw, *given)
    steps = partial(training.train_steps, static=static, steps=4)
    assert "while" in lowered(steps, devices, state, sampled, zero, jnp.zeros(2), hyper)
    if training.in_runs(static):  # what an accelerator runs
        run = partial(training.train_run, static=static, length=4)
        given = state, no_metrics(), sampled, zero, zero, jnp.zeros(2), hyper
        assert "while" in lowered(run, devices, *given)


@pytest.mark.slow
@pytest.mark.parametrize("devices", DEVICES)
def test_trials_that_are_vmapped_and_a_whole_training_lower(corpus, devices, monkeypatch):
    config = resolve(Config(**SMALL, epochs=1), corpus)
    monkeypatch.setattr(training, "platform_of", lambda tree: devices)
    train, hyper = w2v.make_train(corpus, config), w2v.make_hyper(corpus, config)
    keys = jnp.stack([jax.random.key(1), jax.random.key(2)])
    assert lowered(train, devices, keys[0], hyper)
    assert lowered(jax.vmap(train, in_axes=(0, None)), devices, keys, hyper)
    static = config.static()._replace(platform=devices)
    state = beginning.initial_state(config, len(corpus.vocab.words), keys[0], hyper)
    double = jax.tree.map(lambda x: jnp.stack([x] * 2), (state, hyper))
    trials = sweeping.Trials(keys, double[1], None, jnp.ones(2, bool))
    work = double[0], trials, jnp.zeros((2, 2), jnp.int32), jnp.zeros((2, 2)), None
    text = sweeping.Text(jnp.zeros((1, SIZE), jnp.int32), jnp.zeros((1, SIZE), jnp.int32))
    chunk = partial(sweeping.train_chunk, static=static, vmap_width=2)
    assert lowered(jax.vmap(chunk, in_axes=(0, None)), devices, work, text)
