"""What checkpoints cost, and what a text costs that is larger than memory."""

import json
import shutil
import sys
from functools import partial
from pathlib import Path

from absl import flags

from experiments.benchmarks import child_process
from experiments.report.tables import enclosed, markdown, spread
from experiments.runs.store import Results, cpus
from w2v_jax.types import UserError

WAYS = ("plain", "saving", "resident", "large")


def define_flags() -> None:
    """The benchmark's flags."""
    flags.DEFINE_string("corpus", "", "Text: file or glob.")
    flags.DEFINE_string("large", "", "Text of the way large: file or glob.")
    flags.DEFINE_list("large_flags", [], "Training flags of the way large alone.")
    flags.DEFINE_list("train_flags", [], "Training flags of all ways.")
    flags.DEFINE_integer("epochs", 8, "Epochs, but of the way large.", 1)
    flags.DEFINE_float("every_sec", 30, "Seconds between checkpoints of the way saving.", 0.1)
    flags.DEFINE_list("ways", ["plain", "saving"], f"Of {', '.join(WAYS)}.")
    flags.DEFINE_integer("rounds", 6, "Times that all are measured.", 1)
    flags.DEFINE_string("workdir", "", "Folder of the results; rounds found there are kept.")


def main() -> None:
    """Measures the rounds that are not measured yet; prints the table."""
    values = flags.FLAGS
    for name in ("workdir", "corpus", *(["large"] if "large" in values.ways else [])):
        if not values[name].value:
            raise UserError(f"--{name}=.. is missing")
    for way in values.ways:
        if way not in WAYS:
            raise UserError(f"--ways={way}: not one of {', '.join(WAYS)}")
    shared = ("corpus", "large", "large_flags", "train_flags", "epochs", "every_sec", "ways")
    settings = {name: values[name].value for name in shared}
    results = Results(Path(values.workdir).expanduser(), settings)
    for number in range(1, values.rounds + 1):
        for way in values.ways[:: 1 if number % 2 else -1]:
            results.once(partial(_measured, way, results.folder), round=number, way=way)
    text = table(results.of_rounds(values.rounds), values.ways)
    results.write("table.md", text)
    print(text)


def _flags_of(way: str) -> list[str]:
    """What train_corpus gets."""
    values = flags.FLAGS
    every = values.every_sec if way == "saving" else 0
    own = [f"--corpus={values.corpus}", f"--epochs={values.epochs}"]
    if way == "large":
        own = [f"--corpus={values.large}", "--epochs=1", *values.large_flags]
    if way == "resident":
        own.append("--resident_gb=1000")
    return [*own, f"--checkpoint_every_sec={every:g}", *values.train_flags]


def _measured(way: str, folder: Path) -> dict:
    out = folder / "run"
    shutil.rmtree(out, ignore_errors=True)
    argv = [sys.executable, "-m", "experiments.train_corpus", *_flags_of(way), "--noevaluate"]
    argv += ["--noplots", f"--workdir={out}"]
    child = child_process.run(argv, folder / "log.txt", cpus())
    if child.status:
        raise UserError(f"{' '.join(argv)} ended with {child.status}: {child.output[-300:]}")
    summary = json.loads((out / "summary.json").read_text())
    words = summary["words_per_epoch"] * summary["epochs"]
    saved = len(list((out / "checkpoints").iterdir())) if (out / "checkpoints").exists() else 0
    line = {name: summary[name] for name in ("words_per_sec", "train_sec", "final_loss")}
    line |= {"words": words, "vocab_size": summary["vocab_size"], "checkpoints_left": saved}
    return {**line, "total_sec": child.wall_sec, "peak_mb": child.peak_mb}


def table(lines: list[dict], ways: list[str]) -> str:
    """Medians over the rounds; ratios of words/s to the first way's, within a round."""
    rows, rounds = [], sorted({line["round"] for line in lines})
    found = {(line["round"], line["way"]): line for line in lines}
    for way in ways:
        own = [found[number, way] for number in rounds]
        base = [found[number, ways[0]]["words_per_sec"] for number in rounds]
        ratios = [x["words_per_sec"] / b for x, b in zip(own, base, strict=True)]
        rows.append(
            [
                way,
                f"{own[0]['words']:,}",
                spread([x["train_sec"] for x in own], 1),
                spread([x["words_per_sec"] for x in own]),
                spread(ratios, 3),
                spread([x["peak_mb"] for x in own]),
            ]
        )
    head = ["", "words", "training, s", "words/s", f"to {ways[0]}'s", "peak MB"]
    return f"{enclosed(len(rounds))}\n\n{markdown(head, rows)}"
