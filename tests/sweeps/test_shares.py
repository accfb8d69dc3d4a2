"""A sweep that processes share: the same lines for any number of them, whatever was lost."""

import json
import os
import shutil
import subprocess
import sys
import time

import jax
import pytest
from scripts import QUICK, ROOT, in_a_process, start

from experiments.cli.config import RunConfig
from experiments.sweeps import shares
from experiments.sweeps.plan import Program, Trial
from experiments.sweeps.shares import Share

SWEEP = [*QUICK, "--seeds=2", "--sweep=learning_rate=0.01,0.02", "--noperplexity", "--epochs=20"]
SWEEP += ["--save_vectors", "--data_dir=.", "--log_every_steps=50"]


def programs(sizes, width):
    """So many trials a program."""
    found, index = [], 0
    for number, size in enumerate(sizes):
        trials = tuple(Trial(index + i, {}, RunConfig(seed=i)) for i in range(size))
        found.append(Program(number, trials, size, width, number))
        index += size
    return found


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("done", [set(), {0, 4, 5}])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_each_group_that_is_left_is_one_processs(processes, done, width):
    plan = programs((5, 1, 4), width)
    found = [Share(i, processes).of(plan, done) for i in range(processes)]
    taken = [group for own in found for _, groups in own for group in groups]
    whole = [group for program in plan for group in shares.groups(program)]
    left = [group for group in whole if not {trial.index for trial in group} <= done]
    assert sorted(taken, key=str) == sorted(left, key=str)
    counts = [sum(len(groups) for _, groups in own) for own in found]
    assert max(counts) - min(counts) <= 1


def test_a_part_is_compiled_for_the_trials_that_it_has():
    (program,) = programs((5,), 2)
    part = shares.part(program, program.trials[:3], jax.devices()[:1])
    assert (part.size, part.number, len(part.trials)) == (4, 0, 3)


def results(folder):
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    lines = [{k: v for k, v in line.items() if not k.endswith("_sec")} for line in lines]
    vectors = {path.name: path.read_bytes() for path in (folder / "vectors").iterdir()}
    return [json.dumps(line) for line in lines], vectors


@pytest.mark.slow
@pytest.mark.bits
def test_two_processes_and_one_go_on_to_the_same_lines_where_one_was_killed(text_folder, capsys):
    (text_folder / "ptb" / "ptb.valid.txt").write_text("w1 w2 w3\nw0 w7 w8\n")
    cache = f"--cache_dir={text_folder / 'cache'}"  # which the second process reads
    here = [f"--data_dir={text_folder}", f"--workdir={text_folder / 'alone'}", cache]
    assert start("ptb_ablation", *SWEEP, *here, "--cpu_devices=1") == 0
    argv = [sys.executable, "-m", "experiments.ptb_ablation", *SWEEP, "--workdir=shared", cache]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    saving = ["--processes=2", "--checkpoint_every_sec=0.001"]
    first = subprocess.Popen([*argv, *saving], cwd=text_folder, env=environment, **streams)
    shared = text_folder / "shared"
    while not any(shared.glob("checkpoints/program-0-*/1")):
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    with open(f"/proc/{first.pid}/task/{first.pid}/children") as file:
        os.kill(int(file.read().split()[0]), 9)
    _, err = first.communicate(timeout=120)
    assert first.returncode == 134 and "process 1 of the run was lost (status -9)" in err
    assert not (shared / "table.md").exists()
    shutil.copytree(shared, text_folder / "by_one")
    here[1] = f"--workdir={text_folder / 'by_one'}"
    assert start("ptb_ablation", *SWEEP, *here) == 0
    assert "going on after epoch" in capsys.readouterr().err
    done = in_a_process(text_folder, "ptb_ablation", *argv[3:], "--processes=2")
    assert done.returncode == 0, done.stderr
    for name in ("shared", "by_one"):
        assert results(text_folder / name) == results(text_folder / "alone")
        assert not (text_folder / name / "parts").exists()
        assert not (text_folder / name / "checkpoints").exists()
