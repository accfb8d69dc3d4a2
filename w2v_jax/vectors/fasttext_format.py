"""fastText's models, .bin: the vectors of words, and the rows of their n-grams. Read, not written.

Source: fastText's args.cc, dictionary.cc and densematrix.cc.
"""

import dataclasses
import struct
from typing import BinaryIO, NamedTuple

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.types import UserError
from w2v_jax.vectors.rows import Note, Rows
from w2v_jax.vectors.subwords import Subwords
from w2v_jax.vectors.word_vectors import WordVectors

MAGIC = struct.pack("<i", 793712314)
_SUPERVISED = 3
_READ = 1 << 24  # bytes that are read at a time


class _Header(NamedTuple):
    """What fastText's file says of a model."""

    dim: int
    model: int
    buckets: int
    shortest: int
    longest: int
    words: int
    labels: int
    pruned: int


def is_fasttext(head: bytes) -> bool:
    """Whether it is a model of fastText's, .bin."""
    return head.startswith(MAGIC)


def read(path, file: BinaryIO, limit: int | None, note: Note) -> WordVectors:
    """The word vectors of fastText's .bin, and its subwords where it has them.

    Raises UserError for a quantised or a supervised model, for one that is cut short, and for
    another version than fastText has had since 2017.
    """
    header = _header(path, file)
    if header.labels or header.model == _SUPERVISED:
        raise UserError(f"{path}: is a classifier of fastText's: it has no word vectors to compare")
    words = [_word(path, file, number + 1) for number in range(header.words)]
    _take(path, file, 8 * max(header.pruned, 0))
    if _take(path, file, 1) != b"\0":
        raise UserError(f"{path}: is quantised: give the model that it was made of, .bin")
    height, width = struct.unpack("<2q", _take(path, file, 16))
    has_ngrams = header.longest > 0 and header.buckets > 0
    expected = header.words + header.buckets * has_ngrams
    if width != header.dim or height not in (expected, header.words + header.buckets):
        raise UserError(f"{path}: its table is [{height}, {width}], not [{expected}, {header.dim}]")
    kept = header.words if limit is None else min(limit, header.words)
    own = _floats(path, file, kept, width)
    for _ in range(header.words - kept):
        _take(path, file, 4 * width)
    subwords = None
    if has_ngrams:
        table = _floats(path, file, header.buckets, width)
        subwords = Subwords(table, header.shortest, header.longest, header.buckets)
    return _told(path, words[:kept], own, subwords, note)


def _told(
    path, words: list[bytes], own: np.ndarray, subwords: Subwords | None, note: Note
) -> WordVectors:
    """The rows that can be used, those of words; a note about the others."""
    rows = Rows(path, "row")
    for number, (word, row) in enumerate(zip(words, own, strict=True), 1):
        rows.add(number, word, row)
    found = rows.taken(note, len(words))
    if subwords is None:
        return found
    vectors = subwords.composed(found.words, found.vectors)
    return dataclasses.replace(found, vectors=vectors, subwords=subwords)


def _header(path, file: BinaryIO) -> _Header:
    magic, version = struct.unpack("<2i", _take(path, file, 8))
    del magic
    if version not in (11, 12):
        raise UserError(f"{path}: is fastText's of version {version}; known are 11 and 12")
    numbers = struct.unpack("<12id", _take(path, file, 56))
    dim, model, buckets, shortest, longest = (numbers[i] for i in (0, 7, 8, 9, 10))
    size, words, labels, _, pruned = struct.unpack("<3i2q", _take(path, file, 28))
    if min(dim, words) < 1 or min(buckets, shortest, longest, labels) < 0 or size != words + labels:
        raise UserError(f"{path}: is no whole model of fastText's")
    return _Header(dim, model, buckets, shortest, longest, words, labels, pruned)


def _word(path, file: BinaryIO, number: int) -> bytes:
    """A word of the dictionary, without its count and kind."""
    word = bytearray()
    while (byte := file.read(1)) != b"\0":
        if not byte:
            raise UserError(f"{path}: cut short within word {number:,}")
        word += byte
    _take(path, file, 9)
    return bytes(word)


def _take(path, file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise UserError(f"{path}: cut short: {counted(size - len(data), 'byte')} are missing")
    return data


def _floats(path, file: BinaryIO, rows: int, width: int) -> np.ndarray:
    """A table [rows, width], grown as its bytes come: a header may promise anything."""
    parts, left = [], 4 * rows * width
    while left:
        data = file.read(min(left, _READ))
        if not data:
            raise UserError(f"{path}: cut short: {counted(left, 'byte')} of a table are missing")
        parts.append(data)
        left -= len(data)
    return np.frombuffer(b"".join(parts), "<f4").reshape(rows, width).astype(np.float32, copy=False)
