"""Items one after the other, as far as the time goes: each a process and a line of results."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from absl import flags

from experiments.benchmarks.accelerator import item as item_process
from experiments.benchmarks.accelerator import items, machine, process, table
from experiments.benchmarks.accelerator.items import ITEMS, Item
from experiments.cli import console
from experiments.runs.store import Results
from w2v_jax.data import sources
from w2v_jax.types import UserError

TINY_LIMIT_SEC = 120  # of an item's rehearsal
TABLE = "table.txt"


def define_flags() -> None:
    """The check's flags."""
    flags.DEFINE_float("budget", 540, "Seconds that this call may take.", 1.0)
    flags.DEFINE_string("workdir", "", "Folder of the results; items found there are kept.")
    flags.DEFINE_string("corpus", "", "Text: file or glob, UTF-8, .gz/.xz/.bz2 too.")
    flags.DEFINE_list("items", [str(item.number) for item in ITEMS], "Numbers of items.")
    flags.DEFINE_boolean("tiny", False, "Rehearse on a CPU, with tiny sizes.")


def main() -> None:
    """Runs what is not done yet and fits; prints the table."""
    began, values = time.perf_counter(), flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=OUT is missing")
    chosen = chosen_items(values["items"].value)  # flags.FLAGS.items is a method
    corpus = located(values.corpus)
    here = machine.found()
    check_machine(here, chosen, values.tiny)
    folder = Path(values.workdir).expanduser().absolute()
    names = ",".join(Path(path).name for path in corpus.split(","))
    settings = {"tiny": values.tiny, "corpus": names, **here._asdict()}
    results = Results(folder, settings)
    spec = {"tiny": values.tiny, "workdir": str(folder), "corpus": corpus, "parent": os.getpid()}
    left = run(chosen, results, spec, lambda: began + values.budget - time.perf_counter())
    print(tell(results, left))


def chosen_items(given: list[str]) -> list[Item]:
    """The items of these numbers, by value. Raises UserError for another number."""
    known = {str(item.number): item for item in ITEMS}
    for number in given:
        if number not in known:
            raise UserError(
                f"--items={','.join(given)}: {number!r} is not one of 1 to {len(ITEMS)}"
            )
    return [item for number, item in known.items() if number in given]


def located(corpus: str) -> str:
    """The text's files by absolute names. Raises UserError where there are none."""
    if not corpus:
        return ""
    return ",".join(str(Path(path).absolute()) for path in sources.locate("", corpus=corpus).paths)


def check_machine(here: machine.Machine, chosen: list[Item], tiny: bool) -> None:
    """Raises UserError where an item needs an accelerator and there is none."""
    if here.platform == "cpu" and not tiny and not all(item.on_cpu for item in chosen):
        alone = ",".join(str(item.number) for item in ITEMS if item.on_cpu)
        raise UserError(
            f"no accelerator: JAX {here.jax} finds {here.kind} alone; --items={alone} measures the "
            "CPU cores, --tiny rehearses every item"
        )


def run(
    chosen: list[Item], results: Results, spec: dict, left_sec: Callable[[], float]
) -> dict[int, str]:
    """Runs the items that have no line, then those that failed; why others were left out."""
    left_out = {}
    for item in waiting(chosen, results):
        needs = 0 if spec["tiny"] else item.needs_sec
        if left_sec() <= needs:
            left_out[item.number] = (
                f"needs about {needs:.0f} s, {max(left_sec(), 0):.0f} s of the budget are left"
            )
            console.log(f"item {item.number}, {item.title}: left out: {left_out[item.number]}")
            continue
        console.log(f"item {item.number}, {item.title} ..")
        limit = TINY_LIMIT_SEC if spec["tiny"] else item.limit_sec
        line = measured(item, results.folder, spec, min(limit, left_sec()))
        results.add(line)
        reason = f": {line['error']}" if line["error"] else ""
        console.log(f"item {item.number}: {line['status']} in {line['sec']:.0f} s{reason}")
        tell(results, left_out)
    return left_out


def waiting(chosen: list[Item], results: Results) -> list[Item]:
    """Items without a line, by value; behind them those whose last line is of a failure."""
    last = {item.number: results.find(item=item.number) for item in chosen}
    new = [item for item in chosen if last[item.number] is None]
    failed = [i for i in chosen if (line := last[i.number]) and line["status"] != table.DONE]
    return new + failed


def measured(item: Item, folder: Path, spec: dict, limit_sec: float) -> dict:
    """An item's line: its rows, also those from before it failed or ran out of time."""
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    log, rows = logs / f"item_{item.number}.txt", logs / f"item_{item.number}.jsonl"
    rows.unlink(missing_ok=True)
    programs = str(folder / "programs") if spec["tiny"] else ""
    env = machine.environment(on_cpu=item.on_cpu, beside_cpu=item.beside_cpu, programs=programs)
    ended = process.run(command(item, rows, spec), log, limit_sec, env)
    found, error = item_process.read(rows)
    status = table.DONE if ended.status == 0 else table.FAILED
    if ended.status is None:
        status, error = table.OVER, f"ended at its limit of {limit_sec:.0f} s"
    elif ended.status and not error:
        error = f"exit status {ended.status}: {process.last_line(log)}"[: item_process.LONGEST]
    sec = round(ended.wall_sec, 1)
    return {"item": item.number, "name": item.module, "status": status, "sec": sec} | {
        "error": error,
        "rows": found,
    }


def command(item: Item, rows: Path, spec: dict) -> list[str]:
    """What an item's process is started by; it leaves its rows in a file."""
    argv = [sys.executable, "-m", item_process.__name__, str(item.number), str(rows)]
    return [*argv, json.dumps(spec)]


def tell(results: Results, left_out: dict[int, str]) -> str:
    """The table as it is now, which is written too."""
    lines = {item.number: results.find(item=item.number) for item in items.ITEMS}
    text = table.document(lines, left_out, results.settings)
    results.write(TABLE, text + "\n")
    return text
