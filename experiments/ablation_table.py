"""Lines of a sweep's results.jsonl -> table.md: settings against the baseline."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from experiments import chance, paired
from experiments.settings_compared import (
    MEASURES,
    Comparison,
    Group,
    Measure,
    baseline,
    changed_axes,
    comparable,
    comparisons,
    groups,
    label,
    names,
    of_axis,
    shown,
)
from experiments.tables import brief, counted, decimal, interval, markdown, plus_minus
from w2v_jax.evaluation import LEAST

BEST_SHOWN = 20  # rows of a random design's table
NAMED, LOST_NAMED = 8, 20  # settings, and diverged members, that a sentence names


def write(lines: Sequence[dict], items: Mapping[int, Mapping], settings: dict) -> str:
    """What --sweep found, in Markdown: tables, differences from the baseline, what is decided.

    items: member -> its results item by item, {"wordsim353": [353] cosines, NaN where unknown,
    "simlex999": [999] the same, "google_analogies": [19544] 1, 0, or -1 where not covered}; may be
    empty. settings: "base", the baseline's value of each swept axis; "axes"; "design". Raises
    UserError where items of SimLex-999 are given, and it is not installed.
    """
    if not lines:
        return "No members yet.\n"
    every = groups(lines)
    base = baseline(every, settings)
    compared = comparisons(every, items, settings)
    seeds = max(len(group.runs) for group in every)
    parts, rows = [_head(every, base, settings)], []
    for title, some, columns in sections(every, settings):
        parts.append((f"### {title}\n\n" if title else "") + _table(some, columns, base, compared))
        rows += [group for group in some if group not in rows]
    parts += [_training_loss(every), _left_out(every, len(rows)), _legend(every, compared, seeds)]
    parts += [_coverage(items), *_lost(every, settings)]
    if any(compared.values()):
        parts += [_differences(rows, compared, settings), _verdicts(compared, settings["base"])]
    return "\n".join(part for part in parts if part)


def sections(
    every: Sequence[Group], settings: dict
) -> list[tuple[str, Sequence[Group], Sequence[str]]]:
    """The tables: title, rows, and the swept axes that are columns."""
    base, swept = settings.get("base", {}), names(every, settings)
    if settings.get("design") == "axes":
        found = [(name, of_axis(every, name, base), [name]) for name in swept]
        several = [group for group in every if len(changed_axes(group.setting, base)) > 1]
        if several:
            found.append(("several at once", several, swept))
        return found
    if settings.get("design") == "random":
        ranked = sorted(every, key=_likeness, reverse=True)
        top = [g for i, g in enumerate(ranked) if i < BEST_SHOWN or g is baseline(every, settings)]
        return [("", top, swept)]
    return [("", every, swept)]


def _likeness(group: Group) -> float:
    """Mean of the two correlations' means; least where neither is known."""
    fields = ("wordsim353_spearman", "simlex999_spearman")
    known = [np.mean(list(v.values())) for v in map(group.by_seed, fields) if v]
    return float(np.mean(known)) if known else -np.inf


def _head(every: Sequence[Group], base: Group | None, settings: dict) -> str:
    members = sum(len(group.runs) + len(group.diverged) for group in every)
    text = f"{counted(len(every), 'setting')}, {counted(members, 'member')}."
    if base is None:
        return text + " The baseline is not among the settings: nothing is compared with it.\n"
    values = ", ".join(f"{name}={shown(base.setting[name])}" for name in names(every, settings))
    return f"{text} Baseline: {values or 'the only setting'}.\n"


def _table(rows, columns, base, compared) -> str:
    """One row a setting: swept values, members, measures."""
    measures = _present(rows)
    best = {m.field: _best(rows, m) for m in measures}
    cells = []
    for group in rows:
        values = [shown(group.setting.get(name, "–")) for name in columns]
        if group is base and values:
            values[-1] += " (baseline)"
        figures = [_cell(group, m, group in best[m.field], compared) for m in measures]
        cells.append([*values, _members(group), *figures])
    return markdown([*columns, "members", *(m.name for m in measures)], cells)


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


def _present(every: Sequence[Group]) -> list[Measure]:
    """The measures that any run has."""
    return [measure for measure in MEASURES if any(g.by_seed(measure.field) for g in every)]


def _members(group: Group) -> str:
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
        "**" if c.corrected else "*"
        for c in compared[measure.field]
        if c.group is group and c.alone
    )
    return " ".join([f"**{text}**" if best else text, *marks])


def _legend(every, compared, seeds: int) -> str:
    """What the tables' marks mean."""
    text = ["Bold: a table's best mean."] if len(every) > 1 else []
    if seeds < 2:
        text.append("One seed: no intervals and no marks; how much is chance is unknown.")
    else:
        text.insert(0, "±: half width of the 95% interval over seeds (Student's t).")
    most = max((sum(c.holm is not None for c in found) for found in compared.values()), default=0)
    if most:
        text.append("`*`: differs from the baseline, p < .05 (paired t over seeds); `**`: still so")
        text.append(f"after Holm's correction for all comparisons of the measure ({most} at most).")
    for measure in _present(every):
        differing = [k for k in measure.keys if not comparable(every, measure._replace(keys=(k,)))]
        if differing:
            name = measure.name[:1].upper() + measure.name[1:]
            text.append(f"{name} doesn't compare between settings that differ in")
            text.append(f"{', '.join(differing)}: no bold and no marks there.")
    return textwrap.fill(" ".join(text), 100) + "\n"


