"""What was asked for of a run is made of its state, at any time, or the status is not 0."""

import itertools
import json
import os
import shutil
import signal
import struct

import numpy as np
import pytest
from scripts import QUICK, contents, start

from experiments.cli.config import RunConfig
from experiments.runs import lock, pretrained, run, rundir
from w2v_jax import training
from w2v_jax.checkpoint import Checkpoints
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation
from w2v_jax.vectors import io as vectors_io

pytestmark = pytest.mark.usefixtures("compiled_once")


def arguments(text_folder, out, *more):
    return [*QUICK, f"--data_dir={text_folder}", f"--workdir={out}", *more]


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def state_of(folder):
    """The newest checkpoint: step and arrays."""
    checkpoints = Checkpoints(str(folder / "checkpoints"), None)
    saved = checkpoints.newest(print)
    checkpoints.close()
    return saved.step, saved.arrays


def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture
def no_training(monkeypatch):
    """From now on a run that compiles or trains fails."""

    def forbid():
        monkeypatch.setattr(training, "compile_program", None)
        monkeypatch.setattr(training, "train", None)

    return forbid


@pytest.fixture(scope="module")
def ended(text_folder):
    """A complete run that was asked for vectors alone."""
    out = text_folder / "ended"
    assert start("ptb_skipgram", *arguments(text_folder, out)) == 0
    return out


@pytest.fixture
def complete(ended, tmp_path):
    """The same in a folder of the test's own."""
    return shutil.copytree(ended, tmp_path / "complete")


@pytest.fixture(scope="module")
def stopped(text_folder):
    """A run that was stopped at its third line, with one checkpoint."""
    out = text_folder / "stopped"
    own, seen = rundir.LinesFile.write, itertools.count(1)

    def write(self, values):
        own(self, values)
        if next(seen) == 3:
            kill()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rundir.LinesFile, "write", write)
        assert start("ptb_skipgram", *arguments(text_folder, out)) == 143
    return out


@pytest.fixture
def interrupted(stopped, tmp_path):
    """The same in a folder of the test's own."""
    return shutil.copytree(stopped, tmp_path / "interrupted")


# The end is saved, and what comes behind it goes on


def test_the_end_is_saved_and_is_what_the_vectors_are(ended):
    step, arrays = state_of(ended)
    lines = list(rundir.metrics(ended))
    assert step == lines[-1]["step"] and len(list((ended / "checkpoints").iterdir())) == 1
    wv = vectors_io.load(ended / "vectors.txt")
    np.testing.assert_array_equal(arrays["state.params.input"], wv.vectors)
    assert summary_of(ended)["train_sec"] >= lines[-1]["elapsed_sec"]


def test_without_checkpoints_none_is_left(text_folder, tmp_path):
    args = arguments(
        text_folder, tmp_path, "--checkpoint_every_sec=0", "--checkpoint_every_steps=0"
    )
    assert start("ptb_skipgram", *args) == 0
    assert not (tmp_path / "checkpoints").exists()


def test_an_end_that_cannot_be_saved_is_status_1_behind_all_else(
    monkeypatch, capsys, text_folder, tmp_path, ended
):
    def full(*_):
        raise UserError("checkpoints: no checkpoint can be written (No space left on device)")

    monkeypatch.setattr(Checkpoints, "save", full)
    assert start("ptb_skipgram", *arguments(text_folder, tmp_path)) == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith("error: checkpoints: no checkpoint can be written")
    assert "nearest words" in told.out and summary_of(tmp_path)["complete"]
    assert (tmp_path / "vectors.txt").read_bytes() == (ended / "vectors.txt").read_bytes()


def test_a_signal_while_measuring_loses_nothing(
    monkeypatch, capsys, no_training, text_folder, tmp_path, ended
):
    args = arguments(text_folder, tmp_path, "--evaluate")
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "standard", kill)
        assert start("ptb_skipgram", *args) == 143
    assert "the same command makes what is missing" in capsys.readouterr().err
    assert summary_of(tmp_path)["complete"] is False and not summary_of(tmp_path)["evaluation"]
    before = contents(tmp_path)
    no_training()
    assert start("ptb_skipgram", *args) == 0
    told = capsys.readouterr()
    assert "quality" in told.out and "written to" in told.out and "not complete" in told.err
    after, summary = contents(tmp_path), summary_of(tmp_path)
    assert {str(name) for name in after if after[name] != before.get(name)} == {"summary.json"}
    assert summary["complete"] and len(summary["evaluation"]) > 3
    for name in ("final_loss", "seed", "vocab_size"):
        assert summary[name] == summary_of(ended)[name]


