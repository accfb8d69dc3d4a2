"""Rates on a part of an epoch: each is the training of that rate; the table says what they are."""

import json

import numpy as np
import pytest
from scripts import QUICK, start, text_of

import w2v_jax as w2v
from experiments.sweeps import rate_finder
from experiments.sweeps.rate_finder import Rate
from w2v_jax.data.corpus import Corpus

pytestmark = pytest.mark.usefixtures("compiled_once")
IDLE = ("--epochs", "--noevaluate", "--log_every_steps")


def test_a_part_is_a_share_of_the_lines():
    sentences = [[f"w{i}", "a", f"w{i}"] for i in range(2000)]
    corpus = Corpus.from_sentences(sentences, 1)
    part = rate_finder.part_of(corpus, 0.3)
    assert len(part.line_ends) == 600 and len(part.ids) == 1800
    firsts = np.asarray(part.ids)[::3]
    assert len(set(firsts.tolist())) == 600  # no line twice
    with pytest.raises(w2v.UserError, match=r"--share=0\.01: 60 tokens of the text"):
        rate_finder.part_of(corpus, 0.01)


def test_the_best_rate_is_the_lowest_that_no_seed_lost():
    found = [Rate(0.1, 3.0, 0.1, 0), Rate(1.0, 2.0, 0.2, 0), Rate(2.0, 2.1, 0.2, 0)]
    found += [Rate(5.0, 1.5, None, 2), Rate(10.0, 9.0, 1.0, 0), Rate(20.0, None, None, 3)]
    assert rate_finder.best_of(found).rate == 1.0
    text = rate_finder.table(found, 2.0, "x")
    assert "--learning_rate=1, 2.0000 ± 0.2000; within its interval: 1 to 2." in text
    assert "from 10 on" in text and "Some seed diverges from 5 on" in text
    assert "2 (the run's)" in text
    assert rate_finder.best_of([Rate(1.0, None, None, 3)]) is None


def test_the_command_finds_a_rate_that_learns(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("a b a b a b c d c d\n" * 400)
    args = [flag for flag in QUICK if not flag.startswith(IDLE)]
    args = [flag for flag in args if flag != "--noplots"]
    args += [f"--corpus={tmp_path / 'text.txt'}", "--min_count=1", "--optimizer=sgd"]
    args += ["--learning_rate=0.1", "--share=0.5", "--rates=7", "--factor=1000", "--seeds=2"]
    out = tmp_path / "out"
    assert start("rate_finder", *args, f"--workdir={out}") == 0
    rates = json.loads((out / "rates.json").read_text())
    assert [rate["rate"] for rate in rates] == pytest.approx(
        [0.0001, 0.001, 0.01, 0.1, 1, 10, 100], rel=1e-3
    )
    losses = [rate["loss"] for rate in rates]
    assert losses[3] < losses[1] < losses[0] + 1e-6
    assert (out / "rates.png").read_bytes().startswith(b"\x89PNG")
    # The same training alone.
    corpus = Corpus.from_files(tmp_path / "text.txt", 1, unk="keep")
    part = rate_finder.part_of(corpus, 0.5)
    config = w2v.Config(
        **{"min_count": 1, "unk": "keep", "dim": 4, "window": 2, "negatives": 2, "epochs": 1},
        **{"subsample": 0.0, "batch_size": 16, "engine": "pairs", "update": "dense"},
        **{"optimizer": "sgd", "schedule": "constant", "learning_rate": 0.1},
    )
    runs = [w2v.train(part, config, seed=seed, progress=False).loss for seed in (1, 2)]
    assert losses[3] == pytest.approx(np.mean(runs), rel=1e-4)


def test_a_mistake_is_one_line(tmp_path, capsys):
    assert start("rate_finder", "--corpus=x") == 1
    assert "--workdir=FOLDER is missing" in capsys.readouterr().err
    (tmp_path / "text.txt").write_text(text_of(300))
    args = [f"--corpus={tmp_path / 'text.txt'}", f"--workdir={tmp_path / 'out'}", "--dim=2"]
    assert start("rate_finder", *args, "--learning_rate=0") == 1
    assert "--learning_rate: must be above 0" in capsys.readouterr().err
    near = ["--rates=300", "--factor=1.1", "--share=1", "--seeds=1", "--min_count=1"]
    assert start("rate_finder", *args, *near, "--learning_rate=0.001", "--noplots") == 0
