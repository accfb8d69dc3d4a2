"""Lines of a sweep's results.jsonl -> ablation.png."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.cli import pictures
from experiments.report.tables import counted, interval
from experiments.sweeps.compare import (
    Group,
    Measure,
    baseline,
    comparable,
    groups,
    is_number,
    measures_of,
    names,
    of_axis,
    shown,
    values_of,
)
from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure
from w2v_jax.vectors.style import BLUE, FAINT, INK

COLOURS = style.COLOURS[:6]
PANEL = (4.1, 3.5)  # inches, with its labels
COLUMNS = 4  # axes an image
LINES = 6  # of a panel
TICKS = 12  # values of an axis that all get a tick
FONT = 10

Curve = tuple[str, list[tuple[object, dict[int, float]]]]  # name, [(value, seed -> figure)]


def plot(
    path: Path, lines: Sequence[dict], settings: dict, formats: Sequence[str] = ("png",)
) -> list[Path]:
    """Each measure against each swept axis; the images written: path, or path_1, path_2, ..

    Means with 95% intervals over seeds, seeds as faint dots, the baseline as a line in its
    interval; measures only where they compare. Raises UserError without matplotlib or where path
    cannot be written.
    """
    drawn, path = figures(lines, settings), Path(path)
    numbered = [path.with_stem(f"{path.stem}_{i}") for i in range(1, len(drawn) + 1)]
    paths = numbered if len(drawn) > 1 else [path][: len(drawn)]
    written = [pictures.paths(target, formats) for target in paths]
    for figure, targets in zip(drawn, written, strict=True):
        save_figure(figure, targets)
    return [target for targets in written for target in targets]


def figures(lines: Sequence[dict], settings: dict) -> list:
    """plot's figures, of at most four axes each."""
    found = groups(lines)
    every = [group for group in found if group.lost_rung is None]
    swept = names(every, settings)
    count = math.ceil(len(swept) / COLUMNS)
    parts = [part.tolist() for part in np.array_split(np.array(swept, object), count or 1)]
    left_out = len(found) - len(every)
    drawn = [_figure(every, part, settings, left_out) for part in parts if part]
    return [figure for figure in drawn if figure]


def _figure(every: Sequence[Group], swept: Sequence[str], settings: dict, left_out: int = 0):
    """Rows: measures; columns: axes. None where nothing is measured.

    left_out: settings that halving stopped.
    """
    rows = {name: _groups_of(every, name, settings) for name in swept}
    measures = [
        m for m in measures_of(settings) if any(_drawable(some, m) for some in rows.values())
    ]
    if not measures:
        return None
    width, height = PANEL
    figure = new_figure(width * max(len(swept), 2), height * len(measures) + 0.7)
    panels = figure.subplots(len(measures), len(swept), squeeze=False)
    legends: dict[str, dict] = {name: {} for name in swept}
    for row, measure in zip(panels, measures, strict=True):
        for axes, name in zip(row, swept, strict=True):
            if not _drawable(rows[name], measure):
                _say(axes, "doesn't compare" if _known(rows[name], measure) else "not measured")
                continue
            legends[name] |= _panel(axes, rows[name], name, measure, settings)
    _explain(figure, panels[-1], list(legends.values()))
    figure.get_layout_engine().set(h_pad=0.1, w_pad=0.08)
    based = any(line.get_linestyle() == "--" for axes in panels.flat for line in axes.lines)
    title = _title(every, based, settings)
    title += f"; left out: {counted(left_out, 'stopped setting')}" if left_out else ""
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=FONT + 2)
    return figure


def _explain(figure, bottom: Sequence, legends: Sequence[dict]) -> None:
    """A legend below each column: a colour is another setting in another column."""
    position = dict(loc="upper center", bbox_to_anchor=(0.5, -0.2), frameon=False, fontsize=FONT)
    for axes, legend in zip(bottom, legends, strict=True):
        if legend:
            axes.legend(list(legend.values()), list(legend), **position)
    most = max(map(len, legends))
    figure.set_figheight(figure.get_figheight() + 0.2 * most)


