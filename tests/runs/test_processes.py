"""A run that processes carry: the same bits as one, and what ends one of them ends the run."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from scripts import ROOT, start, text_of

from experiments.runs import processes

pytestmark = pytest.mark.slow
TRAIN = [
    *("--dim=4", "--batch_size=16", "--group_size=16", "--block=8", "--negatives_per_group=8"),
    *("--min_count=1", "--subsample=0", "--replicas=2", "--sync_every=20", "--log_every_steps=20"),
    *("--noplots", "--noevaluate", "--checkpoint_every_steps=200"),
]
ENVIRONMENT = {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("processes")
    (path / "text.txt").write_text(text_of(400))
    return path


def begun(folder, name, *more):
    """The command as a user starts it."""
    args = [*TRAIN, "--corpus=text.txt", f"--workdir={name}", f"--cache_dir={folder / 'cache'}"]
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.train_corpus", *args, *more],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def trained(folder, name, *more):
    status, out, err = ended(begun(folder, name, *more))
    assert status == 0, err
    return out, err, (folder / name / "vectors.txt").read_bytes()


@pytest.fixture(scope="module")
def alone(folder):
    """One process carries both replicas."""
    return trained(folder, "alone", "--epochs=16", "--processes=1")[2]


def children(process):
    with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
        return [int(child) for child in file.read().split()]


def after_metrics(folder, name, process, lines=12):
    """Waits until a run has got on."""
    path = folder / name / "metrics.jsonl"
    while not path.exists() or path.read_text().count("\n") < lines:
        assert process.poll() is None, ended(process)
        time.sleep(0.05)


several = pytest.mark.skipif(len(processes._cores()) < 2, reason="one core")


@several
@pytest.mark.bits
def test_two_processes_carry_a_run_to_the_same_bits(folder, alone):
    out, err, vectors = trained(folder, "two", "--epochs=16")
    assert vectors == alone
    assert "Gloo" not in out + err
    assert re.search(r"2 processes", err)


@several
@pytest.mark.bits
@pytest.mark.parametrize(
    ("of", "number", "status"),
    [
        ("first", signal.SIGTERM, 143),
        ("second", signal.SIGKILL, 134),
        ("second", signal.SIGTERM, 143),
    ],
)
def test_a_run_of_two_goes_on_to_the_same_bits_whatever_ended_it(folder, alone, of, number, status):
    name = f"{of}-{number}"
    process = begun(folder, name, "--epochs=16")
    after_metrics(folder, name, process)
    (other,) = children(process)
    os.kill(process.pid if of == "first" else other, number)
    found, _, err = ended(process)
    assert found == status
    if of == "second":
        assert err.count("error:") == (number == signal.SIGKILL)
        assert ("process 1 of the run was lost (status -9)" in err) == (number == signal.SIGKILL)
    for _ in range(100):  # nobody is left behind
        if not os.path.exists(f"/proc/{other}"):
            break
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{other}")
    assert not (folder / name / "summary.json").exists()
    assert trained(folder, name, "--epochs=16")[2] == alone


@several
def test_a_fault_of_the_run_ends_all_with_its_line(folder):
    (folder / "full").mkdir()
    status, _, err = ended(begun(folder, "full", "--epochs=3", "--learning_rate=1e30"))
    assert status == 2 and err.splitlines()[-1].startswith("diverged: ")


@pytest.mark.parametrize("given", ["x", "host,2,0", "host:1,2", "host:1,2,2", "host:1,two,0", "host:p,2,0", ":1,2,0"])
def test_what_is_no_place_among_processes_is_refused(tmp_path, capsys, given):
    (tmp_path / "text.txt").write_text(text_of())
    args = [f"--corpus={tmp_path / 'text.txt'}", f"--workdir={tmp_path / 'out'}"]
    assert start("train_corpus", *TRAIN, *args, f"--distributed={given}") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"error: --distributed={given}: ")