def _coverage(items: Mapping[int, Mapping]) -> str:
    """How many word pairs and analogies the vocabularies cover."""
    known = {"wordsim353": np.isfinite, "simlex999": np.isfinite, "google_analogies": _is_answered}
    text = []
    for measure in (m for m in MEASURES if m.items):
        of_all = [np.asarray(own[measure.items]) for own in items.values() if measure.items in own]
        if not of_all:
            continue
        counts = sorted({int(known[measure.items](x).sum()) for x in of_all})
        few = " (too few to tell)" if counts[0] < LEAST else ""
        covered = " to ".join(f"{n:,}" for n in dict.fromkeys((counts[0], counts[-1])))
        text.append(f"{measure.name} {covered} of {len(of_all[0]):,}{few}")
    return f"Covered by the vocabulary: {', '.join(text)}.\n" if text else ""


def _is_answered(answers: np.ndarray) -> np.ndarray:
    return answers >= 0


def _lost(every: Sequence[Group], settings: dict) -> list[str]:
    """Lines on members that the means leave out, and on those that stopped early."""
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
    ends = [r["stopped_epoch"] for g in every for r in g.runs if r.get("stopped_epoch") is not None]
    if ends:
        members = counted(len(ends), "member")
        text.append(f"Stopped early: {members}, at epochs {min(ends)} to {max(ends)}.\n")
    return text


def _some(members: list[str]) -> str:
    more = len(members) - LOST_NAMED
    return "; ".join(members[:LOST_NAMED] + ([f"and {more} more"] if more > 0 else []))


def _left_out(every: Sequence[Group], shown_rows: int) -> str:
    if shown_rows == len(every):
        return ""
    left_out = counted(len(every) - shown_rows, "setting")
    return (
        f"Sorted by the mean of WordSim-353 and SimLex-999; left out: {left_out}. "
        f"The best of {len(every)} is in part the luckiest: run it with other seeds.\n"
    )


def _differences(rows: Sequence[Group], compared: Mapping, settings: dict) -> str:
    """Minus the baseline, over seeds, and over seeds and items."""
    measures = [m for m in MEASURES if m.items and compared[m.field]]
    if not measures:
        return ""
    by_items = [any(c.items for c in compared[m.field]) for m in measures]
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
    text = "Mean difference ± its 95% interval over seeds, paired: equal seeds draw equal numbers."
    if any(by_items):
        text += " Over items too: the 95% interval with word pairs or analogies redrawn as well as"
        text += f" seeds (bootstrap, {paired.RESAMPLES:,} resamples)."
    title = "### Differences from the baseline\n\n"
    return f"{title}{textwrap.fill(text, 100)}\n\n{markdown(header, cells)}"


def _difference_cells(comparison: Comparison | None, digits: int) -> list[str]:
    if comparison is None:
        return ["–", "–"]
    mean, half = comparison.difference[:2]
    ends = comparison.items
    wide = " to ".join(decimal(end, digits, "+z") for end in ends) if ends else "–"
    return [plus_minus(mean, half, digits, sign="+z"), wide]


def _verdicts(compared: Mapping[str, list[Comparison]], base: dict) -> str:
    """A line for each measure: what is decided, and what is too noisy."""
    found = [_verdict(m, compared[m.field], base) for m in MEASURES if compared[m.field]]
    return "### What is decided\n\n" + "\n".join(found) + "\n"


def _verdict(measure: Measure, found: Sequence[Comparison], base: dict) -> str:
    tested = [c for c in found if c.holm is not None]
    if not tested:
        return (
            f"- {measure.name}. Nothing is decided: one seed can't tell a difference from chance."
        )
    kinds = {
        "Decided": [c for c in tested if c.decided],
        f"Decided over seeds, but perhaps on these {_things(measure)} only": [
            c for c in tested if c.corrected and not c.decided
        ],
        "A hint (p < .05 alone, not among all)": [c for c in tested if c.alone and not c.corrected],
    }
    text = [f"{kind}: {_named(some, measure, base)}." for kind, some in kinds.items() if some]
    if not kinds["Decided"]:
        text.insert(0, "Nothing is decided.")
    noisy = sum(not c.alone for c in tested)
    if noisy:
        which = f"the other {noisy}" if noisy < len(tested) else f"all {noisy}"
        text.append(f"Too noisy to decide: {which}.")
    return f"- {measure.name}. {' '.join(text)} {_reach(measure, tested)}"


def _things(measure: Measure) -> str:
    return "analogies" if measure.field == "google_analogies_accuracy" else "word pairs"


def _named(some: Sequence[Comparison], measure: Measure, base: dict) -> str:
    """`noise_power=0 (-0.031); ..`, the largest first."""
    largest = sorted(some, key=lambda c: -abs(c.difference.mean))
    text = [
        f"{label(c.group.setting, base)} ({decimal(c.difference.mean, measure.digits, '+z,')})"
        for c in largest[:NAMED]
    ]
    return "; ".join(text) + (f"; and {len(some) - NAMED} more" if len(some) > NAMED else "")


def _reach(measure: Measure, tested: Sequence[Comparison]) -> str:
    """The smallest differences that so many seeds, and items, can show."""
    seeds = max(c.difference.seeds for c in tested)
    sd = float(np.median([c.difference.sd for c in tested]))
    alone = paired.detectable(sd, seeds)
    text = f"In 4 of 5 cases {seeds} seeds show a difference of {alone:,.{measure.digits}f} alone"
    if len(tested) > 1:
        among = paired.detectable(sd, seeds, 0.05 / len(tested))
        text += f", of {among:,.{measure.digits}f} among {len(tested)}"
    widths = [(c.items[1] - c.items[0]) / 2 for c in tested if c.items]
    if widths:
        text += f"; with other items too it is known to ± {np.median(widths):.{measure.digits}f}"
    return text + " (medians)."
