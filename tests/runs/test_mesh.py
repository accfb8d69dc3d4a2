"""--mesh: a run whose tables are split leaves what any run does, and goes on with another mesh."""

import json
import signal

import numpy as np
import pytest
from interrupted import arguments, metrics_of, signalled
from scripts import QUICK, in_a_process, start

import w2v_jax as w2v

ROWS = ["--optimizer=row_adagrad", "--update=sparse", "--learning_rate=0.3", "--epsilon=1e-6"]
COUNTED = ("step", "epoch", "words", "learning_rate")


@pytest.fixture(scope="module")
def alone(text_folder):
    """A run on one device."""
    out = text_folder / "alone"
    assert start("ptb_skipgram", *arguments(text_folder, out, *ROWS)) == 0
    return out


def assert_close(folder, expected):
    found, known = (w2v.load(out / "vectors.txt") for out in (folder, expected))
    assert found.words == known.words
    np.testing.assert_allclose(found.vectors, known.vectors, atol=1e-5)
    for mine, other in zip(metrics_of(folder), metrics_of(expected), strict=True):
        assert mine["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert [mine[name] for name in COUNTED] == [other[name] for name in COUNTED]


@pytest.mark.slow
def test_a_run_makes_its_devices_and_leaves_the_same_files(text_folder, alone):
    done = in_a_process(
        *(text_folder, "ptb_skipgram", *arguments(text_folder, "split", *ROWS)),
        "--mesh=columns:2",
    )
    assert done.returncode == 0, done.stderr
    split = text_folder / "split"
    names = {path.name for path in alone.iterdir()}
    assert {path.name for path in split.iterdir()} == names
    flags = (split / "flags.cfg").read_text().splitlines()
    assert set(flags) - set((alone / "flags.cfg").read_text().splitlines()) == {"--mesh=columns:2"}
    assert json.loads((split / "summary.json").read_text())["devices"] == ["cpu", "cpu"]
    assert_close(split, alone)


@pytest.mark.parametrize(("first", "then"), [("columns:2", "columns:4"), ("columns:4", "")])
def test_a_run_goes_on_with_another_mesh(
    monkeypatch, capsys, text_folder, tmp_path, alone, first, then
):
    args = arguments(text_folder, tmp_path, *ROWS)
    assert signalled(monkeypatch, 3, signal.SIGTERM, *args, f"--mesh={first}") == 143
    capsys.readouterr()
    assert start("ptb_skipgram", *args, f"--mesh={then}") == 0
    err = capsys.readouterr().err
    assert f"note: it began with --mesh={first}" in err and "going on from step" in err
    assert_close(tmp_path, alone)


def test_a_split_run_begins_with_anothers_tables(text_folder, tmp_path, alone):
    args = arguments(text_folder, tmp_path, *ROWS, f"--continue_from={alone}")
    assert start("ptb_skipgram", *args, "--continue_schedule", "--mesh=columns:2") == 0
    other = tmp_path / "one"
    args = arguments(text_folder, other, *ROWS, f"--continue_from={alone}")
    assert start("ptb_skipgram", *args, "--continue_schedule") == 0
    assert_close(tmp_path, other)


@pytest.mark.parametrize(
    ("script", "args", "line"),
    [
        ("ptb_skipgram", ["--mesh=2"], "--mesh=2: must be columns:S"),
        ("ptb_skipgram", ["--mesh=columns:3"], "--mesh=columns:3: --dim=4 is not a multiple of 3"),
        ("ptb_skipgram", ["--mesh=columns:8", "--dim=8"], "there are 4 devices of cpu here"),
        ("ptb_skipgram", ["--mesh=columns:2", "--replicas=2"], "does not go with --replicas=2"),
        ("ptb_ablation", ["--mesh=columns:2", "--seeds=2"], "a sweep's trial has one device"),
    ],
)
def test_what_cant_be_split_is_refused(capsys, text_folder, tmp_path, script, args, line):
    given = [*QUICK, f"--data_dir={text_folder}", f"--workdir={tmp_path / 'out'}"]
    assert start(script, *given, *args) == 1
    assert line in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "out" / "summary.json").exists()
