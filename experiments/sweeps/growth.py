"""A sweep's folder that grows: what it holds is known by flags and text, and only the rest trains.

A trial is known by its resolved flags, but for the room that its program has for the largest window
and the most negatives: with another room the pairs engine draws other negatives of the same law. It
keeps its number, under which its files lie, as long as its folder.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.cli import earlier_flags
from experiments.cli.config import RunConfig, to_flagfile
from experiments.runs.store import SETTINGS, Results
from experiments.sweeps.plan import Program, Trial
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import UserError

NUMBERS = "trials.json"  # the flags of each trial that the folder has a number for
GROWS = ("axes", "base", "settings", "design", "seeds", "bootstrap", "flags", "own_sets")
IGNORED = (*earlier_flags.APART, "window_limit", "negatives_limit")  # by what knows a trial


class Known(NamedTuple):
    """What a folder holds: its settings, and its trials' numbers by their keys."""

    settings: dict
    numbers: dict[str, int]
    flags: dict[int, dict[str, str]]


def key_of(flags: dict[str, str]) -> str:
    """What tells a trial from others: its resolved flags, as of any version, without its room."""
    whole = earlier_flags.resolved_of(flags)
    return json.dumps({name: x for name, x in sorted(whole.items()) if name not in IGNORED})


def flags_of(line: dict, base: str) -> dict[str, str]:
    """A line's own flags: those of the folder, with what it changes."""
    return {**earlier_flags.stored(base), **earlier_flags.stored(line["flags"])}


NOTHING = Known({}, {}, {})


def known(folder: Path) -> Known:
    """What a folder holds so far; nothing, where it holds no sweep."""
    if not (folder / SETTINGS).exists():
        return NOTHING
    results = opened(folder)
    settings, flags = results.settings, {}
    if not {"axes", "flags"} <= settings.keys():
        raise UserError(f"--workdir={folder}: holds results of something else ({SETTINGS})")
    for line in results.lines:
        flags[line["member"]] = flags_of(line, settings["flags"])
    if (folder / NUMBERS).exists():
        try:
            stored = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
            # They count before a line's own, which are beside flags that may have changed since.
            flags |= {
                int(number): {n: str(x) for n, x in own.items()} for number, own in stored.items()
            }
        except (ValueError, AttributeError, TypeError) as error:
            raise UserError(f"{folder / NUMBERS}: damaged") from error
    numbers = sorted(flags)
    keys = _told_apart([key_of(flags[number]) for number in numbers])
    return Known(settings, dict(zip(keys, numbers, strict=True)), flags)


def opened(folder: Path) -> Results:
    """A sweep's folder, of any version, with today's names of flags."""
    return Results(folder, None, False, lambda there: [])


def _told_apart(keys: Sequence[str]) -> list[str]:
    """Keys of trials; the second, third .. of one key, which differ in an idle flag, by number."""
    seen: Counter[str] = Counter()
    found = []
    for key in keys:
        seen[key] += 1
        found.append(key if seen[key] == 1 else f"{key} #{seen[key]}")
    return found


def merged(old: dict, new: dict) -> dict:
    """The settings of a folder that grows by a sweep: the axes and settings of both.

    A setting has a value for each axis: where it lacks one, that of its own sweep's flags.
    """
    if not old:
        return new
    axes = {n: union(old["axes"].get(n, []), new["axes"].get(n, [])) for n in _axes(old, new)}
    parts = [_filled(one, axes) for one in (old, new)]
    for one in parts:
        for setting in one["settings"]:
            axes = {n: union(axes[n], [setting[n]]) for n in axes}
    alike = old["design"] == new["design"] and old["axes"].keys() == new["axes"].keys()
    return {
        **old,
        "flags": new["flags"],
        "axes": axes,
        "base": parts[1]["base"],
        "settings": union(parts[0]["settings"], parts[1]["settings"]),
        "design": new["design"] if alike else "list",
        "seeds": max(old["seeds"], new["seeds"]),
        "bootstrap": max(old.get("bootstrap", 0), new.get("bootstrap", 0)),
        "own_sets": new.get("own_sets", []),
    }


