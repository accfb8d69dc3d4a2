"""The processes that carry a run's replicas: on CPUs one a core, started here, joined by JAX.

The first process owns the run directory, the screen and the signals. The others run the same
command with --distributed=HOST:PORT,N,I, write nothing, and end with the first.
"""

import contextlib
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
from absl import flags
from jax.errors import JaxRuntimeError

from experiments.cli import command, console, programs
from experiments.cli.config import RunConfig
from experiments.cli.errors import Stopped
from experiments.runs import signals
from w2v_jax import processes, shared_memory
from w2v_jax.data import loader
from w2v_jax.replicas import ALONE, Partners
from w2v_jax.types import UserError
from w2v_jax.xla_flags import has_started

HEARTBEAT = 30  # seconds without a sign of life after which a process counts as lost
STARTED = "W2V_JAX_STARTED"  # in the environment of a process that another has started
SHARED = "W2V_JAX_SHARED"  # there too: the file of the memory that they share
LOST = 134  # exit status where one was
ACCELERATORS = ("jax_cuda13_plugin", "jax_cuda12_plugin", "jax_rocm7_plugin", "libtpu")


def number() -> int:
    """Which of a run's processes this is; 0: the first, or the only one."""
    return _given()[2] if flags.FLAGS["distributed"].value else 0


class Others(NamedTuple):
    """The processes beside the first, started and waiting."""

    address: str = ""
    cores: tuple[int, ...] = ()  # of all processes
    children: tuple[subprocess.Popen, ...] = ()
    file: int | None = None  # memory that they share


@contextlib.contextmanager
def started(config: RunConfig, script: str, workdir: str) -> Iterator[Others]:
    """The other processes of a run, where it has any on this machine; they end with it.

    They come up while the first reads the text. It must be called before JAX starts.
    """
    count = 1 if flags.FLAGS.distributed else processes_of(config)
    if config.replicas > 1 and not flags.FLAGS.distributed:
        how = "one after the other" if count == 1 else f"carried by {count} processes"
        console.log(f"{config.replicas} replicas, {how}")
    if count == 1:
        yield Others()
        return
    with _children(count, script, workdir) as others:
        yield others


@contextlib.contextmanager
def joined(config: RunConfig, others: Others = Others()) -> Iterator[Partners]:  # noqa: B008
    """The partners of a run, from here to its end. The text has been read, and is in the cache.

    It must be called before JAX starts. Raises UserError for a --distributed that is none.
    """
    if flags.FLAGS.distributed:
        given, file = _given(), int(os.environ[SHARED]) if os.environ.get(SHARED) else None
    elif others.children:
        given, file = (others.address, len(others.children) + 1, 0), others.file
        for child in others.children:
            with contextlib.suppress(OSError):  # it is dead, and whoever watches it says so
                child.stdin.write(b"\n")
                child.stdin.flush()
    else:
        yield ALONE
        return
    try:
        with _connected(*given, config, file) as partners:
            yield partners
    finally:
        if others.cores:
            _pin(others.cores)


def wait_for_the_first() -> None:
    """Until the first process has read the text."""
    for each in signals.SIGNALS:  # the first is asked too, and all agree
        signal.signal(each, signal.SIG_IGN)
    if not sys.stdin.readline():
        os._exit(LOST)
    threading.Thread(target=_end_with_the_first, daemon=True).start()


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


def _given() -> tuple[str, int, int]:
    """--distributed=HOST:PORT,N,I. Raises UserError."""
    text = flags.FLAGS.distributed
    if not os.environ.get(STARTED):
        raise UserError(f"--distributed={text}: is for the processes that a run itself starts")
    try:
        address, count, own = text.split(",")
        count, own = int(count), int(own)
        if ":" not in address or not 0 <= own < count:
            raise ValueError
    except ValueError as error:
        raise UserError(f"--distributed={text}: not HOST:PORT,N,I") from error
    return address, count, own


@contextlib.contextmanager
def _connected(
    address: str, count: int, own: int, config: RunConfig, file: int | None
) -> Iterator[Partners]:
    if config.replicas % count:
        raise UserError(f"--replicas={config.replicas}: {count} processes can't share them evenly")
    jax.distributed.initialize(address, count, own, heartbeat_timeout_seconds=HEARTBEAT)
    try:
        partners = processes.partners(file)
        with _without_stdout():  # where Gloo tells of each connection
            processes.total(0, partners)
        yield partners
    except Stopped:  # all of them did
        jax.distributed.shutdown()
        raise
    except JaxRuntimeError as error:
        command.end_at_once()
        if "RESOURCE_EXHAUSTED" in str(error):
            raise
        time.sleep(1)  # whoever watches the others knows more
        console.log("error: a process of the run was lost")
        os._exit(LOST)
    except BaseException:  # the others wait for this one: JAX would wait for them
        command.end_at_once()
        raise
    jax.distributed.shutdown()


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
    os._exit(LOST)


@contextlib.contextmanager
def _children(count: int, script: str, workdir: str) -> Iterator[Others]:
    """Starts all but the first. Each has its share of the cores."""
    cores = _cores()
    each = len(cores) // count
    address = f"127.0.0.1:{_free_port()}"
    own_flags = [*sys.argv[1:], f"--workdir={workdir}"]
    begun = [sys.executable, "-m", f"experiments.{script}"]
    with contextlib.ExitStack() as stack:
        children, file = [], shared_memory.make()
        if file is not None:
            stack.callback(os.close, file)
        for own in range(1, count):
            log = stack.enter_context(tempfile.TemporaryFile())
            _pin(cores[own * each : (own + 1) * each])  # a child has its parent's cores
            child = subprocess.Popen(
                [*begun, f"--distributed={address},{count},{own}", *own_flags],
                env={**os.environ, STARTED: "1", SHARED: "" if file is None else str(file)},
                pass_fds=() if file is None else (file,),
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
        yield Others(address, tuple(cores), tuple(child for child, _ in children), file)


def _watch(own: int, child: subprocess.Popen, log) -> None:
    """Ends the run where a process is lost; it goes on from its last checkpoint."""
    status = child.wait()
    if status in (0, None) or getattr(child, "is_done", False):
        return
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    console.log(
        f"error: process {own} of the run was lost (status {status}): {(lines or [''])[-1]}"
    )
    os._exit(LOST)


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
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
