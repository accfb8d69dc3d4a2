"""The processes that carry a run's replicas: on CPUs one a core, started here.

The first process owns the run directory, the screen and the signals. The others run the same
command with --distributed=HOST:0,N,I, train once the text is read, write nothing, and end with the
first. They share memory, and each is a JAX of its own: so programs are kept for all of them. Where
the user gives --distributed, `group` joins processes by JAX, and none is started.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import NamedTuple

from absl import flags

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.runs import children, distributed, signals
from experiments.runs.children import Children
from experiments.runs.distributed import Given
from experiments.runs.group import Group
from w2v_jax import processes, shared_memory
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
    with children.started(count, script, workdir, share_memory=True) as started_here:
        yield Others(started_here)


@contextlib.contextmanager
def joined(others: Others) -> Iterator[Partners]:
    """The partners of a run, from here to the training's end. The text has been read."""
    if others.group:
        yield _of_group()
        others.group.part()
    elif others.children:
        others.children.tell("read")
        try:
            with _loss_told():
                yield shared_memory.partners(*others.children.shared, 0)
        finally:
            children.pin(others.children.cores)
    else:
        yield ALONE


def wait_for_the_first() -> Given:
    """Until the first process has read the text; which of the processes this is."""
    for each in signals.SIGNALS:  # the first is asked too, and all agree
        signal.signal(each, signal.SIG_IGN)
    children.heard_from_the_first()
    return distributed.given()


@contextlib.contextmanager
def joined_with_the_first(given: Given) -> Iterator[Partners]:
    """The partners of a run, for a process that the first has started."""
    with _loss_told():
        yield shared_memory.partners(*children.shared_with_the_first(), given.number)


@contextlib.contextmanager
def _loss_told() -> Iterator[None]:
    """Ends this process with a line where another was lost."""
    try:
        yield
    except ConnectionError:
        distributed.end_for_loss()


def processes_of(config: RunConfig) -> int:
    """How many processes carry the replicas: as many as there are cores, a power of two.

    One where JAX has started, and has its threads; where the text can be read once alone; and where
    a system has no memory to share.
    """
    has_memory = hasattr(os, "memfd_create")
    if config.replicas == 1 or not has_memory or not children.can_start(config):
        return 1
    most = min(config.replicas, len(children.cores()), flags.FLAGS.processes or config.replicas)
    return 1 << (most.bit_length() - 1)


def _of_group() -> Partners:
    """All processes that JAX has joined, connected with each other."""
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
