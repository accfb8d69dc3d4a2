"""The process of an item: python -m experiments.benchmarks.accelerator.item NUMBER ROWS SPEC.

Each row is a line of the file ROWS as soon as it is measured; what fails adds a line with its
error. SPEC is JSON: tiny, workdir, corpus, and parent, the process with which it ends.
"""

import json
import sys
import traceback
from pathlib import Path

import w2v_jax
from experiments.benchmarks.accelerator import items, process
from experiments.benchmarks.accelerator.sizes import REAL, TINY

ERROR = "error"  # the only field of a line that is no row
LONGEST = 200  # characters of an error that are kept


def main(number: str, rows: str, spec: str) -> int:
    """The exit status: 1 where the measurement raised."""
    told = json.loads(spec)
    process.end_with(told["parent"])
    given = items.Given(Path(told["workdir"]), told["corpus"])
    for line in w2v_jax.configure():
        print(line)
    with open(rows, "w", encoding="utf-8") as file:
        try:
            measure = items.by_number(int(number)).measure()
            for row in measure(TINY if told["tiny"] else REAL, given):
                print(json.dumps(row), file=file, flush=True)
        except Exception as error:
            traceback.print_exc()
            print(json.dumps({ERROR: short(error)}), file=file, flush=True)
            return 1
    return 0


def short(error: Exception) -> str:
    """Kind and first line of an error."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:LONGEST]


def read(path: Path) -> tuple[list[dict], str]:
    """The rows that a process has left so far, and its error or ''."""
    if not path.exists():
        return [], ""
    text = path.read_text(encoding="utf-8")
    found = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    errors = [line[ERROR] for line in found if set(line) == {ERROR}]
    return [line for line in found if set(line) != {ERROR}], "".join(errors)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
