"""A sweep's trials shared among processes, and their lines, which come together in one file.

Who trains what is a function of the plan, of the lines that were there at the start, and of the
number of processes. A trial's bits depend on none of them.
"""

import dataclasses
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.runs.store import Results, append
from experiments.sweeps.plan import Program, Trial
from w2v_jax import sweeping

PARTS = "parts"  # a file of lines for each process, as long as the sweep goes on


class Share(NamedTuple):
    """Which part of a sweep a process trains."""

    number: int = 0
    processes: int = 1

    def of(
        self, programs: Sequence[Program], done: Collection[int]
    ) -> list[tuple[Program, list[tuple[Trial, ...]]]]:
        """The groups of trials of each program that this process trains.

        A group is what a device takes at a time, vmapped; one that has a line for each of its
        trials is done.
        """
        left = [
            (program, group)
            for program in programs
            for group in groups(program)
            if not {trial.index for trial in group} <= set(done)
        ]
        own: dict[int, tuple[Program, list]] = {}
        for program, group in left[self.number :: self.processes]:
            own.setdefault(program.number, (program, []))[1].append(group)
        return list(own.values())


def groups(program: Program) -> list[tuple[Trial, ...]]:
    """The trials of a program, so many at a time as are vmapped."""
    trials, width = program.trials, program.vmap_width
    return [trials[begin : begin + width] for begin in range(0, len(trials), width)]


def part(program: Program, trials: Sequence[Trial], devices) -> Program:
    """A program of some of another's trials."""
    size = sweeping.padded(len(trials), devices, program.vmap_width)
    return dataclasses.replace(program, trials=tuple(trials), size=size)


class Lines:
    """The lines that a process adds to a sweep's results, in a file of its own."""

    def __init__(self, folder: Path, share: Share):
        self.folder, self._path = folder, folder / PARTS / f"{share.number}.jsonl"
        self._path.parent.mkdir(exist_ok=True)

    def add(self, line: dict) -> None:
        """Appends a line at once."""
        append(self._path, line)


def collect(results: Results, programs: Sequence[Program]) -> None:
    """Brings the lines of all processes together in results.jsonl, in the plan's order."""
    order = {t.index: i for i, t in enumerate(t for p in programs for t in p.trials)}
    parts = sorted((results.folder / PARTS).glob("*.jsonl"))
    found = {line["member"]: line for path in parts for line in results.whole_lines(path)}
    for line in results.lines:
        found[line["member"]] = line
    lines = sorted(found.values(), key=lambda line: order.get(line["member"], len(order)))
    if lines != results.lines:
        results.lines[:] = lines
        results.rewrite()
    shutil.rmtree(results.folder / PARTS, ignore_errors=True)
