"""One program of several trials against as many runs in turn, on the same cores."""

import json
import math
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

from absl import flags

from experiments.benchmarks import child_process
from experiments.benchmarks.baselines import entries
from experiments.cli import console, earlier_flags
from experiments.cli.config import of_library
from experiments.report.tables import counted, enclosed, markdown, spread
from experiments.runs.store import Results, cpus
from w2v_jax.types import UserError


class Side(NamedTuple):
    """What one way of training all trials took, and their last losses."""

    train_sec: float
    total_sec: float
    peak_mb: float
    loss: list


def define_flags() -> None:
    """The benchmark's flags."""
    flags.DEFINE_string("flagfile_of_runs", "", "Flagfile of the runs and of the sweep.")
    flags.DEFINE_string("script", "ptb_skipgram", "Script of the runs in turn.")
    flags.DEFINE_string("data_dir", "", "Folder with PTB's files (default: $W2V_JAX_DATA).")
    flags.DEFINE_integer("trials", 8, "Runs in turn, and trials of the sweep.", 2)
    flags.DEFINE_integer("rounds", 6, "Times that both are measured.", 1)
    flags.DEFINE_string("workdir", "", "Folder of the results; rounds found there are kept.")


def main() -> None:
    """Measures the rounds that are not measured yet; prints the table."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=OUT is missing")
    text = entries.flagfile_text("flagfile_of_runs", values.flagfile_of_runs)
    settings = {"flags": text, "trials": values.trials, "script": values.script}
    given = earlier_flags.stored(text)
    differences = partial(earlier_flags.of_one_script, here=given, own={"model", *of_library()})
    results = Results(Path(values.workdir).expanduser(), settings, differences=differences)
    for number in range(1, values.rounds + 1):
        results.once(partial(_measured, number, results.folder), round=number)
    text = table(results.of_rounds(values.rounds), values.trials)
    results.write("table.md", text)
    print(text)


def _measured(number: int, folder: Path) -> dict:
    """A round: both ways, every second round the other way about."""
    ways = (("in turn", _in_turn), ("sweep", _sweep))
    sides = {name: way(folder) for name, way in ways[:: 1 if number % 2 else -1]}
    losses = zip(sides["in turn"].loss, sides["sweep"].loss, strict=True)
    if not all(math.isclose(a, b, rel_tol=1e-6) for a, b in losses):
        console.log("note: the trials' losses are not those of the runs in turn")
    return {name: side._asdict() for name, side in sides.items()}


def _command(script: str, *more: str) -> list[str]:
    shared = [f"--flagfile={flags.FLAGS.flagfile_of_runs}", "--noevaluate"]
    shared += ["--cache_dir=none", "--checkpoint_every_sec=0"]  # each compiles, and nothing else
    if flags.FLAGS.data_dir:
        shared.append(f"--data_dir={flags.FLAGS.data_dir}")
    return [sys.executable, "-m", f"experiments.{script}", *shared, *more]


def _ran(command: list[str], folder: Path) -> child_process.Child:
    child = child_process.run(command, folder / "log.txt", cpus())
    if child.status:
        raise UserError(f"{' '.join(command)} ended with {child.status}: {child.output[-300:]}")
    return child


def _in_turn(folder: Path) -> Side:
    sides = []
    for seed in range(1, flags.FLAGS.trials + 1):
        out = folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        command = _command(flags.FLAGS.script, "--noplots", f"--seed={seed}", f"--workdir={out}")
        child = _ran(command, folder)
        summary = json.loads((out / "summary.json").read_text())
        sides.append((summary["train_sec"], child.wall_sec, child.peak_mb, summary["final_loss"]))
    train, total, peak, loss = zip(*sides, strict=True)
    return Side(sum(train), sum(total), max(peak), list(loss))


def _sweep(folder: Path) -> Side:
    out = folder / "sweep"
    shutil.rmtree(out, ignore_errors=True)
    seeds = f"--seeds={flags.FLAGS.trials}", "--seed=1"
    more = (*seeds, "--noperplexity", "--noplots", f"--workdir={out}")
    child = _ran(_command("ptb_ablation", *more), folder)
    lines = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    train = {line["program"]: line["program_train_sec"] for line in lines}
    return Side(sum(train.values()), child.wall_sec, child.peak_mb, [x["loss"] for x in lines])


def table(lines: list[dict], trials: int) -> str:
    """Medians over the rounds, and of the ratios within a round."""
    kinds = (("training, s", "train_sec"), ("whole processes, s", "total_sec"))
    rows = []
    for label, kind in kinds:
        turn, sweep = ([line[way][kind] for line in lines] for way in ("in turn", "sweep"))
        ratios = [b / a for a, b in zip(turn, sweep, strict=True)]
        rows.append([label, spread(turn, 1), spread(sweep, 1), spread(ratios, 2)])
    peaks = [[line[way]["peak_mb"] for line in lines] for way in ("in turn", "sweep")]
    rows.append(["peak memory of a process, MB", *map(spread, peaks), ""])
    header = [counted(trials, "trial"), "in turn", "one program", "ratio"]
    return f"{enclosed(len(lines))}\n\n{markdown(header, rows)}"
