"""Processes that a command starts on this machine, one beside the other: the same command again.

They are told by --distributed=HERE:0,N,I which they are, and wait until the first speaks. What
they print is kept, and told where one is lost. They end with the first.
"""

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import jax

from experiments.cli import console, programs
from experiments.cli.config import RunConfig
from experiments.cli.errors import Stopped
from experiments.runs import abort, distributed, signals
from w2v_jax import shared_memory
from w2v_jax.data import loader
from w2v_jax.xla_flags import has_started

HERE = "127.0.0.1"
SHARED = "W2V_JAX_SHARED"  # in a child's environment: the file and the ends of `shared_memory`
ACCELERATORS = ("jax_cuda13_plugin", "jax_cuda12_plugin", "jax_rocm7_plugin", "libtpu")
_STOPPED = (128 + signal.SIGTERM, -signal.SIGTERM)


class Children(NamedTuple):
    """The processes beside the first."""

    cores: tuple[int, ...]  # of all processes, the first among them
    processes: tuple[subprocess.Popen, ...]
    shared: tuple[int, list[socket.socket]] | None = None  # the first's, as of `shared_memory`

    def count(self) -> int:
        """How many there are with the first."""
        return len(self.processes) + 1

    def tell(self, line: str) -> None:
        """What they wait for."""
        for child in self.processes:
            with contextlib.suppress(OSError):  # it is dead, and whoever watches it says so
                child.stdin.write(f"{line}\n".encode())
                child.stdin.flush()

    def wait(self) -> None:
        """Until all have done their work. Raises SystemExit where one was asked to stop."""
        for child in self.processes:
            if child.wait() in _STOPPED:
                raise SystemExit(128 + signal.SIGTERM)


def can_start(config: RunConfig) -> bool:
    """Whether others can share the work: on CPUs, where JAX has not started here yet.

    Not where the text can be read once alone.
    """
    named = Path(config.corpus).expanduser() if config.corpus else None
    once = config.cache_dir == loader.NO_CACHE or (
        named is not None
        and named.exists()
        and (not named.is_file() or named.parts[:2] in (("/", "dev"), ("/", "proc")))
    )
    return _is_on_cpu() and not has_started() and not once


def _is_on_cpu() -> bool:
    """Whether JAX will compute on CPUs; asking JAX itself would start it."""
    named = jax.config.jax_platforms or os.environ.get("JAX_PLATFORMS", "")
    return named == "cpu" if named else not any(find_spec(name) for name in ACCELERATORS)


def cores() -> list[int]:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def pin(cores: Sequence[int]) -> None:
    """This thread's cores, and those of the threads and processes that it starts."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def heard_from_the_first() -> str:
    """What the first process tells, for one that it has started; from here it ends with it."""
    line = sys.stdin.readline()
    if not line:
        os._exit(abort.LOST)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    return line.strip()


def shared_with_the_first() -> tuple[int, list[socket.socket]]:
    """What a process that the first has started shares with it and the others."""
    file, *ends = map(int, os.environ[SHARED].split(","))
    return file, [socket.socket(fileno=end) for end in ends]


def _end_with_the_first() -> None:
    sys.stdin.read()
    os._exit(abort.LOST)


@contextlib.contextmanager
def started(
    count: int, script: str, workdir: str, patience: float = 0, share_memory: bool = False
) -> Iterator[Children]:
    """Starts all but the first of `count` processes. Each has its share of the cores.

    It must be called before JAX starts. patience: seconds that they have to save, where the first
    was asked to stop. share_memory: they are partners; their number is a power of two.
    """
    there = cores()
    own_flags = [*sys.argv[1:], f"--workdir={workdir}"]
    begun = [sys.executable, "-m", f"experiments.{script}"]
    with contextlib.ExitStack() as stack:
        children, shared = [], [None] * count
        if share_memory:
            file, ends = shared_memory.make(), shared_memory.connections(count)
            stack.callback(os.close, file)
            stack.callback(_close, ends)
            shared = [(file, own) for own in ends]
        for own in range(1, count):
            log = stack.enter_context(tempfile.TemporaryFile())
            pin(_share(there, own, count))  # a child has its parent's cores
            numbers = _numbers(shared[own])
            child = subprocess.Popen(
                [*begun, *own_flags, f"--distributed={HERE}:0,{count},{own}"],
                env={**os.environ, distributed.STARTED: "1", SHARED: ",".join(map(str, numbers))},
                pass_fds=numbers,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the first
            )
            stack.callback(_end, child)
            children.append((child, log))
        if share_memory:
            _close(ends[1:])  # whoever reads from one hears of its holder's end
        pin(_share(there, 0, count))
        stack.callback(pin, there)
        for own, (child, log) in enumerate(children, 1):
            threading.Thread(target=_watch, args=(own, child, log), daemon=True).start()
        programs.keep()  # they depend on the number of cores
        all_of_them = Children(tuple(there), tuple(child for child, _ in children), shared[0])
        try:
            yield all_of_them
        except (Stopped, SystemExit, KeyboardInterrupt):
            _stop(all_of_them.processes, patience)
            raise


def _numbers(shared: tuple[int, list[socket.socket]] | None) -> list[int]:
    """The descriptors of what a process shares."""
    return [shared[0], *(end.fileno() for end in shared[1])] if shared else []


def _close(ends: list[list[socket.socket]]) -> None:
    for end in itertools.chain(*ends):
        end.close()


def _share(cores: Sequence[int], own: int, count: int) -> Sequence[int]:
    """A process's cores; where there are more processes than cores, some share one."""
    each = len(cores) // count
    return cores[own * each : (own + 1) * each] if each else [cores[own % len(cores)]]


def _watch(own: int, child: subprocess.Popen, log) -> None:
    """Ends the command where a process is lost; stops it where one was asked to stop."""
    status = child.wait()
    if status in (0, None) or getattr(child, "is_done", False):
        return
    if status in _STOPPED:
        while not signals.ask_this_process():
            time.sleep(0.1)
        return
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    console.error(
        f"error: process {own} of the run was lost (status {status}): {(lines or [''])[-1]}"
    )
    os._exit(abort.LOST)


def _stop(children: Sequence[subprocess.Popen], patience: float) -> None:
    """Asks them to stop, and gives them time."""
    for child in children:
        child.is_done = True
        child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        for child in children:
            child.wait(patience)


def _end(child: subprocess.Popen) -> None:
    child.is_done = True
    with contextlib.suppress(OSError):
        child.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(10)
        return
    child.kill()
    child.wait()
