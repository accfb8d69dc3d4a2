"""ptb_ablation as a user starts it: trials are runs, and an interrupted sweep goes on."""

import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest
from scripts import QUICK, SMALL, contents, start

import w2v_jax as w2v
from w2v_jax import sweeping
from w2v_jax.checkpoint import Checkpoints
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation
from w2v_jax.vectors import io as vectors_io

TIMES = ("program_train_sec", "program_compile_sec")
AXES = ["--sweep=window=1,2", "--sweep=dim=4,5", "--seeds=2"]
ROOM_FOR_THREE = 4.6e-5  # GB
ONE = ["--cpu_devices=1", "--noperplexity"]  # less to compile


pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def valid(text_folder):
    """PTB's held-out file beside the training file of `text_folder`."""
    path = text_folder / "ptb" / "ptb.valid.txt"
    path.write_text("w1 w2 w3 w4 w5\nw3 w9 w1\nw0 w0 w7 w8\n")
    return path


def lines_of(folder):
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def without_times(lines):
    return [{k: v for k, v in line.items() if k not in TIMES} for line in lines]


@pytest.fixture(scope="module")
def swept(text_folder, valid):
    out = text_folder / "swept"
    args = [*QUICK, f"--data_dir={text_folder}", f"--workdir={out}", "--plots", "--save_vectors"]
    assert start("ptb_ablation", *args, *AXES, "--cpu_devices=1") == 0
    return out


def test_a_sweep_leaves_a_line_a_trial(swept):
    lines = lines_of(swept)
    assert sorted(line["member"] for line in lines) == list(range(8))
    assert {line["program"] for line in lines} == {0, 1}  # a program a size
    for line in lines:
        assert line["heldout_loss"] > 0 and line["perplexity"] > 1 and line["loss"] > 0
        assert line["frozen_step"] is None and line["stopped_epoch"] is None
    assert [line["seed"] for line in lines] == [1, 2] * 4
    for name in ("table.md", "ablation.png", "flags.cfg", "settings.json"):
        assert (swept / name).stat().st_size > 0


def test_held_out_figures_are_those_of_the_lines(swept):
    for line in lines_of(swept):
        with np.load(swept / "items" / f"{line['member']}.npz") as items:
            loss, nats = items["heldout_loss"], items["perplexity"]
        for sums in (loss, nats):
            assert (sums.dtype, sums.shape) == (np.float64, (3, 2)) and (sums > 0).all()
        assert loss[:, 0].sum() / loss[:, 1].sum() == line["heldout_loss"]
        assert np.exp(nats[:, 0].sum() / nats[:, 1].sum()) == line["perplexity"]


FIXED = ["--optimizer=sgd", "--learning_rate=0", "--init=xavier", "--epochs=1", "--seeds=1"]
EQUAL = [
    "--window=1",
    f"--engine=blocks --expected_window {' '.join(SMALL)}",
]


@pytest.mark.slow
def test_equal_tables_have_equal_figures_whatever_would_have_trained_them(text_folder, valid):
    out, trials = text_folder / "fixed", text_folder / "fixed.configurations"
    trials.write_text("\n".join([*EQUAL, "--negatives=1", "--noise_power=0.1"]))
    args = [*QUICK, *FIXED, f"--data_dir={text_folder}", "--cpu_devices=1", f"--workdir={out}"]
    assert start("ptb_ablation", *args, f"--configurations={trials}") == 0
    lines = sorted(lines_of(out), key=lambda line: line["member"])
    baseline, *equal, fewer, flatter = lines
    assert len(equal) == len(EQUAL)
    for line in equal:
        assert line["heldout_loss"] == pytest.approx(baseline["heldout_loss"], rel=1e-6)
        assert line["perplexity"] == pytest.approx(baseline["perplexity"], rel=1e-6)
    for line in (fewer, flatter):
        assert line["heldout_loss"] != pytest.approx(baseline["heldout_loss"], rel=1e-3)


