"""Quality and time against the number of replicas R and the steps n between their meetings."""

import json
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from absl import flags

from experiments.benchmarks import child_process
from experiments.benchmarks.curves import draw_differences
from experiments.benchmarks.speed import MEASURES
from experiments.report.tables import enclosed, interval, markdown, mean_and_interval, plus_minus
from experiments.report.tables import spread as spread_of
from experiments.runs.store import Results, cpus
from w2v_jax.types import UserError

NAMES = {"wordsim353": "WordSim-353", "simlex999": "SimLex-999", "analogies": "analogies"}


class Point(NamedTuple):
    """One setting."""

    replicas: int
    sync_every: int
    learning_rate: float


def define_flags() -> None:
    """The benchmark's flags."""
    flags.DEFINE_string("corpus", "", "Text: file or glob; none: --train_flags names one.")
    flags.DEFINE_list("points", ["1:0:1.2", "2:500:1.7"], "Settings R:n:rate; the first is base.")
    flags.DEFINE_list("train_flags", [], "Training flags of all runs.")
    flags.DEFINE_integer("processes", 0, "As --processes of a run: at most so many; 0: any.", 0)
    flags.DEFINE_integer("seeds", 5, "Runs of a point: seeds 1 to this.", 1)
    flags.DEFINE_string("workdir", "", "Folder of the results; runs found there are kept.")


def main() -> None:
    """Trains what is not there yet; prints the table."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=.. is missing")
    points = [point_of(text) for text in values.points]
    shared = {name: values[name].value for name in ("corpus", "train_flags", "processes")}
    results = Results(Path(values.workdir).expanduser(), shared, same_machine=False)
    for seed in range(1, values.seeds + 1):
        for point in points[:: 1 if seed % 2 else -1]:
            measure = partial(_measured, point, seed, results.folder)
            results.once(measure, **point._asdict(), seed=seed)
    lines = [line for line in results.lines if line["seed"] <= values.seeds]
    told = table(lines, points)
    results.write("table.md", told)
    draw_differences(results.folder / "replicas.png", differences(lines, points), NAMES)
    print(told)


def point_of(text: str) -> Point:
    """R:n:rate. Raises UserError."""
    try:
        count, steps, rate = text.split(":")
        point = Point(int(count), int(steps), float(rate))
        if point.replicas < 1 or point.sync_every < 0 or not 0 < point.learning_rate < 1e6:
            raise ValueError
    except ValueError as error:
        raise UserError(f"--points={text}: not R:n:rate, as 2:500:1.7") from error
    return point


def _measured(point: Point, seed: int, folder: Path) -> dict:
    """A run's line. Raises UserError where it fails."""
    values, out = flags.FLAGS, folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    argv = [sys.executable, "-m", "experiments.train_corpus", *values.train_flags]
    argv += [f"--corpus={values.corpus}"] * bool(values.corpus)
    argv += [f"--workdir={out}", f"--seed={seed}", f"--processes={values.processes}"]
    argv += of_point(
        point
    )  # behind a flagfile of --train_flags: the last of a flag's values counts
    argv += ["--noplots", "--show_similar=", "--show_analogies=", "--checkpoint_every_sec=0"]
    child = child_process.run(argv, folder / "log.txt", cpus())
    if child.status:
        raise UserError(f"{' '.join(argv)} ended with {child.status}: {child.output[-300:]}")
    summary = json.loads((out / "summary.json").read_text())
    found = {name: measure["value"] for name, measure in summary["evaluation"].items()}
    return {
        **{name: summary[name] for name in ("train_sec", "words_per_sec", "final_loss")},
        **{"total_sec": child.wall_sec, "cpus": cpus()},
        **{short: found.get(long) for long, short in MEASURES.items()},
    }


def of_point(point: Point) -> list[str]:
    """A point as flags of a run."""
    flags_ = [f"--replicas={point.replicas}", f"--learning_rate={point.learning_rate:g}"]
    return flags_ + [f"--sync_every={point.sync_every}"] * bool(point.sync_every)


def differences(lines: Sequence[dict], points: Sequence[Point]) -> dict:
    """{point: {measure: (mean, half)}}: of the point less the first, paired by seed."""
    base = {line["seed"]: line for line in _of(points[0], lines)}
    found = {}
    for point in points[1:]:
        own = [line for line in _of(point, lines) if line["seed"] in base]
        gaps = {
            name: [
                line[name] - base[line["seed"]][name] for line in own if _known(line, base, name)
            ]
            for name in NAMES
        }
        found[point] = {name: interval(some) for name, some in gaps.items() if some}
    return found


def _known(line: dict, base: dict, name: str) -> bool:
    return None not in (line[name], base[line["seed"]][name])


def _of(point: Point, lines: Sequence[dict]) -> list[dict]:
    own = point._asdict()
    return [line for line in lines if all(line[name] == own[name] for name in own)]


def table(lines: Sequence[dict], points: Sequence[Point]) -> str:
    """A line a point: medians of times, means of measures, differences from the first point."""
    gaps, rows = differences(lines, points), []
    for point in points:
        own = _of(point, lines)
        shown = [f"{point.replicas}", f"{point.sync_every or '–'}", f"{point.learning_rate:g}"]
        shown += [str(len(own)), spread_of([line["train_sec"] for line in own], 1)]
        for name in NAMES:
            shown.append(mean_and_interval([line[name] for line in own]))
            gap = gaps.get(point, {}).get(name)
            shown.append(plus_minus(*gap, sign="+") if gap else "–")
        rows.append(shown)
    head = ["R", "n", "rate", "runs", "training, s"]
    head += [cell for name in NAMES.values() for cell in (name, "difference")]
    seeds = len({line["seed"] for line in lines})
    told = (
        "Measures are means ± 95% intervals over seeds (t); differences are from the first point, "
        "paired by seed.\n"
    )
    return f"{told}{enclosed(seeds)}\n\n{markdown(head, rows)}"
