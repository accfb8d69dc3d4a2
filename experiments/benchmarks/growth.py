"""How w2v_jax's cost grows: words/s against V, D, corpus size, K and W, one at a time."""

import dataclasses
import time
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags

from experiments.benchmarks import curves, zipf
from experiments.cli import config, console, earlier_flags, flag_types
from experiments.cli.config import RunConfig
from experiments.report.tables import counted, enclosed, markdown, number, spread
from experiments.runs import memory
from experiments.runs.store import Results, machine
from w2v_jax import beginning, checks, training
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import TrainState, UserError

EPOCHS = 10**6  # more than any point is timed for: the schedule stays at its beginning
AXES = {
    "vocab_size": "words in the vocabulary V",
    "dim": "embedding size D",
    "words": "words in the corpus",
    "negatives": "negatives K",
    "window": "window W",
}
SWEEPS = {
    "vocab_size": "1e4 3e4 1e5 3e5 1e6",
    "dim": "50 100 200 300",
    "words": "1e5 3e5 1e6 3e6",
    "negatives": "1 2 5 10 20",
    "window": "1 2 5 10",
}


class Point(NamedTuple):
    """What is varied."""

    vocab_size: int
    dim: int
    words: int
    negatives: int
    window: int


def define_flags() -> None:
    """The training flags, and the values that each axis takes."""
    idle = ("overwrite", *config.DURABLE, *config.CONTINUED)
    config.define_flags(idle, log_every_steps=20, memory_gb=8.0)
    flags.DEFINE_integer("vocab_size", 10_000, "V where it is not varied.", 2)
    flags.DEFINE_integer("words", 1_000_000, "Corpus words where they are not varied.", 1)
    flags.DEFINE_list("axes", list(AXES), f"Of {', '.join(AXES)}.")
    for axis, values in SWEEPS.items():
        flags.DEFINE_list(f"sweep_{axis}", values.split(), f"Values of {axis}.")
    flags.DEFINE_float("timed_sec", 5.0, "Seconds a point.", 0.0)
    flags.DEFINE_integer("rounds", 6, "Times that all are measured.", 1)


def main() -> None:
    """Measures what is not measured yet, then writes table and plot."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=OUT is missing")
    if wrong := set(values.axes) - set(AXES):
        raise UserError(f"--axes={min(wrong)}: not one of {', '.join(AXES)}")
    settings = config.from_flags()
    checks.check_alone(settings.static(), "what is measured")
    base = Point(*(values[axis].value for axis in AXES))
    shared = dict(config.resolved(settings))
    apart = (*AXES, "dataset", "corpus", "data_dir", "epochs")
    for name in apart:
        shared.pop(name, None)
    shared["timed_sec"] = values.timed_sec
    given = earlier_flags.of(settings)
    differences = partial(earlier_flags.differences, here=given, apart=apart)
    results = Results(Path(values.workdir).expanduser(), shared, differences=differences)
    series = {
        axis: [base._replace(**{axis: value}) for value in flag_types.positive(f"sweep_{axis}")]
        for axis in AXES
        if axis in values.axes
    }
    points = list(dict.fromkeys(point for points in series.values() for point in points))
    found: dict[Point, list[dict]] = {point: [] for point in points}
    for turn in range(1, values.rounds + 1):
        for point in points[:: 1 if turn % 2 else -1]:
            found[point].append(measured(turn, point, settings, results))
        document = table(series, found, base, shared)
        results.write("table.md", document)
    print(document)
    lines = {
        AXES[axis]: [(getattr(x, axis), figures(found[x], "words_per_sec")) for x in of_axis]
        for axis, of_axis in series.items()
    }
    name = f"{settings.model}, {settings.engine}"
    curves.draw_growth(results.folder / "growth.png", lines, f"{name}: {in_words(base)}")


def figures(rounds: list[dict], field: str) -> list[float]:
    """What a point's rounds have of a field."""
    return [line[field] for line in rounds if line[field]]


def rates(rounds: list[dict]) -> str:
    """Words/s of a point, or why there are none."""
    known = figures(rounds, "words_per_sec")
    return spread(known) if known else rounds[-1]["reason"]


