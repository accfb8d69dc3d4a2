"""Compiles the programs for devices that are not there, shows what that told, holds bounds."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from absl import flags

from experiments.benchmarks.ahead import bounds, devices, programs, table
from experiments.cli import console
from experiments.report.tables import counted
from experiments.runs.store import Results
from w2v_jax.types import UserError


def define_flags() -> None:
    """The command's flags."""
    flags.DEFINE_list("devices", list(devices.TARGETS), "Devices to compile for.")
    flags.DEFINE_list(
        "programs", [], "Programs to compile (default: all): names, or their beginnings."
    )
    flags.DEFINE_string("workdir", "", "Folder of the results; programs found there are kept.")


def main() -> None:
    """Compiles what is not there yet. Raises UserError where a bound doesn't hold."""
    names, wanted = flags.FLAGS.devices, chosen(flags.FLAGS.programs)
    devices.check(names)
    if not flags.FLAGS.workdir:
        raise UserError("--workdir=OUT is missing")
    results = Results(Path(flags.FLAGS.workdir).expanduser(), versions(names))
    for name in names:
        missing = [p for p in wanted if results.find(device=name, program=p) is None]
        for line in compiled(name, missing):
            results.add(line)
            console.log(f"{name}, {line['program']}: {line['compile_sec']:.1f} s")
    lines = [x for x in results.lines if x["device"] in names and x["program"] in wanted]
    found = bounds.held(lines)
    text = f"{table.of_programs(lines)}\n{table.of_bounds(found)}"
    results.write("table.md", text)
    print(text, flush=True)
    broken = [line for line in found if not line["met"]]
    if broken:
        raise UserError(f"{counted(len(broken), 'bound')} of {len(found)} not met")


def chosen(beginnings: list[str]) -> list[str]:
    """The names of programs that begin so. Raises UserError where none does."""
    there = list(programs.specs())
    for beginning in beginnings:
        if not any(name.startswith(beginning) for name in there):
            raise UserError(f"--programs={beginning}: none of {', '.join(there)}")
    return [name for name in there if not beginnings or name.startswith(tuple(beginnings))]


def versions(names: list[str]) -> dict[str, str]:
    """Of what compiles."""
    from importlib.metadata import version

    plugins = [devices.TARGETS[name].package for name in names]
    return {name: version(name) for name in ("jax", "jaxlib", *dict.fromkeys(plugins))}


def compiled(name: str, wanted: list[str]) -> Iterator[dict]:
    """What the compilation of each program tells, in a process of its own."""
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as dump, tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "experiments.benchmarks.ahead.compiling", name, dump, *wanted],
            env={**os.environ, **devices.environment(devices.TARGETS[name], dump)},
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        )
        try:
            for line in process.stdout:
                yield json.loads(line)
        finally:
            process.terminate()
            status = process.wait()
        if status:
            told.seek(0)
            last = (told.read().strip().splitlines() or ["nothing"])[-1]
            raise UserError(f"--devices={name}: the compiler ended with status {status}: {last}")