def test_a_sweep_of_another_held_out_loss_does_not_go_on(swept, text_folder, capsys):
    old = text_folder / "old"
    shutil.copytree(swept, old)
    settings = json.loads((old / "settings.json").read_text())
    del settings["heldout_loss"]
    (old / "settings.json").write_text(json.dumps(settings))
    args = [*QUICK, f"--data_dir={text_folder}", f"--workdir={old}", "--save_vectors", *AXES]
    assert start("ptb_ablation", *args) == 0  # it is done
    (old / "results.jsonl").write_text("")
    assert start("ptb_ablation", *args) == 1
    assert "held-out loss is another measure" in capsys.readouterr().err


@pytest.mark.bits
@pytest.mark.parametrize("number", [1, 2, 7])
@pytest.mark.slow
def test_a_trial_alone_has_the_same_vectors(swept, text_folder, number):
    line = next(line for line in lines_of(swept) if line["member"] == number)
    out = text_folder / f"alone{number}"
    quiet = ["--noevaluate", "--noplots", f"--workdir={out}"]
    assert (
        start("ptb_skipgram", f"--flagfile={swept / 'flags.cfg'}", *line["flags"].split(), *quiet)
        == 0
    )
    alone, trial = out / "vectors.txt", swept / "vectors" / f"{number}.txt"
    assert alone.read_bytes() == trial.read_bytes()
    summary = json.loads((out / "summary.json").read_text())
    assert summary["final_loss"] == pytest.approx(line["loss"], rel=1e-6)


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_with_the_program_it_was_in(swept, text_folder, capsys):
    again = text_folder / "again"
    shutil.copytree(swept, again)
    whole = (again / "results.jsonl").read_text().splitlines()
    (again / "results.jsonl").write_text("\n".join(whole[:5]) + '\n{"member": 5, "pro')
    args = [*QUICK, f"--data_dir={text_folder}", f"--workdir={again}", "--save_vectors", *AXES]
    args.append("--cpu_devices=1")
    assert start("ptb_ablation", *args) == 0
    assert "program 0: 4 trials, " not in capsys.readouterr().err  # it was done
    assert without_times(lines_of(again)) == without_times(lines_of(swept))
    before = contents(again)
    assert start("ptb_ablation", *args) == 0
    assert contents(again) == before
    assert start("ptb_ablation", *args, "--epochs=3") == 1
    assert "holds results with" in capsys.readouterr().err


def test_table_and_pictures_are_made_again_without_training(swept, text_folder, capsys):
    again = text_folder / "reported"
    again.mkdir()
    for name in ("results.jsonl", "settings.json"):
        shutil.copy(swept / name, again)
    assert start("ablation_report", f"--workdir={again}") == 0
    assert (again / "table.md").read_bytes() == (swept / "table.md").read_bytes()
    assert (swept / "table.md").read_text() in capsys.readouterr().out
    assert {path.name for path in again.glob("*.png")} == {p.name for p in swept.glob("*.png")}
    for name in ("results.jsonl", "settings.json"):  # what a sweep has is needed, and unchanged
        assert (again / name).read_bytes() == (swept / name).read_bytes()
        (again / name).rename(again / "aside")
        assert start("ablation_report", f"--workdir={again}") == 1
        assert f"reported: holds no {name} of a sweep" in capsys.readouterr().err
        (again / "aside").rename(again / name)
    (again / "settings.json").write_text("{}")
    assert start("ablation_report", f"--workdir={again}") == 1
    assert "not the settings of a sweep" in capsys.readouterr().err


@pytest.mark.slow
def test_too_many_trials_are_split_into_programs_of_one_shape(swept, text_folder, capsys):
    out = text_folder / "split"
    args = [*QUICK, f"--data_dir={text_folder}", f"--workdir={out}", *AXES, "--cpu_devices=1"]
    assert start("ptb_ablation", *args, "--memory_gb=1e-6") == 1
    assert "--memory_gb" in capsys.readouterr().err and not out.exists()
    assert start("ptb_ablation", *args, f"--memory_gb={ROOM_FOR_THREE}") == 0
    assert "2 compilations" in capsys.readouterr().err
    programs = [line["program"] for line in lines_of(out)]
    assert [programs.count(n) for n in range(4)] == [2, 2, 2, 2]  # of one shape
    forget = (*TIMES, "program", "program_members")

    def kept(lines):
        return {x["member"]: {k: v for k, v in x.items() if k not in forget} for x in lines}

    assert kept(lines_of(out)) == kept(lines_of(swept))


