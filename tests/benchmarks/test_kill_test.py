"""What the kill test rests on: its moments, its evidence, and that it sees a run go wrong."""

import json
import os
import shutil
import sys
import time
from collections import Counter

import pytest

from experiments.benchmarks import child_process, kill_test, killed_runs
from experiments.benchmarks.killed_runs import Command, Moment, Pace
from w2v_jax.types import UserError

# A run in small: 40 steps, a line of metrics and a checkpoint each; with `again` a resumed one
# writes the line that it was killed behind a second time.
RUN = r"""
import json, os, pathlib, sys, time
again, out = sys.argv[1] == "again", pathlib.Path(sys.argv[-1].removeprefix("--workdir="))
saved = out / "checkpoints"
saved.mkdir(parents=True, exist_ok=True)
for name in os.listdir(saved):
    if name.endswith("tmp"):
        (saved / name).rmdir()
steps = [int(name) for name in os.listdir(saved)]
first = max(steps, default=0)
print(f"going on from step {first:,} (here)" if steps else "no checkpoint", flush=True)
metrics = out / "metrics.jsonl"
lines = metrics.read_text().splitlines(True) if metrics.exists() else []
with open(metrics, "w") as file:
    file.writelines(lines[: first + (again and first > 0)])
    file.flush()
    for step in range(first, 40):
        print(json.dumps({"step": step, "words_per_sec": time.time()}), file=file, flush=True)
        (saved / f"{step + 1}.tmp").mkdir()
        time.sleep(0.03)
        (saved / f"{step + 1}.tmp").rename(saved / str(step + 1))
for name in ("vocab.tsv", "flags.cfg", "vectors.txt"):
    (out / name).write_text(name)
summary = dict(format=1, final_loss=1, objective=None, corpus_sha256="", vocab_sha256="",
               words_per_epoch=1, epochs=1, complete=True)
(out / "summary.tmp").write_text(json.dumps(summary))
(out / "summary.tmp").rename(out / "summary.json")
time.sleep(0.1)
"""
SHORT = Pace(0.1, 0.2, 0.1)  # the run above takes over a second


def done(generator):
    """What a generator returns, once it has been waited for."""
    while True:
        try:
            next(generator)
            time.sleep(0.001)
        except StopIteration as end:
            return end.value


@pytest.fixture
def command(tmp_path):
    (tmp_path / "run.py").write_text(RUN)

    def make(kind="right"):
        return Command([sys.executable, "-I", str(tmp_path / "run.py"), kind], dict(os.environ))

    return make


def test_every_setting_is_a_command_with_a_flagfile_that_is_there():
    assert (child_process.ROOT / "experiments" / "kill_test.py").exists()
    for _, (flagfile, *_) in kill_test.SETTINGS.values():
        assert (child_process.ROOT / kill_test.FLAGFILES / flagfile).exists()


def test_moments_are_of_all_phases_and_their_seed_decides():
    moments = killed_runs.plan(50, [1, 2])
    assert Counter(m.phase for m in moments) == {"start": 4, "save": 20, "training": 25, "end": 1}
    assert moments[0].phase == "start" and moments[-1].phase == "end"
    assert all(0 <= m.fraction < 1 for m in moments) and len({m.fraction for m in moments}) == 50
    assert moments == killed_runs.plan(50, [1, 2]) != killed_runs.plan(50, [1, 3])


@pytest.mark.parametrize("kills", [1, 2, 3, 4, 5, 10, 17])
def test_so_many_moments_as_kills(kills):
    assert len(killed_runs.plan(kills, 1)) == kills


def test_what_a_process_says_of_where_it_goes_on():
    said = "note: x\ngoing on from step 12,345 (out/checkpoints/12345)\n"
    assert killed_runs.went_on(said) == 12345
    assert killed_runs.went_on("no checkpoint: the run begins anew\n") == "anew"
    assert killed_runs.went_on("out holds this very run, complete; --overwrite ..") == "complete"
    assert killed_runs.went_on("ptb: 5 words\n") is None


