"""Markdown tables, and a mean with the interval that its sample allows."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.report.stats import over_seeds
from w2v_jax.counting import counted as counted

LARGE = 1e6  # figures with a fraction from which on the power of ten says all


def interval(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean over seeds and half width of its 95% interval, as of `over_seeds`; None for n = 1."""
    estimate = over_seeds(values)
    return estimate.mean, estimate.half


def mean_and_interval(values: Sequence[float | None], digits: int = 3) -> str:
    """`mean ± half width`; the mean alone for one value; a dash for none."""
    known = [value for value in values if value is not None]
    return plus_minus(*interval(known), digits) if known else "–"


def plus_minus(value: float, half: float | None, digits: int = 3, sign: str = "") -> str:
    """`value ± half`, the value alone for a half of None; sign "+" shows that of a plus too."""
    large = digits and abs(value) >= LARGE
    text = decimal(value, digits, sign)
    if half is None:
        return text
    return f"{text} ± {half:.1e}" if large else f"{text} ± {decimal(half, digits)}"


def decimal(value: float, digits: int, sign: str = "") -> str:
    """A figure with so many digits behind its point; a large one as 1.3e+19."""
    if digits and abs(value) >= LARGE:
        return f"{value:{sign.replace(',', '').replace('z', '')}.1e}"
    return f"{value:{sign}.{digits}f}"


def half_width(half: float | None, digits: int = 3) -> str:
    """`± half`; a dash where it is unknown or has no bound."""
    return "–" if half is None or not math.isfinite(half) else f"± {half:,.{digits}f}"


def median(values: Sequence[float | None]) -> float | None:
    """The median of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def spread(values: Sequence[float | None], digits: int = 0) -> str:
    """`median (least to most)`; the value alone for one; a dash for none.

    The least and the most of n independent runs enclose the median of the law that they are drawn
    from with probability 1 - 2^(1 - n), whatever the law; `enclosed` says so in words.
    """
    known = [value for value in values if value is not None]
    text = number(median(known), digits)
    ends = [number(end, digits) for end in (min(known), max(known))] if len(known) > 1 else []
    return f"{text} ({' to '.join(ends)})" if ends else text


def enclosed(runs: int) -> str:
    """What `spread` shows of so many runs, in words, with the confidence."""
    if runs < 2:
        return "One run: how much is chance is unknown."
    share = f"{100 * (1 - 2.0 ** (1 - runs)):.3g}%" if runs < 11 else "over 99.9%"
    return (
        f"Medians of {runs} runs; in brackets the least and the most: a pair encloses the median\n"
        f"of all such runs with a confidence of {share}, if runs are independent. How days\n"
        "and machines differ is not in it."
    )


def number(value: float | None, digits: int = 0) -> str:
    """With thousands separated; a dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}"


def brief(value: float) -> str:
    """A number in the digits that make sense: four behind the point, or a power of ten."""
    return f"{value:,.4f}" if abs(value) < 1e4 else f"{value:.1e}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table padded to be read as text too: the first column left, the others right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]

    def line(row):
        padded = [row[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), f"| {' | '.join(rule)} |", *map(line, rows)]) + "\n"
