"""Flags as other versions stored them: what absent, renamed and removed ones mean, everywhere.

A flag that a run, a sweep or a measurement lacks counts as what versions without it behaved like:
a field of RunConfig says that as `before`. A renamed flag goes by today's name. A removed one must
have the value that this version behaves like. One that this version doesn't know is a difference.
"""

import dataclasses
import itertools
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from experiments.cli.config import RunConfig, resolved, to_flagfile
from experiments.cli.idle import without_effect


class Renamed(NamedTuple):
    """What an old name stands for."""

    name: str
    values: Mapping[str, str] = {}  # that are spelled otherwise now
    elsewhere: str = ""  # the name in scripts that have no flag `name`


class Difference(NamedTuple):
    """A flag of which two have not the same value."""

    name: str
    there: str
    here: str


RENAMED: dict[str, Renamed] = {  # by the old name
    "rows": Renamed("update", {"touched": "sparse"}),
    "group": Renamed("group_size"),
    "shared_noise": Renamed("negatives_per_group"),
    "lanes": Renamed("vmap_width"),
    "peers": Renamed("baselines"),
    "members": Renamed("configurations", elsewhere="trials"),
}
REMOVED: dict[str, str] = {}  # the value that this version behaves like, by the name
LOCATIONS = ("dataset", "corpus", "data_dir", "continue_from", "heldout")  # a hash tells of each
APART = (*LOCATIONS, "mesh")  # what may change while a run goes on
UNKNOWN = "unknown"
_FIELDS = {field.name: field for field in dataclasses.fields(RunConfig)}
_WRITTEN = re.compile(r"--?([\w-]+)(?:=(.*))?", re.DOTALL)


def today(name: str, text: str, known: Collection[str] = ()) -> tuple[str, str]:
    """Name and value (or values, with commas) by today's spelling.

    known: the script's flags, for an old name that became different ones in different scripts.
    """
    new = RENAMED.get(name)
    if new is None:
        return name, text
    parts = [new.values.get(part.strip(), part) for part in text.split(",")]
    return new.elsewhere if new.elsewhere in known else new.name, ",".join(parts)


def today_of(values: Mapping[str, object]) -> dict[str, object]:
    """The same for flags with values, or lists of values, as JSON has them."""

    def spelled(name, value):
        if isinstance(value, list):
            return [spelled(name, one) for one in value]
        return today(name, value)[1] if isinstance(value, str) else value

    return {today(name, "")[0]: spelled(name, value) for name, value in values.items()}


def stored(text: str) -> dict[str, str]:
    """Flags as written, a line or behind a blank each -> values, as `by_today` has them."""
    words = (word.strip() for word in re.split(r"\n|\s(?=--)", text))
    return by_today(dict(pair for pair in map(split, words) if pair))


def by_today(flags: Mapping[str, str]) -> dict[str, str]:
    """Values by today's names, spelled as flags.cfg spells them."""
    return {name: _spelled(name, text) for name, text in itertools.starmap(today, flags.items())}


def split(word: str) -> tuple[str, str] | None:
    """Name and value of --name=value, or of a switch, --name or --noname; None for others."""
    match = _WRITTEN.fullmatch(word)
    if match is None:
        return None
    name, text = match.groups()
    if text is not None:
        return name, text
    known = {*_FIELDS, *RENAMED, *REMOVED}
    off = name not in known and name.removeprefix("no") in known
    return (name.removeprefix("no"), "false") if off else (name, "true")


def is_known(name: str) -> bool:
    """Whether it is or was a flag of RunConfig."""
    return name in REMOVED or today(name, "")[0] in _FIELDS


def is_switch(name: str) -> bool:
    """Whether a flag of RunConfig is on or off."""
    return name in _FIELDS and _FIELDS[name].type is bool


def of(config: RunConfig) -> dict[str, str]:
    """The flags of RunConfig that affect its result, as flags.cfg writes them."""
    return {name: text_of(name, value) for name, value in resolved(config)}


