"""Held-out measures, early stopping and neighbours of a single run, epoch by epoch."""

import json
import signal

import jax
import numpy as np
import pytest
from interrupted import arguments, signalled
from scripts import QUICK, start, text_of

import w2v_jax as w2v
from experiments.runs import newest
from w2v_jax import beginning, heldout, heldout_text
from w2v_jax.types import Params

pytestmark = pytest.mark.usefixtures("compiled_once")
# Of a text without order the held-out loss soon rises.
EARLY = ["--epochs=12", "--early_stopping=2", "--optimizer=sgd", "--learning_rate=0.5"]


@pytest.fixture(scope="module")
def valid(text_folder):
    path = text_folder / "ptb" / "ptb.valid.txt"
    path.write_text(text_of(10, seed=1))
    return path


def epochs_of(folder):
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    for line in lines:
        del line["elapsed_sec"]
    return lines


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def train(text_folder, out, *more):
    args = arguments(text_folder, out, *more)
    assert start("ptb_skipgram", *args) == 0
    return summary_of(out)


@pytest.fixture(scope="module")
def early(text_folder, valid):
    out = text_folder / "early-run"
    train(text_folder, out, *EARLY)
    return out


@pytest.mark.bits
def test_a_run_that_is_stopped_early_is_the_run_up_to_its_best_epoch(
    text_folder, valid, early, tmp_path
):
    told = summary_of(early)
    best, lines = told["best_epoch"], epochs_of(early)
    assert told["stopped_epoch"] == best + 2 == len(lines) < 12
    losses = [line["heldout_loss"] for line in lines]
    assert np.argmin(losses) == best - 1 and told["heldout_loss"] == min(losses)
    assert told["final_loss"] == lines[best - 1]["loss"]
    # The rate is constant, so that the run up to there is a shorter one.
    args = [*EARLY, f"--epochs={best}", "--early_stopping=0", "--heldout=valid"]
    short = train(text_folder, tmp_path / "short", *args)
    for name in ("heldout_loss", "heldout_loss_error", "perplexity", "final_loss"):
        assert short[name] == told[name]
    assert epochs_of(tmp_path / "short") == lines[:best]
    one, other = ((folder / "vectors.txt").read_bytes() for folder in (tmp_path / "short", early))
    assert one == other
    # So are both tables, which `predict` and --continue_from read.
    ours, theirs = newest.model_of(early), newest.model_of(tmp_path / "short")
    for one, other in zip(ours.params, theirs.params, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_line_has_the_measures_of_its_tables(text_folder, valid, early):
    model, line = newest.model_of(early), epochs_of(early)[summary_of(early)["best_epoch"] - 1]
    text = heldout_text.read([str(valid)], model.vocab, unk="keep", eos=False)
    windows = heldout_text.windows(text, 5)
    config = model.config
    hyper = beginning.make_hyper(config, model.vocab)
    params = Params(*map(jax.numpy.asarray, model.params))
    found = heldout.measure(params, hyper, windows, config.static())
    assert line["heldout_loss"] == pytest.approx(float(heldout.mean(found.loss)), rel=1e-5)
    assert line["perplexity"] == pytest.approx(float(np.exp(heldout.mean(found.nats))), rel=1e-5)


def test_a_sweeps_trial_alone_is_the_same(text_folder, valid, early, tmp_path):
    flagfile = f"--flagfile={early / 'flags.cfg'}"
    assert "--early_stopping=2" in (early / "flags.cfg").read_text()
    args = [*QUICK, flagfile, "--seeds=1", "--sweep=learning_rate=0.5,0.1", "--save_vectors"]
    assert start("ptb_ablation", *args, f"--workdir={tmp_path}") == 0
    line = json.loads((tmp_path / "results.jsonl").read_text().splitlines()[0])
    told = summary_of(early)
    for name in ("best_epoch", "stopped_epoch"):
        assert line[name] == told[name]
    for name in ("heldout_loss", "perplexity"):
        assert line[name] == pytest.approx(told[name], rel=1e-5)


@pytest.mark.bits
def test_measuring_changes_no_bit(text_folder, valid, tmp_path):
    vectors = set()
    for name, more in (("plain", []), ("measured", ["--heldout=valid"])):
        train(text_folder, tmp_path / name, *more)
        vectors.add((tmp_path / name / "vectors.txt").read_bytes())
        assert (tmp_path / name / "epochs.jsonl").exists() == bool(more)
    assert len(vectors) == 1


@pytest.mark.bits
@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 10, 17, 21])
def test_a_stopped_run_goes_on_to_the_same_epochs(
    monkeypatch, capsys, text_folder, early, tmp_path, count
):
    args = arguments(text_folder, tmp_path, *EARLY)
    assert signalled(monkeypatch, count, signal.SIGTERM, *args) == 143
    assert start("ptb_skipgram", *args) == 0
    assert epochs_of(tmp_path) == epochs_of(early)
    assert (tmp_path / "vectors.txt").read_bytes() == (early / "vectors.txt").read_bytes()
    for name in ("best_epoch", "stopped_epoch", "heldout_loss", "perplexity_error", "final_loss"):
        assert summary_of(tmp_path)[name] == summary_of(early)[name]


