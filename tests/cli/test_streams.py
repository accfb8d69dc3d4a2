"""What the system refuses is a line with flag, path and cause; a lost stderr ends no training."""

import os
import shlex
import subprocess
import sys

import pytest
from scripts import QUICK, ROOT, start, text_of


def shell(folder, arguments, redirected):
    command = " ".join(map(shlex.quote, [sys.executable, "-m", *map(str, arguments)]))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {redirected}"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )


def training(folder):
    (folder / "t.txt").write_text(text_of())
    flags = ("--corpus=t.txt", "--workdir=out", "--cache_dir=none")
    return ["experiments.train_corpus", *QUICK, "--min_count=1", *flags]


@pytest.mark.slow
@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full", "2> >(exec true)", "<&- 2>&-"])
def test_a_lost_stderr_never_ends_a_training(tmp_path, redirected):
    ended = shell(tmp_path, training(tmp_path), redirected)
    assert ended.returncode == 0 and "written to out" in ended.stdout
    assert '"complete": true' in (tmp_path / "out" / "summary.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirected", "said"),
    [
        (">/dev/full", "error: stdout: No space left"),
        (">&-", "error: stdout: Bad file"),
        ("| :", ""),
    ],
)
def test_a_lost_stdout_is_a_line_once_the_run_is_whole(tmp_path, redirected, said):
    ended = shell(tmp_path, training(tmp_path), redirected)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert said in ended.stderr and "Exception ignored" not in ended.stderr
    assert '"complete": true' in (tmp_path / "out" / "summary.json").read_text()


@pytest.mark.parametrize("redirected", [">/dev/full", ">&-"])
@pytest.mark.slow
def test_help_that_cannot_be_written_is_a_line(tmp_path, redirected):
    ended = shell(tmp_path, ["experiments.query", "--help"], redirected)
    assert ended.returncode == 1 and ended.stderr.startswith("error: stdout: ")
    assert len(ended.stderr.splitlines()) == 1


@pytest.mark.parametrize("flag", ["workdir", "continue_from"])
@pytest.mark.parametrize(
    ("name", "cause"), [("x" * 300, "File name too long"), ("y/" * 3000, "File name too long")]
)
def test_a_path_that_is_too_long_is_a_line(tmp_path, capsys, monkeypatch, flag, name, cause):
    monkeypatch.chdir(tmp_path)
    assert start("train_corpus", *training(tmp_path)[1:], f"--{flag}={tmp_path}/{name}") == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: --{flag}={tmp_path}/{name[:40]}") and cause in error


@pytest.mark.parametrize("flag", ["workdir", "continue_from", "corpus"])
def test_a_name_that_is_not_utf8_is_refused_before_anything_is_made(
    tmp_path, capsys, monkeypatch, flag
):
    monkeypatch.chdir(tmp_path)
    arguments = training(tmp_path)[1:]
    assert start("train_corpus", *arguments, f"--{flag}=a\udcff") == 1
    assert (
        f"error: --{flag}=a\\udcff: the name is not UTF-8"
        in capsys.readouterr().err.encode(errors="backslashreplace").decode()
    )
    assert os.listdir(tmp_path) == ["t.txt"]
