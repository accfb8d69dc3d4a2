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
from experiments.report.tables import counted
from experiments.runs import own_sets
from experiments.sweeps import compare
from experiments.sweeps.compare import Measure
from w2v_jax.types import UserError
from w2v_jax.vectors.item_sets import ItemSet

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


def check(base: RunConfig, settings: Sequence[dict], held: dict, own: Sequence[ItemSet]) -> None:
    """Raises UserError for what halving can't be done with; notes flags that are idle without.

    held: the settings of a folder that is there; own: the sets that trials are measured with.
    """
    values = flags.FLAGS
    if not is_asked():
        idle = [f"--{name}" for name in FLAGS if values[name].present]
        if idle:
            console.note(f"no effect without --design=halving: {', '.join(idle)}")
        if "reduction_factor" in held:
            raise UserError(
                f"--design={values.design}: the folder's settings were stopped by halving; give "
                "another folder"
            )
        return
    refused = {
        "processes": base.processes > 1,
        "distributed": base.distributed != "off",
        "bootstrap": bool(values.bootstrap),
        "early_stopping": base.early_stopping > 0,
        "nocommon_random_numbers": not values.common_random_numbers,
    }
    for name, is_given in refused.items():
        if is_given:
            raise UserError(f"--design=halving: not together with --{name}")
    if held:
        _check_folder(held)
    least = min(setting.get("epochs", base.epochs) for setting in settings)
    if values.first_rung >= least:
        raise UserError(f"--first_rung={values.first_rung}: no rung below --epochs={least}")
    keys = measure(base, own).keys
    every = [*settings, *held.get("settings", ())]
    values_of = {n: {repr(s.get(n, getattr(base, n, None))) for s in every} for n in keys}
    differing = [n for n, found in values_of.items() if len(found) > 1]
    if differing:
        raise UserError(
            f"--halving_by={values.halving_by}: doesn't compare between settings that differ in "
            f"{', '.join(differing)}; give another measure"
        )


def _check_folder(held: dict) -> None:
    """Raises UserError for a folder whose settings were not, or otherwise, stopped."""
    if "reduction_factor" not in held:
        raise UserError("--design=halving: the folder holds a sweep of all settings; give another")
    seeds = flags.FLAGS.seeds
    if held["seeds"] != seeds:
        told = f"the folder's settings have {counted(held['seeds'], 'seed')} each"
        raise UserError(f"--seeds={seeds}: {told}; give another folder")


def measure(base: RunConfig, own: Sequence[ItemSet]) -> Measure:
    """The measure that decides. Raises UserError where there is none of that name, or no text."""
    sets = own_sets.in_json(own)
    known = {one.items: one for one in compare.measures_of({"own_sets": sets})}
    name = flags.FLAGS.halving_by
    if name not in known:
        raise UserError(f"--halving_by={name}: one of {', '.join(known)}")
    if name not in OF_TEXT and not base.evaluate:
        raise UserError(f"--halving_by={name}: not with --noevaluate")
    if name == "perplexity" and not base.perplexity:
        raise UserError(f"--halving_by={name}: not with --noperplexity")
    if name in OF_TEXT and not (base.heldout or (base.dataset == "ptb" and not base.corpus)):
        raise UserError(f"--halving_by={name} needs a held-out text: --heldout=FILE")
    return known[name]


def most_at_once(settings: int) -> int:
    """Settings of a shape that are trained at a time, where memory holds them."""
    return min(flags.FLAGS.concurrent or -(-settings // flags.FLAGS.reduction_factor), settings)


def shared(own: Sequence[ItemSet]) -> dict:
    """What a folder's trials share, beside what other sweeps have."""
    if not is_asked():
        return {}
    names = ("reduction_factor", "first_rung", "halving_by")
    found = {n: flags.FLAGS[n].value for n in names}
    items = next((one.sha256 for one in own if one.name == found["halving_by"]), None)
    if items:
        found["items_of_halving_by"] = items
    return found


def of_flags(base: RunConfig, own: Sequence[ItemSet]) -> Rule:
    """The rule that the flags say."""
    return Rule(flags.FLAGS.reduction_factor, flags.FLAGS.first_rung, measure(base, own))


def reached(lines: Sequence[dict], rule: Rule, seeds: int, epochs: int) -> dict[str, list[float]]:
    """By rung, the costs of the settings of so many epochs that have ended with all their seeds."""
    found: dict[str, list[float]] = {}
    for group in compare.groups([line for line in lines if line["epochs"] == epochs]):
        trials = [*group.runs, *group.diverged]
        if len(trials) < seeds:
            continue
        for rung in dict.fromkeys(r for line in trials for r in line.get("rungs") or {}):
            figures = [line["rungs"].get(rung) for line in trials]
            found.setdefault(rung, []).append(rule.cost(figures))
    return found
