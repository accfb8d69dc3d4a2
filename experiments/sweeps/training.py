"""A process's share of a sweep, trained and measured: program by program, a line a trial."""

import time
from pathlib import Path
from typing import NamedTuple

import jax

from experiments.cli import console, earlier_flags
from experiments.cli.config import RunConfig
from experiments.report.tables import counted
from experiments.runs.heldout_text import Heldout
from experiments.runs.store import Results
from experiments.sweeps import checkpointing, growth, measuring, plan, shares
from experiments.sweeps import outputs as sweep_outputs
from experiments.sweeps import run as sweep_run
from experiments.sweeps.checkpointing import Saves
from w2v_jax.data.corpus import Corpus
from w2v_jax.vectors.item_sets import ItemSet

MEASURED = ("early_stopping", "perplexity", "perplexity_window")  # how, the same for all trials


class Sweep(NamedTuple):
    """What is known once the text is read, the same in all processes."""

    base: RunConfig
    corpus: Corpus
    held: Heldout | None
    trials: list[plan.Trial]
    programs: list[plan.Program]
    devices: list[jax.Device]  # of this process
    settings: dict  # what the results share
    own: tuple[ItemSet, ...] = ()  # one's own sets that trials are measured with

    def results(self, folder: Path, held: dict | None = None) -> Results:
        """Its folder's lines; held: the settings that it had, from which it may grow.

        None: another process has seen to it that they are these.
        """
        if held is None:
            return Results(folder, None, same_machine=False)
        measured = {n: earlier_flags.text_of(n, getattr(self.base, n)) for n in MEASURED}
        here = {**earlier_flags.of(self.base), **measured}
        axes = {*self.settings["axes"], *held.get("axes", {})}

        def differences(there):
            found = earlier_flags.differences(there, here)
            return [one for one in found if one.name not in axes]

        expected = self.settings | {n: held[n] for n in growth.GROWS if n in held}
        if bool(held.get("bootstrap")) != bool(self.settings["bootstrap"]):
            expected["bootstrap"] = self.settings["bootstrap"]
        return Results(folder, expected, False, differences)


def train_share(
    sweep: Sweep, share: shares.Share, done: set[int], results: Results | None, folder: Path
) -> None:
    """Trains what is left of a process's share. results: where its lines go; None: a part file."""
    compiled = sweep_run.Compiled(sweep.devices, sweep.corpus, sweep.held)
    lines = results or shares.Lines(folder, share)
    for program, groups in share.of(sweep.programs, done):
        left = [trial for group in groups for trial in group]
        found = checkpointing.sources(
            folder, program.number, left, sweep.base, share.processes == 1
        )
        pieces = checkpointing.pieces(groups, found, sweep.base)
        if found and not any(source for _, source in pieces):
            console.log(f"note: {found[0].folder}: of a program of other trials, begins anew")
        del found
        while pieces:
            trials, source = pieces.pop(0)
            piece = shares.part(program, trials, sweep.devices)
            saves = Saves(folder, piece, sweep.base, source, trials == list(program.trials))
            del source
            _train(piece, program, saves, sweep, compiled, lines, done)


def keep(result: measuring.Result, program, base: RunConfig, cost: dict, lines) -> None:
    """A trial's files, then its line, so that a line tells that all is there."""
    trial = result.trial
    wanted = sweep_outputs.formats(base)
    sweep_outputs.write(lines.folder, trial.index, result.items, result.wv, wanted)
    lines.add(
        {
            "member": trial.index,
            "program": program.number,
            "setting": trial.setting,
            "seed": trial.config.seed,
            "flags": trial.flags(base),
            **result.line,
            **cost,
        }
    )


def _train(piece, program, saves: Saves, sweep: Sweep, compiled, lines, done) -> None:
    """Trains trials of a program that go on together, and measures them."""
    started, base = time.perf_counter(), sweep.base
    trained = sweep_run.train(piece, compiled, base.early_stopping, saves)
    cost = {
        "program_members": len(program.trials),
        "program_train_sec": trained.train_sec,
        "program_compile_sec": trained.compile_sec,
    }
    with saves.told_of_end():
        own = sweep.own if base.evaluate else None
        for result in measuring.results(piece, trained, compiled, own, done):
            keep(result, program, base, cost, lines)
    saves.clear()
    diverged = int(trained.diverged.sum())
    console.log(
        f"program {program.number}: {counted(len(piece.trials), 'trial')}, "
        f"{trained.train_sec:.1f} s training, {trained.compile_sec:.1f} s compilation, "
        f"{time.perf_counter() - started:.1f} s in all"
        + (f", {diverged} diverged" if diverged else "")
    )
