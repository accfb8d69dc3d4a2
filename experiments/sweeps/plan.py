"""Settings and seeds -> trials -> programs of equal shape that fit the memory."""

import dataclasses
from functools import partial

import jax

from experiments.cli.config import RunConfig, resolved, to_flagfile
from w2v_jax import sweeping
from w2v_jax.beginning import make_hyper
from w2v_jax.memory import memory_needed
from w2v_jax.optimizers import OPTIMIZERS, SCHEDULES
from w2v_jax.types import UserError, Vocab

TRACED = (
    *("learning_rate", "noise_power", "subsample", "subsample_rule", "window", "negatives"),
    *sorted({n for r in (OPTIMIZERS, SCHEDULES) for entry in r.values() for n in entry.uses}),
)


@dataclasses.dataclass(frozen=True)
class Trial:
    """A run of a sweep."""

    index: int
    setting: dict  # values of the swept flags
    config: RunConfig  # seed and limits included: the same run alone

    def flags(self, base: RunConfig) -> str:
        """What to add to the base's flags to train this trial alone."""
        written = set(resolved(base))
        changed = [flag for flag in resolved(self.config) if flag not in written]
        return " ".join(to_flagfile(changed).splitlines())


@dataclasses.dataclass(frozen=True)
class Program:
    """Trials that are trained together."""

    number: int
    trials: tuple[Trial, ...]  # of a halving all, of which some wait
    size: int  # trials that it is compiled for
    vmap_width: int  # trials that a device takes at a time
    configuration: int  # programs of the same one share a compilation


def trials_of(
    base: RunConfig, settings: list[dict], seeds: int, common: bool, drawn: bool = False
) -> list[Trial]:
    """Each setting with each seed; without common random numbers no seed occurs twice.

    drawn: each seed has a text of its own, whose lines are drawn anew.
    """
    found = []
    for setting in settings:
        for j in range(seeds):
            index = len(found)
            seed = base.seed + (j if common else index)
            own = {"seed": seed, "resample": j + 1 if drawn else base.resample}
            found.append(Trial(index, setting, dataclasses.replace(base, **setting, **own)))
    return found


def plan(
    trials: list[Trial], static_axes: tuple[str, ...], fits, devices, vmap_width: int
) -> list[Program]:
    """Programs: one for each combination of what shapes a program, split where it won't fit.

    fits(config, count): whether so many trials of one shape fit the memory.
    vmap_width: trials a device takes at a time, 0: `sweeping.default_vmap_width`.
    Raises UserError where one trial doesn't fit.
    """
    by_shape: dict[tuple, list[Trial]] = {}
    for trial in trials:
        by_shape.setdefault(shape_of(trial.config, static_axes), []).append(trial)
    programs = []
    for configuration, alike in enumerate(by_shape.values()):
        alike = _with_room(alike)
        count = _largest(len(alike), partial(fits, alike[0].config))
        parts = -(-len(alike) // count)
        size = -(-len(alike) // parts)
        width = vmap_width or sweeping.default_vmap_width(size, devices)
        size = sweeping.padded(size, devices, width)
        for begin in range(0, len(alike), size):
            part = tuple(alike[begin : begin + size])
            programs.append(Program(len(programs), part, size, width, configuration))
    return programs


def queued(
    trials: list[Trial], static_axes: tuple[str, ...], fits, devices, vmap_width: int, most
) -> list[Program]:
    """A program for each shape, with all its trials, of which so many train at a time as `most`.

    most(trials of a shape): a number of trials, fewer where memory holds fewer. The others wait.
    Raises UserError where one trial doesn't fit.
    """
    by_shape: dict[tuple, list[Trial]] = {}
    for trial in trials:
        by_shape.setdefault(shape_of(trial.config, static_axes), []).append(trial)
    programs = []
    for alike in by_shape.values():
        alike = _with_room(alike)
        count = _largest(min(most(len(alike)), len(alike)), partial(fits, alike[0].config))
        width = vmap_width or sweeping.default_vmap_width(count, devices)
        size = sweeping.padded(count, devices, width)
        number = len(programs)
        programs.append(Program(number, tuple(alike), size, width, number))
    return programs


def _with_room(alike: list[Trial]) -> list[Trial]:
    """Trials with the room of their program, which is that of the largest."""
    limits = {
        f"{n}_limit": max(getattr(m.config.static(), n) for m in alike)
        for n in ("window", "negatives")
    }
    return [_limited(m, limits) for m in alike]


def _largest(count: int, fits) -> int:
    """The most trials up to `count` that fit, by halving. Raises UserError where one doesn't."""
    if fits(count):
        return count
    good, bad = 0, count
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    if not good:
        raise UserError(
            "one trial needs more memory than --memory_gb gives: try a smaller --dim or "
            "--batch_size"
        )
    return good


def shape_of(config: RunConfig, static_axes: tuple[str, ...]) -> tuple:
    """What trials of one program share."""
    apart = ("seed", "resample", "export_vectors", *(n for n in TRACED if n not in static_axes))
    return tuple(
        getattr(config, f.name) for f in dataclasses.fields(RunConfig) if f.name not in apart
    )


def _limited(trial: Trial, limits: dict) -> Trial:
    """With the room that its program has, where that is more than its own."""
    own = {
        n: limit
        for n, limit in limits.items()
        if limit > getattr(trial.config, n.removesuffix("_limit"))
    }
    return dataclasses.replace(trial, config=dataclasses.replace(trial.config, **own))


def needed(
    config: RunConfig, count: int, vocabulary: Vocab, size: int, chunks: int, devices, vmap_width
):
    """Bytes that `count` trials like this one take while they train."""
    hyper = jax.eval_shape(lambda: make_hyper(config, vocabulary))
    vmap_width = vmap_width or sweeping.default_vmap_width(count, devices)
    return memory_needed(
        count,
        config.static(),
        len(vocabulary.words),
        config.dim,
        hyper,
        size,
        chunks,
        devices,
        vmap_width,
    )
