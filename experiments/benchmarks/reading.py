"""What reading a text costs: MB/s the first time, seconds of a later run that maps it, memory."""

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from absl import flags

from experiments.benchmarks import child_process
from experiments.report.tables import enclosed, markdown, spread
from experiments.runs.store import Results, cpus, machine
from w2v_jax.data import sources as corpora
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import TextSettings, UserError

SETTINGS = ("corpus", "min_count", "max_types")


def define_flags() -> None:
    """The benchmark's flags."""
    flags.DEFINE_string("corpus", "", "Text: file or glob, UTF-8, .gz/.xz/.bz2 too.")
    flags.DEFINE_integer("min_count", 5, "Words that occur less often are left out.", 1)
    flags.DEFINE_integer("max_types", 0, "Different words kept while reading (0: all).", 0)
    flags.DEFINE_integer("rounds", 6, "Times that the text is read.", 1)
    flags.DEFINE_string("workdir", "", "Folder of the results; rounds found there are kept.")
    flags.DEFINE_string("times_of_one", "", "Reads here, with cache and times in this folder.")


def main() -> None:
    """Measures the rounds that are not measured yet; prints the table."""
    values = flags.FLAGS
    if not values.corpus:
        raise UserError("--corpus=FILE is missing")
    source = corpora.locate("", corpus=values.corpus)
    if values.times_of_one:
        return read(source, Path(values.times_of_one))
    if not values.workdir:
        raise UserError("--workdir=OUT is missing")
    size = sum(Path(path).stat().st_size for path in source.paths)
    settings = {**{name: values[name].value for name in SETTINGS}, "bytes": size}
    results = Results(Path(values.workdir).expanduser(), settings)
    for turn in range(1, values.rounds + 1):
        results.once(partial(measured, results.folder), round=turn)
    text = table(results.of_rounds(values.rounds), size)
    results.write("table.md", text)
    print(text)


def read(source: corpora.Source, folder: Path) -> None:
    """Reads a text, by way of the folder's cache; writes times.json there."""
    values, notes = flags.FLAGS, []
    began = time.perf_counter()
    settings = TextSettings(min_count=values.min_count, max_types=values.max_types)
    corpus = Corpus.load(source, settings, cache_dir=str(folder / "cache"), note=notes.append)
    line = {"sec": time.perf_counter() - began, "words": corpus.words}
    line |= {"types": len(corpus.vocab.words), "notes": notes}
    write_atomically(str(folder / "times.json"), json.dumps(line).encode())


def measured(folder: Path) -> dict:
    """A round: the first process's figures and peak memory, the second one's time."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="cache-") as cache:
        first, again = (process(Path(cache), folder / "log.txt") for _ in range(2))
    if any("not cached" in note for note in first["notes"]):
        raise UserError(f"--workdir={folder}: {first['notes'][0]}")
    known = {name: first[name] for name in ("words", "types", "peak_mb")}
    return {**known, "first_sec": first["sec"], "again_sec": again["sec"]}


def process(cache: Path, log: Path) -> dict:
    """What a process of its own measured in reading the text, and its peak memory."""
    values = flags.FLAGS
    argv = [sys.executable, "-m", "experiments.benchmark_reading", f"--times_of_one={cache}"]
    argv += [f"--{name}={values[name].value}" for name in SETTINGS]
    child = child_process.run(argv, log, cpus())
    if child.status:
        last = (child.output.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"--corpus={values.corpus}: {last.removeprefix('error: ')}")
    peak_mb = child.peak_mb * 2**20 / 1e6
    return {**json.loads((cache / "times.json").read_text()), "peak_mb": peak_mb}


def table(lines: list[dict], size: int) -> str:
    """table.md."""
    header = ["MB", "words", "types", "first time, MB/s", "mapped again, s", "peak MB"]
    rates = [size / 1e6 / line["first_sec"] for line in lines]
    row = [f"{size / 1e6:,.0f}", f"{lines[-1]['words']:,}", f"{lines[-1]['types']:,}"]
    row += [spread(rates), spread([line["again_sec"] for line in lines], 3)]
    row.append(spread([line["peak_mb"] for line in lines]))
    return f"{machine()}.\n{enclosed(len(lines))}\n\n{markdown(header, [row])}"
