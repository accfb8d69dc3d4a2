"""What README and the results claim of defaults is what the defaults are."""

import json
import re

import pytest
from scripts import ROOT, start

from w2v_jax.defaults import LARGE, resolve

EPOCHS = LARGE["epochs"]
README = (ROOT / "experiments" / "results" / "README.md").read_text()
WIKI = ROOT / "experiments" / "results" / "benchmark_wiki"


def test_readmes_rows_of_the_defaults_have_the_defaults_epochs():
    rows = re.findall(r"`train_corpus`'s defaults \| (\d+) \|", README)
    assert rows and set(rows) == {str(EPOCHS)}
    assert re.findall(r"^\| (\d+) \(default\) \|", README, re.MULTILINE) == [str(EPOCHS)]


def test_the_commands_of_the_headline_train_so_many_epochs():
    section = README.partition("beside gensim")[2].partition("\n## ")[0]
    assert set(re.findall(r"\bw2v_jax@(\d+)", section)) == {str(EPOCHS)}


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_the_headlines_runs_were_of_the_defaults(model):
    """w2v_jax without a flagfile, at the default number of epochs, against gensim at its own."""
    lines = [json.loads(line) for line in (WIKI / f"{model}.jsonl").read_text().splitlines()]
    ours = [line for line in lines if line["peer"] == f"w2v_jax@{EPOCHS}"]
    assert len(ours) >= 5 and {(x["epochs"], x["flags"]) for x in ours} == {(EPOCHS, "")}
    assert {x["epochs"] for x in lines if x["peer"].startswith("gensim")} == {5}


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_train_corpus_trains_so_many_epochs_and_says_so(capsys, monkeypatch, tmp_path, model):
    from experiments.runs import run as wiring

    seen = []
    monkeypatch.setattr(wiring, "run", lambda config, *_: seen.append(config))
    assert start("train_corpus", "--corpus=any.txt", f"--model={model}") == 0
    assert resolve(seen[0]).epochs == EPOCHS
    assert start("train_corpus", "--help") == 0
    shown = capsys.readouterr().out.partition("--epochs:")[2].partition("--")[0]
    assert f"(default: {EPOCHS};" in shown


def test_the_benchmarks_default_is_the_headlines(capsys):
    assert start("benchmark", "--help") == 0
    shown = capsys.readouterr().out.partition("--baselines:")[2].partition("--")[0]
    assert f"(default: 'w2v_jax@{EPOCHS},gensim@5')" in shown
