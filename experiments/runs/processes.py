"""The processes that carry a run's replicas: on CPUs one a core, started here, joined by JAX.

The first process owns the run directory, the screen and the signals. The others run the same
command with --distributed=HOST:0,N,I, hear of the port once the text is read, write nothing, and
end with the first. Where the user gives --distributed, `group` joins them, and none is started.
"""

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import NamedTuple

import jax
from absl import flags

from experiments.cli import command, console
from experiments.cli.config import RunConfig
from experiments.cli.errors import Stopped
from experiments.runs import children, distributed, signals
from experiments.runs.children import HERE, Children
from experiments.runs.distributed import Given
from experiments.runs.group import Group
from w2v_jax import processes
from w2v_jax.replicas import ALONE, Partners


class Others(NamedTuple):
    """The processes beside the first, started and waiting; or those of --distributed."""

    children: Children | None = None
    group: Group | None = None

    def sharing(self) -> int:
        """How many of the run's processes share this machine's memory."""
        if self.group:
            return self.group.here()
        return self.children.count() if self.children else 1

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
    with children.started(count, script, workdir) as started_here:
        yield Others(started_here)


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
    others.children.tell(str(port))
    try:
        given = Given(f"{HERE}:{port}", others.children.count(), 0)
        with _connected(given, others.children.file) as partners:
            yield partners
    finally:
        children.pin(others.children.cores)


def wait_for_the_first() -> Given:
    """Until the first process has read the text; what to join, then."""
    for each in signals.SIGNALS:  # the first is asked too, and all agree
        signal.signal(each, signal.SIG_IGN)
    port = children.heard_from_the_first()
    return distributed.given()._replace(address=f"{HERE}:{port}")


@contextlib.contextmanager
def joined_with_the_first(given: Given) -> Iterator[Partners]:
    """The partners of a run, for a process that the first has started."""
    with _connected(given, children.file_of_the_first()) as partners:
        yield partners


def processes_of(config: RunConfig) -> int:
    """How many processes carry the replicas: as many as there are cores, a power of two.

    One where JAX has started, as reading an earlier checkpoint starts it: too late to join others;
    and where the text can be read once alone.
    """
    if config.replicas == 1 or config.continue_from or not children.can_start(config):
        return 1
    most = min(config.replicas, len(children.cores()), flags.FLAGS.processes or config.replicas)
    return 1 << (most.bit_length() - 1)


@contextlib.contextmanager
def _connected(given: Given, file: int | None) -> Iterator[Partners]:
    with distributed.joined(given):
        try:
            yield _partners(file)
        except Stopped:  # all of them did
            jax.distributed.shutdown()
            raise
        except BaseException as error:
            if distributed.tells_of_loss(error):
                distributed.end_for_loss()
            command.end_at_once()  # the others wait for this one: JAX would wait for them
            raise
        jax.distributed.shutdown()


def _partners(file: int | None = None) -> Partners:
    """All processes, connected with each other; file: of the memory that they share."""
    partners = processes.partners(file)
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


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HERE, 0))
        return found.getsockname()[1]