def _axes(old: dict, new: dict) -> list[str]:
    return list(dict.fromkeys([*old["axes"], *new["axes"]]))


def _filled(settings: dict, axes: Iterable[str]) -> dict:
    """Base and settings with a value of each axis, those that were not swept by their flags."""
    own = earlier_flags.values_of(earlier_flags.stored(settings["flags"]), axes)
    return {
        "base": {**own, **settings["base"]},
        "settings": [{**own, **setting} for setting in settings["settings"]],
    }


def union(one: Sequence, other: Sequence) -> list:
    """The values of both, each once."""
    return [*one, *(value for value in other if value not in one)]


def in_order(results: Results) -> list[dict]:
    """The lines as the folder's settings stand, whichever command trained them."""
    names = [json.dumps(one, sort_keys=True) for one in results.settings.get("settings", [])]
    order = {name: i for i, name in reversed(list(enumerate(names)))}
    return sorted(
        results.lines,
        key=lambda line: order.get(json.dumps(line["setting"], sort_keys=True), len(order)),
    )


def beside(own: dict[str, str], base: dict[str, str]) -> str:
    """The flags that make a base's run this one, as a line has them."""
    apart = earlier_flags.LOCATIONS
    flags = ((n, x) for n, x in own.items() if base.get(n) != x and n not in apart)
    return " ".join(to_flagfile(flags).splitlines())


def numbered(
    programs: Sequence[Program], held: Known
) -> tuple[list[Program], dict[int, dict[str, str]]]:
    """Programs whose trials have the numbers of the folder, new ones the next; their flags.

    A trial's setting gets a value of each axis that the folder has.
    """
    axes = held.settings.get("axes", {})
    free = max(held.numbers.values(), default=-1) + 1
    found: dict[int, int] = {}
    flags: dict[int, dict[str, str]] = {}
    trials = sorted((t for program in programs for t in program.trials), key=lambda t: t.index)
    every = [earlier_flags.of(trial.config) for trial in trials]
    for trial, own, key in zip(trials, every, _told_apart(list(map(key_of, every))), strict=True):
        number = held.numbers.get(key)
        if number is None and held.numbers and not held.settings["common_random_numbers"]:
            raise UserError(
                "--nocommon_random_numbers: such a folder doesn't grow, as seeds follow from what "
                "there is in all; give another folder"
            )
        if number is None:
            number, free = free, free + 1
        found[trial.index], flags[number] = number, own

    def renumbered(trial: Trial) -> Trial:
        others = {n: getattr(trial.config, n) for n in axes if n not in trial.setting}
        return dataclasses.replace(
            trial, index=found[trial.index], setting={**trial.setting, **others}
        )

    return [
        dataclasses.replace(program, trials=tuple(map(renumbered, program.trials)))
        for program in programs
    ], flags


def keep(folder: Path, held: Known, flags: dict[int, dict[str, str]], settings: dict) -> None:
    """Writes which number is whose, and the settings of all."""
    for name, values in ((NUMBERS, {**held.flags, **flags}), (SETTINGS, settings)):
        path, text = folder / name, json.dumps(values, indent=2) + "\n"
        if not path.exists() or json.loads(path.read_text(encoding="utf-8")) != json.loads(text):
            write_atomically(str(path), text.encode())


def renew(results: Results, base: RunConfig, held: Known, settings: dict) -> None:
    """The lines as of all axes, with values of those that were not swept before; flags too."""
    here, axes, changed = earlier_flags.of(base), settings["axes"], False
    for line in results.lines:
        own = held.flags.get(line["member"]) or flags_of(line, held.settings["flags"])
        values = {**earlier_flags.values_of(own, axes), **line["setting"]}
        told = beside(own, here)
        setting = {name: values[name] for name in axes}
        if (setting, told) != (line["setting"], line["flags"]):
            line.update(setting=setting, flags=told)
            changed = True
    if changed:
        results.rewrite()