@pytest.mark.slow
def test_processes_stop_early_together(text_folder, valid, tmp_path):
    more = [*EARLY, "--engine=blocks", "--update=sparse", "--replicas=2", "--sync_every=10"]
    more += ["--block=8", "--group_size=16", "--negatives_per_group=8"]
    alone = train(text_folder, tmp_path / "alone", *more, "--processes=1")
    two = train(text_folder, tmp_path / "two", *more, "--processes=2")
    assert alone["stopped_epoch"] == two["stopped_epoch"] is not None
    one, other = ((tmp_path / n / "vectors.txt").read_bytes() for n in ("alone", "two"))
    assert one == other and epochs_of(tmp_path / "alone") == epochs_of(tmp_path / "two")


def test_a_run_that_ended_early_is_complete(capsys, text_folder, early):
    assert start("ptb_skipgram", *arguments(text_folder, early, *EARLY)) == 0
    assert "complete" in capsys.readouterr().err


def test_neighbours_are_told_after_each_epoch(capsys, text_folder, valid, tmp_path):
    words = ["--show_similar=w1,absent", "--show_similar_each_epoch"]
    train(text_folder, tmp_path, *words)
    shown = capsys.readouterr().err
    assert shown.count("  w1 -> ") == 2 and "epoch 2 of 2: loss" in shown
    last = epochs_of(tmp_path)[-1]["similar"]
    assert list(last) == ["w1"]
    wv = w2v.load(tmp_path / "vectors.txt")
    for (word, cosine), (expected, theirs) in zip(
        last["w1"], wv.most_similar("w1", 5), strict=True
    ):
        assert word == expected and cosine == pytest.approx(theirs, abs=1e-5)


def test_plots_show_what_was_measured(text_folder, valid, tmp_path):
    train(text_folder, tmp_path, "--heldout=valid", "--plots")
    path = tmp_path / "plots" / "heldout.png"
    assert path.read_bytes().startswith(b"\x89PNG")
    path.unlink()
    assert (
        start("ptb_skipgram", *arguments(text_folder, tmp_path, "--heldout=valid", "--plots")) == 0
    )
    assert path.exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--heldout=/no/such"], "--heldout=/no/such: no such file"),
        (["--heldout=valid", "--corpus={text}"], "--heldout=valid: is PTB's"),
        (["--early_stopping=2", "--corpus={text}"], "--early_stopping needs a held-out text"),
    ],
)
def test_what_cannot_be_measured_is_refused(capsys, text_folder, valid, tmp_path, args, said):
    args = [arg.format(text=text_folder / "corpus.txt") for arg in args]
    out = tmp_path / "out"
    plain = [*QUICK, f"--workdir={out}"]
    if not any(arg.startswith("--corpus") for arg in args):
        plain.append(f"--data_dir={text_folder}")
    assert start("ptb_skipgram", *plain, *args) == 1
    error = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert len(error) == 1 and said in error[0]
    assert not (out / "summary.json").exists()


def test_another_heldout_text_is_another_run_where_it_stops_one(
    capsys, text_folder, valid, early, tmp_path
):
    other = tmp_path / "other.txt"
    other.write_text(text_of(10, seed=2))
    more = [*EARLY, f"--heldout={other}"]
    assert start("ptb_skipgram", *arguments(text_folder, early, *more)) == 1
    assert "the held-out text is another" in capsys.readouterr().err
    # The same text under another name is the same run.
    other.write_text(valid.read_text())
    assert start("ptb_skipgram", *arguments(text_folder, early, *more)) == 0


