"""Defaults that depend on other flags or on the text: shown, resolved, and overruled by flags."""

import random

import numpy as np
import pytest
from scripts import start

from experiments.cli import earlier_flags
from w2v_jax.config import Config
from w2v_jax.defaults import CASES, SIZE, SIZED, resolve, steps


def planted(seed=0):
    """Two groups of three words that never share a line: 9,600 tokens."""
    draw = random.Random(seed)
    groups = ("a", "b", "c"), ("x", "y", "z")
    lines = [draw.choices(draw.choice(groups), k=8) for _ in range(1200)]
    return "".join(" ".join(line) + "\n" for line in lines)


@pytest.mark.parametrize("name", sorted({*CASES, *SIZED}))
def test_help_shows_each_value_that_a_default_may_have(capsys, name):
    assert start("train_corpus", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    flag = "[no]expected_window" if name == "expected_window" else name
    shown = text.partition(f"--{flag}: ")[2].partition("(default: ")[2].partition(")")[0]
    for case in CASES.get(name, ()):
        assert f"{case.value:g}" in shown or str(case.value).lower() in shown
        assert all(f"--{flag}=" in shown for flag in case.given)
    if name in SIZED:
        assert "0" in shown and ";" in shown


@pytest.mark.parametrize(
    ("tokens", "found"),
    [
        (8, (0.0, 256, 1000)),
        (9_984, (0.0, 256, 52)),
        (100_096, (1e-3, 256, 6)),
        (250_112, (1e-3, 256, 5)),
        (1_000_448, (1e-3, 1024, 5)),
        (5_000_000, (1e-4, 1024, None)),
    ],
)
def test_the_texts_size_decides_what_was_not_given(make_corpus, tokens, found):
    corpus = make_corpus([np.arange(tokens) % 20_000])
    made = resolve(Config(), corpus)
    subsample, batch_size, epochs = found
    assert (made.subsample, made.batch_size) == (subsample, batch_size)
    assert epochs is None or made.epochs == epochs
    updates = steps(made, corpus) * made.epochs
    least = 2000 if tokens < 200_000 else 4000
    assert updates >= least or made.epochs == SIZE.epochs
    assert made.epochs == 3 or (made.epochs - 1) * steps(made, corpus) < least
    given = {"learning_rate": 0.7, "subsample": 0.25, "batch_size": 2048, "epochs": 7}
    for name in SIZED:  # what is given stays
        assert getattr(resolve(Config(**{name: given[name]}), corpus), name) == given[name]


def test_a_text_of_17_million_words_has_the_plain_defaults(make_corpus):
    corpus = make_corpus([np.arange(2**24, dtype=np.int32) % 70_000])
    assert resolve(Config(), corpus) == resolve(Config())


def test_a_batch_that_the_groups_do_not_divide_stays(make_corpus):
    made = resolve(Config(group_size=512), make_corpus([np.arange(900)]))
    assert made.batch_size == 1024


@pytest.mark.slow
def test_what_the_size_made_is_recorded_said_and_the_same_run_goes_on(tmp_path, capsys):
    (tmp_path / "text.txt").write_text(planted()[:4000])
    args = [f"--corpus={tmp_path / 'text.txt'}", f"--workdir={tmp_path / 'out'}", "--dim=4"]
    args += ["--noplots", "--noevaluate", "--model=cbow", "--epochs=4"]
    assert start("train_corpus", *args) == 0
    said = capsys.readouterr().err
    assert "2,000 of 2,000 tokens kept an epoch (--subsample=0); 8 steps of 256 x 4 epochs" in said
    assert "warning: 32 updates" in said
    written = earlier_flags.stored((tmp_path / "out" / "flags.cfg").read_text())
    assert (written["subsample"], written["batch_size"], written["epochs"]) == ("0.0", "256", "4")
    assert start("train_corpus", *args) == 0
    assert "holds this very run" in capsys.readouterr().err
    flagfile = f"--flagfile={tmp_path / 'out' / 'flags.cfg'}"
    assert start("train_corpus", flagfile, *args[1:]) == 0
    assert start("train_corpus", *args, "--subsample=1e-3") == 1
    assert "--subsample is 0" in capsys.readouterr().err
