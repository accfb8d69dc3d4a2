"""The one writer of files: each appears whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from w2v_jax.data.files import reason_of
from w2v_jax.types import UserError


def is_stream(path: Path) -> bool:
    """A pipe or a device; /dev/stdout and the like, too, where they lead to a file."""
    if path.is_absolute() and path.parts[1:2] in (("dev",), ("proc",)):
        return True
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def whole_file(path) -> Iterator[BinaryIO]:
    """A new file that takes its name only when all of it is on disk; or a pipe, or a device.

    Raises UserError where it cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        if is_stream(path):
            with open(path, "wb") as file:
                yield file
            return
        with open(partial, "xb") as file:  # x: what stands there is not ours
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason_of(error)})") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def write_atomically(path: str, data: bytes) -> None:
    """Writes a file whole or not at all; makes its folder. Raises UserError naming it."""
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason_of(error)})") from error
    with whole_file(path) as file:
        file.write(data)
