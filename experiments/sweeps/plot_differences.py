"""Lines of a sweep's results.jsonl -> differences.png."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np

from experiments.cli import pictures
from experiments.report import over_items
from experiments.report.stats import Estimate
from experiments.report.tables import counted
from experiments.sweeps.compare import (
    Comparison,
    Group,
    Measure,
    changed_axes,
    comparisons,
    groups,
    label,
    measures_of,
    names,
    of_axis,
)
from experiments.sweeps.plot import FONT
from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure
from w2v_jax.vectors.style import BLUE, GREY, INK

LABEL = 46  # letters a line of a setting's label
ROWS = 40  # settings of the chart


def plot(
    path: Path,
    lines: Sequence[dict],
    items: Mapping[str, over_items.Items],
    settings: dict,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """What each trick buys: settings minus the baseline, paired over seeds, with 95% intervals.

    Word pairs and analogies; in colour what is significant after Holm's correction, over items too
    where they are known. The images written: path, or none without a baseline. Raises UserError
    without matplotlib or where path cannot be written.
    """
    figure = figure_of(lines, items, settings)
    if figure is None:
        return []
    written = pictures.paths(path, formats)
    save_figure(figure, written)
    return written


def figure_of(lines: Sequence[dict], items: Mapping[str, over_items.Items], settings: dict):
    """`plot`'s figure; None where there is nothing to compare."""
    every = groups(lines)
    found = comparisons(every, items, settings)
    measures = [m for m in measures_of(settings) if m.things != "lines" and found[m.field]]
    if not measures:
        return None
    rows = _rows(every, found[measures[0].field], settings)
    base = settings["base"]
    by_axis = settings.get("design") == "axes"
    labels = [wrap(label(group.setting, base), LABEL) for group in rows]
    heights, y = {}, 0.0
    for before, group, lines_ in zip([None, *rows], rows, labels, strict=False):
        axis = changed_axes(group.setting, base)
        if by_axis and before and axis != changed_axes(before.setting, base):
            y += 0.5
        more = 0.6 * (len(lines_) - 1)  # a label of two lines takes room for them
        heights[id(group)] = y + more / 2
        y += 1 + more
    widest = max(len(line) for lines_ in labels for line in lines_)
    figure = new_figure(3.2 * len(measures) + 0.08 * widest, 0.27 * y + 1.6)
    panels = figure.subplots(1, len(measures), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, measures, strict=True):
        _chart(axes, found[measure.field], heights, measure)
    panels[0].set_yticks(list(heights.values()), map("\n".join, labels), parse_math=False)
    panels[0].set_ylim(y - 0.4, -0.6)
    left_out = len(found[measures[0].field]) - len(rows)
    figure.get_layout_engine().set(h_pad=0.08)
    wide = any(c.over_items for m in measures for c in found[m.field])
    title = (
        "Minus the baseline; bars: 95% interval over seeds" + ", thin: over seeds and items" * wide
    )
    title += "; in colour: significant (after Holm)"
    title += f"; {counted(left_out, 'setting')} not shown" if left_out > 0 else ""
    figure.suptitle(title, x=0.01, ha="left", color=INK, fontsize=FONT + 1)
    return figure


def _rows(every: Sequence[Group], found: Sequence[Comparison], settings: dict) -> list[Group]:
    """The chart's settings from the top: axis by axis, or by the first measure's difference."""
    compared = {id(c.group): c.over_seeds.mean for c in found}
    if settings.get("design") == "axes":
        base = settings["base"]
        ordered = [g for name in names(every, settings) for g in of_axis(every, name, base)]
        ordered += [group for group in every if len(changed_axes(group.setting, base)) > 1]
        return [group for group in ordered if id(group) in compared]
    ordered = [group for group in every if id(group) in compared]
    return sorted(ordered, key=lambda group: -compared[id(group)])[:ROWS]


def _chart(
    axes, found: Sequence[Comparison], heights: Mapping[int, float], measure: Measure
) -> None:
    """A dot and its intervals a setting; an arrow and a number where it is far from the rest."""
    found = [c for c in found if id(c.group) in heights]
    low, high = _limits(found)
    axes.axvline(0, color=INK, linewidth=0.9)
    for c in found:
        y, mean = heights[id(c.group)], c.over_seeds.mean
        colour = BLUE if c.significant else GREY
        if not low <= mean <= high:
            inside = 0.02 * (high - low)
            edge, mark, shift = (low + inside, "<", 8) if mean < low else (high - inside, ">", -8)
            axes.plot(edge, y, mark, color=colour, ms=6)
            look = dict(textcoords="offset points", va="center", color=colour, fontsize=FONT - 1)
            axes.annotate(
                f"{mean:+.{measure.digits}f}",
                (edge, y),
                (shift, 0),
                **look,
                ha="left" if mean < low else "right",
            )
            continue
        if wide := _half(c.over_items):
            axes.plot([mean - wide, mean + wide], [y, y], color=colour, linewidth=0.9)
        half = _half(c.over_seeds)
        axes.plot(
            [mean - half, mean + half],
            [y, y],
            color=colour,
            linewidth=3,
            alpha=0.55,
            solid_capstyle="butt",
        )
        axes.plot(mean, y, "o", color=colour, ms=5)
    axes.set_xlim(low, high)
    axes.set_title(measure.name, loc="left", color=INK, fontsize=FONT + 1)
    axes.locator_params(axis="x", nbins=5)
    style.plain_axes(axes, "x", left=False)
    axes.tick_params(labelsize=FONT - 1, colors=INK)
    axes.tick_params(axis="y", length=0)


def _limits(found: Sequence[Comparison]) -> tuple[float, float]:
    """Of the x-axis: all of what reaches no further than three times the 75th percentile."""
    halves = [max(_half(c.over_items), _half(c.over_seeds)) for c in found]
    lows = [c.over_seeds.mean - half for c, half in zip(found, halves, strict=True)]
    highs = [c.over_seeds.mean + half for c, half in zip(found, halves, strict=True)]
    reach = 3 * np.percentile(np.maximum(np.abs(lows), np.abs(highs)), 75, method="lower")
    low = min([x for x in lows if x >= -reach], default=0.0)
    high = max([x for x in highs if x <= reach], default=0.0)
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.05 * (high - low) or 0.01
    return low - margin, high + margin


def _half(estimate: Estimate | None) -> float:
    """Of an interval that can be drawn, else 0."""
    known = estimate is not None and estimate.half is not None and np.isfinite(estimate.half)
    return estimate.half if known else 0.0
