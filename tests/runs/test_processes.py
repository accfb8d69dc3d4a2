"""A run that processes carry: the same bits as one, and what ends one of them ends the run."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from scripts import ROOT, start, text_of

from experiments.runs import children as of_command
from experiments.runs import distributed

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


def begun(folder, name, *more, env=None):
    """The command as a user starts it."""
    args = [*TRAIN, "--corpus=text.txt", f"--workdir={name}", f"--cache_dir={folder / 'cache'}"]
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.train_corpus", *args, *more],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT, **(env or {})},
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


several = pytest.mark.skipif(len(of_command.cores()) < 2, reason="one core")


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


@several
@pytest.mark.bits
def test_two_processes_go_on_from_an_earlier_run_to_the_same_bits(folder, alone):
    more = ("--epochs=2", f"--continue_from={folder / 'alone'}", "--continue_schedule")
    assert trained(folder, "on-2", *more)[2] == trained(folder, "on-1", *more, "--processes=1")[2]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def joined(folder, name, *more, environments=({}, {}), given=None):
    """The same command, as a user starts it on two machines."""
    port = free_port()
    given = given or [f"127.0.0.1:{port},2,{i}" for i in range(2)]
    return [
        begun(folder, name if i == 0 else f"{name}-unused", f"--distributed={one}", *flags, env=env)
        for i, (one, flags, env) in enumerate(zip(given, more, environments, strict=True))
    ]


@pytest.mark.bits
def test_two_commands_carry_a_run_to_the_same_bits_and_process_0_alone_speaks(folder, alone):
    (status, out, err), (other, *said) = map(
        ended, joined(folder, "hosts", ["--epochs=16"], ["--epochs=16"])
    )
    assert (status, other) == (0, 0), (err, said)
    assert (folder / "hosts" / "vectors.txt").read_bytes() == alone
    assert "Gloo" not in out + err and said == ["", ""]
    assert not (folder / "hosts-unused").exists()


@pytest.mark.bits
@pytest.mark.parametrize("lost", [0, 1])
def test_all_end_with_a_line_where_one_is_killed_and_go_on_to_the_same_bits(folder, alone, lost):
    name, flags = f"lost-{lost}", [["--epochs=16"]] * 2
    both = joined(folder, name, *flags)
    after_metrics(folder, name, both[0])
    both[lost].kill()
    status, _, err = ended(both[1 - lost])
    assert status == 134
    assert err.splitlines()[-1] == distributed.LOST and err.count("\n") <= 7
    ended(both[lost])
    if lost:  # a signal to any asks all
        again = joined(folder, name, *flags)
        after_metrics(
            folder,
            name,
            again[0],
            lines=(folder / name / "metrics.jsonl").read_text().count("\n") + 2,
        )
        again[1].send_signal(signal.SIGTERM)
        assert [ended(process)[0] for process in again] == [143, 143]
    assert trained(folder, name, "--epochs=16", "--processes=1")[2] == alone


def slurm(number):
    """What SLURM says to two tasks of a step on one machine."""
    job = str(os.getpid())  # of which JAX makes the port
    return {
        **{"SLURM_JOB_ID": job, "SLURM_STEP_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2"},
        **{"SLURM_PROCID": str(number), "SLURM_LOCALID": str(number)},
    }


def test_what_differs_is_named_by_all(folder):
    (folder / "other.txt").write_text(text_of(400, seed=1))
    environments = slurm(0), slurm(1)
    flags = ["--epochs=3"], ["--epochs=4", "--corpus=other.txt"]
    found = joined(folder, "differ", *flags, environments=environments, given=["auto"] * 2)
    line = (
        "error: --distributed: processes 0 and 1 have been given different work: --epochs is 3 "
        "and 4; the text is another; the vocabulary is another"
    )
    for status, _, err in map(ended, found):
        assert status == 1 and err.splitlines()[-1] == line


def test_an_error_of_one_is_told_by_all(folder):
    found = joined(folder, "missing", ["--epochs=3"], ["--epochs=3", "--corpus=missing.txt"])
    (status, _, err), (other, _, said) = map(ended, found)
    assert (status, other) == (1, 1)
    assert said == "error: --corpus=missing.txt: no such file\n"
    assert err.splitlines()[-1] == f"process 1: {said.strip()}"


def refused(tmp_path, capsys, given, *more):
    (tmp_path / "text.txt").write_text(text_of())
    args = [f"--corpus={tmp_path / 'text.txt'}", f"--workdir={tmp_path / 'out'}"]
    assert start("train_corpus", *TRAIN, *args, f"--distributed={given}", *more) == 1
    return capsys.readouterr().err.splitlines()[-1]


BAD = ["x", "host,2,0", "host:1,2", "host:1,2,2", "host:1,two,0", "host:p,2,0", ":1,2,0"]


@pytest.mark.parametrize("given", BAD)
def test_what_is_no_place_among_processes_is_refused(tmp_path, capsys, given):
    assert refused(tmp_path, capsys, given).startswith(f"error: --distributed={given}: ")


def test_processes_that_cannot_share_or_meet_are_refused(tmp_path, capsys, monkeypatch):
    assert "no power of two" in refused(tmp_path, capsys, "host:1,3,0")
    assert "--replicas=2: 4 processes" in refused(tmp_path, capsys, "host:1,4,0")
    assert "give --distributed=HOST:PORT,N,I" in refused(tmp_path, capsys, "auto")
    assert "nowhere.invalid: " in refused(tmp_path, capsys, "nowhere.invalid:1,2,1")
    monkeypatch.setattr(distributed, "JOIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line = refused(tmp_path, capsys, f"127.0.0.1:{port},2,0")
    assert line.endswith(f"port {port}: Address already in use")
    line = refused(tmp_path, capsys, f"127.0.0.1:{port},2,1")
    assert f"no process 0 at 127.0.0.1:{port} within 0.3 s" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("visible", "devices", "own"),
    [("", [1], [1]), ("0,1", [1], [1]), ("3", [1], [0]), ("0", None, None)],
)
def test_a_task_takes_the_gpu_that_it_is_shown(monkeypatch, visible, devices, own):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert distributed._visible(devices) == own