def _title(every: Sequence[Group], based: bool, settings: dict) -> str:
    seeds = max(len(group.runs) for group in every)
    joined = settings.get("design") in ("axes", "grid")
    text = "Means with 95% intervals over seeds, items the same" if joined else "Means over seeds"
    text = text if seeds > 1 else "One seed"
    base = "; dashed: the baseline" + ", in its interval" * (seeds > 1)
    return text + base * based


def _groups_of(every: Sequence[Group], name: str, settings: dict) -> Sequence[Group]:
    """What a panel of the axis shows."""
    one_at_a_time = settings.get("design") == "axes"
    return of_axis(every, name, settings.get("base", {})) if one_at_a_time else every


def _known(every: Sequence[Group], measure: Measure) -> bool:
    return any(group.by_seed(measure.field) for group in every)


def _drawable(every: Sequence[Group], measure: Measure) -> bool:
    return comparable(every, measure) and _known(every, measure)


def _say(axes, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", color=FAINT, fontsize=FONT)
    axes.set_axis_off()


def _panel(axes, every, name: str, measure: Measure, settings: dict) -> dict:
    """One measure against one axis; the legend's names and marks, empty for one curve."""
    values = values_of(every, name)
    positions, labels = scale(axes, values)
    drawn, averaged = curves(every, name, measure, settings)
    base = baseline(every, settings)
    if base and base.by_seed(measure.field) and not averaged:
        mean, half = interval(list(base.by_seed(measure.field).values()))
        axes.axhline(mean, color=INK, linestyle="--", linewidth=0.9, alpha=0.7, zorder=1)
        if half:
            axes.axhspan(mean - half, mean + half, color=INK, alpha=0.08, linewidth=0, zorder=0)
    joined = settings.get("design") in ("axes", "grid")
    marks = {}
    for i, (title, points) in enumerate(drawn):
        xs = np.array([positions[repr(value)] for value, _ in points], float)
        if joined:
            step, colour = 2 * i - len(drawn) + 1, COLOURS[i]
            marks[title] = _curve(axes, _beside(axes, xs, step), points, colour)
            marks[title].set_linestyle("-" if all(map(is_number, values)) else "none")
            _seeds(axes, _beside(axes, xs, step + 1), points, colour)
        else:
            mean = np.mean(list(points[0][1].values()))
            dots = dict(color=BLUE, alpha=0.6, ms=5, mew=0)
            axes.plot(_beside(axes, xs, 2 * _jitter(i)), [mean], "o", **dots)
    _style(axes, list(positions.values()), labels)
    title = measure.name + ", mean over the other axes" * averaged
    axes.set_title(title, loc="left", color=INK, fontsize=FONT + 1)
    axes.set_xlabel(name, color=INK, fontsize=FONT)
    return marks if len(marks) > 1 else {}


def _curve(axes, xs: np.ndarray, points: Sequence, colour: str):
    """Means with their intervals; the line of the means."""
    means, halves = zip(*(interval(list(seeds.values())) for _, seeds in points), strict=True)
    style = dict(color=colour, capsize=3, ms=5, linewidth=1.3, elinewidth=1.1)
    return axes.errorbar(xs, means, [half or 0 for half in halves], fmt="o", **style).lines[0]


def _seeds(axes, xs: np.ndarray, points: Sequence, colour: str) -> None:
    """Faint dots beside the means."""
    dots = [
        (x, figure) for x, (_, seeds) in zip(xs, points, strict=True) for figure in seeds.values()
    ]
    if len(dots) > len(points):
        axes.plot(*zip(*dots, strict=True), ".", color=colour, alpha=0.45, ms=5, mew=0)


def _beside(axes, xs: np.ndarray, step: float) -> np.ndarray:
    """Moved a little, so that intervals at one value lie side by side."""
    low, high = axes.get_xlim()
    if axes.get_xscale() == "log":
        return xs * (high / low) ** (0.01 * step)
    return xs + (high - low) * 0.01 * step


def _jitter(i: int) -> float:
    """Of the i-th setting: -1 to 1, spread evenly (the golden ratio's multiples)."""
    return 2 * (i * 0.618034 % 1) - 1


def scale(axes, values: Sequence) -> tuple[dict[str, float], list[str] | None]:
    """Where each value lies on the x-axis (by its repr), and labels where values are categories.

    Numbers lie at their values, on a log scale where all are positive and span more than 20 times;
    strings, bools, and numbers that would need a log scale but for a 0, side by side.
    """
    numbers = [value for value in values if is_number(value)]
    positive = [value for value in numbers if value > 0]
    wide = bool(positive) and max(positive) > 20 * min(positive)
    if len(values) > TICKS:  # drawn at random: uniformly, most are within a few times the largest
        wide = wide and max(positive) > 4 * np.median(positive)
    if len(numbers) < len(values) or (wide and len(positive) < len(values)):
        axes.set_xlim(-0.5, len(values) - 0.5)
        return {repr(v): float(i) for i, v in enumerate(values)}, [shown(v) for v in values]
    low, high = min(values), max(values)
    if wide:
        axes.set_xscale("log")
        margin = (high / low) ** 0.08
        axes.set_xlim(low / margin, high * margin)
    else:
        margin = 0.08 * (high - low)
        axes.set_xlim(low - margin, high + margin)
    return {repr(value): value for value in values}, None


def _style(axes, positions: Sequence[float], labels: Sequence[str] | None) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

    if labels:
        crowded = dict(rotation=20, ha="right") if sum(map(len, labels)) > 34 else {}
        axes.set_xticks(positions, labels, **crowded)
    elif len(positions) <= TICKS:
        axes.set_xticks(positions, _apart(axes, positions, list(map(shown_number, positions))))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: shown_number(x)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    top = max(map(abs, axes.get_ylim()))
    if top >= 1000:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,.0f}"))
    axes.tick_params(labelsize=FONT - 1, colors=INK)
    style.plain_axes(axes, "y")


