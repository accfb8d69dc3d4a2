"""--design=halving: settings that fall behind are stopped, and new ones are trained in their stead.

All trials are rows of one program, each in an epoch of its own; one that goes on to its end is the
run alone.
"""

import dataclasses
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.cli import console
from experiments.cli.errors import Stopped
from experiments.report.tables import counted
from experiments.runs.signals import watched
from experiments.runs.store import Results
from experiments.sweeps import checkpointing, halving_rule, measuring, shares, training
from experiments.sweeps import run as sweep_run
from experiments.sweeps.checkpointing import Saves
from experiments.sweeps.halving_rule import HALVING, OF_TEXT, Rule
from experiments.sweeps.plan import Program, Trial
from experiments.sweeps.run import Compiled, Progress
from experiments.sweeps.training import Sweep
from w2v_jax import heldout, sweeping
from w2v_jax.types import UserError
from w2v_jax.vectors.evaluation import LEAST


class Queue(NamedTuple):
    """Settings of one shape, each its trials of all seeds, in their order."""

    program: Program  # whose number, configuration and width are those of all
    settings: list[tuple[Trial, ...]]
    at_once: int  # settings that are trained at a time


def train(sweep: Sweep, results: Results, folder: Path, seeds: int) -> None:
    """Trains what is left, queue by queue."""
    compiled = Compiled(sweep.devices, sweep.corpus, sweep.held)
    rule = halving_rule.of_flags(sweep.base, sweep.own)
    found = [queue_of(program, seeds) for program in sweep.programs]
    console.log(described(found, rule))
    for queue in found:
        _Halving(sweep, queue, rule, compiled, results, folder).train()


def described(found: Sequence[Queue], rule: Rule) -> str:
    """The plan: how many settings at a time, and where they are compared."""
    lines = [
        f"halving by {rule.measure.name}: of the settings at a rung the best 1 of {rule.factor} "
        f"go on; {counted(len(found), 'shape')}"
    ]
    for queue in found:
        epochs, seeds = queue.settings[0][0].config.epochs, len(queue.settings[0])
        rungs = [n for n in range(1, epochs) if rule.is_rung(n, epochs)]
        lines.append(
            f"  {counted(len(queue.settings), 'setting')} of {counted(seeds, 'seed')} each, "
            f"{queue.at_once} at a time; rungs after epochs {', '.join(map(str, rungs))} of "
            f"{epochs}"
        )
    return "\n".join(lines)