@pytest.mark.slow
def test_a_diverged_trial_is_named_and_the_others_are_there(text_folder, valid, capsys):
    out = text_folder / "diverged"
    args = [
        *QUICK,
        f"--data_dir={text_folder}",
        f"--workdir={out}",
        "--optimizer=sgd",
        "--seeds=1",
        *ONE,
    ]
    assert start("ptb_ablation", *args, "--sweep=learning_rate=0.1,1e38") == 0
    _, good, bad = lines_of(out)  # the first is the baseline
    assert good["frozen_step"] is None and bad["frozen_step"] == 0
    assert "1e+38" in capsys.readouterr().out


@pytest.mark.bits
@pytest.mark.slow
def test_a_trial_stops_early_at_its_best_heldout_loss(text_folder, valid):
    out = text_folder / "early"
    args = [
        *QUICK,
        f"--data_dir={text_folder}",
        "--epochs=12",
        "--seeds=1",
        "--optimizer=sgd",
        *ONE,
    ]
    args += ["--sweep=learning_rate=1e-9,0.5"]
    assert start("ptb_ablation", *args, f"--workdir={out}", "--early_stopping=2") == 0
    _, _, fast = lines_of(out)
    assert fast["stopped_epoch"] is not None
    best = fast["best_epoch"]
    assert best == fast["stopped_epoch"] - 2
    # The rate is constant, so that the run up to its best epoch is the same as a shorter one.
    short = text_folder / "short"
    args += [f"--epochs={best}", f"--workdir={short}"]
    assert start("ptb_ablation", *args) == 0
    assert lines_of(short)[2]["heldout_loss"] == fast["heldout_loss"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--sweep=windo=1,2"], "no flag --windo"),
        (["--sweep=window=1,2", "--static_axes=dim"], "--static_axes=dim"),
        (["--sweep=window=1,2", "--heldout=/no/such"], "/no/such"),
    ],
)
def test_a_mistake_costs_one_line(text_folder, valid, capsys, args, said):
    out = text_folder / "mistake"
    assert (
        start("ptb_ablation", *QUICK, f"--data_dir={text_folder}", f"--workdir={out}", *args) == 1
    )
    error = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert len(error) == 1 and said in error[0]
    assert not out.exists()


# What is asked for later, and what comes behind the training


THREE = [*QUICK, "--sweep=learning_rate=0.1,0.2", "--seeds=1", *ONE, "--epochs=1"]


def three(text_folder, out, *more):
    return start("ptb_ablation", *THREE, f"--data_dir={text_folder}", f"--workdir={out}", *more)


@pytest.fixture
def no_training(monkeypatch):
    """From now on nothing is compiled or trained."""

    def forbid():
        monkeypatch.setattr(sweeping, "compile_over", None)

    return forbid


@pytest.mark.slow
def test_a_program_that_is_trained_is_measured_behind_a_signal(
    monkeypatch, capsys, text_folder, valid, tmp_path
):
    assert three(text_folder, tmp_path / "whole", "--evaluate", "--save_vectors") == 0
    own, measured = evaluation.standard_items, []

    def standard_items(wv):
        measured.append(wv)
        if len(measured) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return own(wv)

    monkeypatch.setattr(evaluation, "standard_items", standard_items)
    out = tmp_path / "out"
    assert three(text_folder, out, "--evaluate", "--save_vectors") == 143
    assert "the same command goes on" in capsys.readouterr().err
    assert len(lines_of(out)) == 1 and (out / "checkpoints").exists()
    monkeypatch.setattr(sweeping, "train_epoch", None)
    assert three(text_folder, out, "--evaluate", "--save_vectors") == 0
    assert len(measured) == 4  # of three trials the first was measured before
    assert not (out / "checkpoints").exists()
    assert without_times(lines_of(out)) == without_times(lines_of(tmp_path / "whole"))
    for name in ("0.txt", "1.txt", "2.txt"):
        one, other = (f / "vectors" / name for f in (tmp_path / "whole", out))
        assert one.read_bytes() == other.read_bytes()


