"""Compiles the programs for devices that are not there, shows what that told, holds bounds."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
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
    results = Results(Path(flags.FLAGS.workdir).expanduser(), versions())
    for name in names:
        for program in wanted:
            if results.find(device=name, program=program) is None:
                results.add(compiled(name, program))
                console.log(f"{name}, {program}: {results.lines[-1]['compile_sec']:.1f} s")
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


def versions() -> dict[str, str]:
    """Of what compiles, as far as it is installed."""
    packages = dict.fromkeys(target.package for target in devices.TARGETS.values())
    found = {name: version(name) for name in ("jax", "jaxlib")}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def compiled(name: str, program: str) -> dict:
    """What the compilation of a program tells, in a process of its own.

    XLA reads its flags once, when it starts.
    """
    with tempfile.TemporaryDirectory() as dump:
        done = subprocess.run(
            [sys.executable, "-m", "experiments.benchmarks.ahead.compiling", name, dump, program],
            env={**os.environ, **devices.environment(devices.TARGETS[name], dump)},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise UserError(f"--devices={name}: {program}: status {done.returncode}: {last}")
    return json.loads(done.stdout.splitlines()[-1])
