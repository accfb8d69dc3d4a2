"""Lines of a sweep's results.jsonl -> settings, and each of them against the baseline."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from experiments.report import over_items, stats
from experiments.runs import own_sets
from w2v_jax.vectors.suites import ANALOGIES, PAIRS

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
    items: str = ""  # of items/<trial>.npz
    keys: tuple[str, ...] = ()  # settings compare where they agree in these
    things: str = "word pairs"  # what its items are


STANDARD = (
    Measure("heldout_loss", "held-out loss", 4, True, "heldout_loss", LOSS_KEYS, "lines"),
    Measure("perplexity", "perplexity", 1, True, "perplexity", TEXT_KEYS, "lines"),
    Measure("wordsim353_spearman", "WordSim-353", 3, items="wordsim353"),
    Measure("simlex999_spearman", "SimLex-999", 3, items="simlex999"),
    Measure(
        "google_analogies_accuracy", "analogies", 3, False, "google_analogies", (), "analogies"
    ),
)


def measures_of(settings: dict) -> tuple[Measure, ...]:
    """A folder's columns: the standard ones, and its own sets."""
    things = {PAIRS: "word pairs", ANALOGIES: "analogies"}
    own = own_sets.of_json(settings.get("own_sets", ()))
    return STANDARD + tuple(
        Measure(one.headline, one.name, 3, items=one.name, things=things[one.kind]) for one in own
    )


class Group(NamedTuple):
    """The trials of one setting."""

    setting: dict
    runs: list[dict]  # those that came to their end
    diverged: list[dict]

    @property
    def lost_rung(self) -> int | None:
        """The epoch after which halving stopped it."""
        return lost([*self.runs, *self.diverged][0])

    def by_seed(self, field: str) -> dict[int, float]:
        """The figures of a field that there are."""
        return {run["seed"]: run[field] for run in self.runs if run.get(field) is not None}

    def trials(self, field: str) -> dict[int, int]:
        """The trials that have the field's figure, by seed."""
        return {run["seed"]: run["member"] for run in self.runs if run.get(field) is not None}


class Comparison(NamedTuple):
    """A setting minus the baseline, in one measure."""

    group: Group
    over_seeds: stats.Estimate
    over_items: stats.Estimate | None  # over seeds and items; None where items weren't kept
    holm: float | None  # its p-value, corrected for all comparisons of the measure
    holm_over_seeds: float | None  # that over seeds alone

    @property
    def estimate(self) -> stats.Estimate:
        """What decides: over items too where they are known."""
        return self.over_items or self.over_seeds

    @property
    def alone(self) -> bool:
        """p < .05, were it the only comparison."""
        return self.holm is not None and self.estimate.p < 0.05

    @property
    def significant(self) -> bool:
        """p < .05 after Holm's correction."""
        return self.holm is not None and self.holm < 0.05

    @property
    def over_seeds_alone(self) -> bool:
        """Significant on these items, but perhaps not on others."""
        significant = self.holm_over_seeds is not None and self.holm_over_seeds < 0.05
        return significant and not self.significant


def lost(line: dict) -> int | None:
    """The epoch after which halving stopped a trial."""
    return line.get("lost_rung")


def groups(lines: Sequence[dict]) -> list[Group]:
    """The lines of each setting, in order of their first; a trial's last line counts.

    Trials that halving stopped are apart from those that were trained to their ends.
    """
    found: dict[tuple, Group] = {}
    for line in {line["member"]: line for line in lines}.values():
        key = *sorted((name, repr(value)) for name, value in line["setting"].items()), lost(line)
        group = found.setdefault(key, Group(line["setting"], [], []))
        (group.runs if line.get("frozen_step") is None else group.diverged).append(line)
    return list(found.values())


def baseline(every: Sequence[Group], settings: dict) -> Group | None:
    """The group with the baseline's values; None where none was trained to its end."""
    base, whole = settings.get("base", {}), [g for g in every if g.lost_rung is None]
    return next((group for group in whole if group.setting == base), None)


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
    items: Mapping[str, over_items.Items],
    settings: dict,
) -> dict[str, list[Comparison]]:
    """Every comparable setting against the baseline: measure's field -> comparisons.

    items: by Measure.items, where they are known: they decide then too. Fewer than three seeds are
    not tested.
    """
    base = baseline(every, settings)
    found = {}
    for measure in measures_of(settings):
        others = [g for g in every if base and g is not base and comparable([g, base], measure)]
        others = [g for g in others if g.lost_rung is None]
        pairs = [(g, _estimates(g, base, measure, items)) for g in others]
        pairs = [(group, estimates) for group, estimates in pairs if estimates[0]]
        over_seeds = _corrected([alone for _, (alone, _) in pairs])
        corrected = _corrected([wide or alone for _, (alone, wide) in pairs])
        found[measure.field] = [
            Comparison(group, *estimates, *p)
            for (group, estimates), *p in zip(pairs, corrected, over_seeds, strict=True)
        ]
    return found


def _estimates(group: Group, base: Group, measure: Measure, items: Mapping) -> tuple:
    """The difference over seeds, and over seeds and items; None where there is none."""
    alone = stats.difference(group.by_seed(measure.field), base.by_seed(measure.field))
    trials = group.trials(measure.field), base.trials(measure.field)
    return alone, alone and over_items.with_items(alone, items.get(measure.items), *trials)


def _corrected(estimates: Sequence[stats.Estimate]) -> list[float | None]:
    """p-values by Holm, None where there are too few seeds."""
    tested = [e.seeds >= stats.MIN_SEEDS for e in estimates]
    p = iter(stats.holm([e.p for e, yes in zip(estimates, tested, strict=True) if yes]).tolist())
    return [next(p) if yes else None for yes in tested]
