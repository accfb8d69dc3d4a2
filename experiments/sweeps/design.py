"""--sweep, --configurations -> settings: what is varied, and the values that each setting has."""

import dataclasses
import io
import itertools
import math
import re
from typing import NamedTuple

import numpy as np
from absl import flags

from experiments.cli import console, earlier_flags
from experiments.cli.config import HELDOUT, RunConfig, check
from experiments.report.tables import counted
from w2v_jax.data import files
from w2v_jax.types import UserError

DESIGNS = ("grid", "axes", "random", "halving")
DRAWN = ("random", "halving")  # their axes may have laws
MOST_SETTINGS, MOST_TRIALS = 100_000, 1_000_000
TEXT = (
    *("dataset", "corpus", "data_dir", "reading", "unk", "min_count", "max_vocab", "max_words"),
    *("max_types", "lower", "tokens", "encoding"),
)
REFUSED = {
    **{name: "all trials share one text" for name in TEXT},
    "seed": "--seeds says how many there are",
    "window_limit": "it follows from --window",
    "negatives_limit": "it follows from --negatives",
    "resample": "--bootstrap=N draws N texts",
    "objective": "it only changes what a run logs",
    **{name: "all trials are measured alike" for name in HELDOUT if name != "perplexity"},
    **{name: "it is for single runs" for name in ("continue_from", "continue_schedule", "mesh")},
}
_FIELDS = {f.name: f for f in dataclasses.fields(RunConfig) if f.metadata["result"]}
_LAW = re.compile(r"(log_uniform|uniform)\(([^,()]+),([^,()]+)\)")


def define_flags() -> None:
    """--seeds, --bootstrap, --sweep, --design, --points, --configurations, --draw_seed."""
    flags.DEFINE_integer("seeds", 3, "Seeds of each setting: --seed, --seed + 1, ..", lower_bound=1)
    flags.DEFINE_integer(
        "bootstrap",
        0,
        "In place of --seeds: so many members of each setting, each with a text whose lines were "
        "drawn anew, and a seed of its own (0: none).",
        lower_bound=0,
    )
    flags.DEFINE_multi_string(
        "sweep",
        [],
        "An axis, NAME=VALUE,VALUE,..; with --design=random or halving also NAME=uniform(a,b) or "
        "NAME=log_uniform(a,b), rounded where the flag is a whole number (the two ends come half "
        "as often). Once for each axis.",
    )
    flags.DEFINE_enum(
        "design",
        "grid",
        DESIGNS,
        "grid: all combinations of the axes' values, and the baseline, which the flags say; axes: "
        "one axis at a time around it; random: --points draws, an axis with values draws one; "
        "halving: such draws, of which those that fall behind are stopped, and new ones trained in "
        "their stead.",
    )
    flags.DEFINE_integer(
        "points", 20, "Settings that --design=random or halving draws.", lower_bound=1
    )
    flags.DEFINE_integer("draw_seed", 0, "Seed of these draws.", lower_bound=0)
    flags.DEFINE_string(
        "configurations",
        "",
        "File with further settings, a line each, as flags: --dim=50 --window=2.",
    )


def trials_of_a_setting() -> int:
    """Trials of each setting. Raises UserError where --bootstrap would be a text alone."""
    given = flags.FLAGS
    if given.bootstrap == 1:
        raise UserError("--bootstrap=1: one text says nothing of others; give 2 or more")
    if given.bootstrap and given["seeds"].present:
        raise UserError("--bootstrap stands in place of --seeds: give one of them")
    return given.bootstrap or given.seeds


class Axis(NamedTuple):
    """A flag that is varied: over values, or drawn by a law between two bounds."""

    name: str
    values: list
    law: str = ""  # uniform | log_uniform
    low: float = 0.0
    high: float = 0.0


def parse_axis(text: str, design: str) -> Axis:
    """What --sweep was given -> an axis. Raises UserError where it is none."""
    text = " ".join(text.split())  # a line, whatever it holds
    source = f"--sweep={text}"
    name, equals, values = (part.strip() for part in text.partition("="))
    name, values = _today(name, values)
    _refuse(name, source)
    if not equals or not values:
        raise UserError(f"{source}: not of the form NAME=VALUE,VALUE")
    law = _LAW.fullmatch(values.replace(" ", ""))
    if not law:
        found = [typed(name, value, source) for value in values.split(",")]
        if len(set(found)) < len(found):
            raise UserError(f"{source}: a value occurs twice")
        return Axis(name, found)
    if design not in DRAWN:
        raise UserError(f"{source}: is drawn, which --design=random and halving do")
    if _FIELDS[name].type not in (int, float):
        raise UserError(f"{source}: --{name} is not a number")
    low, high = (float(typed(name, bound, source)) for bound in law.group(2, 3))
    above = ", from above 0" if law[1] == "log_uniform" else ""
    if not low < high or (above and low <= 0):
        raise UserError(f"{source}: the bounds must rise{above}")
    return Axis(name, [], law[1], low, high)


def _today(name: str, text: str) -> tuple[str, str]:
    """Name and values by today's spelling, with a note where that is another."""
    new, values = earlier_flags.today(name, text)
    if new != name:
        console.log(f"note: --{name} is now --{new}")
    return new, values


