"""SIGINT and SIGTERM during training: the first asks to save and end, a second ends at once."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from w2v_jax import processes
from w2v_jax.replicas import Partners

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_MOST = 2**16  # processes


class Asked:
    """Whether a signal has asked to stop."""

    def __init__(self):
        self.number: int | None = None

    def while_doing(self, work: Callable[[], Any]) -> Any:
        """What work() gives, from another thread; None as soon as a signal asks to stop."""
        result, error, ended = [], [], threading.Event()

        def do():
            try:
                result.append(work())
            except BaseException as caught:  # raised where it is waited for
                error.append(caught)
            ended.set()

        threading.Thread(target=do, daemon=True).start()
        while not ended.wait(0.1):  # a wait for a device would keep signals out
            if self.number:
                return None
        if error:
            raise error[0]
        return result[0]


def agreed(asked: Asked, partners: Partners) -> int:
    """The signal for which all processes of a run stop at this step; 0: they go on."""
    if partners.processes == 1:
        return asked.number or 0
    found = processes.total(
        {signal.SIGINT: 1, signal.SIGTERM: _MOST}.get(asked.number, 0), partners
    )
    if found >= _MOST:
        return signal.SIGTERM
    return signal.SIGINT if found else 0


def ask_this_process() -> bool:
    """Asks it to stop, as from outside; False where it is stopping already, or compiles."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # another would end it at once
        return False
    os.kill(os.getpid(), signal.SIGTERM)
    return True


@contextlib.contextmanager
def watched() -> Iterator[Asked]:
    """Notes the first signal, instead of ending; before and after signals do what they did."""
    asked = Asked()

    def note(number, frame):
        del frame
        asked.number = number
        for each in SIGNALS:  # not ours: it must work while the main thread waits for a device
            signal.signal(each, signal.SIG_DFL)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Lets the system end the process: a compiler would keep Python's handlers waiting."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
