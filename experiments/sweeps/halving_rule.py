"""The rule of --design=halving: where settings that fall behind are stopped.

At an epoch that is a rung a setting goes on where it is among the best 1 / reduction factor of all
that have come so far. Source: asynchronous successive halving, Li et al. 2020, A System for
Massively Parallel Hyperparameter Tuning, 3.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from absl import flags

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.runs import own_sets
from experiments.sweeps import compare
from experiments.sweeps.compare import Measure
from w2v_jax.types import UserError

HALVING = "halving"
FLAGS = ("reduction_factor", "first_rung", "concurrent", "halving_by")
OF_TEXT = ("heldout_loss", "perplexity")


def define_flags() -> None:
    """--reduction_factor, --first_rung, --concurrent, --halving_by."""
    flags.DEFINE_integer(
        "reduction_factor",
        3,
        "--design=halving: of the settings at a rung the best 1 of so many go on; the next rung is "
        "so many times as many epochs.",
        lower_bound=2,
    )
    flags.DEFINE_integer("first_rung", 1, "--design=halving: epochs of the first rung.", 1)
    flags.DEFINE_integer(
        "concurrent",
        0,
        "--design=halving: settings that are trained at a time (0: --points / --reduction_factor).",
        lower_bound=0,
    )
    flags.DEFINE_string(
        "halving_by",
        "heldout_loss",
        "--design=halving: the measure that decides; perplexity, wordsim353, simlex999, "
        "google_analogies or a set of --pairs or --analogies by its name.",
    )


def is_asked() -> bool:
    """Whether settings that fall behind are stopped."""
    return flags.FLAGS.design == HALVING


class Rule(NamedTuple):
    """What decides which settings go on."""

    factor: int
    first: int
    measure: Measure

    def is_rung(self, epochs: int, of: int) -> bool:
        """Whether so many epochs, of a training's whole, are a rung."""
        rung = self.first
        while rung < epochs:
            rung *= self.factor
        return rung == epochs < of

    def goes_on(self, cost: float, reached: Sequence[float]) -> bool:
        """Whether a setting is among the best; reached: of all that came to this rung, its own too.

        Costs: what is lower is better, inf is never good enough.
        """
        better = sum(other < cost for other in reached)
        return math.isfinite(cost) and better < max(len(reached) // self.factor, 1)

    def cost(self, figures: Sequence[float | None]) -> float:
        """Of a setting: the mean over seeds, the lower the better; inf where one is missing."""
        if not all(value is not None and math.isfinite(value) for value in figures):
            return math.inf
        return float(np.mean(figures)) * (1 if self.measure.lowest else -1)


def check(base: RunConfig, settings: Sequence[dict]) -> None:
    """Raises UserError for what halving can't be done with; notes flags that are idle without."""
    values = flags.FLAGS
    if not is_asked():
        idle = [f"--{name}" for name in FLAGS if values[name].present]
        if idle:
            console.note(f"no effect without --design=halving: {', '.join(idle)}")
        return
    refused = {
        "processes": base.processes > 1 or base.distributed != "off",
        "bootstrap": bool(values.bootstrap),
        "early_stopping": base.early_stopping > 0,
        "nocommon_random_numbers": not values.common_random_numbers,
    }
    for name, is_given in refused.items():
        if is_given:
            raise UserError(f"--design=halving: not together with --{name}")
    least = min(setting.get("epochs", base.epochs) for setting in settings)
    if values.first_rung >= least:
        raise UserError(f"--first_rung={values.first_rung}: no rung below --epochs={least}")
    keys = measure(base).keys
    differing = [n for n in keys if len({repr(s.get(n)) for s in settings}) > 1]
    if differing:
        raise UserError(
            f"--halving_by={values.halving_by}: doesn't compare between settings that differ in "
            f"{', '.join(differing)}; give another measure"
        )


def measure(base: RunConfig) -> Measure:
    own = own_sets.in_json(own_sets.of(base))
    known = {one.items: one for one in compare.measures_of({"own_sets": own})}
    name = flags.FLAGS.halving_by
    if name not in known:
        raise UserError(f"--halving_by={name}: one of {', '.join(known)}")
    if name not in OF_TEXT and not base.evaluate:
        raise UserError(f"--halving_by={name}: not with --noevaluate")
    if name == "perplexity" and not base.perplexity:
        raise UserError(f"--halving_by={name}: not with --noperplexity")
    return known[name]


def most_at_once(settings: int) -> int:
    """Settings that are trained at a time, where memory holds them."""
    return flags.FLAGS.concurrent or -(-settings // flags.FLAGS.reduction_factor)


def shared() -> dict:
    """What a folder's trials share, beside what other sweeps have."""
    names = ("reduction_factor", "first_rung", "halving_by")
    found = {n: flags.FLAGS[n].value for n in (*names, "seeds")}
    return {HALVING: found} if is_asked() else {}


def of_flags(base: RunConfig) -> Rule:
    """The rule that the flags say."""
    return Rule(flags.FLAGS.reduction_factor, flags.FLAGS.first_rung, measure(base))


def reached(lines: Sequence[dict], rule: Rule) -> dict[str, list[float]]:
    """By rung, the costs of the settings that have ended."""
    found: dict[str, list[float]] = {}
    for group in compare.groups(lines):
        trials = [*group.runs, *group.diverged]
        for rung in dict.fromkeys(r for line in trials for r in line.get("rungs") or {}):
            figures = [line["rungs"].get(rung) for line in trials]
            found.setdefault(rung, []).append(rule.cost(figures))
    return found
