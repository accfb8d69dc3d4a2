"""A program, compiled for a device in a process of its own: a JSON line.

python -m experiments.benchmarks.ahead.compiling DEVICE DUMP PROGRAM

It is started with `devices.environment`, as XLA reads its flags once.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import jax

from experiments.benchmarks.ahead import hlo, programs, thunks
from experiments.benchmarks.ahead.devices import TARGETS

MB = 1e6


def main(name: str, dump: str, program: str) -> None:
    """Compiles the program; prints what there is to tell of it."""
    target, spec = TARGETS[name], programs.specs()[program]
    line = figures(spec, target.topology().devices[0], target.platform, Path(dump))
    print(json.dumps({"program": program, "device": name, **line}), flush=True)


def figures(spec: programs.Spec, device: jax.Device, platform: str, dump: Path) -> dict:
    """What a program's compilation tells."""
    lowered = programs.lowered(spec, device, platform)
    empty(dump)  # of what was computed to lower it
    began = time.perf_counter()
    compiled = lowered.compile()
    took = time.perf_counter() - began
    line = {"compile_sec": round(took, 1), **of_memory(compiled, spec, device, platform)}
    line |= of_text(compiled.as_text(), spec.tables())
    return {**line, **(of_dump(dump, line["depth"]) if platform == "gpu" else {})}


def of_memory(compiled, spec: programs.Spec, device: jax.Device, platform: str) -> dict:
    """Megabytes that a program takes, and that were expected."""
    found = compiled.memory_analysis()
    arguments, temporaries = found.argument_size_in_bytes, found.temp_size_in_bytes
    aliased = found.alias_size_in_bytes
    takes = arguments + temporaries + found.output_size_in_bytes - aliased
    line = {"arguments": arguments, "temporaries": temporaries, "aliased": aliased, "takes": takes}
    if spec.part != "draw":
        line["state"] = programs.state_bytes(spec)
        line["expected"] = programs.needed(spec, device, platform)
    return {f"{name}_mb": round(size / MB, 2) for name, size in line.items()}


def of_text(text: str, tables: hlo.Tables) -> dict:
    """What the optimised HLO tells of a program and of its step, if it has steps."""
    module = hlo.parse(text)
    loop, depth = hlo.step_loop(module, tables)
    line = {
        "depth": depth,
        "table_copies": hlo.table_copies(module, tables),
        "read_backs": hlo.read_backs(module),
        "collectives": hlo.count(module, "ENTRY", *hlo.COLLECTIVES),
    }
    if loop is None:
        return line
    body = hlo.body_of(loop)
    return {
        **line,
        "trip_count": loop.trip_count(),
        "conditionals": hlo.count(module, body, "conditional"),
        "sized_v": hlo.of_vocabulary_size(module, body, tables),
        "prefetched": hlo.prefetches(module, body, tables),
        "cycles": hlo.estimated_cycles(module, body),
    }


def of_dump(dump: Path, depth: int) -> dict:
    """What XLA left of a program for a GPU."""
    (sequence,) = dump.glob(thunks.SEQUENCE)
    ptx = "\n".join(path.read_text() for path in dump.glob("*.ptx"))
    line = {"compare_and_swaps": thunks.compare_and_swaps(ptx)}
    step = thunks.of_a_step(sequence.read_text(), depth) if depth else None
    return {**line, **(step._asdict() if step else {})}


def empty(folder: Path) -> None:
    """Deletes what is in a folder."""
    shutil.rmtree(folder)
    folder.mkdir()


if __name__ == "__main__":
    main(*sys.argv[1:])