# A run that goes on with other flags


LONG = ["--epochs=6"]


@pytest.mark.slow
def test_a_run_may_be_measured_from_some_epoch_on(
    monkeypatch, capsys, text_folder, valid, tmp_path
):
    args = arguments(text_folder, tmp_path, *LONG)
    assert signalled(monkeypatch, 9, signal.SIGTERM, *args) == 143  # no epoch is measured
    # It goes on measured, and is killed before a checkpoint knows of it.
    (tmp_path / "epochs.jsonl").write_text('{"epoch": 9}\n')
    assert start("ptb_skipgram", *args, "--heldout=valid") == 0
    epochs = [line["epoch"] for line in epochs_of(tmp_path)]
    assert epochs == [2, 3, 4, 5, 6]
    whole = train(text_folder, tmp_path / "whole", *LONG, "--heldout=valid")
    assert summary_of(tmp_path)["heldout_loss"] == whole["heldout_loss"]


@pytest.mark.slow
def test_the_summary_measures_the_tables_that_it_tells_of(
    monkeypatch, text_folder, valid, tmp_path
):
    args = arguments(text_folder, tmp_path, *LONG)
    assert signalled(monkeypatch, 9, signal.SIGTERM, *args, "--heldout=valid") == 143
    assert start("ptb_skipgram", *args) == 0  # unmeasured to its end
    (tmp_path / "summary.json").unlink()
    (tmp_path / "vectors.txt").unlink()
    assert start("ptb_skipgram", *args, "--heldout=valid") == 0
    whole = train(text_folder, tmp_path / "whole", *LONG, "--heldout=valid")
    for name in ("heldout_loss", "perplexity", "heldout_loss_error"):
        assert summary_of(tmp_path)[name] == pytest.approx(whole[name], rel=1e-6)


@pytest.mark.slow
def test_another_heldout_text_begins_the_file_anew(
    monkeypatch, capsys, text_folder, valid, tmp_path
):
    other = tmp_path / "other.txt"
    other.write_text(text_of(12, seed=5))
    args = arguments(text_folder, tmp_path / "out", *LONG)
    assert signalled(monkeypatch, 9, signal.SIGTERM, *args, "--heldout=valid") == 143
    capsys.readouterr()
    assert start("ptb_skipgram", *args, f"--heldout={other}") == 0
    assert "begins anew: the held-out text, or how, is another" in capsys.readouterr().err
    assert epochs_of(tmp_path / "out")[0]["epoch"] > 1
    assert start("ptb_skipgram", *args, "--heldout=valid") == 0
    assert "epochs were not measured so" in capsys.readouterr().err
    assert start("ptb_skipgram", *args, "--show_similar_each_epoch") == 0
    assert "--show_similar_each_epoch: this run's epochs are gone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [("zz yy\n", "holds no word of the vocabulary"), ("w1\nw2\n", "no two words side by side")],
)
def test_a_heldout_text_of_no_use_is_named(capsys, text_folder, tmp_path, text, said):
    (tmp_path / "held.txt").write_text(text)
    args = arguments(text_folder, tmp_path / "out", f"--heldout={tmp_path / 'held.txt'}")
    assert start("ptb_skipgram", *args) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: --heldout={tmp_path / 'held.txt'}: ") and said in error


def test_a_text_of_other_words_is_noted(capsys, text_folder, tmp_path):
    (tmp_path / "held.txt").write_text("w1 w2 zz yy xx\n")
    args = arguments(text_folder, tmp_path / "out", f"--heldout={tmp_path / 'held.txt'}")
    assert start("ptb_skipgram", *args) == 0
    assert "40% of its words are in the vocabulary" in capsys.readouterr().err


def test_a_mesh_stops_early_too(text_folder, valid, tmp_path):
    plain = train(text_folder, tmp_path / "plain", *EARLY)
    split = train(text_folder, tmp_path / "split", *EARLY, "--mesh=columns:2")
    assert plain["best_epoch"] == split["best_epoch"]
    assert plain["heldout_loss"] == pytest.approx(split["heldout_loss"], rel=1e-5)