def test_the_newest_checkpoint_is_a_whole_one(tmp_path):
    assert killed_runs.newest(tmp_path) is None
    for name in ("9", "10", "11.orbax-checkpoint-tmp", "damaged-12"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert killed_runs.newest(tmp_path) == 10


@pytest.mark.slow
def test_a_killed_run_is_followed_through(command, tmp_path):
    whole = tmp_path / "whole"
    pace = done(killed_runs.uninterrupted(command(), whole, tmp_path / "log"))
    assert all(sec > 0 for sec in pace)
    moments = [Moment("start", 0.0), *[Moment("training", 0.5), Moment("save", 0.5)] * 2]
    args = tmp_path / "run", tmp_path / "log", moments, SHORT, whole
    kills, differences = done(killed_runs.killed(command(), *args))
    assert differences == []
    assert len(kills) >= 3
    assert [kill["phase"] for kill in kills] == [m.phase for m in moments[: len(kills)]]
    assert kills[0]["newest"] is None and kills[0]["trained"] is None
    assert all(kill["went_on"] == (kill["newest"] or "anew") for kill in kills)
    steps = [kill["newest"] or 0 for kill in kills]
    assert steps == sorted(steps) and steps[-1] > 0


@pytest.mark.slow
def test_a_line_written_twice_is_seen(command, tmp_path):
    whole = tmp_path / "whole"
    done(killed_runs.uninterrupted(command("again"), whole, tmp_path / "log"))
    args = tmp_path / "run", tmp_path / "log", [Moment("save", 0.9)], SHORT, whole
    kills, differences = done(killed_runs.killed(command("again"), *args))
    assert len(kills) == 1 and kills[0]["newest"] is not None
    assert any("lines, not 40" in line for line in differences)


def test_a_run_that_fails_is_told(tmp_path):
    failing = Command([sys.executable, "-I", "-c", "print('no room'); exit(3)"], dict(os.environ))
    with pytest.raises(UserError, match="exit status 3: no room"):
        done(killed_runs.uninterrupted(failing, tmp_path / "whole", tmp_path / "log"))
    args = tmp_path / "run", tmp_path / "log", [Moment("save", 0.5)], Pace(1, 1, 1), tmp_path
    kills, differences = done(killed_runs.killed(failing, *args))
    assert kills == [] and "exit status 3: no room" in differences[0]


def metrics_of(*losses):
    return [{"step": i, "loss": loss, "elapsed_sec": i + loss} for i, loss in enumerate(losses)]


def write(folder, metrics, **summary):
    folder.mkdir(exist_ok=True)
    for name in ("vectors.txt", "vocab.tsv", "flags.cfg"):
        (folder / name).write_text(f"{name}\n")
    text = "".join(json.dumps(line) + "\n" for line in metrics)
    (folder / "metrics.jsonl").write_text(text)
    same = dict.fromkeys(killed_runs.SAME, 1)
    summary = {"format": 1, "complete": True, **same, **summary}
    (folder / "summary.json").write_text(json.dumps(summary))


def test_differences_are_of_everything_but_times(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    write(a, metrics_of(3.0, 2.0, 1.0), train_sec=1)
    later = [{**line, "elapsed_sec": 99, "words_per_sec": 5} for line in metrics_of(3.0, 2.0, 1.0)]
    write(b, later, train_sec=2)
    assert killed_runs.differences(a, b) == []
    write(b, metrics_of(3.0, 2.0 + 2**-40, 1.0))
    assert killed_runs.differences(a, b) == ["metrics.jsonl differs from line 2 on"]
    write(b, metrics_of(3.0, 2.0))
    assert killed_runs.differences(a, b) == ["metrics.jsonl has 2 lines, not 3"]
    write(b, metrics_of(3.0, 2.0, 1.0), final_loss=2, complete=False)
    found = killed_runs.differences(a, b)
    assert found == ["final_loss is another", "summary.json is not complete"]


@pytest.mark.parametrize("name", ["vectors.txt", "vocab.tsv", "flags.cfg"])
def test_files_are_compared_to_the_byte(tmp_path, name):
    for folder in ("a", "b"):
        write(tmp_path / folder, metrics_of(1.0))
    shutil.copystat(tmp_path / "a" / name, tmp_path / "b" / name)
    (tmp_path / "b" / name).write_text(f"{name[:-1]}!\n")  # as long
    assert killed_runs.differences(tmp_path / "a", tmp_path / "b") == [f"{name} is another"]
    (tmp_path / "b" / name).unlink()
    assert killed_runs.differences(tmp_path / "a", tmp_path / "b") == [f"{name} is missing"]
