"""Word vectors <-> files: every format that programs of the field write, known by its bytes.

What is saved loads again bit for bit. Files appear whole or not at all. What a file says of its own
size is believed as far as the bytes that are there.
"""

import io
import re
import warnings
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.data import archives, kinds
from w2v_jax.data.files import opened
from w2v_jax.types import UserError
from w2v_jax.vectors import (
    binary_format,
    fasttext_format,
    keyed_vectors,
    npz,
    parquet_format,
    safetensors_format,
    text_format,
)
from w2v_jax.vectors.rows import Note
from w2v_jax.vectors.word_vectors import WordVectors


class Format(NamedTuple):
    """A way to save word vectors in a file."""

    suffix: str
    save: Callable[[Path, WordVectors], None]
    package: str = ""  # that it needs


FORMATS = {
    "text": Format(".txt", text_format.save),
    "binary": Format(".bin", binary_format.save),
    "npz": Format(".npz", npz.save_vectors),
    "safetensors": Format(".safetensors", safetensors_format.save, "safetensors"),
    "parquet": Format(".parquet", parquet_format.save, "pyarrow"),
    "gensim": Format(".kv", keyed_vectors.save, "gensim"),
}


def save(path, wv: WordVectors) -> None:
    """Vectors in the format of a name's suffix, as FORMATS has them; any other: word2vec's text.

    A file appears whole or not at all; a pipe or a device is written straight into. Raises
    UserError where a word would not come back, or path cannot be written.
    """
    suffix = Path(path).suffix.lower()
    named = [format_ for format_ in FORMATS.values() if format_.suffix == suffix]
    (named[0] if named else FORMATS["text"]).save(path, wv)


def check_packages(flag: str, names: Iterable[str]) -> None:
    """Raises UserError for a format's name whose package is not installed."""
    for name in names:
        package = FORMATS[name].package if name in FORMATS else ""
        if package and find_spec(package) is None:
            raise UserError(f"{flag}={name}: needs {package}: pip install {package}")


def warn(line: str) -> None:
    """Tells a note as a library does: of the line that called `w2v_jax.load`."""
    warnings.warn(line, stacklevel=4)


def load(path, limit: int | None = None, note: Note = warn) -> WordVectors:
    """The vectors in a file, whatever it is called: packed or not, alone in a zip, or in a pipe.

    word2vec's text and binary, GloVe's and fastText's text, fastText's .bin, npz, safetensors,
    Parquet and gensim's KeyedVectors. limit: the first so many words; of text, binary and tables in
    files of their own no more than these are read. Rows that cannot be used are left out, and
    `note` is given one line about them. FILE.zip/MEMBER is a file within a zip. Raises UserError
    for a file that is none of these, and for one that is cut short.
    """
    whole = isinstance(limit, int | np.integer) and not isinstance(limit, bool)
    if limit is not None and (not whole or limit < 1):
        raise UserError(f"`limit={limit}`: must be a whole number, at least 1")
    archive, inside = archives.split(path)
    notes: list[str] = []
    with opened(archive, vectors=True) as file:
        if inside or kinds.is_zip(file.peek(kinds.HEAD)):
            wv = _of_zip(path, file, inside, limit, notes.append)
        else:
            wv = _of_file(path, file, limit, notes.append)
    for line in notes:
        note(line)
    return wv


def _of_zip(path, file: BinaryIO, inside: str, limit: int | None, note: Note) -> WordVectors:
    with archives.opened(path, file) as archive:
        if not inside and any(name.endswith(".npy") for name in archive.namelist()):
            return npz.read(path, archive, limit, note)
        about = archives.chosen(path, archive, inside)
        if about.file_size > max(npz.UNPACKED, npz.PACKING * about.compress_size):
            raise UserError(
                f"{path}: would unpack to {counted(about.file_size, 'byte')}: no vectors do"
            )
        with archive.open(about) as inner:
            packed = io.BufferedReader(inner)
            if kinds.is_zip(packed.peek(kinds.HEAD)):  # an npz
                with archives.opened(path, packed) as arrays:
                    return npz.read(path, arrays, limit, note)
            return _of_file(path, packed, limit, note)


def _of_file(path, file: BinaryIO, limit: int | None, note: Note) -> WordVectors:
    """By how its bytes begin."""
    head = file.peek(kinds.HEAD)[: kinds.HEAD]
    if kinds.is_pickle(head):
        return keyed_vectors.read(path, file, limit, note)
    if fasttext_format.is_fasttext(head):
        return fasttext_format.read(path, file, limit, note)
    if kinds.is_parquet(head):
        return parquet_format.read(path, file, limit, note)
    if kinds.packing(head):
        raise UserError(f"{path}: is packed twice: unpack it once")
    if kind := kinds.foreign(head):
        raise UserError(f"{path}: is {kind}")
    if safetensors_format.is_safetensors(head):
        return safetensors_format.read(path, file, limit, note)
    if kinds.is_html(head):
        raise UserError(f"{path}: is a web page: give the file that it links to")
    module = text_format if _is_text(head, Path(path).suffix.lower()) else binary_format
    return module.read(path, file, limit, note)


_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # no line of text has them


def _is_text(head: bytes, suffix: str) -> bool:
    """Whether rows of text stand behind a header; without one it can't be word2vec's binary."""
    header = text_format.HEADER.match(head.removeprefix(BOM_UTF8))
    if header is None:
        return True
    rows = head.removeprefix(BOM_UTF8)[header.end() :]
    if any(_ends_in_numbers(line, int(header[2])) for line in rows.split(b"\n")[:5]):
        return True
    if _CONTROL.search(rows):
        return False
    fields = rows.split()[1:]
    numbers = sum(1 for field in fields if text_format.NUMBER.fullmatch(field))
    if fields and numbers >= len(fields) / 3:
        return True
    return suffix != ".bin" and kinds.is_text(rows[: -4 or None])


def _ends_in_numbers(line: bytes, dim: int) -> bool:
    """Whether D numbers stand at a line's end, or several in one that is cut off."""
    _, *fields = line.split() or [b""]
    cut = fields[:-1] if len(fields) > 5 else []
    ends = fields[-dim:] if len(fields) >= dim else cut
    return bool(ends) and all(map(text_format.NUMBER.fullmatch, ends))
