"""Runs that are stopped, killed or damaged go on; what is another run is refused."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from interrupted import arguments, metrics_of, signalled
from messages import told
from scripts import QUICK, SMALL, contents, start

from experiments.cli import command
from experiments.runs import checkpointing, lock, rundir
from w2v_jax import sweeping, training
from w2v_jax.checkpoint import Checkpoints
from w2v_jax.types import UserError

pytestmark = pytest.mark.usefixtures("compiled_once")
ENGINES = {
    "pairs, skip-gram": [],
    "pairs, CBOW": ["--model=cbow", "--objective=running", "--schedule=linear"],
    "blocks, skip-gram": ["--engine=blocks", "--update=sparse", *SMALL, "--epochs=6"],
    "blocks, CBOW": ["--engine=blocks", "--model=cbow", "--update=sparse", *SMALL, "--epochs=6"],
}


@pytest.fixture(scope="module")
def whole(text_folder):
    """Runs that nothing stopped, by their settings."""
    runs = {}

    def run(name):
        if name not in runs:
            runs[name] = text_folder / f"whole-{len(runs)}"
            assert start("ptb_skipgram", *arguments(text_folder, runs[name], *ENGINES[name])) == 0
        return runs[name]

    return run


@pytest.mark.bits
@pytest.mark.parametrize(
    ("name", "stops"),
    [
        ("pairs, skip-gram", ((2, signal.SIGTERM), (3, signal.SIGINT))),
        *((name, ((3, signal.SIGTERM),)) for name in list(ENGINES)[1:]),
    ],
)
@pytest.mark.slow
def test_a_run_stopped_by_signals_goes_on_to_the_same_bits(
    monkeypatch, capsys, text_folder, tmp_path, whole, name, stops
):
    args = arguments(text_folder, tmp_path, *ENGINES[name])
    for count, number in stops:
        assert signalled(monkeypatch, count, number, *args) == 128 + number
        assert "saved at step" in capsys.readouterr().err
        assert not (tmp_path / "summary.json").exists()
    assert start("ptb_skipgram", *args) == 0
    assert "going on from step" in capsys.readouterr().err
    assert (tmp_path / "vectors.txt").read_bytes() == (whole(name) / "vectors.txt").read_bytes()
    assert metrics_of(tmp_path) == metrics_of(whole(name))
    old, new = (json.loads((f / "summary.json").read_text()) for f in (whole(name), tmp_path))
    assert new["resumes"] == len(stops) and old["resumes"] == 0
    for field in ("final_loss", "objective", "complete"):
        assert old[field] == new[field]
    assert new["complete"] is True


@pytest.fixture(scope="module")
def stopped_once(text_folder):
    """A run stopped at its sixth line, saved after each second step."""
    out = text_folder / "stopped"
    args = arguments(text_folder, out, "--checkpoint_every_steps=2", "--keep_checkpoints=3")
    with pytest.MonkeyPatch.context() as patch:
        assert signalled(patch, 6, signal.SIGTERM, *args) == 143
    return out


@pytest.fixture
def stopped(stopped_once, tmp_path):
    """A copy of it, to be gone on with or damaged."""
    return Path(shutil.copytree(stopped_once, tmp_path / "stopped"))


def same_as_whole(whole, out):
    one = whole("pairs, skip-gram")
    assert (out / "vectors.txt").read_bytes() == (one / "vectors.txt").read_bytes()
    assert metrics_of(out) == metrics_of(one)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(capsys, text_folder, whole, stopped):
    steps = sorted(int(p.name) for p in (stopped / "checkpoints").iterdir())
    assert len(steps) == 3
    (stopped / "checkpoints" / str(steps[-1]) / "about" / "metadata").write_text("{")
    assert start("ptb_skipgram", *arguments(text_folder, stopped)) == 0
    said = capsys.readouterr().err
    assert f"/{steps[-1]} is damaged" in said and f"going on from step {steps[-2]}" in said
    same_as_whole(whole, stopped)


def test_a_checkpoint_calls_a_position_what_every_version_calls_it(stopped):
    checkpoints = Checkpoints(str(stopped / "checkpoints"), None)
    about = checkpoints.newest(print).about
    checkpoints.close()
    assert list(about["position"]) == ["epoch", "place", "begin", "done", "step"]
    assert {"ledger", "identity", "ended"} <= set(about)


def test_without_a_checkpoint_the_run_begins_anew(capsys, text_folder, whole, stopped):
    shutil.rmtree(stopped / "checkpoints")
    assert start("ptb_skipgram", *arguments(text_folder, stopped)) == 0
    assert "begins anew" in capsys.readouterr().err
    same_as_whole(whole, stopped)


@pytest.mark.slow
def test_a_line_that_was_cut_is_written_again(text_folder, whole, stopped):
    with open(stopped / "metrics.jsonl", "a") as file:
        file.write('{"step": 99')
    assert start("ptb_skipgram", *arguments(text_folder, stopped)) == 0
    same_as_whole(whole, stopped)


def test_what_a_killed_process_had_begun_to_write_is_cleared(text_folder, whole, stopped):
    for name in (".0123456789abcdef.part", "vocab.tsv.01234567.tmp", "summary.json.89abcdef.tmp"):
        (stopped / name).write_text("")
    (stopped / "mine.01234567.tmp").write_text("")
    assert start("ptb_skipgram", *arguments(text_folder, stopped)) == 0
    left = {p.name for p in stopped.iterdir()} - {
        p.name for p in whole("pairs, skip-gram").iterdir()
    }
    assert left == {"mine.01234567.tmp"}


def test_metrics_that_are_too_short_are_an_error(capsys, text_folder, stopped):
    os.truncate(stopped / "metrics.jsonl", 10)
    assert start("ptb_skipgram", *arguments(text_folder, stopped)) == 1
    assert "metrics.jsonl: shorter than" in capsys.readouterr().err


@pytest.mark.bits
def test_paths_logging_and_checkpoints_may_change(text_folder, tmp_path, whole, stopped):
    moved, data = tmp_path / "moved", tmp_path / "data"
    stopped.rename(moved)
    shutil.copytree(text_folder / "ptb", data)
    changed = ["--log_every_steps=3", "--keep_checkpoints=1", f"--data_dir={data}"]
    assert start("ptb_skipgram", *arguments(text_folder, moved, *changed)) == 0
    one = whole("pairs, skip-gram")
    assert (moved / "vectors.txt").read_bytes() == (one / "vectors.txt").read_bytes()
    assert metrics_of(moved)[-1]["words"] == metrics_of(one)[-1]["words"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["--learning_rate=0.5"], "--learning_rate is 0.002 there, 0.5 here"),
        (["--seed=2", "--dim=5"], "--dim is 4 there, 5 here"),
        (["--max_words=100"], "--max_words is 0 there, 100 here"),
        (["--noresume"], "holds a run"),
    ],
)
def test_another_run_is_refused_and_named(capsys, text_folder, stopped, change, named):
    before = contents(stopped)
    assert start("ptb_skipgram", *arguments(text_folder, stopped, *change)) == 1
    lines = capsys.readouterr().err.splitlines()
    assert named in lines[-1] and lines[-1].startswith("error: --workdir=")
    assert contents(stopped) == before


def test_another_text_is_refused(capsys, text_folder, tmp_path, stopped):
    (tmp_path / "ptb.train.txt").write_text((text_folder / "corpus.txt").read_text() + "w1 w2\n")
    args = [*arguments(text_folder, stopped), f"--data_dir={tmp_path}"]
    assert start("ptb_skipgram", *args) == 1
    assert "the text is another; the vocabulary is another" in capsys.readouterr().err


def test_a_checkpoint_of_another_run_is_refused(
    monkeypatch, capsys, text_folder, tmp_path, stopped
):
    other = tmp_path / "other"
    args = arguments(text_folder, other, "--seed=2", "--checkpoint_every_steps=2")
    assert signalled(monkeypatch, 6, signal.SIGTERM, *args) == 143
    shutil.rmtree(stopped / "checkpoints")
    shutil.copytree(other / "checkpoints", stopped / "checkpoints")
    assert start("ptb_skipgram", *arguments(text_folder, stopped)) == 1
    assert "--seed is 2 there, 1 here" in capsys.readouterr().err.splitlines()[-1]


def test_a_signal_while_the_end_is_saved_ends_the_run_too(
    monkeypatch, text_folder, tmp_path, whole
):
    args = arguments(text_folder, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(
            checkpointing.CheckpointPolicy, "end", lambda *_: os.kill(os.getpid(), signal.SIGTERM)
        )
        assert start("ptb_skipgram", *args) == 143
    assert not (tmp_path / "out" / "vectors.txt").exists()
    assert start("ptb_skipgram", *args) == 0
    same_as_whole(whole, tmp_path / "out")


@pytest.mark.parametrize("replaced", [False, True])
@pytest.mark.slow
def test_a_run_killed_while_its_folder_is_made_goes_on(
    monkeypatch, text_folder, tmp_path, whole, stopped, replaced
):
    out = stopped if replaced else tmp_path / "out"
    args = [*arguments(text_folder, out), *(["--overwrite"] if replaced else [])]

    class Killed(BaseException):
        pass

    def kill(*_, **__):
        raise Killed

    name, target = ("rmtree", rundir.shutil) if replaced else ("save_counts", rundir)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(target, name, kill)
        start("ptb_skipgram", *args)
    assert start("ptb_skipgram", *args) == 0
    same_as_whole(whole, out)


def test_a_disk_that_is_full_costs_one_line(monkeypatch, capsys, text_folder, tmp_path):
    own = open

    def full(path, *args, **kwargs):
        if str(path).endswith("metrics.jsonl"):
            return own("/dev/full", "wb", **kwargs)
        return own(path, *args, **kwargs)

    monkeypatch.setattr("builtins.open", full)
    assert start("ptb_skipgram", *arguments(text_folder, tmp_path)) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == f"error: {tmp_path}/metrics.jsonl: No space left on device"


def test_a_sweep_leaves_a_runs_folder_alone(capsys, text_folder, whole):
    out = whole("pairs, skip-gram")
    before = contents(out)
    args = [
        *QUICK,
        f"--data_dir={text_folder}",
        f"--workdir={out}",
        "--sweep=window=1,2",
        "--seeds=2",
    ]
    assert start("ptb_ablation", *args) == 1
    assert "holds a run" in capsys.readouterr().err
    assert contents(out) == before


def test_a_complete_run_says_so_and_stays(capsys, text_folder, whole):
    out = whole("pairs, skip-gram")
    before = contents(out)
    assert start("ptb_skipgram", *arguments(text_folder, out)) == 0
    assert "complete" in capsys.readouterr().err
    assert contents(out) == before


def test_a_run_of_a_newer_format_is_refused(capsys, text_folder, stopped):
    about = json.loads((stopped / "run.json").read_text())
    (stopped / "run.json").write_text(json.dumps({**about, "format": rundir.FORMAT + 1}))
    assert start("ptb_skipgram", *arguments(text_folder, stopped)) == 1
    assert "made by a newer version" in capsys.readouterr().err


def test_a_run_of_the_first_format_is_not_resumed_but_read(capsys, text_folder, tmp_path, whole):
    old = tmp_path / "old"
    shutil.copytree(whole("pairs, skip-gram"), old)
    for name in ("run.json", "lock"):
        (old / name).unlink()
    summary = json.loads((old / "summary.json").read_text())
    (old / "summary.json").write_text(json.dumps({**summary, "format": 1}))
    assert start("ptb_skipgram", *arguments(text_folder, old)) == 1
    assert "holds a run" in capsys.readouterr().err
    assert start("query", f"--run={old}", "--similar=w1") == 0


# Two processes, and signals in a process of its own


def test_a_folder_that_is_in_use_is_refused_until_it_is_free(capsys, text_folder, tmp_path):
    out = tmp_path / "out"
    with lock.held(out):
        assert start("ptb_skipgram", *arguments(text_folder, out)) == 1
        assert "another process is at work" in capsys.readouterr().err
    assert not out.exists()  # it was made for the lock, and nothing came into it
    assert start("ptb_skipgram", *arguments(text_folder, out)) == 0


def test_a_lock_outlives_that_another_takes_its_file_away(tmp_path):
    with lock.held(tmp_path / "out"):
        (tmp_path / "out" / "more").write_text("")
        with pytest.raises(UserError, match="another process"), lock.held(tmp_path / "out"):
            raise AssertionError("held twice")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["lock", "more"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    for path in ("file", "file/below"):
        with told("--workdir="), lock.held(tmp_path / path):
            raise AssertionError("held")


# Divergence


@pytest.mark.slow
def test_a_run_that_diverges_keeps_its_last_good_state(
    monkeypatch, capsys, text_folder, tmp_path, whole
):
    own = training.train

    def poisoned(*args):
        for state, report in own(*args):
            if report.epoch == 2 and report.position.done > 2:
                report = report._replace(metrics=report.metrics._replace(loss=float("nan")))
            yield state, report

    monkeypatch.setattr(training, "train", poisoned)
    args = arguments(text_folder, tmp_path / "out")
    assert start("ptb_skipgram", *args) == 2
    said = capsys.readouterr().err
    assert "not finite at step" in said and "try a smaller --learning_rate" in said
    kept = [p.name for p in (tmp_path / "out" / "checkpoints").iterdir()]
    assert (
        len(kept) == 1 and f"the last good state is in {tmp_path}/out/checkpoints/{kept[0]}" in said
    )
    monkeypatch.setattr(training, "train", own)
    assert start("ptb_skipgram", *args) == 0
    same_as_whole(whole, tmp_path / "out")


def test_a_run_that_diverges_at_once_has_no_good_state(capsys, text_folder, tmp_path):
    args = arguments(text_folder, tmp_path, "--optimizer=sgd", "--learning_rate=1e38")
    assert start("ptb_skipgram", *args) == 2
    assert "not finite" in capsys.readouterr().err
    assert not (tmp_path / "checkpoints").exists()


def test_what_the_device_cannot_hold_is_refused_before_it_is_compiled(
    capsys, text_folder, tmp_path
):
    out = tmp_path / "out"
    assert start("ptb_skipgram", *arguments(text_folder, out, "--memory_gb=1e-6")) == 1
    said = capsys.readouterr().err
    assert "training takes about" in said and "--memory_gb gives" in said
    assert not out.exists()


# Sweeps


@pytest.mark.bits
@pytest.mark.slow
def test_a_sweep_stopped_in_mid_epoch_goes_on_to_the_same_results(
    monkeypatch, capsys, text_folder, tmp_path
):
    (text_folder / "ptb" / "ptb.valid.txt").write_text("w1 w2 w3 w4 w5\nw3 w9 w1\nw0 w0 w7 w8\n")
    args = [
        *QUICK,
        f"--data_dir={text_folder}",
        "--epochs=4",
        "--seeds=2",
        "--sweep=learning_rate=0.1",
    ]
    args += ["--save_vectors", "--noperplexity", "--early_stopping=1", "--cpu_devices=2"]
    assert start("ptb_ablation", *args, f"--workdir={tmp_path / 'whole'}") == 0

    own, epochs = sweeping.train_epoch, []

    def train_epoch(*args):
        epochs.append(int(args[4][0]))  # of the first trial; all are in one
        if len(epochs) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return own(*args)

    def end(status):
        raise SystemExit(status)

    monkeypatch.setattr(sweeping, "train_epoch", train_epoch)
    monkeypatch.setattr(command.os, "_exit", end)  # this process is to stay
    out = tmp_path / "out"
    assert start("ptb_ablation", *args, f"--workdir={out}") == 143
    assert "saved after epoch" in capsys.readouterr().err
    assert start("ptb_ablation", *args, f"--workdir={out}") == 0
    assert "going on after epoch" in capsys.readouterr().err
    assert epochs.count(0) == 1
    for name in ("0", "1", "2", "3"):
        one, other = (f / "vectors" / f"{name}.txt" for f in (tmp_path / "whole", out))
        assert one.read_bytes() == other.read_bytes()
    times = ("program_train_sec", "program_compile_sec")
    one, other = (
        [json.loads(line) for line in (f / "results.jsonl").read_text().splitlines()]
        for f in (tmp_path / "whole", out)
    )
    for line in one + other:
        for field in times:
            del line[field]
    assert one == other
    assert not (out / "checkpoints").exists()
