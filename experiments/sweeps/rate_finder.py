"""Learning rates on a part of an epoch: the loss of each, which is best, which diverge."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags

from experiments.cli import config as run_config
from experiments.cli import console, pictures
from experiments.report import stats, tables
from experiments.report.tables import counted
from experiments.runs import reading
from w2v_jax import checks, grid
from w2v_jax.data import resampling
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.writing import write_atomically
from w2v_jax.defaults import resolve
from w2v_jax.types import UserError
from w2v_jax.vectors import style
from w2v_jax.vectors.plots import new_figure, save_figure

IDLE = run_config.without_result() - {"workdir", "plots", "picture_formats"}
LEAST = 1000  # tokens of the part
FEW = 100  # updates that tell little


class Rate(NamedTuple):
    """A rate and what came of it."""

    rate: float
    loss: float | None  # mean over the part's steps and over seeds; None: all diverged
    half: float | None  # of its 95% interval over seeds
    diverged: int  # seeds


def define_flags() -> None:
    """The command's own flags."""
    flags.DEFINE_float("share", 0.02, "Share of the text's lines.", 1e-6, 1.0)
    flags.DEFINE_integer("rates", 64, "How many rates.", 2, 10_000)
    told = "The rates lie between --learning_rate / factor and --learning_rate x factor."
    flags.DEFINE_float("factor", 64.0, told, 1.1, 1e9)
    flags.DEFINE_integer("seeds", 3, "Seeds of each rate.", 1)


def main() -> None:
    """Trains the rates; writes and prints the table."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=FOLDER is missing")
    formats = pictures.of_flags() if values.plots else ()
    base = run_config.from_flags()
    if not base.corpus and not base.dataset:
        raise UserError("--corpus=FILE_OR_GLOB is missing (or --dataset=NAME)")
    base, source, corpus = reading.read_corpus(base)
    base = dataclasses.replace(resolve(base, corpus), epochs=1, schedule="constant")
    checks.check_alone(base.static(), "a rate")
    own = base.learning_rate
    if own <= 0:
        raise UserError("--learning_rate: must be above 0, as the rates lie around it")
    part = part_of(corpus, values.share)
    rates = own * values.factor ** np.linspace(-1, 1, values.rates)
    rates = list(dict.fromkeys(float(f"{rate:.4g}") for rate in rates))
    told = f"{counted(len(part.ids), 'token')} of {len(corpus.ids):,}"
    console.log(f"{counted(len(rates), 'rate')} x {counted(values.seeds, 'seed')} on {told}")
    found = tried(part, base, rates, values.seeds)
    steps = len(part.ids) // base.batch_size
    if steps < FEW:
        console.note(f"about {counted(steps, 'update')} of a rate: a larger --share tells more")
    folder = Path(values.workdir).expanduser()
    text = table(found, own, f"{source.name}, {told}, {counted(values.seeds, 'seed')}")
    write_atomically(str(folder / "rates.md"), text.encode())
    lines = json.dumps([rate._asdict() for rate in found], indent=1) + "\n"
    write_atomically(str(folder / "rates.json"), lines.encode())
    written = [folder / "rates.md", folder / "rates.json"]
    if formats:
        drawn = pictures.paths(folder / "rates.png", formats)
        plot(drawn, found, own)
        written += drawn
    print(text)
    print("\n".join(f"written to {path}" for path in written))


def part_of(corpus: Corpus, share: float) -> Corpus:
    """A share of the text's lines, drawn at random without replacement, in text order.

    Raises UserError where they hold too little to train on.
    """
    ends = resampling.parts(np.asarray(corpus.line_ends))
    count = max(round(share * len(ends)), 1)
    lines = np.sort(np.random.default_rng(0).permutation(len(ends))[:count])
    ids, line_ends = resampling.gathered(np.asarray(corpus.ids[:]), ends, lines)
    if len(ids) < LEAST:
        few = counted(len(ids), "token")
        raise UserError(f"--share={share:g}: {few} of the text, too few to tell rates apart")
    words = max(round(corpus.words * len(ids) / len(corpus.ids)), 1)
    return dataclasses.replace(corpus, ids=ids, line_ends=line_ends, words=words)


def tried(
    part: Corpus, base: run_config.RunConfig, rates: Sequence[float], seeds: int
) -> list[Rate]:
    """Each rate's loss, from equal beginnings and with equal draws."""
    sweep = grid.sweep(part, base, seeds=seeds, learning_rate=list(rates))
    found = []
    for rate in rates:
        losses = sweep.figures({"learning_rate": rate}, grid.LOSS)
        mean = stats.over_seeds(losses) if losses else None
        half = mean.half if mean else None
        found.append(Rate(rate, mean and mean.mean, half, seeds - len(losses)))
    return found


