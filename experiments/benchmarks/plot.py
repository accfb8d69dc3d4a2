"""Lines of a benchmark's results.jsonl -> benchmark.png."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.benchmarks.baselines.commands import Task
from experiments.benchmarks.table import by_baseline, columns
from experiments.report.tables import counted, interval
from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure
from w2v_jax.vectors.style import COLOURS, INK

MARKERS = "osD^vPX*"


def draw(path: Path, lines: Sequence[dict], task: Task) -> None:
    """Words/s as bars with their range; each measure, its 95% interval over seeds, against time.

    Raises UserError without matplotlib or where path cannot be written.
    """
    baselines, measures = by_baseline(lines), columns(lines)
    rows = -(-(len(measures) + 1) // 2)
    styles = {baseline: (COLOURS[i % 8], MARKERS[i % 8]) for i, baseline in enumerate(baselines)}
    figure = new_figure(11, 3.75 * rows)
    panels = figure.subplots(rows, 2).ravel()
    _bars(panels[0], baselines, styles)
    for axes in panels[len(measures) + 1 :]:
        axes.set_axis_off()
    for axes, (field, name) in zip(panels[1:], measures.items(), strict=False):
        _against_time(axes, baselines, styles, field)
        axes.set_title(name, loc="left", color=INK)
    marks = [_mark(panels[1], *style) for style in styles.values()]
    across = -(-len(marks) // -(-len(marks) // 6))  # rows as full as each other
    figure.legend(marks, list(styles), loc="outside lower center", ncols=across, frameon=False)
    model = {"skipgram": "Skip-gram", "cbow": "CBOW"}[task.model]
    model += ", hierarchical softmax" * task.in_tree + ", subwords" * task.subwords
    threads = counted(task.threads, "thread")
    title = f"{model}, {counted(task.words, 'word')}, D {task.dim}, {threads}"
    title += "; measures: means, 95% intervals over seeds"
    figure.suptitle(title, x=0.01, ha="left", color=INK)
    save_figure(figure, path)


def _mark(axes, colour: str, marker: str):
    """A legend's mark."""
    return axes.plot([], [], marker, color=colour)[0]


def _bars(axes, baselines: dict, styles: dict) -> None:
    from matplotlib.ticker import EngFormatter

    names = [
        baseline
        for baseline in baselines
        if any(run["words_per_sec"] for run in baselines[baseline])
    ][::-1]
    for position, baseline in enumerate(names):
        rates = np.array(
            [run["words_per_sec"] for run in baselines[baseline] if run["words_per_sec"]]
        )
        middle = np.median(rates)
        reach = [[middle - rates.min()], [rates.max() - middle]]
        axes.barh(position, middle, color=styles[baseline][0], height=0.62, alpha=0.85)
        axes.errorbar(middle, position, xerr=reach, color=INK, capsize=3, linewidth=1)
        axes.annotate(
            EngFormatter(places=1, sep="")(middle),
            (rates.max(), position),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
    axes.set_yticks(range(len(names)), names)
    axes.set_xlim(0, axes.get_xlim()[1] * 1.1)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_title("corpus words/s of training (median, range)", loc="left", color=INK)
    axes.tick_params(axis="y", length=0)
    style.plain_axes(axes, "x", left=False)


def _against_time(axes, baselines: dict, styles: dict, field: str) -> None:
    for baseline, runs in baselines.items():
        known = [run for run in runs if run["train_sec"] and run[field] is not None]
        if not known:
            continue
        colour, marker = styles[baseline]
        seconds = np.array([run["train_sec"] for run in known])
        mean, half = interval([run[field] for run in known])
        axes.plot(seconds, [run[field] for run in known], ".", color=colour, alpha=0.35, ms=4)
        axes.errorbar(
            np.median(seconds), mean, half, fmt=marker, color=colour, capsize=3, markersize=6
        )
    axes.set_xscale("log")
    _plain_log_ticks(axes.xaxis)
    axes.set_xlabel("seconds of training")
    style.plain_axes(axes)


def _plain_log_ticks(axis) -> None:
    """1, 2, 5, 10, ..: a log axis of less than a decade would have one label or none."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())