@pytest.mark.parametrize("file", ["vectors.txt", "summary.json"])
def test_a_run_killed_behind_its_training_does_not_train_again(
    monkeypatch, no_training, text_folder, tmp_path, ended, file
):
    out = tmp_path / "out"
    name = "write_vectors" if file == "vectors.txt" else "write_summary"
    with monkeypatch.context() as patch:
        patch.setattr(rundir, name, kill)
        assert start("ptb_skipgram", *arguments(text_folder, out)) == 143
    assert not (out / file).exists()
    no_training()
    assert start("ptb_skipgram", *arguments(text_folder, out)) == 0
    assert (out / "vectors.txt").read_bytes() == (ended / "vectors.txt").read_bytes()
    old, new = summary_of(ended), summary_of(out)
    assert new["complete"] and new["final_loss"] == old["final_loss"] and new["train_sec"] > 0


# A complete run that is asked for more


@pytest.mark.slow
def test_what_a_complete_run_is_asked_for_later_is_made(capsys, no_training, text_folder, complete):
    old = summary_of(complete)
    no_training()
    more = ["--export_formats=binary,npz,projector", "--plots", "--evaluate", "--tensorboard"]
    assert start("ptb_skipgram", *arguments(text_folder, complete, *more)) == 0
    told = capsys.readouterr()
    assert "complete" in told.err and "vectors.bin" in told.err and "quality" in told.out
    wv = vectors_io.load(complete / "vectors.txt")
    for name in ("vectors.bin", "vectors.npz"):
        found = vectors_io.load(complete / name)
        assert found.words == wv.words
        np.testing.assert_array_equal(found.vectors, wv.vectors)
    assert len((complete / "projector" / "metadata.tsv").read_text().split()) == len(wv.words)
    assert {p.name for p in (complete / "plots").iterdir()} == {"loss.png", "embedding.png"}
    assert steps_of_events(complete) == [line["step"] for line in rundir.metrics(complete)]
    new = summary_of(complete)
    assert new.pop("evaluation") and not old.pop("evaluation") and new == old
    before = contents(complete)  # once more, and nothing is written
    assert start("ptb_skipgram", *arguments(text_folder, complete, *more)) == 0
    assert contents(complete) == before


def test_a_complete_run_shows_the_words_asked_for(capsys, no_training, text_folder, complete):
    no_training()
    words = "--show_similar=w3,absent", "--show_analogies=w1:w2:gone"
    assert start("ptb_skipgram", *arguments(text_folder, complete, *words)) == 0
    told = capsys.readouterr()
    assert "  w3 -> " in told.out and "'absent'" in told.err and "'gone'" in told.err


@pytest.mark.parametrize("left", ["vectors.npz", "checkpoints", None])
def test_vectors_are_made_of_whatever_is_left_of_a_complete_run(
    capsys, no_training, text_folder, complete, left
):
    wv = vectors_io.load(complete / "vectors.txt")
    vectors_io.save(complete / "vectors.npz", wv)
    (complete / "vectors.txt").unlink()
    if left != "checkpoints":
        shutil.rmtree(complete / "checkpoints")
    if left != "vectors.npz":
        (complete / "vectors.npz").unlink()
    no_training()
    status = start("ptb_skipgram", *arguments(text_folder, complete))
    if left is None:
        assert status == 1 and "no checkpoint to make them of" in capsys.readouterr().err
        return
    assert status == 0
    np.testing.assert_array_equal(vectors_io.load(complete / "vectors.txt").vectors, wv.vectors)


