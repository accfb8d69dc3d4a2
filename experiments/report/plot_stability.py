"""stability.png: how much of a word's neighbours two members share, by the word's frequency."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.report.stability import Stratum
from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure


def plot(paths: Sequence[Path], groups: Mapping[str, Sequence[Stratum]], topn: int) -> None:
    """A curve a group, its points at the strata' middles, bars: 95% intervals.

    Raises UserError without matplotlib or where a path can't be written.
    """
    figure = new_figure(8, 4.5)
    axes = figure.add_subplot()
    colours = style.COLOURS
    for number, (name, strata) in enumerate(groups.items()):
        middles = [(stratum.low * (stratum.high or 3 * stratum.low)) ** 0.5 for stratum in strata]
        shifted = [middle * 1.04 ** (number - (len(groups) - 1) / 2) for middle in middles]
        axes.errorbar(
            *(
                shifted,
                [stratum.overlap for stratum in strata],
                [stratum.half or 0 for stratum in strata],
            ),
            color=colours[number % len(colours)],
            fmt="o-",
            markersize=4,
            capsize=3,
            label=name,
        )
    axes.set_xscale("log")
    axes.set_ylim(0, 1)
    axes.set_xlabel("occurrences of the word in the text")
    axes.set_ylabel(f"overlap of its nearest words (top {topn})")
    axes.set_title("What two members' neighbours have in common, 95% intervals", loc="left")
    style.plain_axes(axes)
    axes.legend(frameon=False)
    save_figure(figure, paths)
