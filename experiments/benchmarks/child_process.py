"""A process run to its end, with its wall time and its peak memory.

It is started by a small process of this file's own, which imports nothing: Linux counts the
memory of whoever starts a process into that process's peak, and a benchmark holds JAX.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]  # of the checkout


class Child(NamedTuple):
    """How a process ended."""

    status: int  # its exit status, 126 where it could not start; minus the number of a signal
    wall_sec: float  # from its start to its end
    peak_mb: float  # largest resident memory, MB of 2^20 bytes, of it or of one of its children
    output: str  # stdout and stderr


def run(argv: list[str], log: Path, threads: int) -> Child:
    """Runs a command on the first `threads` CPUs; its output goes to `log`.

    The project's packages can be imported in it. It ends with this process where that is
    interrupted.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        launcher = [sys.executable, "-I", "-S", __file__, str(report), str(log), str(threads)]
        process = subprocess.Popen([*launcher, *argv], env={**os.environ, "PYTHONPATH": path})
        try:
            process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        status, wall_sec, peak_mb = json.loads(report.read_text())
    return Child(status, wall_sec, peak_mb, log.read_text(errors="replace"))


def _measure(report: str, log: str, threads: str, *argv: str) -> None:
    """What the launcher does: one command, three figures."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    with open(log, "wb") as file:
        began = time.perf_counter()
        try:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        except OSError as error:
            file.write(f"{error}\n".encode())
            figures = 126, 0.0, 0.0
        else:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child gets it too
            signal.signal(signal.SIGTERM, lambda *_: child.terminate())
            _, status, usage = os.wait4(child.pid, 0)
            wall_sec = time.perf_counter() - began
            unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB on Linux
            figures = os.waitstatus_to_exitcode(status), wall_sec, usage.ru_maxrss / unit
    with open(report, "w") as file:
        json.dump(figures, file)


if __name__ == "__main__":
    _measure(*sys.argv[1:])
