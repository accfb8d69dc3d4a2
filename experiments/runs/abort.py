"""What JAX's C++ says and does when a process that it has joined is lost: one line instead.

Its coordination client prints a stack trace and calls abort(), from a thread of its own, before
Python hears of it. So its stderr goes to a file, and a handler of SIGABRT tells what happened.
"""

import contextlib
import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Iterator

from experiments.cli import streams

LOST = 134  # the exit status of abort(), as a shell tells it
_BY_JAX = b"JAX distributed service"
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)


class Line:
    """What is told where JAX ends the process, and the exit status."""

    def __init__(self, text: str, status: int):
        self.text, self.status = text, status


@contextlib.contextmanager
def told(line: Line) -> Iterator[None]:
    """Where JAX's client aborts, prints the line and ends with its status.

    Any other abort tells what the C++ had printed, and ends as ever. Python's own stderr is left
    as it is.
    """
    libc = ctypes.CDLL(None)
    libc.signal.argtypes, libc.signal.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    with tempfile.TemporaryFile() as printed, streams.native_stderr_to(printed) as terminal:

        def handle(number):
            printed.seek(0)
            said = printed.read()
            if _BY_JAX in said:
                os.write(terminal, f"{line.text}\n".encode())
                os._exit(line.status)
            os.write(terminal, said)  # and abort() goes on

        handler = _HANDLER(handle)  # referred to as long as it is installed
        before = libc.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
        try:
            yield
        finally:
            libc.signal(signal.SIGABRT, before)
            sys.stderr.flush()
