"""Lines of a sweep's results.jsonl -> table.md: settings against the baseline."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from experiments.report import chance, over_items, stats
from experiments.report.tables import (
    brief,
    counted,
    decimal,
    half_width,
    interval,
    markdown,
    plus_minus,
)
from experiments.sweeps.compare import (
    Comparison,
    Group,
    Measure,
    baseline,
    comparable,
    comparisons,
    groups,
    label,
    measures_of,
    names,
    shown,
)
from experiments.sweeps.sections import sections
from w2v_jax.vectors.evaluation import LEAST

NAMED, LOST_NAMED = 8, 20  # settings, and diverged trials, that a sentence names


def write(lines: Sequence[dict], items: Mapping[str, over_items.Items], settings: dict) -> str:
    """What --sweep found, in Markdown: tables, differences from the baseline, their significance.

    items: of the measures whose items are known, as of `over_items.measured`. settings: "base", the
    baseline's value of each swept axis; "axes"; "design".
    """
    if not lines:
        return "No trials yet.\n"
    every = groups(lines)
    base = baseline(every, settings)
    compared, measures = comparisons(every, items, settings), measures_of(settings)
    seeds = max(len(group.runs) for group in every)
    parts, rows = [_head(every, base, settings)], []
    for title, some, columns in sections(every, settings):
        parts.append(
            (f"### {title}\n\n" if title else "") + _table(some, columns, base, compared, measures)
        )
        rows += [group for group in some if group not in rows]
    legend = _legend(every, compared, seeds, bool(settings.get("bootstrap")), measures)
    parts += [_training_loss(every), _left_out(every, len(rows), settings), legend]
    parts += [_coverage(lines, measures), *_lost(every, settings)]
    if any(compared.values()):
        tested = [m for m in measures if compared[m.field]]
        parts.append(_differences(rows, compared, tested, settings))
        parts.append(_verdicts(compared, tested, settings["base"]))
    return "\n".join(part for part in parts if part)


def _head(every: Sequence[Group], base: Group | None, settings: dict) -> str:
    trials = sum(len(group.runs) + len(group.diverged) for group in every)
    text = f"{counted(len(every), 'setting')}, {counted(trials, 'trial')}."
    if base is None:
        stopped = any(group.setting == settings.get("base") for group in every)
        why = "was stopped at a rung" if stopped else "is not among the settings"
        return f"{text} The baseline {why}: nothing is compared with it.\n"
    values = ", ".join(f"{name}={shown(base.setting[name])}" for name in names(every, settings))
    return f"{text} Baseline: {values or 'the only setting'}.\n"


def _table(rows, columns, base, compared, measures: Sequence[Measure]) -> str:
    """One row a setting: swept values, trials, measures."""
    measures = _present(rows, measures)
    best = {m.field: _best(rows, m) for m in measures}
    cells = []
    for group in rows:
        values = [shown(group.setting.get(name, "–")) for name in columns]
        if group is base and values:
            values[-1] += " (baseline)"
        figures = [_cell(group, m, group in best[m.field], compared) for m in measures]
        cells.append([*values, _trials(group), *figures])
    return markdown([*columns, "trials", *(m.name for m in measures)], cells)


def _training_loss(every: Sequence[Group]) -> str:
    """What a run prints as its loss, of a setting alone: those of several rarely compare.

    With early stopping it is the best epoch's, whose tables are kept.
    """
    losses = list(every[0].by_seed("loss").values())
    if len(every) > 1 or not losses:
        return ""
    best = any(run.get("best_epoch") for run in every[0].runs)
    epoch = "the epoch that is kept" if best else "the last epoch"
    return f"Training loss of {epoch}: {plus_minus(*interval(losses), 4)}.\n"


def _present(every: Sequence[Group], measures: Sequence[Measure]) -> list[Measure]:
    """The measures that any run has."""
    return [measure for measure in measures if any(g.by_seed(measure.field) for g in every)]


def _trials(group: Group) -> str:
    lost = f"; {len(group.diverged)} diverged" if group.diverged else ""
    return f"{len(group.runs)}{lost}"


def _best(rows: Sequence[Group], measure: Measure) -> list[Group]:
    """The rows of the best mean; none where it has nothing to be better than."""
    means = [
        (group, np.mean(list(group.by_seed(measure.field).values())))
        for group in rows
        if group.by_seed(measure.field)
    ]
    if len(means) < 2 or not comparable(rows, measure):
        return []
    best = (min if measure.lowest else max)(mean for _, mean in means)
    return [group for group, mean in means if mean == best]


def _cell(group: Group, measure: Measure, best: bool, compared: Mapping) -> str:
    values = list(group.by_seed(measure.field).values())
    if not values:
        return "–"
    text = plus_minus(*interval(values), measure.digits, sign="z,")
    marks = (
        "**" if c.significant else "*"
        for c in compared[measure.field]
        if c.group is group and (c.alone or c.significant)
    )
    return " ".join([f"**{text}**" if best else text, *marks])


def _legend(every, compared, seeds: int, drawn: bool, measures: Sequence[Measure]) -> str:
    """What the tables' intervals cover, and what their marks mean.

    drawn: whether each trial has a text of its own.
    """
    text = ["Bold: a table's best mean."] if len(every) > 1 else []
    if seeds < 2:
        text.append("One seed: no intervals and no marks; how much is chance is unknown.")
    else:
        over = "over seeds, each with lines drawn anew" if drawn else "over seeds"
        same = "items" if drawn else "text and items"
        text.insert(0, f"±: half width of the 95% interval {over} (Student's t), {same} the same.")
    tested = {m: [c for c in compared[m.field] if c.holm is not None] for m in measures}
    most = max(map(len, tested.values()))
    if most:
        text.append(f"`*`: differs from the baseline, p < .05, {_items_of(tested)}; `**`: still so")
        text.append(f"after Holm's correction for all comparisons of the measure ({most} at most).")
    elif seeds > 1 and any(compared.values()):
        text.append(f"Fewer than {stats.MIN_SEEDS} seeds: no marks.")
    for measure in _present(every, measures):
        differing = [k for k in measure.keys if not comparable(every, measure._replace(keys=(k,)))]
        if differing:
            name = measure.name[:1].upper() + measure.name[1:]
            text.append(f"{name} doesn't compare between settings that differ in")
            text.append(f"{', '.join(differing)}: no bold and no marks there.")
    return textwrap.fill(" ".join(text), 100) + "\n"


def _items_of(tested: Mapping[Measure, Sequence[Comparison]]) -> str:
    """What the marks are over."""
    some = [m for m in tested if tested[m]]
    alone = [m.name for m in some if not any(c.over_items for c in tested[m])]
    if len(alone) == len(some):
        return "over seeds alone (items weren't kept)"
    return "over seeds and items" + f" ({', '.join(alone)} over seeds alone)" * bool(alone)


def _coverage(lines: Sequence[dict], measures: Sequence[Measure]) -> str:
    """How many word pairs and analogies the vocabularies cover."""
    text = []
    for measure in (m for m in measures if m.items):
        found = [line.get("coverage", {}).get(measure.field) for line in lines]
        found = sorted(tuple(pair) for pair in found if pair)
        if not found:
            continue
        few = " (too few to tell)" if found[0][0] < LEAST else ""
        covered = " to ".join(f"{n:,}" for n in dict.fromkeys((found[0][0], found[-1][0])))
        text.append(f"{measure.name} {covered} of {found[0][1]:,}{few}")
    return f"Covered by the vocabulary: {', '.join(text)}.\n" if text else ""


def _lost(every: Sequence[Group], settings: dict) -> list[str]:
    """Lines on trials that the means leave out, and on those that stopped early."""
    base = settings.get("base", {})
    lost = [
        f"{label(group.setting, base)}, seed {run['seed']}, at step {run['frozen_step']}"
        for group in every
        for run in group.diverged
    ]
    text = [f"Diverged, left out of the means: {_some(lost)}.\n"] if lost else []
    idle = [
        f"{label(group.setting, base)}, seed {run['seed']}: {brief(run['loss'])} against "
        f"{brief(run['chance_loss'])}"
        for group in every
        for run in group.runs
        if chance.no_better(run.get("loss"), None, run.get("chance_loss"))
    ]
    if idle:
        text.append(f"Training loss no better than chance, nothing learned: {_some(idle)}.\n")
    stopped = [r for g in every if g.lost_rung is None for r in g.runs]
    ends = [r["stopped_epoch"] for r in stopped if r.get("stopped_epoch") is not None]
    if ends:
        trials = counted(len(ends), "trial")
        text.append(f"Stopped early: {trials}, at epochs {min(ends)} to {max(ends)}.\n")
    return text


def _some(trials: list[str]) -> str:
    more = len(trials) - LOST_NAMED
    return "; ".join(trials[:LOST_NAMED] + ([f"and {more} more"] if more > 0 else []))


def _left_out(every: Sequence[Group], shown_rows: int, settings: dict) -> str:
    halved = settings.get("design") == "halving"
    if shown_rows == len(every) and not halved:
        return ""
    left_out = counted(len(every) - shown_rows, "setting")
    by = "" if halved else "Sorted by the mean of WordSim-353 and SimLex-999; "
    return (
        f"{by}left out: {left_out}. " if shown_rows < len(every) else ""
    ) + f"The best of {len(every)} is in part the luckiest: run it with other seeds.\n"


def _differences(
    rows: Sequence[Group], compared: Mapping, measures: Sequence[Measure], settings: dict
) -> str:
    """Minus the baseline, over seeds, and over seeds and items."""
    by_items = [any(c.over_items for c in compared[m.field]) for m in measures]
    header = ["minus the baseline"]
    for measure, wide in zip(measures, by_items, strict=True):
        header += [measure.name, "over items too"][: 1 + wide]
    cells = []
    for group in rows:
        row = [label(group.setting, settings["base"])]
        for measure, wide in zip(measures, by_items, strict=True):
            found = [c for c in compared[measure.field] if c.group is group]
            row += _difference_cells(found[0] if found else None, measure.digits)[: 1 + wide]
        cells += [row] if any(cell != "–" for cell in row[1:]) else []
    same = "items" if settings.get("bootstrap") else "text and items"
    text = f"Mean difference ± half width of its 95% interval over seeds, {same} the same; "
    text += "paired by seed: equal seeds of one program draw equal numbers."
    if any(by_items):
        text += " Over items too: that for other seeds and other items (word pairs, analogies of "
        text += (
            "the same sections, lines of such text); items that share a word, and lines near one "
        )
        text += "another, vary together."
    title = "### Differences from the baseline\n\n"
    return f"{title}{textwrap.fill(text, 100)}\n\n{markdown(header, cells)}"


def _difference_cells(comparison: Comparison | None, digits: int) -> list[str]:
    if comparison is None:
        return ["–", "–"]
    alone, wide = comparison.over_seeds, comparison.over_items
    figure = plus_minus(alone.mean, alone.half, digits, sign="+z,")
    return [figure, half_width(wide and wide.half, digits)]


def _verdicts(
    compared: Mapping[str, list[Comparison]], measures: Sequence[Measure], base: dict
) -> str:
    """A line for each measure: what is significant, and what so many seeds can show."""
    found = [_verdict(m, compared[m.field], base) for m in measures]
    return "### What is significant\n\n" + "\n".join(found) + "\n"


def _verdict(measure: Measure, found: Sequence[Comparison], base: dict) -> str:
    tested = [c for c in found if c.holm is not None]
    if not tested:
        few = f"fewer than {stats.MIN_SEEDS} seeds can't tell a difference from chance."
        return f"- {measure.name}. Nothing is significant: {few}"
    significant = [c for c in tested if c.significant]
    groups = {
        "Significant (after Holm)": significant,
        f"On these {measure.things}, over seeds alone": [c for c in tested if c.over_seeds_alone],
        "Significant alone": [
            c for c in tested if c.alone and not c.significant and not c.over_seeds_alone
        ],
    }
    text = [
        f"{heading}: {_named(some, measure, base)}." for heading, some in groups.items() if some
    ]
    if not significant:
        text.insert(0, "Nothing is significant after Holm's correction.")
    rest = len(tested) - sum(map(len, groups.values()))
    if rest:
        which = f"the other {rest}" if rest < len(tested) else f"all {rest}"
        text.append(f"Not significant: {which}.")
    return f"- {measure.name}. {' '.join(text)} {_minimum_effects(measure, tested)}"


def _named(some: Sequence[Comparison], measure: Measure, base: dict) -> str:
    """`noise_power=0 (-0.031); ..`, the largest first."""
    largest = sorted(some, key=lambda c: -abs(c.over_seeds.mean))
    text = [
        f"{label(c.group.setting, base)} ({decimal(c.over_seeds.mean, measure.digits, '+z,')})"
        for c in largest[:NAMED]
    ]
    return "; ".join(text) + (f"; and {len(some) - NAMED} more" if len(some) > NAMED else "")


def _minimum_effects(measure: Measure, tested: Sequence[Comparison]) -> str:
    """Medians of the comparisons' minimum detectable effects, alone and among all."""

    def median(alpha):
        effect = np.median([c.estimate.minimum_detectable_effect(alpha) for c in tested])
        return f"{effect:,.{measure.digits}f}" if np.isfinite(effect) else "none"

    seeds = max(c.over_seeds.seeds for c in tested)
    text = f"Minimum detectable effect (power 0.8, {counted(seeds, 'seed')}): {median(0.05)} alone"
    if len(tested) > 1:
        text += f", {median(0.05 / len(tested))} among {len(tested)}"
    return text + " (medians)."