def text_of(name: str, value: object) -> str:
    """A flag's value as flags.cfg writes it."""
    return to_flagfile([(name, value)])[len(f"--{name}=") : -1]


def before(name: str) -> str:
    """What versions without this flag of RunConfig behaved like."""
    return text_of(name, _FIELDS[name].metadata["before"])


def _spelled(name: str, text: str) -> str:
    """As `text_of` has it, so that 1e-4 is .0001; text that isn't the flag's stays as it is."""
    kind = _FIELDS[name].type if name in _FIELDS else str
    if kind is bool:
        return {"1": "true", "0": "false"}.get(text.lower(), text.lower())
    try:
        return str(kind(text)) if kind in (int, float) else text
    except ValueError:
        return text


def differences(
    there: Mapping[str, str], here: Mapping[str, str], apart: Collection[str] = APART
) -> list[Difference]:
    """What differs between two runs' flags, but for those `apart`; there: of any version.

    A flag that is idle here makes no difference of its own: what makes it idle does.
    """
    idle = {name for name, _ in without_effect(_meant(here))} - here.keys()
    names = [n for n in {**there, **here} if n not in idle and n not in apart]
    found = [Difference(n, _value(there, n), _value(here, n)) for n in names]
    return [one for one in found if one.there != one.here]


def _value(flags: Mapping[str, str], name: str) -> str:
    """A flag's value, whether a run has it or not."""
    if name in flags:
        return flags[name]
    return before(name) if name in _FIELDS else REMOVED.get(name, UNKNOWN)


def of_one_script(
    there: Mapping[str, str], here: Mapping[str, str], own: Collection[str]
) -> list[Difference]:
    """What differs between two groups of flags, as `stored` gives them, for one script.

    own: flags for which the script has a default of its own: where one is missing on one side it is
    not known whether the version had it, and so they differ.
    """

    def value(flags, name):
        return flags.get(name, UNKNOWN) if name in own else _value(flags, name)

    found = [Difference(n, value(there, n), value(here, n)) for n in {**there, **here}]
    return [one for one in found if one.there != one.here]


def lacking(there: Mapping[str, str]) -> dict[str, str]:
    """What flags stored by a run mean that they don't say: the flags that it didn't have yet."""
    try:
        meant = of(_meant(there))
    except (ValueError, KeyError, TypeError):  # no flags of a run, or of a newer version's
        return {}
    return {name: text for name, text in meant.items() if name not in there}


def values(flags: Mapping[str, str], names: Collection[str]) -> dict[str, object]:
    """The values of those of these names that a run's stored flags have."""
    found = {name: text for name, text in by_today(flags).items() if name in names}
    meant = _meant(found)
    return {name: getattr(meant, name) for name in found}


def values_of(flags: Mapping[str, str], names: Iterable[str]) -> dict[str, object]:
    """The values of these names that stored flags mean, whether they say them or not."""
    meant = _meant({n: text for n, text in by_today(flags).items() if n in _FIELDS})
    return {name: getattr(meant, name) for name in names}


def resolved_of(flags: Mapping[str, str]) -> dict[str, str]:
    """What stored flags of any version mean, as `of` has it; what isn't known stays as it is."""
    flags = by_today(flags)
    others = {n: text for n, text in flags.items() if n not in _FIELDS}
    return {**of(_meant({n: x for n, x in flags.items() if n not in others})), **others}


def _meant(flags: Mapping[str, str]) -> RunConfig:
    """The RunConfig of a run's flags, those that it lacks as versions without them behaved."""
    values = {name: field.metadata["before"] for name, field in _FIELDS.items()}
    for name, text in flags.items():
        kind = _FIELDS[name].type
        convert = {bool: "true".__eq__, int: int, float: float}.get(kind, str)
        values[name] = convert(text)
    return RunConfig(**values)