def best_of(found: Sequence[Rate]) -> Rate | None:
    """The rate of the lowest loss, of those with which no seed diverged; None: all diverged."""
    good = [rate for rate in found if not rate.diverged]
    return min(good, key=lambda rate: rate.loss) if good else None


def table(found: Sequence[Rate], own: float, of_what: str) -> str:
    """rates.md."""
    best = best_of(found)
    if best is None:
        said = "All rates diverge: try a smaller --learning_rate."
    else:
        near = [r.rate for r in found if not r.diverged and r.loss <= best.loss + (best.half or 0)]
        said = f"Lowest loss: --learning_rate={best.rate:g}"
        said += f", {tables.plus_minus(best.loss, best.half, 4)}"
        said += f"; within its interval: {min(near):g} to {max(near):g}."
        worse = [r.rate for r in found if r.rate > best.rate and r.loss and r.loss > found[0].loss]
        if worse:
            said += f"\nAbove the loss of the least rate from {min(worse):g} on."
    diverged = [rate.rate for rate in found if rate.diverged]
    if diverged:
        said += f" Some seed diverges from {min(diverged):g} on."
    rows = [
        [
            f"{rate.rate:g}" + " (the run's)" * (abs(rate.rate / own - 1) < 1e-3),
            "–" if rate.loss is None else tables.plus_minus(rate.loss, rate.half, 4),
            str(rate.diverged),
        ]
        for rate in found
    ]
    head = f"{of_what}; a constant rate, one epoch of the part.\n{said}\n"
    return f"{head}\n{tables.markdown(['rate', 'loss', 'diverged'], rows)}"


def plot(paths: Sequence[Path], found: Sequence[Rate], own: float) -> None:
    """Loss against rate, with intervals over seeds; dashed: the run's own rate.

    Raises UserError without matplotlib or where a path can't be written.
    """
    figure = new_figure(8, 4.5)
    axes = figure.add_subplot()
    known = [rate for rate in found if rate.loss is not None and not rate.diverged]
    if known:
        values, losses = ([getattr(rate, name) for rate in known] for name in ("rate", "loss"))
        low = [rate.loss - (rate.half or 0) for rate in known]
        high = [rate.loss + (rate.half or 0) for rate in known]
        axes.plot(values, losses, color=style.BLUE, marker="o", markersize=3)
        axes.fill_between(values, low, high, color=style.BLUE, alpha=0.15, linewidth=0)
        best = best_of(found)
        axes.plot([best.rate], [best.loss], "o", color=style.RED, label=f"lowest: {best.rate:g}")
        most = max(rate.loss for rate in known if rate.rate <= best.rate)
        span = most - best.loss or 1.0
        axes.set_ylim(best.loss - 0.2 * span, most + 0.5 * span)  # what explodes is off the picture
    for rate in found:
        if rate.diverged:
            axes.axvline(rate.rate, color=style.AMBER, alpha=0.3, linewidth=1)
    axes.axvline(own, color=style.INK, linestyle="--", linewidth=0.9, label=f"the run's: {own:g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate (amber: diverged)")
    axes.set_ylabel("loss per positive, mean over the part")
    axes.set_title("Loss by rate, 95% intervals over seeds", loc="left")
    axes.legend(frameon=False)
    style.plain_axes(axes)
    save_figure(figure, paths)
