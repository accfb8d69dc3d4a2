"""A step with subwords works in place: its program copies no table, whatever its size."""

import re

import jax
import numpy as np
import pytest

import w2v_jax as w2v
from w2v_jax import beginning, training
from w2v_jax.config import Config
from w2v_jax.defaults import resolve

DIM = 7


@pytest.mark.parametrize("engine", ["blocks", "pairs"])
def test_no_table_is_copied_in_a_step(engine):
    words = [f"{number * 7919:05x}word{number}" for number in range(400)]
    draws = np.random.default_rng(0).integers(0, len(words), (300, 9))
    corpus = w2v.Corpus.from_sentences([[words[i] for i in row] for row in draws], min_count=1)
    sizes = {"batch_size": 64, "block": 16, "group_size": 32, "negatives_per_group": 8}
    config = resolve(Config(subwords=True, dim=DIM, engine=engine, epochs=1, **sizes), corpus)
    key, static = jax.random.key(1), config.static()
    hyper = beginning.make_hyper(config, corpus.vocab)
    state = beginning.initial_state(config, len(words), key, hyper)
    lowered = training.lower(state, key, corpus.chunk_size, hyper, static, 10)
    program = lowered.train_steps.compile().as_text()
    rows = f"{len(words)}|{hyper.ngrams.count}"
    assert re.search(rf"f32\[({rows}),{DIM}\]", program)
    assert not re.findall(rf"= f32\[({rows}),{DIM}\]\S* copy\(", program)
