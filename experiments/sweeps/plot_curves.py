"""curves.png: each trial's loss by epoch, and the mean of its setting."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.cli import pictures
from experiments.report.tables import counted
from experiments.sweeps.compare import Group, groups, label
from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure

CURVES = {"curve": "training loss", "heldout_curve": "held-out loss"}
MOST = len(style.COLOURS)  # settings that have a colour


def plot(
    path: Path, lines: Sequence[dict], settings: dict, formats: Sequence[str] = ("png",)
) -> list[Path]:
    """A panel a loss: faint, each trial; strong, its setting's mean over seeds. Where they are.

    None of one epoch, and of versions that kept no curves. Raises UserError without matplotlib or
    where path can't be written.
    """
    every = groups(lines)
    shown = [name for name in CURVES if any(len(known(g, name)) for g in every)]
    longest = max((len(line.get("curve") or ()) for line in lines), default=0)
    if not shown or longest < 2:
        return []
    figure = new_figure(6 * len(shown) + 1, 4.5)
    for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _panel(axes, every, name, settings.get("base", {}))
    written = pictures.paths(path, formats)
    save_figure(figure, written)
    return written


def known(group: Group, name: str) -> list[np.ndarray]:
    """The curves of a setting's trials, [epochs] each; NaN where a trial was not measured."""
    found = [run.get(name) or [] for run in group.runs]
    return [np.array(curve, float) for curve in found if any(x is not None for x in curve)]


def mean_of(curves: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over trials of each epoch that all of them have."""
    shortest = min(len(curve) for curve in curves)
    return np.mean([curve[:shortest] for curve in curves], axis=0)


def _measured(curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Epochs that were measured, and the losses there."""
    known = np.flatnonzero(np.isfinite(curve))
    return known + 1, curve[known]


def _panel(axes, every: Sequence[Group], name: str, base: dict) -> None:
    from matplotlib.ticker import MaxNLocator

    for number, group in enumerate(every):
        curves = known(group, name)
        if not curves:
            continue
        colour = style.COLOURS[number] if number < MOST else style.GREY
        for curve in curves:
            axes.plot(*_measured(curve), color=colour, alpha=0.25, linewidth=0.8)
        named = label(group.setting, base) if number < MOST else None
        strong = dict(color=colour, linewidth=1.6, marker="o", markersize=3, label=named)
        axes.plot(*_measured(mean_of(curves)), **strong)
    more = len(every) - MOST
    title = CURVES[name] + (f" ({counted(more, 'setting')} more, grey)" if more > 0 else "")
    axes.set_title(title, loc="left")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=9)
    style.plain_axes(axes)
