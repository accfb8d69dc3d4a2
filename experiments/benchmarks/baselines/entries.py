"""--baselines: who runs, with which epochs and flags, and in which order."""

import re
from typing import NamedTuple

from experiments.benchmarks.baselines.commands import BASELINES, Task, Tools
from experiments.cli import earlier_flags
from experiments.cli.config import of_library
from w2v_jax.data import files
from w2v_jax.types import UserError


class Entry(NamedTuple):
    """One of --baselines: NAME, NAME@EPOCHS, w2v_jax:FLAGFILE or w2v_jax:FLAGFILE@EPOCHS."""

    label: str
    name: str
    flagfile: str
    epochs: int


def entry(label: str, task: Task, tools: Tools) -> Entry:
    """Reads one of --baselines. Raises UserError where it is no baseline."""
    match = re.fullmatch(r"([^:@]+)(?::([^@]+))?(?:@([1-9]\d*))?", label)
    name, flagfile, epochs = match.groups() if match else (label, None, None)
    if name not in BASELINES:
        raise UserError(
            f"--baselines={label}: not one of {', '.join(BASELINES)} (NAME or NAME@EPOCHS)"
        )
    if flagfile and name != "w2v_jax":
        raise UserError(f"--baselines={label}: only w2v_jax takes a flagfile")
    if not BASELINES[name].trains:
        if epochs:
            raise UserError(f"--baselines={label}: {name} has no epochs, it counts the text once")
        epochs = 1
    flagfile = (flagfile or tools.ours) if name == "w2v_jax" else ""
    if flagfile:
        flagfile_text("ours or --baselines", flagfile)
    return Entry(label, name, flagfile, int(epochs or task.epochs))


def flagfile_text(flag: str, path: str) -> str:
    """A flagfile's text. Raises UserError where it is no file or not UTF-8."""
    return files.text(path, f"--{flag}: {path}")


def particular(entry: Entry, tools: Tools) -> str:
    """The settings that are this entry's alone, as text: a rerun must have the same."""
    if entry.name == "w2v_jax":
        text = flagfile_text("ours", entry.flagfile) if entry.flagfile else ""
        lines = [line for line in text.splitlines() if line.startswith("-")]
        return " ".join([*lines, *tools.ours_flags])
    if entry.name == "gensim":
        summed = "" if tools.gensim_export == "input" else f" export={tools.gensim_export}"
        return tools.gensim_input + summed
    return f"loader_workers={tools.d2l_loader_workers}" if entry.name == "d2l" else ""


def same(entry: Entry, there: str, here: str) -> bool:
    """Whether two texts of `particular`, one of them of any version, are the same settings."""
    if entry.name != "w2v_jax":
        return there == here
    sides = map(earlier_flags.stored, (there, here))
    return not earlier_flags.of_one_script(*sides, own=of_library())


def order(entries: list[Entry], seeds: int) -> list[tuple[int, Entry]]:
    """(seed, entry) as they run: all of seed 1, all of seed 2 the other way round, .."""
    turns = (entries, entries[::-1])
    return [(seed, one) for seed in range(1, seeds + 1) for one in turns[(seed - 1) % 2]]
