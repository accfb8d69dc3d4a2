"""Files within a zip archive, by the name ARCHIVE/FILE; nothing is ever written to a disk."""

import io
import os
import posixpath
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from w2v_jax.types import UserError

_UNSEEN = ("__MACOSX",)  # what a Mac puts beside the files


def split(path) -> tuple[Path, str]:
    """A path, and what of it is a file's name within an archive: '' where nothing is."""
    path = Path(os.path.expanduser(path))
    with suppress(OSError, ValueError):  # whoever opens it says what is wrong
        if not path.exists():
            for folder in path.parents:
                if folder.is_file():
                    return folder, path.relative_to(folder).as_posix()
    return path, ""


@contextmanager
def opened(path, file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """The archive. What zipfile raises, also while its files are read, becomes a UserError."""
    with ExitStack() as stack:
        try:
            # A pipe's, or unpacked: the table of what is in it stands at the end.
            own = isinstance(getattr(file, "raw", None), io.FileIO)
            seekable = file if own else io.BytesIO(file.read())
            yield stack.enter_context(zipfile.ZipFile(seekable))
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, UnicodeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{path}: is a zip archive that cannot be read: {reason}") from error


def names(archive: zipfile.ZipFile) -> list[str]:
    """The files in it, in their order there, without folders and what is hidden.

    By paths that `chosen` finds them by, as programs write ./NAME and /NAME too.
    """
    found = [_normal(name) for name in archive.namelist() if not name.endswith("/")]
    return [name for name in found if not _is_hidden(name)]


def _normal(name: str) -> str:
    """A file's name as a path has it: without ./, // and a / before it."""
    return posixpath.normpath(name).lstrip("/")


def _is_hidden(name: str) -> bool:
    parts = name.split("/")
    return parts[0] in _UNSEEN or any(p.startswith(".") and p != ".." for p in parts)


def chosen(path, archive: zipfile.ZipFile, inside: str) -> zipfile.ZipInfo:
    """The file of this name, or the only one. Raises UserError where it isn't there or unclear."""
    there = names(archive)
    if not inside and len(there) != 1:
        way = f"as {path}/NAME" if os.path.isfile(path) else "once it is saved to a file"
        raise UserError(f"{path}: name one of its files, {way}: {listed(there)}")
    wanted = _normal(inside or there[0])
    for about in archive.infolist():
        if _normal(about.filename) == wanted:
            return about
    raise UserError(f"{path}: its zip holds no such file: {listed(there)}")


def listed(names: list[str]) -> str:
    """Some of the names, for a message."""
    return ", ".join(names[:6]) + (", .." if len(names) > 6 else "") or "it is empty"
