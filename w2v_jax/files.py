"""Files from outside, opened for reading: regular ones alone, so that no reader waits for ever."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from w2v_jax.types import UserError


@contextmanager
def opened(path, called: str = "") -> Iterator[BinaryIO]:
    """A file's bytes. Links are followed; folders, pipes and devices are refused unopened.

    Raises UserError, which calls the file `called` (default: its path), also where reading fails.
    """
    called = called or str(path)
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
            raise UserError(f"{called}: is {kind}, not a file")
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except ValueError as error:  # a NUL in the path
        raise UserError(f"{called!r}: {error}") from error
    except OSError as error:
        raise UserError(f"{called}: {error.strerror or error}") from error
    with file:
        try:
            yield file
        except OSError as error:
            raise UserError(f"{called}: {error.strerror or error}") from error