def queue_of(program: Program, seeds: int) -> Queue:
    """The settings of a shape. Raises UserError where a setting's seeds don't fit the memory."""
    if program.size < seeds:
        held = counted(program.size, "trial")
        raise UserError(f"--seeds={seeds}: --memory_gb holds {held} at a time")
    trials = program.trials
    settings = [trials[begin : begin + seeds] for begin in range(0, len(trials), seeds)]
    most = halving_rule.most_at_once(len(settings))
    return Queue(program, settings, min(most, program.size // seeds))


@dataclasses.dataclass
class State:
    """What decides, beside the tables, what a halving does next; JSON in a checkpoint."""

    upcoming: int  # settings of the queue that have begun
    occupied: list[bool]  # of the slots, whether a setting is trained there
    figures: list[dict[str, float | None]]  # of each row, its figures by rung
    reached: dict[str, list[float]]  # by rung, the costs of all settings that came there


class _Halving:
    """The training of a queue. A slot is the rows of a setting's seeds."""

    def __init__(self, sweep: Sweep, queue: Queue, rule: Rule, compiled, results, folder: Path):
        self.sweep, self.rule, self.compiled, self.results = sweep, rule, compiled, results
        self.folder, self.number = folder, queue.program.number
        self.seeds = len(queue.settings[0])
        done = {line["member"] for line in results.lines}
        self.left = [s for s in queue.settings if not {trial.index for trial in s} <= done]
        self.epochs = queue.settings[0][0].config.epochs
        count = min(queue.at_once, len(self.left))
        self.rows = [trial for setting in self.left[:count] for trial in setting]
        before = halving_rule.reached(results.lines, rule, self.seeds, self.epochs)
        self.state = State(count, [True] * count, [{} for _ in self.rows], before)
        self.program = shares.part(queue.program, self.rows, sweep.devices)
        self.source = self._source([trial for setting in queue.settings for trial in setting])

    def _source(self, trials: Sequence[Trial]) -> checkpointing.Source | None:
        """The checkpoint that this goes on with."""
        found = checkpointing.sources(self.folder, self.number, trials, self.sweep.base, True)
        for source in found:
            rows = source.whose(trials, self.sweep.base)
            if rows and HALVING in source.about:
                about = source.about[HALVING]
                done = {line["member"] for line in self.results.lines}
                self.left = _named(about.pop("left"), trials, done, self.seeds)
                self.state, self.rows = State(**about), rows
                self.program = shares.part(self.program, rows, self.sweep.devices)
                return source
        return None

    def train(self) -> None:
        """All settings to their ends."""
        if not self.left:
            return
        now, compile_sec = sweep_run.begin(self.program, self.compiled, 0)
        saves = Saves(self.folder, self.program, self.sweep.base, self.source)
        saves.restore(now)
        words = self.sweep.corpus.words * self.seeds
        with console.progress_bar(words * self._left(now), 0) as bar, watched() as asked:
            while any(self.state.occupied):
                began, going = time.perf_counter(), sum(self.state.occupied)
                new = asked.while_doing(
                    partial(sweep_run.epoch_more, now, self.program, self.compiled)
                )
                if new is not None:
                    new.seconds += time.perf_counter() - began
                    new = self._judged(new, compile_sec)
                    saves.holds(self.program)
                if asked.number:
                    saves.save(new or now, {HALVING: self._about()})
                    saves.wait()
                    raise Stopped(asked.number, saves.told(), at_once=new is None)
                now = new
                bar.set_postfix_str(self._told(), False)
                bar.total = bar.n + words * (going + self._left(now))
                bar.update(words * going)
                saves.after(now, {HALVING: self._about()})
            self._tell_of_end(now)
        saves.clear()

    def _left(self, now: Progress) -> int:
        """Epochs of settings that there are at most."""
        waiting = len(self.left) - self.state.upcoming
        slots = enumerate(self.state.occupied)
        going = [self.epochs - now.epochs[slot * self.seeds] for slot, is_on in slots if is_on]
        return waiting * self.epochs + int(sum(going))

    def _tell_of_end(self, now: Progress) -> None:
        """How many settings came how far, and what that saved."""
        mine = {trial.index for setting in self.left for trial in setting}
        lines = [line for line in self.results.lines if line["member"] in mine]
        stopped = sum(line.get("lost_rung") is not None for line in lines) // self.seeds
        diverged = sum(line.get("frozen_step") is not None for line in lines)
        trained = sum(len(line.get("curve") or ()) for line in lines)
        epochs = counted(len(lines) * self.epochs, "epoch")
        console.log(
            f"{counted(len(self.left), 'setting')}, {stopped} of them stopped at a rung: "
            f"{trained:,} of {epochs}, {now.seconds:.1f} s training"
            + (f", {counted(diverged, 'trial')} diverged" if diverged else "")
        )

    def _about(self) -> dict:
        left = [trial.index for setting in self.left for trial in setting]
        return {**dataclasses.asdict(self.state), "left": left}

    def _told(self) -> str:
        waiting = len(self.left) - self.state.upcoming
        return f"{counted(sum(self.state.occupied), 'setting')} in training, {waiting} wait"

    def _slot(self, slot: int) -> range:
        return range(slot * self.seeds, (slot + 1) * self.seeds)

    def _judged(self, now: Progress, compile_sec: float) -> Progress:
        """What goes on: without the settings that ended, whose lines are written, with new ones."""
        done, active = now.epochs, sweep_run.active_of(now.trials)
        slots = [slot for slot, is_on in enumerate(self.state.occupied) if is_on]
        epochs = {slot: int(done[slot * self.seeds]) for slot in slots}
        gone = [s for s in slots if not active[list(self._slot(s))].any()]  # all seeds diverged
        ended = [s for s in slots if epochs[s] == self.epochs or s in gone]
        rungs = {
            s: n for s, n in epochs.items() if self.rule.is_rung(n, self.epochs) and s not in gone
        }
        if not (ended or rungs):
            return now
        by_line = self.compiled.heldout(now.trials) if self.compiled.held else None
        if by_line:
            due = [row for slot in {*ended, *rungs} for row in self._slot(slot)]
            rows = np.array([row for row in due if active[row]], int)
            now.curve[rows, done[rows] - 1, 1] = heldout.mean(by_line.loss)[rows]
        measured = partial(self._results, now, compile_sec, by_line)
        found = {} if self.rule.measure.field in OF_TEXT else measured(rungs)
        lost = self._lost(rungs, active, by_line, found)
        for slot, epoch in lost.items():
            now.stopped[list(self._slot(slot))] = epoch
        ended = sorted({*ended, *lost})
        self._write(measured(ended).values(), lost, now)
        return self._renewed(now, ended)

    def _results(
        self, now: Progress, compile_sec: float, by_line, slots: Collection[int]
    ) -> dict[int, measuring.Result]:
        """What is measured of the settings of some slots, by row."""
        rows = {self.rows[row].index: row for slot in slots for row in self._slot(slot)}
        others = {trial.index for trial in self.rows} - rows.keys()
        own = self.sweep.own if self.sweep.base.evaluate else None
        found = measuring.results(
            *(self.program, now.trained(compile_sec), self.compiled, own, others, by_line)
        )
        return {rows[result.trial.index]: result for result in found}

    def _lost(
        self, rungs: Mapping[int, int], active, by_line, found: Mapping[int, measuring.Result]
    ) -> dict[int, int]:
        """Of the slots at a rung those whose settings don't go on, each with its rung."""
        field, costs = self.rule.measure.field, {}
        for slot, rung in rungs.items():
            for row in self._slot(slot):
                line = found[row].line if found else measuring.of_text(by_line, row)
                self._check_coverage(line, active[row])
                self.state.figures[row][str(rung)] = line[field] if active[row] else None
            figures = [self.state.figures[row][str(rung)] for row in self._slot(slot)]
            costs[slot] = self.rule.cost(figures)
            self.state.reached.setdefault(str(rung), []).append(costs[slot])
        return {
            slot: rung
            for slot, rung in rungs.items()
            if not self.rule.goes_on(costs[slot], self.state.reached[str(rung)])
        }

    def _check_coverage(self, line: dict, active: bool) -> None:
        """Raises UserError where the measure that decides has too few items to be told."""
        few = line.get("coverage", {}).get(self.rule.measure.field)
        if active and few and few[0] < LEAST:
            covered = f"the vocabulary covers {few[0]} of {counted(few[1], 'item')}"
            raise UserError(f"--halving_by={self.rule.measure.items}: {covered}: too few to tell")

    def _write(self, found: Iterable[measuring.Result], lost: Mapping[int, int], now) -> None:
        """The lines of trials that have ended, those that aren't there."""
        there = {line["member"] for line in self.results.lines}
        row_of = {trial.index: row for row, trial in enumerate(self.rows)}
        cost = {"program_members": len(self.rows), "program_train_sec": now.seconds}
        for result in found:
            row = row_of[result.trial.index]
            told = {"rungs": self.state.figures[row], "lost_rung": lost.get(row // self.seeds)}
            if result.trial.index not in there:
                training.keep(result, self.program, self.sweep.base, {**told, **cost}, self.results)

    def _renewed(self, now: Progress, ended: Sequence[int]) -> Progress:
        """With the next settings of the queue in the slots of those that have ended."""
        new: dict[int, Trial] = {}
        idle = []
        for slot in ended:
            if self.state.upcoming == len(self.left):
                self.state.occupied[slot] = False
                idle += self._slot(slot)
                continue
            setting = self.left[self.state.upcoming]
            self.state.upcoming += 1
            new |= dict(zip(self._slot(slot), setting, strict=True))
        for row, trial in new.items():
            self.rows[row], self.state.figures[row] = trial, {}
        rows = list(new)
        now.diverged[rows], now.stopped[rows], now.loss[rows] = False, 0, np.nan
        now.curve[rows], now.begun[rows] = np.nan, now.epoch
        firsts = {row: partial(sweep_run.first, t, self.sweep.corpus) for row, t in new.items()}
        now.trials = sweeping.renewed(now.trials, firsts, idle)
        self.program = dataclasses.replace(self.program, trials=tuple(self.rows))
        return now


def _named(
    indices: Sequence[int], trials: Sequence[Trial], done: Collection[int], seeds: int
) -> list[tuple[Trial, ...]]:
    """A checkpoint's settings, and behind them those that the queue has got since."""
    by_index, apart = {trial.index: trial for trial in trials}, {*indices, *done}
    every = [by_index[i] for i in indices] + [t for t in trials if t.index not in apart]
    return [tuple(every[begin : begin + seeds]) for begin in range(0, len(every), seeds)]