def measured(turn: int, point: Point, settings: RunConfig, results: Results) -> dict:
    """The line of a point in a round, measured now where it is not there yet.

    What does not fit is told in the first round alone.
    """
    first = results.find(round=1, **point._asdict())
    if turn > 1 and first["reason"]:
        return first
    key = {"round": turn, **point._asdict()}
    found = results.find(**key)
    if found and found["words_per_sec"]:
        return found
    line = {**key, **measure(point, settings)}
    if line != found:
        results.add(line)
    rate = line["words_per_sec"]
    console.log(
        f"round {turn}, {in_words(point)}: {f'{rate:,.0f} words/s' if rate else line['reason']}"
    )
    return line


def measure(point: Point, settings: RunConfig) -> dict:
    """words/s and ms a step of one point, or the reason where its tables do not fit."""
    settings = at_point(settings, point)
    key = jax.random.key(settings.seed)
    corpus = cached_corpus(point.vocab_size, point.words, settings.seed)
    hyper = beginning.make_hyper(settings, corpus.vocab)
    needed = table_bytes(settings, abstract_state(settings, corpus, key))
    line = {"words_per_sec": None, "ms": None, "bytes": needed, "reason": ""}
    if needed > memory.room(settings.memory_gb, jax.devices()):
        return {**line, "reason": f"not run: needs {needed / 1e9:.1f} GB"}
    state = beginning.initial_state(settings, point.vocab_size, key, hyper)
    program = compiled(settings, point.vocab_size, point.words)
    whole = training.Training(key, corpus, program, hyper, settings.static(), EPOCHS)
    reports = training.train(state, whole)
    first = next(reports)[1]
    began, seconds = time.perf_counter(), 0.0
    while not seconds or seconds < flags.FLAGS.timed_sec:
        last = next(reports)[1]
        seconds = time.perf_counter() - began
    words, steps = last.words - first.words, last.step - first.step
    return {**line, "words_per_sec": words / seconds, "ms": 1000 * seconds / steps}


cached_corpus = cache(zipf.corpus)


@cache
def compiled(settings: RunConfig, vocab_size: int, words: int) -> training.Program:
    """The program of a point, which all rounds share."""
    corpus, key = cached_corpus(vocab_size, words, settings.seed), jax.random.key(settings.seed)
    state, hyper = (
        abstract_state(settings, corpus, key),
        beginning.make_hyper(settings, corpus.vocab),
    )
    size, steps = corpus.chunk_size, settings.log_every_steps
    return training.compile_program(state, key, size, hyper, settings.static(), steps)


def at_point(settings: RunConfig, point: Point) -> RunConfig:
    """The settings of a point."""
    fields = {axis: getattr(point, axis) for axis in ("dim", "window", "negatives")}
    return dataclasses.replace(settings, **fields, epochs=EPOCHS)


def abstract_state(settings: RunConfig, corpus: Corpus, key: jax.Array) -> TrainState:
    """Shapes and types of the state."""
    hyper = beginning.make_hyper(settings, corpus.vocab)
    size = len(corpus.vocab.words)
    return jax.eval_shape(lambda: beginning.initial_state(settings, size, key, hyper))


def table_bytes(settings: RunConfig, state: TrainState) -> int:
    """Tables, the optimiser's state and, with rows = dense, gradients: held at least."""
    leaves = jax.tree.leaves(state)
    if settings.update == "dense":
        leaves += jax.tree.leaves(state.params)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def in_words(point: Point) -> str:
    """A point in words."""
    return (
        f"V {point.vocab_size:,}, D {point.dim}, {counted(point.words, 'word')}, "
        f"K {point.negatives}, W {point.window}"
    )


def table(
    series: dict[str, list[Point]], found: dict[Point, list[dict]], base: Point, shared: dict
) -> str:
    """table.md."""
    runs = max(map(len, found.values()))
    parts = [
        f"{shared['model']}, --engine={shared['engine']}, --batch_size={shared['batch_size']}, "
        f"--optimizer={shared['optimizer']}, --update={shared['update']};\n{machine()}.",
        f"Where it is not varied: {in_words(base)}.\nWords/s count the corpus before subsampling.",
        enclosed(runs),
    ]
    for axis, points in series.items():
        rows = [
            [
                f"{getattr(point, axis):,}",
                rates(found[point]),
                spread(figures(found[point], "ms"), 2),
                number(found[point][-1]["bytes"] / 1e6),
            ]
            for point in points
        ]
        header = [AXES[axis], "words/s", "ms a step", "held at least: MB"]
        parts.append(markdown(header, rows))
    return "\n\n".join(part.strip() for part in parts) + "\n"
