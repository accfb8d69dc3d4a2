"""Plots of what grows: growth.png and softmax.png, and of what replicas cost: replicas.png."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure
from w2v_jax.vectors.style import INK

LINES = (style.RED, style.AMBER, style.BLUE)


def draw_softmax(path: Path, lines: Sequence[dict], title: str) -> None:
    """Milliseconds a step against V, a curve a variant, labelled at its end.

    The rounds' medians; a bar from the least to the most.
    """
    figure = new_figure(8, 5)
    axes = figure.add_subplot()
    variants = list(dict.fromkeys(line["variant"] for line in lines))
    for colour, variant in zip(LINES, variants, strict=False):
        rounds: dict[int, list[float]] = {}
        for line in lines:
            if line["variant"] == variant and line["ms"]:
                rounds.setdefault(line["vocab_size"], []).append(line["ms"])
        if not rounds:
            continue
        points = _medians(axes, sorted(rounds.items()), colour)
        largest = max(line["vocab_size"] for line in lines)
        whole = points[-1][0] == largest  # a curve cut short is labelled to its left, in the clear
        axes.annotate(
            variant if whole else f"{variant}, not run further",
            points[-1],
            (8, 0) if whole else (-8, 4),
            textcoords="offset points",
            ha="left" if whole else "right",
            va="center",
            color=colour,
            annotation_clip=False,
        )
    axes.set_title(title, loc="left", color=INK)
    axes.set_ylabel("milliseconds a step")
    axes.set_xlabel("words in the vocabulary V")
    _log_log(axes)
    save_figure(figure, path)


def draw_growth(path: Path, panels: dict[str, list[tuple[float, list]]], title: str) -> None:
    """Words/s against each axis; panels: label -> (value, words/s of each round).

    The rounds' medians; a bar from the least to the most.
    """
    rows = -(-len(panels) // 3)
    figure = new_figure(11, 0.5 + 3 * rows)
    grid = figure.subplots(rows, 3, sharey=True, squeeze=False).ravel()
    for axes, (label, points) in zip(grid, panels.items(), strict=False):
        _medians(axes, points, LINES[-1])
        axes.set_xlabel(label)
        _log_log(axes)
        axes.set_xticks([value for value, rounds in points if rounds])
        axes.minorticks_off()
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    for axes in grid[::3]:
        axes.set_ylabel("corpus words/s")
    figure.suptitle(title, x=0.01, ha="left", color=INK)
    save_figure(figure, path)


def draw_differences(path: Path, points: dict, names: dict[str, str]) -> None:
    """A panel a measure: differences from one replica, with their intervals, against n.

    points: {(R, n, rate): {measure: (mean, half width or None)}}; a curve a pair of R and rate.
    """
    figure = new_figure(11, 4)
    panels = figure.subplots(1, len(names)).ravel()
    kinds = list(dict.fromkeys((point[0], point[2]) for point in points))
    for axes, (field, name) in zip(panels, names.items(), strict=True):
        for number, (count, rate) in enumerate(kinds):
            own = sorted(
                (point[1], *points[point][field])
                for point in points
                if (point[0], point[2]) == (count, rate) and field in points[point]
            )
            if own:
                steps, means, halves = zip(*own, strict=True)
                colour = style.COLOURS[number % len(style.COLOURS)]
                shown = [half or 0.0 for half in halves]
                label = f"R {count}, rate {rate:g}"
                axes.errorbar(
                    steps, means, shown, marker="o", ms=4, color=colour, capsize=3, label=label
                )
        axes.axhline(0, color=INK, linewidth=1)
        axes.set_xscale("log")
        axes.set_title(name, loc="left", color=INK)
        axes.set_xlabel("steps between meetings n")
        style.plain_axes(axes)
    panels[0].set_ylabel("difference from one replica")
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    save_figure(figure, path)


def draw_scaling(path: Path, devices: Sequence[int], curves: dict) -> None:
    """Times as fast as one device against devices; curves: {(link, n): values}, a panel a link."""
    from matplotlib.ticker import FuncFormatter

    links, every = (list(dict.fromkeys(keys)) for keys in zip(*curves, strict=True))
    figure = new_figure(11, 4)
    for axes, link in zip(figure.subplots(1, len(links), sharey=True), links, strict=True):
        for (name, steps), values in curves.items():
            if name == link:
                colour = style.COLOURS[every.index(steps) % len(style.COLOURS)]
                axes.plot(devices, values, marker="o", ms=4, color=colour, label=f"n {steps:,}")
        axes.plot(devices, devices, color=INK, linewidth=1, linestyle=":")
        axes.set_title(link, loc="left", color=INK)
        axes.set_xlabel("devices R")
        axes.legend(frameon=False)
        _log_log(axes)
        axes.set_xticks(devices)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.minorticks_off()
    figure.axes[0].set_ylabel("times as fast as one (model)")
    save_figure(figure, path)


def _medians(axes, points: Sequence[tuple[float, list]], colour: str) -> list[tuple]:
    """Draws and returns the points (x, median) of (x, values)."""
    known = [(x, np.median(values), min(values), max(values)) for x, values in points if values]
    if known:
        xs, middle, least, most = map(np.array, zip(*known, strict=True))
        bars = [middle - least, most - middle]
        axes.plot(xs, middle, color=colour, marker="o", markersize=4)
        axes.errorbar(xs, middle, bars, fmt="none", ecolor=colour, elinewidth=1, capsize=3)
    return [(x, middle) for x, middle, *_ in known]


def _log_log(axes) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    for axis, scale, span in (
        (axes.xaxis, axes.set_xscale, axes.dataLim.intervalx),
        (axes.yaxis, axes.set_yscale, axes.dataLim.intervaly),
    ):
        scale("log")
        narrow = 0 < span[1] < 300 * span[0]
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=30))
        axis.set_major_formatter(EngFormatter(sep=""))
        axis.set_minor_formatter(NullFormatter())
    style.plain_axes(axes)
