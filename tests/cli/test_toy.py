"""The sentence of Deep Learning from Scratch 2 as a dataset: trains by defaults of its own."""

import json

import numpy as np
import pytest
from scripts import start

from experiments.cli.datasets import OF_DATASET
from w2v_jax.data import sources
from w2v_jax.defaults import resolve
from w2v_jax.vectors import io as vectors_io

QUIET = ("--dataset=toy", "--noplots", "--noevaluate")
SCRIPTS = [
    ("train_corpus", "--model=skipgram"),
]


def nearest(path, word, count):
    wv = vectors_io.load(path)
    unit = wv.vectors / np.linalg.norm(wv.vectors, axis=1, keepdims=True)
    cosines = unit @ unit[wv.words.index(word)]
    return [wv.words[i] for i in np.argsort(-cosines) if wv.words[i] != word][:count]


def test_it_is_the_books_sentence():
    (path,) = sources.locate("toy").paths
    with open(path) as file:
        assert file.read() == "you say goodbye and i say hello .\n"


@pytest.mark.parametrize("args", SCRIPTS, ids=" ".join)
@pytest.mark.slow
def test_it_trains_with_no_further_flag(tmp_path, capsys, args):
    """you, i, goodbye and hello stand beside say: in ch. 2.3.6 they are the neighbours of you."""
    script, *more = args
    assert start(script, *QUIET, *more, f"--workdir={tmp_path / 'out'}") == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["vocab_size"], summary["words_per_epoch"], summary["epochs"]) == (7, 8, 1000)
    assert summary["final_loss"] < 0.6 * summary["chance_loss"]
    near = nearest(tmp_path / "out" / "vectors.txt", "you", 3)
    assert "i" in near and len({"i", "goodbye", "hello"} & set(near)) >= 2
    told = capsys.readouterr()
    assert "warning: of 8 tokens little can be learned" in told.err
    assert all(f"  {word} -> " in told.out for word in ("you", "i", "say"))


@pytest.mark.slow
def test_a_sweep_takes_the_same_defaults(tmp_path):
    args = *QUIET, "--seeds=2", "--cpu_devices=1", "--epochs=200", f"--workdir={tmp_path}"
    assert start("ptb_ablation", *args) == 0
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len(lines) == 2 and all(line["loss"] < 0.9 * 6 * np.log(2) for line in lines)
    written = (tmp_path / "flags.cfg").read_text()
    assert {"--min_count=1", "--unk=keep", "--subsample=0.0", "--window=1"} <= set(written.split())


@pytest.mark.parametrize("script", ["train_corpus", "ptb_skipgram", "ptb_ablation", "show_batch"])
def test_help_shows_what_it_sets(capsys, script):
    assert start(script, "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "--subsample" in text and "--epochs" in text
    for name, value in OF_DATASET["toy"].items():
        if f"--{name}: " not in text:  # show_batch looks for no neighbours
            assert (script, name) == ("show_batch", "show_similar")
            continue
        shown = text.partition(f"--{name}: ")[2].partition("(default: ")[2].partition(")")[0]
        text_of = f"{value:g}" if isinstance(value, float) else value
        assert f"{text_of} with --dataset=toy" in shown, name


def test_flags_that_are_given_win_and_other_texts_have_none_of_it(monkeypatch, tmp_path):
    from experiments.runs import run as wiring

    seen = []
    monkeypatch.setattr(wiring, "run", lambda config, *_: seen.append(resolve(config)))
    assert start("ptb_cbow", *QUIET, "--window=3", "--epochs=7") == 0
    assert start("train_corpus", *QUIET, "--min_count=2") == 0
    assert start("train_corpus", *QUIET, "--corpus=any.txt") == 0
    assert start("ptb_cbow", "--dataset=wiki_sample") == 0
    found = [(c.window, c.epochs, c.min_count, c.unk, c.subsample) for c in seen]
    assert found == [
        (3, 7, 1, "keep", 0.0),
        (1, 1000, 2, "keep", 0.0),
        (5, 3, 5, "drop", 1e-4),
        (5, 5, 1, "keep", 1e-4),
    ]
