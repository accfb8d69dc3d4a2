"""stdout and stderr that may be closed or full."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

from w2v_jax.types import UserError


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """What can't be written to stderr is lost in silence; to stdout, it is a UserError.

    BrokenPipeError of stdout stays what it is.
    """
    before = sys.stdout, sys.stderr
    _fill_closed()
    sys.stdout = _Stream(sys.stdout or _closed(), "stdout")
    sys.stderr = _Stream(sys.stderr or open(os.devnull, "w"), "")  # noqa: SIM115
    try:
        yield
    finally:
        with contextlib.suppress(OSError, UserError):
            sys.stdout.flush()
        sys.stdout, sys.stderr = before


@contextlib.contextmanager
def native_stderr_to(file: BinaryIO) -> Iterator[int]:
    """What code that is not Python's prints to stderr goes to a file; gives the true stderr.

    What Python prints goes there as before.
    """
    before = sys.stderr
    before.flush()
    true = os.dup(2)
    sys.stderr = _Stream(open(true, "w", buffering=1, closefd=False), "")  # noqa: SIM115
    os.dup2(file.fileno(), 2)
    try:
        yield true
    finally:
        sys.stderr.flush()
        os.dup2(true, 2)
        os.close(true)
        sys.stderr = before


class _Stream:
    """A stream of text; after a failure what follows goes nowhere."""

    def __init__(self, stream, name: str):
        if hasattr(stream, "reconfigure"):  # words that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
        self._stream, self._name = stream, name

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, as far as that can be."""
        self._trying(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Writes what waits."""
        self._trying(self._stream.flush)

    def _trying(self, write) -> None:
        try:
            write()
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # what waits would fail again at the exit
            os.close(nowhere)
            if not self._name:
                return
            if isinstance(error, BrokenPipeError):
                raise
            raise UserError(f"{self._name}: {error.strerror}") from error


def _fill_closed() -> None:
    """Puts something where 0, 1 or 2 is closed: the next file opened would take its place."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if descriptor < 2 else os.O_WRONLY)


def _closed():
    """A stream that refuses what is written, as a closed one does."""
    return open(os.open(os.devnull, os.O_RDONLY), "w")