def shown_number(value: float) -> str:
    """Short: 1e-05 as 1e-5."""
    return f"{value:g}".replace("e-0", "e-").replace("e+0", "e")


def _apart(axes, positions: Sequence[float], texts: Sequence[str]) -> list[str]:
    """The tick labels, empty where one would touch that to its left."""
    low, high = (axes.transData.transform((x, 0))[0] for x in axes.get_xlim())
    end, kept = -math.inf, []
    for x, text in zip(positions, texts, strict=True):
        middle = (axes.transData.transform((x, 0))[0] - low) / (high - low)
        half = (0.5 * len(text) + 0.3) * 0.025  # of a panel's width
        kept.append(text if middle - half >= end else "")
        end = middle + half if kept[-1] else end
    return kept


def curves(
    every: Sequence[Group], name: str, measure: Measure, settings: dict
) -> tuple[list[Curve], bool]:
    """What a panel draws: one curve for each setting of the other axes, up to six, else their mean.

    And whether it is their mean. Without a design that joins values (list, random) each setting is
    a curve of one point.
    """
    known = [group for group in every if group.by_seed(measure.field)]
    if settings.get("design") not in ("axes", "grid"):
        points = [(group.setting[name], group.by_seed(measure.field)) for group in known]
        return [("", [point]) for point in points], False
    swept = [other for other in names(every, settings) if other != name]
    families: dict[str, dict[str, Group]] = {}
    for group in known:
        title = ", ".join(f"{other}={shown(group.setting[other])}" for other in swept)
        families.setdefault(title, {})[repr(group.setting[name])] = group
    values = values_of(known, name)
    if len(families) > LINES:
        return [("", _averaged(families, values, measure.field))], True
    return [
        (title, [(v, of[repr(v)].by_seed(measure.field)) for v in values if repr(v) in of])
        for title, of in families.items()
    ], False


def _averaged(families: Mapping, values: Sequence, field: str) -> list:
    """Of each value and seed, the mean over the other axes' settings that have it at every value.

    A setting that diverged at one value would else be missing from that value's mean alone.
    """
    table = {
        (title, seed, key): figure
        for title, of in families.items()
        for key, group in of.items()
        for seed, figure in group.by_seed(field).items()
    }
    units = sorted({key[:2] for key in table})
    whole = [unit for unit in units if all((*unit, repr(value)) in table for value in values)]
    points = []
    for value in values:
        seeds: dict[int, list[float]] = {}
        for title, seed in whole or units:
            if (title, seed, repr(value)) in table:
                seeds.setdefault(seed, []).append(table[title, seed, repr(value)])
        points.append((value, {seed: float(np.mean(some)) for seed, some in seeds.items()}))
    return points
