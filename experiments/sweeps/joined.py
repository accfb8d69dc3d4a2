"""Several sweeps' folders as one: the trials of all, each once, of one text and one measure."""

from collections.abc import Sequence
from pathlib import Path

from experiments.cli import console, earlier_flags
from experiments.report import item_files
from experiments.report.tables import counted
from experiments.runs import own_sets
from experiments.runs.store import LINES, SETTINGS, Results
from experiments.sweeps import growth
from experiments.sweeps.compare import lost
from w2v_jax.types import UserError
from w2v_jax.vectors import item_sets
from w2v_jax.vectors.item_sets import ItemSet

SHARED = (
    *("corpus_sha256", "heldout_sha256", "heldout_loss", "perplexity", "perplexity_window"),
    *("early_stopping", "common_random_numbers"),
)


def opened(folder: Path, called: str) -> Results:
    """A sweep's folder. Raises UserError where it holds none."""
    for name in (SETTINGS, LINES):
        if not (folder / name).is_file():
            raise UserError(f"{called}: holds no {name} of a sweep")
    results = growth.opened(folder)
    if not {"axes", "base", "design"} <= results.settings.keys():
        raise UserError(f"{folder / SETTINGS}: not the settings of a sweep")
    return results


def join(folders: Sequence[Path], output: Path) -> Results:
    """Writes the lines of all, and their results item by item, into a folder of its own.

    Of a trial that several have, the first one's line counts. What the folders' flags differ in
    becomes an axis. Raises UserError for another text or measure, and for a folder that holds
    anything.
    """
    if output.exists() and any(output.iterdir()):
        raise UserError(f"--workdir={output}: holds something: a new folder")
    every = [opened(folder, f"--sweep={folder}") for folder in folders]
    first = every[0].settings
    for results in every[1:]:
        for name in SHARED:
            ours, theirs = first.get(name), results.settings.get(name)
            if ours != theirs:
                raise UserError(f"--sweep={results.folder}: {name} is {theirs}, not {ours}")
        if bool(first.get("bootstrap")) != bool(results.settings.get("bootstrap")):
            raise UserError(f"--sweep={results.folder}: one has drawn texts, another has not")
    flags, lines = _trials(every)
    _check_seeds(flags, lines)
    axes = _axes(every, list(flags.values()))
    base = earlier_flags.values_of(flags_of(first), axes)
    own, names = _own_sets(every)
    settings = {**first, "axes": {}, "base": base, "settings": [], "design": "list"}
    settings["own_sets"] = own_sets.in_json(own)
    joined = Results(output, settings, False, lambda there: [])
    for number, (key, (results, line)) in enumerate(lines.items()):
        setting = earlier_flags.values_of(flags[key], axes)
        told = growth.beside(flags[key], flags_of(first))
        known = names[results.folder]
        line = {**_renamed(line, known), "coverage": _renamed(line.get("coverage", {}), known)}
        joined.add({**line, "member": number, "setting": setting, "flags": told})
        items = results.folder / item_files.ITEMS / f"{line['member']}.npz"
        if items.exists():
            item_files.write(output, number, _renamed(item_files.read(items), known))
        settings["settings"] = growth.union(settings["settings"], [setting])
    settings["axes"] = {n: growth.union([], [s[n] for s in settings["settings"]]) for n in axes}
    numbers = dict(enumerate(flags[key] for key in lines))
    growth.keep(output, growth.NOTHING, numbers, {**joined.settings, **settings})
    joined.settings |= settings
    console.log(f"{counted(len(lines), 'trial')} of {counted(len(folders), 'folder')}")
    return joined


def _own_sets(every: Sequence[Results]) -> tuple[list[ItemSet], dict[Path, dict[str, str]]]:
    """The sets that any folder's trials are measured with; of each folder its names -> theirs.

    A set is the same where its items are.
    """
    found: dict[tuple[str, str], ItemSet] = {}
    names: dict[Path, dict[str, str]] = {}
    for results in every:
        of_folder = names.setdefault(results.folder, {})
        for one in own_sets.of_json(results.settings.get("own_sets", ())):
            key = one.kind, one.sha256
            if key not in found:
                found[key] = item_sets.renamed(one, found.values())
            of_folder |= {one.name: found[key].name, one.headline: found[key].headline}
    return list(found.values()), names


def _renamed(values: dict, names: dict[str, str]) -> dict:
    return {names.get(name, name): value for name, value in values.items()}


def _check_seeds(flags: dict[str, dict], lines: dict[str, tuple]) -> None:
    """Raises UserError where a setting has two trials of one seed, of other texts: one would go."""
    seen: dict[str, Path] = {}
    for key, own in flags.items():
        alike = growth.key_of({n: x for n, x in own.items() if n != "resample"})
        folder = lines[key][0].folder
        if alike in seen and own.get("resample", "0") != "0":
            raise UserError(f"--sweep={folder}: has seeds of {seen[alike]} with other texts")
        seen[alike] = folder


def flags_of(settings: dict) -> dict[str, str]:
    """A sweep's flags, as strings."""
    return earlier_flags.stored(settings["flags"])


def _trials(every: Sequence[Results]) -> tuple[dict[str, dict], dict[str, tuple]]:
    """Flags, and folder and line, of each trial by its key.

    Of several the first's, but rather one that was trained to its end than one halving stopped.
    """
    flags: dict[str, dict] = {}
    lines: dict[str, tuple] = {}
    for results in every:
        for line in results.lines:
            own = growth.flags_of(line, results.settings["flags"])
            key = growth.key_of(own)
            stopped = key in lines and lost(lines[key][1]) is not None
            if key not in lines or (stopped and lost(line) is None):
                flags[key], lines[key] = own, (results, line)
    return flags, lines


def _axes(every: Sequence[Results], flags: Sequence[dict]) -> list[str]:
    """The swept flags, and those that trials differ in."""
    swept = [name for results in every for name in results.settings["axes"]]
    whole = [earlier_flags.resolved_of(own) for own in flags]
    apart = ("seed", "resample", *growth.IGNORED)
    names = dict.fromkeys(name for own in whole for name in own)
    differing = [n for n in names if n not in apart and len({own.get(n) for own in whole}) > 1]
    return list(dict.fromkeys([*swept, *differing]))
