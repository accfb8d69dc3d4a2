"""Lines of a sweep's results.jsonl -> settings, and each of them against the baseline."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments import paired
from w2v_jax import evaluation

# What a perplexity or held-out loss is a measure of: settings that differ in it don't compare.
TEXT_KEYS = ("model", "corpus", "dataset", "reading", "min_count", "max_vocab", "max_words", "unk")
LOSS_KEYS = (
    *TEXT_KEYS,
    *("loss", "negatives", "noise_power", "noise", "subsample", "subsample_rule"),
)


class Measure(NamedTuple):
    """A column of the tables."""

    field: str
    name: str
    digits: int
    lowest: bool = False  # the lowest is the best
    items: str = ""  # of items/<member>.npz
    keys: tuple[str, ...] = ()  # settings compare where they agree in these


MEASURES = (
    Measure("heldout_loss", "held-out loss", 4, True, keys=LOSS_KEYS),
    Measure("perplexity", "perplexity", 1, True, keys=TEXT_KEYS),
    Measure("wordsim353_spearman", "WordSim-353", 3, items="wordsim353"),
    Measure("simlex999_spearman", "SimLex-999", 3, items="simlex999"),
    Measure("google_analogies_accuracy", "analogies", 3, items="google_analogies"),
)


class Group(NamedTuple):
    """The members of one setting."""

    setting: dict
    runs: list[dict]  # those that came to their end
    diverged: list[dict]

    def by_seed(self, field: str) -> dict[int, float]:
        """The figures of a field that there are."""
        return {run["seed"]: run[field] for run in self.runs if run.get(field) is not None}


class Comparison(NamedTuple):
    """A setting minus the baseline, in one measure."""

    group: Group
    difference: paired.Difference
    holm: float | None  # its p-value, corrected for all comparisons of the measure
    items: tuple[float, float] | None  # its interval over seeds and items

    @property
    def alone(self) -> bool:
        """p < .05, were it the only comparison."""
        return self.difference.p is not None and self.difference.p < 0.05

    @property
    def corrected(self) -> bool:
        """p < .05 after Holm's correction."""
        return self.holm is not None and self.holm < 0.05

    @property
    def decided(self) -> bool:
        """So, and with other items too as far as is known."""
        return self.corrected and (self.items is None or self.items[0] > 0 or self.items[1] < 0)


def groups(lines: Sequence[dict]) -> list[Group]:
    """The lines of each setting, in order of their first; a member's last line counts."""
    found: dict[tuple, Group] = {}
    for line in {line["member"]: line for line in lines}.values():
        key = tuple(sorted((name, repr(value)) for name, value in line["setting"].items()))
        group = found.setdefault(key, Group(line["setting"], [], []))
        (group.runs if line.get("frozen_step") is None else group.diverged).append(line)
    return list(found.values())


def baseline(every: Sequence[Group], settings: dict) -> Group | None:
    """The group with the baseline's values; None where it is not among the settings."""
    base = settings.get("base", {})
    return next((group for group in every if group.setting == base), None)


def names(every: Sequence[Group], settings: dict) -> list[str]:
    """The swept axes that take more than one value."""
    known = dict.fromkeys([*settings.get("axes", {}), *(k for g in every for k in g.setting)])
    return [name for name in known if len(values_of(every, name)) > 1]


def values_of(every: Sequence[Group], name: str) -> list:
    """The values of an axis: numbers and bools in order, others as they come."""
    values = list(
        {repr(g.setting[name]): g.setting[name] for g in every if name in g.setting}.values()
    )
    alike = all(is_number(v) for v in values) or all(isinstance(v, bool) for v in values)
    return sorted(values) if alike else values


def is_number(value) -> bool:
    """A number, not a bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value) -> str:
    """A setting's value, short."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def label(setting: dict, base: dict) -> str:
    """Where a setting differs from the baseline: `noise_power=0.5, dim=50`."""
    changed = [f"{k}={shown(v)}" for k, v in setting.items() if k not in base or base[k] != v]
    return ", ".join(changed) or "baseline"


def changed_axes(setting: dict, base: dict) -> list[str]:
    """The axes in which a setting leaves the baseline."""
    return [name for name, value in setting.items() if name not in base or base[name] != value]


def of_axis(every: Sequence[Group], name: str, base: dict) -> list[Group]:
    """The baseline and what differs from it in this axis alone, in the order of its values."""
    rows = [group for group in every if changed_axes(group.setting, base) in ([], [name])]
    order = [repr(value) for value in values_of(every, name)]
    return sorted(rows, key=lambda group: order.index(repr(group.setting[name])))


def comparable(rows: Sequence[Group], measure: Measure) -> bool:
    """Whether the settings agree in what the measure measures."""
    return all(len({repr(group.setting.get(key)) for group in rows}) <= 1 for key in measure.keys)


def comparisons(
    every: Sequence[Group],
    items: Mapping[int, Mapping],
    settings: dict,
    measures: Sequence[Measure] = MEASURES,
) -> dict[str, list[Comparison]]:
    """Every comparable setting against the baseline: measure's field -> comparisons."""
    base = baseline(every, settings)
    found = {}
    for measure in measures:
        others = [g for g in every if base and g is not base and comparable([g, base], measure)]
        ours = base.by_seed(measure.field) if base else {}
        pairs = [(g, paired.difference(g.by_seed(measure.field), ours)) for g in others]
        pairs = [(group, difference) for group, difference in pairs if difference]
        tested = [d.p for _, d in pairs if d.p is not None]
        corrected = iter(paired.holm(tested).tolist())
        resampled = _resampled(every, items, measure) if tested else {}
        found[measure.field] = [
            Comparison(
                group,
                difference,
                None if difference.p is None else next(corrected),
                _over_items(group, base, measure, resampled),
            )
            for group, difference in pairs
        ]
    return found


def _resampled(every: Sequence[Group], items: Mapping, measure: Measure) -> dict[int, np.ndarray]:
    """member -> the measure in each resample of its items."""
    members = [run["member"] for group in every for run in group.runs]
    mine = {
        m: np.asarray(items[m][measure.items]) for m in members if measure.items in items.get(m, ())
    }
    if not measure.items or not mine:
        return {}
    if measure.items == "google_analogies":
        return paired.resampled_accuracies(mine)
    return paired.resampled_correlations(
        mine, evaluation.standard_people([measure.items])[measure.items]
    )


def _over_items(group, base, measure, resampled) -> tuple[float, float] | None:
    sides = []
    for runs in (group.runs, base.runs):
        known = [run for run in runs if run.get(measure.field) is not None]
        sides.append({r["seed"]: resampled[r["member"]] for r in known if r["member"] in resampled})
    return paired.over_seeds_and_items(*sides)
