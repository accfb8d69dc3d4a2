"""plots/heldout.png: loss and held-out measures of a run, epoch by epoch."""

from collections.abc import Sequence
from pathlib import Path

from experiments.runs import rundir
from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure

HELDOUT = "heldout.png"
_MEASURES = {"heldout_loss": "held-out loss", "perplexity": "perplexity"}


def epochs(run: Path, step: float = float("inf")) -> list[dict]:
    """The epochs of a run that have a held-out measure, up to a step."""
    lines = [line for line in rundir.epochs(run) if line["step"] <= step]
    return [line for line in lines if any(line.get(name) is not None for name in _MEASURES)]


def plot(paths: Sequence[Path], lines: Sequence[dict], title: str) -> None:
    """A panel a measure, with its 95% interval over the text; dashed: the lowest held-out loss.

    lines: of epochs.jsonl. Raises UserError without matplotlib or where a path can't be written.
    """
    shown = [n for n in _MEASURES if any(line.get(n) is not None for line in lines)]
    figure = new_figure(5 * len(shown), 4)
    from matplotlib.ticker import MaxNLocator

    found = [line for line in lines if line.get("heldout_loss") is not None]
    best = min(found, key=lambda line: line["heldout_loss"])["epoch"] if found else None
    for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        if name == "heldout_loss":
            _curve(axes, lines, "loss", style.GREY, "training loss")
        _curve(axes, lines, name, style.BLUE, _MEASURES[name])
        if best is not None:
            axes.axvline(best, color=style.INK, linestyle="--", linewidth=0.9, alpha=0.7)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(_MEASURES[name], loc="left")
        style.plain_axes(axes)
        if name == "heldout_loss":
            axes.legend(frameon=False)
    dashed = f"; dashed: epoch {best}, the best" if best is not None else ""
    figure.suptitle(f"{title}, 95% intervals{dashed}", x=0.01, ha="left", color=style.INK)
    save_figure(figure, paths)


def _curve(axes, lines: Sequence[dict], name: str, colour: str, label: str) -> None:
    """A measure by epoch, with its interval where it has one."""
    known = [line for line in lines if line.get(name) is not None]
    epochs, values = [line["epoch"] for line in known], [line[name] for line in known]
    halves = [line.get(f"{name}_error") or 0.0 for line in known]
    axes.plot(epochs, values, color=colour, marker="o", markersize=3, label=label)
    low, high = zip(*((v - h, v + h) for v, h in zip(values, halves, strict=True)), strict=True)
    axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
