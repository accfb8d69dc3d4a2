"""What hypergradients.py measured, as tables and a picture."""

import math
from pathlib import Path

import numpy as np

from experiments.report.tables import counted, markdown
from experiments.runs.store import machine
from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure
from w2v_jax.vectors.style import FAINT, INK

COLOUR, TANGENT = style.BLUE, style.RED
TANGENTS = 5  # of a curve
CURVE_SPANS = (math.log(8), 0.75)  # to each side of the descent's end
WIDTHS = (1e-5, 1e-6, 1e-7)  # half widths of the central differences, in log rate and in power
NAMES = ("log learning rate", "noise power")


def table(lines: list[dict], shared: dict, words: int, unigram: float) -> str:
    """table.md."""
    head = "V {words}, D {dim}, {told} of T {batch_size}, W {window}, K {negatives}".format(
        **shared, words=words, told=counted(shared["steps"], "step")
    )
    costs = "; ".join(
        f"{line['optimizer']}: {line['run_ms']:.0f} ms a run, "
        f"{line['derivatives_ms']:.0f} ms with all derivatives"
        for line in lines
    )
    return f"""{head}, float64; {machine()}.

Held-out loss in nats a word; the words' frequencies alone give {unigram:.4f}.

Derivatives at the descent's start and end, beside central differences of half width h:

{checks_table(lines)}
Where they part, see them meet as h falls, until rounding takes over. Adam's first step on an entry,
rate g / (|g| + epsilon), goes from one sign to the other within epsilon of g = 0: the loss can be
steep over a very short way. The derivative is right there, and says little of the way beyond.

The power's derivative has two parts: through training, and through Pn in softmax(s + log Pn), by
which a held-out word is scored.

{split_table(lines)}
Gradient descent on both at once, from a bad start:

{descent_table(lines)}
Each backward pass gives the derivative in the rate of each step too
(differences would take {2 * shared["steps"]:,} runs). {costs}.
"""


def checks_table(lines: list[dict]) -> str:
    """Derivative, a central difference, and how far apart, relative to the derivative."""
    rows, middle = [], len(WIDTHS) // 2
    for line in lines:
        for point in line["checks"]:
            pairs = zip(NAMES, point["derivatives"], point["differences"], strict=True)
            for name, exact, found in pairs:
                apart = [abs(x - exact) / max(abs(exact), 1e-300) for x in found]
                hyperparameters = [f"{point['learning_rate']:.4g}", f"{point['noise_power']:.3f}"]
                cells = [f"{exact:.9f}", f"{found[middle]:.9f}", *(f"{x:.0e}" for x in apart)]
                rows.append([line["optimizer"], *hyperparameters, name, *cells])
    header = ["optimiser", "rate", "power", "in", "derivative", f"difference, h {WIDTHS[middle]:g}"]
    return markdown([*header, *(f"apart, h {width:g}" for width in WIDTHS)], rows)


def split_table(lines: list[dict]) -> str:
    """Both parts of the power's derivative."""
    rows = [
        [
            *(line["optimizer"], f"{point['learning_rate']:.4g}", f"{point['noise_power']:.3f}"),
            *(f"{point['power_by_training']:+.4f}", f"{point['power_by_scoring']:+.4f}"),
        ]
        for line in lines
        for point in line["checks"]
    ]
    return markdown(["optimiser", "rate", "power", "through training", "through scoring"], rows)


def descent_table(lines: list[dict]) -> str:
    """Every point of the descents."""
    rows = [
        [
            *(line["optimizer"], str(step), f"{point['learning_rate']:.4g}"),
            *(f"{point['noise_power']:.3f}", f"{point['loss']:.4f}"),
            *(f"{slope:+.4f}" for slope in point["derivatives"]),
        ]
        for line in lines
        for step, point in enumerate(line["descent"])
    ]
    header = [
        "optimiser",
        "step",
        "rate",
        "power",
        "held-out loss",
        "d / d log rate",
        "d / d power",
    ]
    return markdown(header, rows)


def draw(path: Path, lines: list[dict], unigram: float) -> None:
    """A row an optimiser: loss over the rate, over the power, and the derivative by step."""
    figure = new_figure(13, 0.4 + 3.6 * len(lines))
    grid = figure.subplots(len(lines), 3, squeeze=False)
    for row, line in zip(grid, lines, strict=True):
        for axis, axes in enumerate(row[:2]):
            draw_curve(axes, line, axis, unigram)
        steps = np.arange(1, 1 + len(line["by_step"]))
        row[2].bar(steps, line["by_step"], width=0.8, color=COLOUR)
        row[2].axhline(0, color=FAINT, linewidth=1)
        row[2].set_title(f"{line['optimizer']}, at the descent's end", loc="left", color=INK)
        row[2].set_xlabel("step")
        row[2].set_ylabel("d held-out loss / d its log rate")
        for axes in row:
            style.plain_axes(axes)
    save_figure(figure, path)


def draw_curve(axes, line: dict, axis: int, unigram: float) -> None:
    """Held-out loss along one hyperparameter, tangents by the derivative at a few points."""
    field, other = (("learning_rate", "noise_power"), ("noise_power", "learning_rate"))[axis]
    points = [point for point in line["curves"][axis] if point["loss"] is not None]
    positions = np.array([point[field] for point in points])
    losses = np.array([point["loss"] for point in points])
    axes.plot(positions, losses, color=COLOUR, marker="o", markersize=3)
    axes.axhline(unigram, color=FAINT, linestyle=":", linewidth=1.2, label="frequencies alone")
    chosen = np.linspace(0, len(points) - 1, TANGENTS + 2).astype(int)[1:-1]
    half = CURVE_SPANS[axis] / TANGENTS
    top = max(unigram, line["descent"][0]["loss"])  # a rate that diverges leaves the picture
    chosen = [i for i in chosen if losses[i] < top]
    for number, i in enumerate(chosen):
        reach = half * np.array([-1, 1])
        along = positions[i] * np.exp(reach) if axis == 0 else positions[i] + reach
        label = None if number else "tangent, by jax.grad"
        tangent = losses[i] + points[i]["derivatives"][axis] * reach
        axes.plot(along, tangent, color=TANGENT, linewidth=1.6, label=label)
    room = 0.08 * (top - losses.min())
    axes.set_ylim(losses.min() - room, top + room)
    if axis == 0:
        axes.set_xscale("log")
    held = f"{other.replace('_', ' ')} {points[0][other]:.3g}"
    axes.set_title(f"{line['optimizer']}, {held}", loc="left", color=INK)
    axes.set_xlabel(field.replace("_", " "))
    axes.set_ylabel("held-out loss")
    axes.legend(frameon=False, fontsize=8)
