"""The one place that opens files from outside: unpacked and known by what they hold, not a name."""

import bz2
import gzip
import io
import lzma
import os
import stat
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO

from w2v_jax.data import archives, kinds, zstd
from w2v_jax.types import UserError

UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)  # what reading may raise
BUFFER = 1 << 16
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": zstd.opened}


@contextmanager
def opened(path, called: str = "", vectors: bool = False) -> Iterator[BinaryIO]:
    """A file's bytes, unpacked where they are gzip's, bzip2's, xz's, zstd's or zip's; a pipe's too.

    `called`: what messages call it (default: its path). vectors: bytes of any kind are given.
    Raises UserError where it can't be read, also later on, and where it is known to be no text:
    an archive, a pickle, UTF-16 ..; the message says what, and what to do.
    """
    called = called or str(path)
    try:
        with unpacked(path, called, vectors) as file:
            yield file
    except (UserError, UnicodeError):
        raise
    except ValueError as error:  # a NUL in the path
        raise UserError(f"{called!r}: {error}") from error
    except UNREADABLE as error:
        raise UserError(f"{called}: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def unpacked(
    path, called: str = "", vectors: bool = False, encoding: str | None = None
) -> Iterator[BinaryIO]:
    """As `opened`, but what the system and the unpackers refuse is raised as it is.

    encoding: of a text that may be in another than UTF-8, '' where none was named.
    """
    called = called or str(path)
    archive, inside = archives.split(path)
    with _of_archive(archive, called, vectors) as file:
        if vectors or not (inside or kinds.is_zip(file.peek(kinds.HEAD))):
            if not vectors:
                _check_text(file.peek(kinds.HEAD)[: kinds.HEAD], called, encoding)
            yield file
            return
        if not kinds.is_zip(file.peek(kinds.HEAD)):
            raise UserError(f"{called}: {archive} is no zip archive")
        with archives.opened(called, file) as within:
            about = archives.chosen(called, within, inside)
            with ExitStack() as stack:
                inner = io.BufferedReader(stack.enter_context(within.open(about)), BUFFER)
                file = _unpacking(stack, inner, about.filename, vectors)
                _check_text(file.peek(kinds.HEAD)[: kinds.HEAD], called, encoding)
                yield file


@contextmanager
def _of_archive(path, called: str, vectors: bool) -> Iterator[io.BufferedReader]:
    """A file of the system's, unpacked but for a zip's."""
    path = os.path.expanduser(path)
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise UserError(f"{called}: is a folder, not a file")
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
        raise UserError(f"{called}: is a device, not a file")
    with ExitStack() as stack:
        file = stack.enter_context(open(path, "rb"))
        head = file.read(kinds.HEAD)
        if stat.S_ISFIFO(mode):
            file = stack.enter_context(io.BufferedReader(_Replayed(head, file), BUFFER))
        else:
            file.seek(0)
        yield _unpacking(stack, file, path, vectors)


def _unpacking(stack: ExitStack, file: BinaryIO, name: str, vectors: bool) -> io.BufferedReader:
    """A file, unpacked where it is gzip's, bzip2's, xz's or zstd's."""
    head = file.peek(kinds.HEAD)[: kinds.HEAD]
    if opener := _OPENERS.get(kinds.packing(head) if vectors else _packing(name, head)):
        # The archives' own line iteration is Python, a BufferedReader's is C.
        try:
            return stack.enter_context(io.BufferedReader(opener(file, "rb"), BUFFER))
        except ModuleNotFoundError as error:
            told = "is packed by zstd: pip install zstandard, or `zstd -d FILE -o NEW`"
            raise UserError(f"{name}: {told}") from error
    return file


def _check_text(head: bytes, called: str, encoding: str | None) -> None:
    """Raises UserError where a file's beginning shows that it is no text."""
    if kind := kinds.foreign(head, encoding):
        raise UserError(f"{called}: is {kind}")
    wide = (encoding or "").startswith(("utf-16", "utf-32"))
    if not wide and (nuls := head.count(0)) >= max(32, len(head) / 100):
        raise UserError(f"{called}: holds NUL bytes, {nuls} of its first {len(head)}: no text")


def is_packed(path: str) -> bool:
    """Whether a file is unpacked when it is read; False where that can't be known."""
    archive, inside = archives.split(path)
    if inside:
        return True
    if not os.path.isfile(archive):  # what comes through a pipe comes once
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(kinds.HEAD)
            return bool(_packing(path, head)) or kinds.is_zip(head)
    except OSError:
        return False


_piped: dict[tuple, bytes] = {}


def content(path, called: str = "") -> bytes:
    """All of a file, of which several readers may ask: what came through a pipe is kept.

    Raises UserError as `opened` does.
    """
    key = None
    with suppress(OSError, ValueError):
        about = os.stat(os.path.expanduser(path))
        key = (about.st_dev, about.st_ino) if stat.S_ISFIFO(about.st_mode) else None
    if key and key in _piped:
        return _piped[key]
    with opened(path, called) as file:
        data = file.read()
    if key:
        _piped[key] = data
    return data


def text(path, called: str = "") -> str:
    """All of a file that is UTF-8 text, as `content`, without a byte-order mark.

    Raises UserError as `opened` does, and as `decoded`.
    """
    return decoded(content(path, called), called or str(path))


def decoded(raw: bytes, called: str) -> str:
    """UTF-8 without a byte-order mark. Raises UserError naming the line that is not UTF-8."""
    try:
        return raw.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        sample = error.object[max(error.start - 1000, 0) :][:4000]
        raise UserError(f"{called}: line {line}: {kinds.not_utf8(sample)}") from error


def _packing(path, head: bytes) -> str:
    """How it is packed: by what it holds; by its name where it is cut short or damaged."""
    suffix = os.path.splitext(path)[1].lower()
    if found := kinds.packing(head):
        return found
    if kinds.is_zip(head):
        return ""
    if suffix in _OPENERS and (kinds.PACKED[suffix].startswith(head) or not kinds.is_text(head)):
        return suffix
    return ""


def reason_of(error: Exception) -> str:
    """What went wrong, as a part of a line."""
    inner = getattr(error, "reason", None)  # a URLError wraps the error of the system
    error = inner if isinstance(inner, OSError) else error
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()) or type(error).__name__


class _Replayed(io.RawIOBase):
    """A stream whose beginning was read already."""

    def __init__(self, head: bytes, rest: BinaryIO):
        super().__init__()
        self._head, self._rest = memoryview(head), rest

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer) -> int:
        """What was read already, then what follows."""
        if not self._head:
            return self._rest.readinto1(buffer)
        count = min(len(buffer), len(self._head))
        buffer[:count], self._head = self._head[:count], self._head[count:]
        return count
