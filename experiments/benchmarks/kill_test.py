"""Kills runs with SIGKILL, again and again, and tells whether they come to the same bits."""

import os
import shutil
import sys
import time
from collections.abc import Generator
from pathlib import Path

from absl import flags

from experiments.benchmarks import killed_runs
from experiments.benchmarks.child_process import ROOT
from experiments.benchmarks.killed_runs import Command
from experiments.cli import console
from experiments.report.tables import counted, markdown
from experiments.runs.store import Results
from w2v_jax.types import UserError

KILLS_A_RUN = 10
FLAGFILES = "experiments/flagfiles"
SETTINGS = {  # script and flags: some ten seconds of training each
    "blocks_skipgram": ("ptb_skipgram", ["ptb_skipgram.cfg"]),
    "blocks_cbow": ("ptb_cbow", ["ptb_cbow.cfg", "--epochs=8"]),
    "pairs_skipgram": ("ptb_skipgram", ["ptb_skipgram_reference.cfg", "--max_words=400000"]),
    "pairs_cbow": ("ptb_cbow", ["book_cbow.cfg", "--max_words=50000", "--epochs=8"]),
    # Two processes: every second kill is the second one's.
    "replicas": ("ptb_skipgram", ["ptb_skipgram.cfg", "--replicas=2", "--sync_every=50"]),
}
TRAINS = ("training", "save")
QUIET = ["--noevaluate", "--noplots", "--checkpoint_every_sec=0.3"]


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_integer("kills", 100, "Kills in all, shared among the settings.", 1)
    flags.DEFINE_list("settings", list(SETTINGS), f"Of {', '.join(SETTINGS)}.")
    flags.DEFINE_string("corpus", "", "Also a text of several chunks, by train_corpus's defaults.")
    flags.DEFINE_integer("max_words", 6_000_000, "Words of that text.", 1)
    flags.DEFINE_integer("jobs", 2, "Runs side by side.", 1, 64)
    flags.DEFINE_integer("seed", 1, "Seed of the moments.", 0)
    flags.DEFINE_string("workdir", "", "Folder of the results.")


def main() -> None:
    """Kills, compares, tells."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=OUT is missing")
    commands = _commands()
    folder = Path(values.workdir).expanduser().absolute()
    shared = {name: values[name].value for name in ("kills", "settings", "corpus", "seed")}
    results = Results(folder, {**shared, "max_words": values.max_words})
    if results.lines:
        raise UserError(f"--workdir={folder}: holds results already; give another folder")
    jobs = []
    for i, (name, command) in enumerate(commands.items()):
        share = values.kills // len(commands) + (i < values.kills % len(commands))
        jobs.append(_work(name, command, share, folder / "runs" / str(i), i, results))
    _side_by_side(jobs, values.jobs)
    table = _table(results, list(commands))
    results.write("table.md", table)
    print(f"{table}\nwritten to {folder}")
    if any(line.get("differences") for line in results.lines):
        raise UserError(f"runs that were killed came to other results: see {results.path}")


def _commands() -> dict[str, Command]:
    """Each setting's command."""
    values, commands = flags.FLAGS, {}
    for name in values.settings:
        if name not in SETTINGS:
            raise UserError(f"--settings={name}: not one of {', '.join(SETTINGS)}")
        script, (flagfile, *more) = SETTINGS[name]
        commands[name] = _command(script, [f"--flagfile={ROOT / FLAGFILES / flagfile}", *more])
    if values.corpus:
        path = Path(values.corpus).expanduser().absolute()
        argv = [f"--corpus={path}", f"--max_words={values.max_words}", "--epochs=2"]
        commands["several_chunks"] = _command("train_corpus", argv)
    return commands


def _command(script: str, argv: list[str]) -> Command:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    argv = [sys.executable, "-m", f"experiments.{script}", *argv, *QUIET]
    return Command(argv, {**os.environ, "PYTHONPATH": path})


def _work(
    name: str, command: Command, kills: int, folder: Path, number: int, results: Results
) -> Generator[None, None, None]:
    """All of one setting: its undisturbed run, then runs until it has had its kills."""
    folder.mkdir(parents=True, exist_ok=True)
    whole, log = folder / "whole", folder / "log"
    pace = yield from killed_runs.uninterrupted(command, whole, log)
    console.log(f"{name}: {pace.training:.1f} s of training undisturbed")
    done = run = 0
    while done < kills:
        count = min(KILLS_A_RUN, kills - done)
        moments = [
            # As many kills as fit into a training that goes on from where it was.
            m._replace(fraction=min(1.0, 2 * m.fraction / count)) if m.phase in TRAINS else m
            for m in killed_runs.plan(count, (flags.FLAGS.seed, number, run))
        ]
        out = folder / f"run-{run}"
        result = yield from killed_runs.killed(command, out, log, moments, pace, whole)
        for kill in result.kills:
            results.add({"setting": name, "run": run, **kill})
        results.add(
            {
                "setting": name,
                "run": run,
                "kills": len(result.kills),
                "differences": result.differences,
            }
        )
        done, run = done + len(result.kills), run + 1
        told = "; ".join(result.differences) or "the same bits"
        console.log(f"{name}: {done} of {counted(kills, 'kill')}, {told}")
        if not result.kills:
            raise UserError(f"{name}: a run ended before it could be killed ({log})")
        if not result.differences:
            shutil.rmtree(out)


def _side_by_side(jobs: list[Generator], count: int) -> None:
    """Looks after so many jobs at a time; closes all where one fails."""
    waiting, running = list(jobs), []
    try:
        while waiting or running:
            while waiting and len(running) < count:
                running.append(waiting.pop(0))
            running = [job for job in running if next(job, job) is None]
            time.sleep(0.005)
    finally:
        for job in running:
            job.close()


def _from_before(kill: dict) -> bool:
    """Whether the next process found the newest checkpoint that was there damaged."""
    return isinstance(kill["went_on"], int) and kill["went_on"] < (kill["newest"] or 0)


def _table(results: Results, names: list[str]) -> str:
    """Counts a setting, and in all."""
    rows = []
    for name in [*names, "all"]:
        lines = [x for x in results.lines if name in (x["setting"], "all")]
        kills = [x for x in lines if "phase" in x]
        runs = [x for x in lines if "differences" in x]
        rows.append(
            [
                name,
                len(runs),
                len(kills),
                sum(k["newest"] is not None for k in kills),
                sum(k["during_save"] for k in kills),
                sum(isinstance(k["went_on"], int) for k in kills),
                sum(_from_before(k) for k in kills),
                sum(k["newest"] is not None and k["went_on"] == "anew" for k in kills),
                sum(bool(r["differences"]) for r in runs),
            ]
        )
    head = ["setting", "runs", "kills", "with a checkpoint there", "during a save"]
    head += ["gone on from a checkpoint", "from one before the newest"]
    head += ["anew in spite of one", "runs that differ"]
    return markdown(head, [[str(cell) for cell in row] for row in rows])
