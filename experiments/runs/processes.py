"""The processes that carry a run's replicas: on CPUs one a core, started here, joined by JAX.

The first process owns the run directory, the screen and the signals. The others run the same
command with --distributed=HOST:0,N,I, hear of the port once the text is read, write nothing, and
end with the first. Where the user gives --distributed, `group` joins them, and none is started.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags

from experiments.cli import command, console, programs
from experiments.cli.config import RunConfig
from experiments.cli.errors import Stopped
from experiments.runs import abort, distributed, signals
from experiments.runs.distributed import Given
from experiments.runs.group import Group
from w2v_jax import processes
from w2v_jax.data import loader
from w2v_jax.replicas import ALONE, Partners
from w2v_jax.xla_flags import has_started

HERE = "127.0.0.1"
ACCELERATORS = ("jax_cuda13_plugin", "jax_cuda12_plugin", "jax_rocm7_plugin", "libtpu")


class Others(NamedTuple):
    """The processes beside the first, started and waiting; or those of --distributed."""

    cores: tuple[int, ...] = ()  # of all processes
    children: tuple[subprocess.Popen, ...] = ()
    group: Group | None = None

    def sharing(self) -> int:
        """How many of the run's processes share this machine's memory."""
        return self.group.here() if self.group else len(self.children) + 1

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """While the text is read: by one process of a machine first."""
        return self.group.reading() if self.group else contextlib.nullcontext()


@contextlib.contextmanager
def started(
    config: RunConfig, script: str, workdir: str, group: Group | None = None
) -> Iterator[Others]:
    """The other processes of a run, where it has any on this machine; they end with it.

    They come up while the first reads the text. It must be called before JAX starts.
    """
    count = group.given.processes if group else processes_of(config)
    if config.replicas > 1:
        how = "one after the other" if count == 1 else f"carried by {count} processes"
        console.log(f"{config.replicas} replicas, {how}")
    if group or count == 1:
        yield Others(group=group)
        return
    with _children(count, script, workdir) as others:
        yield others


@contextlib.contextmanager
def joined(others: Others) -> Iterator[Partners]:
    """The partners of a run, from here to the training's end. The text has been read.

    It must be called before JAX starts, but for a group, whose processes have met.
    """
    if others.group:
        yield _partners()
        others.group.part()
        return
    if not others.children:
        yield ALONE
        return
    port = _free_port()
    for child in others.children:
        with contextlib.suppress(OSError):  # it is dead, and whoever watches it says so
            child.stdin.write(f"{port}\n".encode())
            child.stdin.flush()
    try:
        with _connected(Given(f"{HERE}:{port}", len(others.children) + 1, 0)) as partners:
            yield partners
    finally:
        _pin(others.cores)


def wait_for_the_first() -> Given:
    """Until the first process has read the text; what to join, then."""
    for each in signals.SIGNALS:  # the first is asked too, and all agree
        signal.signal(each, signal.SIG_IGN)
    port = sys.stdin.readline().strip()
    if not port:
        os._exit(abort.LOST)
    threading.Thread(target=_end_with_the_first, daemon=True).start()
    given = distributed.given()
    return given._replace(address=f"{HERE}:{port}")


@contextlib.contextmanager
def joined_with_the_first(given: Given) -> Iterator[Partners]:
    """The partners of a run, for a process that the first has started."""
    with _connected(given) as partners:
        yield partners


def processes_of(config: RunConfig) -> int:
    """How many processes carry the replicas: as many as there are cores, a power of two.

    One where JAX has started, as reading an earlier checkpoint starts it: too late to join others;
    and where the text can be read once alone.
    """
    if config.replicas == 1 or config.continue_from or not _is_on_cpu() or has_started():
        return 1
    named = Path(config.corpus).expanduser() if config.corpus else None
    if config.cache_dir == loader.NO_CACHE or (named and named.exists() and not named.is_file()):
        return 1
    most = min(config.replicas, len(_cores()), flags.FLAGS.processes or config.replicas)
    return 1 << (most.bit_length() - 1)


def _is_on_cpu() -> bool:
    """Whether JAX will compute on CPUs; asking JAX itself would start it."""
    named = jax.config.jax_platforms or os.environ.get("JAX_PLATFORMS", "")
    return named == "cpu" if named else not any(find_spec(name) for name in ACCELERATORS)


def _cores() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextlib.contextmanager
def _connected(given: Given) -> Iterator[Partners]:
    with distributed.joined(given):
        try:
            yield _partners()
        except Stopped:  # all of them did
            jax.distributed.shutdown()
            raise
        except BaseException as error:
            if distributed.tells_of_loss(error):
                distributed.end_for_loss()
            command.end_at_once()  # the others wait for this one: JAX would wait for them
            raise
        jax.distributed.shutdown()


def _partners() -> Partners:
    """All processes, connected with each other."""
    partners = processes.partners()
    with _without_stdout():  # where Gloo tells of each connection
        processes.total(0, partners)
    return partners


@contextlib.contextmanager
def _without_stdout() -> Iterator[None]:
    """Hides what code that is not Python's prints."""
    sys.stdout.flush()
    kept, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nothing)


def _end_with_the_first() -> None:
    """Ends this process as soon as the one that started it is gone."""
    sys.stdin.read()
    os._exit(abort.LOST)


@contextlib.contextmanager
def _children(count: int, script: str, workdir: str) -> Iterator[Others]:
    """Starts all but the first. Each has its share of the cores."""
    cores = _cores()
    each = len(cores) // count
    own_flags = [*sys.argv[1:], f"--workdir={workdir}"]
    begun = [sys.executable, "-m", f"experiments.{script}"]
    with contextlib.ExitStack() as stack:
        children = []
        for own in range(1, count):
            log = stack.enter_context(tempfile.TemporaryFile())
            _pin(cores[own * each : (own + 1) * each])  # a child has its parent's cores
            child = subprocess.Popen(
                [*begun, *own_flags, f"--distributed={HERE}:0,{count},{own}"],
                env={**os.environ, distributed.STARTED: "1"},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the first
            )
            stack.callback(_end, child)
            children.append((child, log))
        _pin(cores[:each])
        stack.callback(_pin, cores)
        for own, (child, log) in enumerate(children, 1):
            threading.Thread(target=_watch, args=(own, child, log), daemon=True).start()
        programs.keep()  # they depend on the number of cores
        yield Others(tuple(cores), tuple(child for child, _ in children))


def _watch(own: int, child: subprocess.Popen, log) -> None:
    """Ends the run where a process is lost; it goes on from its last checkpoint."""
    status = child.wait()
    if status in (0, None) or getattr(child, "is_done", False):
        return
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    console.error(
        f"error: process {own} of the run was lost (status {status}): {(lines or [''])[-1]}"
    )
    os._exit(abort.LOST)


def _end(child: subprocess.Popen) -> None:
    child.is_done = True
    with contextlib.suppress(OSError):
        child.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(10)
        return
    child.kill()
    child.wait()


def _pin(cores: Sequence[int]) -> None:
    """This thread's cores, and those of the threads and processes that it starts."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HERE, 0))
        return found.getsockname()[1]