def test_a_program_whose_end_cannot_be_saved_is_measured(
    monkeypatch, capsys, text_folder, valid, tmp_path
):
    def full(*_):
        raise UserError("no checkpoint can be written")

    monkeypatch.setattr(Checkpoints, "save", full)
    assert three(text_folder, tmp_path / "out") == 0
    assert "note: no checkpoint can be written" in capsys.readouterr().err
    assert len(lines_of(tmp_path / "out")) == 3


@pytest.mark.slow
def test_a_complete_sweep_makes_of_its_vectors_what_is_asked_later(
    no_training, capsys, text_folder, valid, tmp_path
):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert three(text_folder, whole, "--evaluate") == 0
    assert three(text_folder, out, "--save_vectors") == 0
    no_training()
    formats = "--export_formats=binary,npz,projector"
    assert three(text_folder, out, "--save_vectors", "--evaluate", formats) == 0
    assert without_times(lines_of(out)) == without_times(lines_of(whole))
    assert (out / "table.md").read_bytes() == (whole / "table.md").read_bytes()
    for trial in (0, 1, 2):
        wv = vectors_io.load(out / "vectors" / f"{trial}.txt")
        for suffix in ("bin", "npz"):
            found = vectors_io.load(out / "vectors" / f"{trial}.{suffix}")
            np.testing.assert_array_equal(found.vectors, wv.vectors)
        assert (out / "vectors" / f"{trial}-projector" / "metadata.tsv").exists()
    before = contents(out)
    assert three(text_folder, out, "--save_vectors", "--evaluate", formats) == 0
    assert contents(out) == before


def test_what_a_sweep_did_not_keep_is_refused_later(
    no_training, capsys, text_folder, valid, tmp_path
):
    assert three(text_folder, tmp_path / "out") == 0
    no_training()
    for flag in ("--save_vectors", "--evaluate"):
        before = contents(tmp_path / "out")
        assert three(text_folder, tmp_path / "out", flag) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith(f"error: {flag}: ") and "(0, 1, 2)" in line
        after = contents(tmp_path / "out")
        assert after == before
    assert three(text_folder, tmp_path / "out") == 0


def test_what_a_sweep_has_no_use_for_is_told_or_refused(capsys, text_folder, valid, tmp_path):
    assert three(text_folder, tmp_path / "out", "--tensorboard") == 1
    assert "error: --tensorboard" in capsys.readouterr().err and not (tmp_path / "out").exists()
    more = ["--objective=running", "--show_similar=w1", "--export_formats=npz", "--memory_gb=1e-9"]
    assert three(text_folder, tmp_path / "out", *more) == 1
    told = capsys.readouterr().err
    assert "no effect here: --objective, --show_similar, --export_formats" in told


@pytest.mark.slow
def test_its_trials_are_those_of_the_pure_function(text_folder, valid):
    """To the bit where trials run alone, as on a CPU."""
    out = text_folder / "pure"
    args = [
        *THREE,
        f"--data_dir={text_folder}",
        "--save_vectors",
        "--noevaluate",
        f"--workdir={out}",
    ]
    assert start("ptb_ablation", *args) == 0
    config = w2v.Config(
        **{"dim": 4, "window": 2, "negatives": 2, "noise": "with_replacement", "subsample": 0.0},
        **{"batch_size": 16, "epochs": 1, "engine": "pairs", "update": "dense", "unk": "keep"},
        **{"optimizer": "adam", "schedule": "constant", "subsample_rule": "paper"},
        **{"min_count": 1, "expected_window": False},
    )
    corpus = w2v.Corpus.from_files(text_folder / "corpus.txt", 1, unk="keep", cache_dir="none")
    train = jax.jit(w2v.make_train(corpus, config))
    for line in lines_of(out):
        rate = line["setting"]["learning_rate"]
        params, metrics = train(
            jax.random.key(line["seed"]), w2v.make_hyper(corpus, config, learning_rate=rate)
        )
        saved = w2v.load(out / "vectors" / f"{line['member']}.txt")
        np.testing.assert_array_equal(saved.vectors, params.input)
        np.testing.assert_allclose(
            line["loss"], metrics.loss[-1] / metrics.positives[-1], rtol=1e-6
        )
