"""A process with a time limit, which ends with all that it started."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[3]
WATCHED_SEC = 0.5


class Ended(NamedTuple):
    """How a process ended."""

    status: int | None  # its exit status, minus the number of a signal; None: at its limit
    wall_sec: float


def run(argv: list[str], log: Path, limit_sec: float, env: dict[str, str]) -> Ended:
    """Runs a command, its output to `log`; it has the project's packages.

    At the limit, and where this process is interrupted, it ends with all that it started.
    """
    path = os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH", "")]))
    began = time.perf_counter()
    with open(log, "wb") as file:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env={**env, "PYTHONPATH": path},
            start_new_session=True,
        )
        try:
            status = process.wait(max(limit_sec, 0))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Ended(status, time.perf_counter() - began)


def end_with(parent: int) -> None:
    """From now on this process's group ends where the process that started it is gone."""

    def watch():
        while os.getppid() == parent:
            time.sleep(WATCHED_SEC)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def last_line(log: Path) -> str:
    """The last line of a process's output that isn't blank."""
    lines = log.read_text(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