def draw(axis: Axis, rng: np.random.Generator):
    """A random value: one of the axis's own, or by its law, rounded as flags and tables show it."""
    if axis.values:
        return axis.values[rng.integers(len(axis.values))]
    if axis.law == "uniform":
        value = rng.uniform(axis.low, axis.high)
    else:
        value = math.exp(rng.uniform(math.log(axis.low), math.log(axis.high)))
    return round(value) if _FIELDS[axis.name].type is int else float(f"{value:.4g}")


def typed_number(text: str, source: str) -> float:
    """A finite number. Raises UserError naming its source."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{source}: {text.strip()!r} is not a number")
    return value


def typed(name: str, text: str, source: str):
    """A flag's value from text, within the flag's bounds. Raises UserError naming its source."""
    field, text = _FIELDS[name], text.strip()
    about = field.metadata
    if field.type is bool:
        if text.lower() not in ("true", "false"):
            raise UserError(f"{source}: --{name} is true or false, not {text!r}")
        return text.lower() == "true"
    if field.type in (int, float):
        value = typed_number(text, source)
        if field.type is int and value != int(value):
            raise UserError(f"{source}: --{name} is a whole number, not {text}")
        low, high = about["low"], about["high"]
        if (low is not None and value < low) or (high is not None and value > high):
            bounds = " to ".join(f"{b:g}" for b in (low, high) if b is not None)
            more = "" if high is not None else " or more"
            raise UserError(f"{source}: --{name} is {bounds}{more}, not {text}")
        return field.type(value)
    if about["choices"] and text not in about["choices"]:
        raise UserError(f"{source}: --{name} is one of {', '.join(about['choices'])}, not {text!r}")
    return text


def _refuse(name: str, source: str) -> None:
    if name not in _FIELDS:
        raise UserError(f"{source}: there is no flag --{name} that changes a result")
    if name in REFUSED:
        raise UserError(f"{source}: --{name} can't be swept: {REFUSED[name]}")


def settings(base: RunConfig) -> tuple[dict[str, list], list[dict]]:
    """The axes with their values, and the settings, each a value for every axis.

    The base comes first, but among random draws, which have it only by chance.

    Raises UserError for axes or values that don't go together.
    """
    given = flags.FLAGS
    axes = [parse_axis(text, given.design) for text in given.sweep]
    names = [axis.name for axis in axes]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"--sweep={name}=..: given twice")
    listed = _listed(given.configurations) if given.configurations else []
    if not axes and not listed and trials_of_a_setting() == 1:
        ways = "--seeds, --bootstrap, --sweep=NAME=VALUE,VALUE or --configurations=FILE"
        raise UserError(f"one run: give {ways}")
    names += [name for setting in listed for name in setting if name not in names]
    names = list(dict.fromkeys(names))
    own = {name: getattr(base, name) for name in names}
    chosen = _chosen(axes, own) + [{**own, **setting} for setting in listed]
    if flags.FLAGS.design not in DRAWN or not axes:
        chosen = [own, *chosen]  # the baseline, which the others are compared with
    unique = list({tuple(s.items()): s for s in chosen}.values())
    if len(unique) * trials_of_a_setting() > MOST_TRIALS:
        many = f"with {counted(len(unique), 'setting')} more than {MOST_TRIALS:,} trials"
        name = "bootstrap" if given.bootstrap else "seeds"
        raise UserError(f"--{name}={trials_of_a_setting()}: {many}")
    for setting in unique:
        shown = " ".join(f"--{n}={v}" for n, v in setting.items())
        try:
            check(dataclasses.replace(base, **setting))
        except UserError as error:
            raise UserError(f"the setting {shown}: {error}") from error
    values = {n: list(dict.fromkeys(s[n] for s in unique)) for n in names}
    return values, unique


def _chosen(axes: list[Axis], own: dict) -> list[dict]:
    design, points = flags.FLAGS.design, flags.FLAGS.points
    if not axes:
        return []
    sizes = {**dict.fromkeys(DRAWN, points), "grid": math.prod(len(axis.values) for axis in axes)}
    if sizes.get(design, 0) > MOST_SETTINGS:
        raise UserError(f"--design={design}: {sizes[design]:,} settings; at most {MOST_SETTINGS:,}")
    if design in DRAWN:
        rng = np.random.default_rng(flags.FLAGS.draw_seed)
        draws = [{a.name: draw(a, rng) for a in axes} for _ in range(points)]
        return [{**own, **draw} for draw in draws]
    if design == "axes":
        return [{**own, axis.name: value} for axis in axes for value in axis.values]
    points = itertools.product(*(axis.values for axis in axes))
    return [{**own, **dict(zip((a.name for a in axes), p, strict=True))} for p in points]


def _listed(path: str) -> list[dict]:
    """The settings of a file, a line each; # begins a comment."""
    lines = io.StringIO(files.text(path, f"--configurations={path}"), newline=None)
    found = []
    for number, line in enumerate(lines, 1):
        source, setting = f"{path}: line {number}", {}
        for word in line.partition("#")[0].split():
            match = re.fullmatch(r"--(no)?(\w+?)(?:=(.*))?", word)
            if not match:
                raise UserError(f"{source}: {word!r} is not of the form --NAME=VALUE")
            no, name, value = match.groups()
            if value is None:  # --name and --noname of a boolean
                whole = f"{no or ''}{name}"
                name, value = (whole, "true") if whole in _FIELDS else (name, str(not no).lower())
            elif no:
                name = f"no{name}"
            name, value = _today(name, value)
            _refuse(name, source)
            setting[name] = typed(name, value, source)
        if setting:
            found.append(setting)
    if not found:
        raise UserError(f"--configurations={path}: holds no settings")
    return found