def steps_of_events(folder):
    """Steps of the loss in TensorBoard's events, those counted that count."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    steps = []
    for path in sorted((folder / "tensorboard").iterdir()):
        data, offset = path.read_bytes(), 0
        while offset < len(data):
            (size,) = struct.unpack("<Q", data[offset : offset + 8])
            event = event_pb2.Event.FromString(data[offset + 12 : offset + 12 + size])
            offset += 16 + size
            if event.session_log.status == event.session_log.START:
                steps = [step for step in steps if step < event.step]
            steps += [event.step for value in event.summary.value if value.tag == "loss"]
    return steps


@pytest.mark.parametrize("from_the_beginning", [True, False])
@pytest.mark.slow
def test_events_are_of_all_lines_of_a_run_that_was_resumed(
    monkeypatch, text_folder, tmp_path, interrupted, from_the_beginning
):
    out, args = interrupted, []
    if from_the_beginning:
        out, args = tmp_path / "out", ["--tensorboard"]
        with monkeypatch.context() as patch:
            patch.setattr("experiments.runs.checkpointing.CheckpointPolicy.after", kill)
            assert start("ptb_skipgram", *arguments(text_folder, out, *args)) == 143
    assert start("ptb_skipgram", *arguments(text_folder, out, "--tensorboard")) == 0
    assert steps_of_events(out) == [line["step"] for line in rundir.metrics(out)]


# Export, query and evaluation of a run that has not ended


@pytest.mark.slow
def test_an_interrupted_run_is_exported_and_goes_on(capsys, text_folder, interrupted, ended):
    formats = "--formats=text,binary,npz,projector"
    args = [f"--run={interrupted}", formats, "--plots", "--evaluate"]
    assert start("export", *args) == 0
    told = capsys.readouterr()
    step, arrays = state_of(interrupted)
    assert f"step {step}, epoch 1" in told.err
    assert told.out.count("written to ") == 7 and "wordsim353" in told.out
    for name in ("vectors.txt", "vectors.bin", "vectors.npz"):
        found = vectors_io.load(interrupted / name)
        np.testing.assert_array_equal(found.vectors, arrays["state.params.input"])
    measured = json.loads((interrupted / "evaluation.json").read_text())
    assert measured["step"] == step and "wordsim353_spearman" in measured["evaluation"]
    assert not (interrupted / "summary.json").exists()
    assert start("ptb_skipgram", *arguments(text_folder, interrupted)) == 0
    for name in ("vectors.txt", "vectors.bin", "vectors.npz"):  # none is of another step
        np.testing.assert_array_equal(
            vectors_io.load(interrupted / name).vectors,
            vectors_io.load(ended / "vectors.txt").vectors,
        )
    assert (interrupted / "vectors.txt").read_bytes() == (ended / "vectors.txt").read_bytes()
    assert not (interrupted / "evaluation.json").exists()


def test_the_plot_of_a_checkpoint_ends_where_it_is(stopped, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(stopped, folder)
    line = list(rundir.metrics(folder))[-1]
    with open(folder / "metrics.jsonl", "a") as file:
        file.write(json.dumps({**line, "step": 10**6, "words": 10**6}) + "\n")
    assert max(rundir.loss_curve(folder, line["step"])[0]) == line["words"]
    assert max(rundir.loss_curve(folder)[0]) == 10**6


@pytest.mark.parametrize("script", ["query", "evaluate"])
def test_query_and_evaluate_read_a_checkpoint(capsys, tmp_path, interrupted, script):
    (tmp_path / "pairs.tsv").write_text("w1\tw2\t1\nw2\tw3\t2\nw4\tw5\t4\n")
    asked = {
        "query": ["--similar=w1"],
        "evaluate": ["--nostandard", f"--pairs={tmp_path / 'pairs.tsv'}"],
    }[script]
    step, _ = state_of(interrupted)
    before = contents(interrupted)
    assert start(script, f"--run={interrupted}", *asked) == 0
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith("note: ") and f"step {step}" in told.err
    assert contents(interrupted) == before
    assert start("export", f"--run={interrupted}", f"--output={tmp_path / 'one'}") == 0
    capsys.readouterr()
    assert start(script, f"--vectors={tmp_path / 'one' / 'vectors.txt'}", *asked) == 0
    assert capsys.readouterr().out == told.out


def test_of_a_complete_run_export_makes_the_same(capsys, complete, tmp_path):
    assert start("export", f"--run={complete}", "--formats=npz", "--evaluate") == 0
    wv = vectors_io.load(complete / "vectors.txt")
    np.testing.assert_array_equal(vectors_io.load(complete / "vectors.npz").vectors, wv.vectors)
    assert summary_of(complete)["evaluation"] and summary_of(complete)["complete"]
    before = contents(complete)
    args = [f"--run={complete}", "--formats=binary", "--evaluate", "--plots"]
    assert start("export", *args, f"--output={tmp_path / 'new' / 'er'}") == 0
    capsys.readouterr()
    assert contents(complete) == before
    made = {p.name for p in (tmp_path / "new" / "er").iterdir()}
    assert made == {"vectors.bin", "plots", "evaluation.json"}
    table = {}
    for which in ("input", "output", "sum"):
        out = tmp_path / which
        args = [f"--run={complete}", f"--export_vectors={which}", f"--output={out}"]
        assert start("export", *args) == 0
        table[which] = vectors_io.load(out / "vectors.txt").vectors
    np.testing.assert_array_equal(table["sum"], table["input"] + table["output"])
    np.testing.assert_array_equal(table["output"], state_of(complete)[1]["state.params.output"])


@pytest.mark.parametrize(
    ("args", "named"),
    [
        ([], "--run=OUT is missing"),
        (["--run={run}", "--formats=word2vec"], "--formats=word2vec"),
        (["--run={run}", "--formats="], "nothing asked"),
        (["--run={run}", "--export_vectors=sum"], "--output=DIR"),
        (["--run={run}", "--output={other}"], "--output={other}: holds a run"),
        (["--run={run}", "--output={run}/vectors.txt"], "--output={run}/vectors.txt: "),
        (["--run={empty}"], "--run={empty}: no finished run"),
        (["--run={empty}/absent"], "--run={empty}/absent: no finished run"),
        (["--run={early}"], "--run={early}: no finished run (summary.json) and no checkpoint"),
    ],
)
def test_what_cannot_be_exported_is_a_line(capsys, tmp_path, complete, stopped, args, named):
    folders = {"run": complete, "other": tmp_path / "other", "empty": tmp_path / "empty"}
    folders["early"] = tmp_path / "early"
    shutil.copytree(stopped, folders["other"])
    shutil.copytree(stopped, folders["early"])
    shutil.rmtree(folders["early"] / "checkpoints")
    folders["empty"].mkdir()
    before = contents(tmp_path)
    assert start("export", *(arg.format(**folders) for arg in args)) == 1
    told = capsys.readouterr()
    assert told.err.splitlines()[-1].startswith("error: ")
    assert named.format(**folders) in told.err and "Traceback" not in told.err
    assert contents(tmp_path) == before


def test_a_run_that_is_at_work_is_exported_elsewhere_alone(capsys, interrupted, tmp_path):
    with lock.held(interrupted):
        assert start("export", f"--run={interrupted}") == 1
        assert f"error: --run={interrupted}: another process" in capsys.readouterr().err
        assert start("export", f"--run={interrupted}", f"--output={tmp_path / 'o'}") == 0


# Going on from a short run


@pytest.mark.slow
def test_a_short_run_carries_both_tables(capsys, text_folder, tmp_path, ended):
    args = [f"--continue_from={ended}", "--learning_rate=0", "--epochs=1"]
    assert start("ptb_skipgram", *arguments(text_folder, tmp_path, *args)) == 0
    assert "its vectors alone" not in capsys.readouterr().err
    (_, before), (_, after) = state_of(ended), state_of(tmp_path)
    for name in ("state.params.input", "state.params.output"):
        np.testing.assert_array_equal(after[name], before[name])
    assert np.abs(after["state.params.output"]).max() > 0


def test_a_checkpoint_before_the_end_is_told(capsys, complete, stopped):
    shutil.rmtree(complete / "checkpoints")
    shutil.copytree(stopped / "checkpoints", complete / "checkpoints")
    pretrained.earlier(RunConfig(dim=4, continue_from=str(complete)))
    assert "not of its end" in capsys.readouterr().err


# What can't be there is refused, or told, where it was asked for


@pytest.mark.parametrize(("flag", "package"), [("plots", "matplotlib"), ("tensorboard", "X")])
def test_what_an_absent_extra_makes_is_refused_where_it_was_asked_for(
    monkeypatch, capsys, text_folder, tmp_path, flag, package
):
    own = run.find_spec
    monkeypatch.setattr(run, "find_spec", lambda name: None if package in name else own(name))
    args = [arg for arg in arguments(text_folder, tmp_path / "out") if arg != "--noplots"]
    assert start("ptb_skipgram", *args, f"--{flag}") == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"error: --{flag}") and package in line
    assert not (tmp_path / "out").exists()


def test_what_an_absent_extra_makes_by_default_is_left_out_with_a_note(
    monkeypatch, capsys, text_folder, tmp_path
):
    own = run.find_spec
    monkeypatch.setattr(run, "find_spec", lambda name: None if "matplotlib" in name else own(name))
    args = [arg for arg in arguments(text_folder, tmp_path / "out") if arg != "--noplots"]
    assert start("ptb_skipgram", *args) == 0
    assert "note: no --plots: matplotlib is missing" in capsys.readouterr().err


def test_an_evaluation_of_nothing_is_no_success(capsys, ended):
    assert start("evaluate", f"--run={ended}", "--nostandard") == 1
    assert capsys.readouterr().err.startswith("error: nothing asked")


def test_an_unknown_word_is_not_answered_and_not_status_0(capsys, ended):
    asked = f"--run={ended}", "--similar=w1,absent", "--analogy=w1,w2,gone"
    assert start("query", *asked) == 1
    told = capsys.readouterr()
    assert "  w1 -> " in told.out
    assert len(told.err.splitlines()) == 1 and "'absent'" in told.err and "'gone'" in told.err


@pytest.mark.parametrize("script", ["query", "export"])
def test_a_sweeps_folder_is_named_where_a_run_is_asked_for(capsys, tmp_path, script):
    (tmp_path / "results.jsonl").write_text("{}\n")
    asked = "--similar=a" if script == "query" else "--formats=npz"
    assert start(script, f"--run={tmp_path}", asked) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "no finished run" in line and f"--vectors={tmp_path}/vectors/TRIAL.txt" in line
