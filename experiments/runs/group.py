"""The processes of --distributed: they agree on what they train, and end together.

They talk through the coordinator's store, in which each key is written once.
"""

import contextlib
import json
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jaxlib
from jax.errors import JaxRuntimeError

from experiments.cli import command, console
from experiments.cli.config import RunConfig
from experiments.cli.errors import Stopped
from experiments.runs import distributed, fingerprint, signals
from experiments.runs.distributed import Given
from w2v_jax.types import UserError

_POLL = 0.2  # seconds
_SEEN = 5  # seconds in which all hear of an end


class Group(NamedTuple):
    """This process among those of the run."""

    given: Given
    store: Any  # JAX's
    machines: list[str]  # of all processes

    def here(self) -> int:
        """How many of the processes are on this machine."""
        return self.machines.count(self.machines[self.given.number])

    def gathered(self, name: str, value: Any) -> list[Any]:
        """What each process gives under a name; waits for all."""
        return _gathered(self.store, self.given, name, value)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """One process of a machine reads the text first; the others find it in the cache."""
        own = self.given.number
        first = self.machines.index(self.machines[own])
        if first != own:
            _get(self.store, f"read/{first}")
        yield
        if first == own:
            self.store.key_value_set(f"read/{own}", "")

    def trains(self, answer: bool | None = None) -> bool:
        """Whether there is anything to train, which process 0 knows and tells."""
        if answer is not None:
            self.store.key_value_set("trains", json.dumps(answer))
        return json.loads(_get(self.store, "trains"))

    def part(self) -> None:
        """Lets all go on by themselves: each waits for the others here."""
        if jax.distributed.is_initialized():
            jax.distributed.shutdown()

    def stop(self) -> None:
        """Asks the others to stop, as a signal asked this one."""
        with contextlib.suppress(JaxRuntimeError):  # another came first
            self.store.key_value_set("stop", str(self.given.number))

    def agree(self, this: dict) -> None:
        """Raises UserError, in all processes, where one is about to train something else.

        this: the fingerprint of a run; or what it has of a sweep.
        """
        this = this | {"jax": jax.__version__, "jaxlib": jaxlib.__version__}
        found = self.gathered("fingerprint", this)
        for number, other in enumerate(found):
            if differ := fingerprint.differences(found[0], other):
                self.part()
                raise UserError(
                    f"--distributed: processes 0 and {number} have been given different work: "
                    f"{'; '.join(differ)}"
                )


@contextlib.contextmanager
def together(config: RunConfig | None = None) -> Iterator[Group | None]:
    """The group of --distributed, or None; whatever ends one of them ends all.

    config: of a run, whose replicas they share. It must be called before JAX starts. Raises
    UserError where they can't share them, or don't meet.
    """
    given = None if distributed.is_started() else distributed.given()
    if given is None or given.processes == 1:
        yield None
        return
    if config:
        _check(given, config)
    with distributed.joined(given) as store, _watched(store, given) as ending:
        command.end_at_once()  # or threads that wait in JAX's C++ would end it badly
        try:
            group = Group(given, store, _gathered(store, given, "machine", socket.gethostname()))
            yield group
        except BaseException as error:
            ending.set()
            if jax.distributed.is_initialized():
                _end(store, given, error)
            raise
        group.part()


def _end(store, given: Given, error: BaseException) -> None:
    """Ends the others where this process ends, or this one where another was lost."""
    asked = isinstance(error, SystemExit | KeyboardInterrupt)
    if isinstance(error, Stopped) or (asked and _found(store, "stop") is not None):  # all did
        jax.distributed.shutdown()
    elif distributed.tells_of_loss(error):
        distributed.end_for_loss()
    else:
        _end_all(store, given, error)


def _check(given: Given, config: RunConfig) -> None:
    count = given.processes
    if config.mesh:
        raise given.refused(f"--mesh={config.mesh} is of one process's devices")
    if count & (count - 1):
        raise given.refused(f"{count} processes carry the replicas, which is no power of two")
    if config.replicas % count:
        raise UserError(
            f"--replicas={config.replicas}: {count} processes (--distributed) can't share them "
            f"evenly: give {count}, or a multiple of it"
        )


def _gathered(store, given: Given, name: str, value: Any) -> list[Any]:
    store.key_value_set(f"{name}/{given.number}", json.dumps(value))
    return [json.loads(_get(store, f"{name}/{i}")) for i in range(given.processes)]


def _found(store, key: str) -> str | None:
    try:
        return store.key_value_try_get(key)
    except JaxRuntimeError as error:
        if "NOT_FOUND" in str(error):
            return None
        raise


def _get(store, key: str) -> str:
    """What is written under a key, once it is; Python's handlers of signals run meanwhile."""
    while (found := _found(store, key)) is None:
        time.sleep(_POLL)
    return found


@contextlib.contextmanager
def _watched(store, given: Given) -> Iterator[threading.Event]:
    """Ends this process, from a thread, as soon as another says why the run ends.

    Asks it to stop as soon as another was asked, unless it is ending already: the event.
    """
    left, ending, own = threading.Event(), threading.Event(), str(given.number)

    def wait():
        with contextlib.suppress(JaxRuntimeError):  # they have parted, or one was lost
            while (found := _found(store, "end")) is None:
                if left.wait(_POLL):
                    return
                is_asked = _found(store, "stop") not in (None, own)
                if is_asked and not ending.is_set() and signals.ask_this_process():
                    ending.set()
            end = json.loads(found)
            if end["process"] != given.number:
                line = f"process {end['process']}: {end['line']}" if end["line"] else ""
                _leave(store, given, line, end["status"])

    watcher = threading.Thread(target=wait, daemon=True)
    watcher.start()
    try:
        yield ending
    finally:
        left.set()
        watcher.join()


def _end_all(store, given: Given, error: BaseException) -> None:
    """Tells the others how this process ends, and ends it."""
    status, line = command.outcome(error)
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else 1
    elif not line:
        traceback.print_exception(error)
        line = f"error: {type(error).__name__}: {error}"
    end = {"process": given.number, "status": status, "line": line}
    with contextlib.suppress(JaxRuntimeError):
        store.key_value_set("end", json.dumps(end))
        _leave(store, given, line, status)
    time.sleep(2 * _SEEN)  # another came first, and ends this one


def _leave(store, given: Given, line: str, status: int) -> None:
    """Ends this process; process 0, which keeps the store, is the last."""
    if line:
        console.error(line)
    if given.number:
        store.key_value_set(f"left/{given.number}", "")
    else:
        until = time.monotonic() + _SEEN
        others = [f"left/{i}" for i in range(1, given.processes)]
        while time.monotonic() < until and not all(_found(store, key) == "" for key in others):
            time.sleep(_POLL)
        time.sleep(_POLL)
    sys.stdout.flush()
    os._exit(status)
