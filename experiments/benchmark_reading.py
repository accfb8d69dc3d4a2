"""What reading a text costs: MB/s the first time, seconds of a later run that maps it, memory.

python -m experiments.benchmark_reading --corpus=FILE --workdir=OUT

A text is read --rounds times, each time by a process of its own with an empty cache, and then
again with the cache that it left. MB (10^6 bytes) are of the files as they lie on disk. Leaves
results.jsonl and table.md.
"""

import json
import shutil
import sys
import time
from pathlib import Path

from absl import flags

from experiments import child_process, entry, show
from experiments.results import Results, cpus, machine
from experiments.tables import enclosed, markdown, spread
from w2v_jax import corpus as corpora
from w2v_jax import ingest
from w2v_jax.types import UserError

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
    for round_ in range(1, values.rounds + 1):
        if not results.find(round=round_):
            results.add({"round": round_, **measured(results.folder)})
            show.say(f"round {round_}: {json.dumps(results.lines[-1])}")
    text = table(results.lines, size)
    results.write("table.md", text)
    print(text)


def read(source: corpora.Source, folder: Path) -> None:
    """Reads a text with an empty cache, then with a full one; writes times.json."""
    values, line = flags.FLAGS, {}
    for name in ("first_sec", "again_sec"):
        began = time.perf_counter()
        corpus = ingest.load(
            source,
            cache_dir=str(folder / "cache"),
            min_count=values.min_count,
            max_types=values.max_types,
            unk="drop",
            eos=False,
        )
        line[name] = time.perf_counter() - began
    line |= {"words": corpus.words, "types": len(corpus.vocab.words)}
    (folder / "times.json").write_text(json.dumps(line))


def measured(folder: Path) -> dict:
    """A round: what a process of its own measured, and its peak memory."""
    values, place = flags.FLAGS, folder / "reading"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    argv = [sys.executable, "-m", "experiments.benchmark_reading", f"--times_of_one={place}"]
    argv += [f"--{name}={values[name].value}" for name in SETTINGS]
    child = child_process.run(argv, folder / "log.txt", cpus())
    if child.status:
        last = (child.output.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"--corpus={values.corpus}: {last.removeprefix('error: ')}")
    line = json.loads((place / "times.json").read_text())
    shutil.rmtree(place)
    return {**line, "peak_mb": child.peak_mb}


def table(lines: list[dict], size: int) -> str:
    """table.md."""
    header = ["MB", "words", "types", "first time, MB/s", "mapped again, s", "peak MB"]
    rates = [size / 1e6 / line["first_sec"] for line in lines]
    row = [f"{size / 1e6:,.0f}", f"{lines[-1]['words']:,}", f"{lines[-1]['types']:,}"]
    row += [spread(rates), spread([line["again_sec"] for line in lines], 3)]
    row.append(spread([line["peak_mb"] for line in lines]))
    return f"{machine()}.\n{enclosed(len(lines))}\n\n{markdown(header, [row])}"


if __name__ == "__main__":
    define_flags()
    entry.start(main, __doc__)
