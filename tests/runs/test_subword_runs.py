"""Commands on runs with subwords: files, checkpoints, sweeps, unknown words."""

import json
import os
import signal

import numpy as np
import pytest
from interrupted import after_lines
from scripts import SMALL, start

import w2v_jax as w2v
from w2v_jax import subword_rows
from w2v_jax.checkpoint import Checkpoints

pytestmark = pytest.mark.usefixtures("compiled_once")
VERBS = ("walk", "talk", "jump", "look", "call", "turn")
ENDINGS = ("", "s", "ed", "ing", "er")
GIVEN = (
    *("--dim=8", "--window=2", "--negatives=2", "--subsample=0", "--min_count=1", "--epochs=3"),
    *("--log_every_steps=3", "--noevaluate", "--noplots", "--subwords", *SMALL),
)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    words = np.array([verb + ending for verb in VERBS for ending in ENDINGS])
    lines = words[np.random.default_rng(0).integers(0, len(words), (200, 7))]
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(" ".join(line) + "\n" for line in lines))
    return path


@pytest.fixture(scope="module")
def whole(text):
    out = text.parent / "whole"
    assert start("train_corpus", *GIVEN, f"--corpus={text}", f"--workdir={out}") == 0
    return out


def test_a_run_keeps_what_unknown_words_are_made_of(capsys, whole):
    wv = w2v.load(whole / "vectors.npz")
    np.testing.assert_array_equal(wv.vectors, w2v.load(whole / "vectors.txt").vectors)
    assert wv.has_vector("jumpings") and "jumpings" not in wv
    capsys.readouterr()
    assert start("query", f"--run={whole}", "--similar=jumpings") == 0
    assert "jumpings (unknown, by its n-grams) -> jumping" in capsys.readouterr().out


def test_a_run_stopped_goes_on_to_the_same_bits(monkeypatch, text, whole, tmp_path):
    out = tmp_path / "stopped"
    args = [*GIVEN, f"--corpus={text}", f"--workdir={out}", "--checkpoint_every_steps=4"]
    with monkeypatch.context() as patch:
        after_lines(patch, 4, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert start("train_corpus", *args) == 143
    assert start("train_corpus", *args) == 0
    for name in ("vectors.txt", "vectors.npz"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


def test_a_checkpoint_has_the_vectors_of_the_run(whole, tmp_path):
    own = w2v.load(whole / "vectors.npz")
    for which, has in (("output", False), ("sum", False), ("input", True)):
        out = tmp_path / which
        args = f"--run={whole}", f"--export_vectors={which}", f"--output={out}", "--formats=npz"
        assert start("export", *args) == 0
        made = w2v.load(out / "vectors.npz")
        assert made.has_vector("walkers") == has
        assert bool((made.vectors == own.vectors).all()) == (which == "input")
    np.testing.assert_array_equal(made["walkers"], own["walkers"])


def test_a_sweeps_trial_is_the_run_alone(text, tmp_path):
    subword_rows.of_words.cache_clear()  # as of a new process
    out, alone = tmp_path / "sweep", tmp_path / "alone"
    same = [*GIVEN, f"--corpus={text}", f"--heldout={text}", "--engine=blocks", "--update=sparse"]
    same += ["--optimizer=row_adagrad", "--epsilon=0.1", "--schedule=linear", "--unk=drop"]
    same += ["--reading=sentences", "--seed=3", "--init=gensim", "--noise=with_replacement"]
    same += ["--subsample_rule=paper", "--expected_window"]
    axis = "--sweep=learning_rate=0.5,1.2"
    assert (
        start("ptb_ablation", *same, axis, "--seeds=1", "--save_vectors", f"--workdir={out}") == 0
    )
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert start("train_corpus", *same, "--learning_rate=1.2", f"--workdir={alone}") == 0
    summary = json.loads((alone / "summary.json").read_text())
    assert lines[-1]["heldout_loss"] == pytest.approx(summary["heldout_loss"], rel=1e-5)
    one = w2v.load(out / "vectors" / "2.npz")
    assert one.has_vector("jumpings")
    np.testing.assert_allclose(one.vectors, w2v.load(alone / "vectors.txt").vectors, atol=1e-5)


def test_word_vectors_go_on_without_their_ngrams(capsys, text, whole, tmp_path):
    plain = [arg for arg in GIVEN if arg != "--subwords"]
    args = [f"--corpus={text}", f"--workdir={tmp_path / 'on'}", f"--continue_from={whole}"]
    assert start("train_corpus", *plain, *args, "--learning_rate=1e-9") == 0
    old, new = w2v.load(whole / "vectors.txt"), w2v.load(tmp_path / "on" / "vectors.txt")
    for word in old.words:
        np.testing.assert_allclose(new[word], old[word], atol=1e-5)
    args[1] = f"--workdir={tmp_path / 'no'}"
    assert start("train_corpus", *plain, *args, "--continue_schedule") == 1
    assert "was trained with --subwords" in capsys.readouterr().err
    assert start("train_corpus", *GIVEN, *args) == 1
    assert "error: --continue_from: no rows of n-grams go on" in capsys.readouterr().err


def test_what_is_saved_has_no_more_rows_than_the_text_has_ngrams(whole):
    checkpoints = Checkpoints(str(whole / "checkpoints"), None)
    saved = checkpoints.newest(print)
    checkpoints.close()
    assert saved.arrays["state.params.ngrams"].shape[0] < 300


def test_a_batch_shows_words(capsys, text):
    args = [arg for arg in GIVEN if not arg.startswith(("--log", "--no"))]
    assert start("show_batch", *args, f"--corpus={text}") == 0
    assert "walk" in capsys.readouterr().out


def test_idle_flags_are_told(capsys, text, tmp_path):
    plain = [arg for arg in GIVEN if arg != "--subwords"]
    args = [f"--corpus={text}", f"--workdir={tmp_path / 'x'}", "--buckets=9"]
    assert start("train_corpus", *plain, *args) == 0
    assert "--buckets" in capsys.readouterr().err
