"""fastText's subwords: vectors of character n-grams, and of words that no text had.

A word's vector is the mean of its own row and of the rows of its n-grams; that of an unknown word
the mean of its n-grams' rows. An n-gram is n letters of `<word>`, and its row that of its hash.
Source: Bojanowski et al. 2017, Enriching Word Vectors with Subword Information; fastText's
dictionary.cc, whose hash and file this is.
"""

import dataclasses
import struct
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.types import UserError
from w2v_jax.vectors.rows import Note, Rows
from w2v_jax.vectors.word_vectors import WordVectors

MAGIC = struct.pack("<i", 793712314)
_FIRST, _PRIME = np.uint32(2166136261), np.uint32(16777619)  # FNV-1a's
_END = "</s>"  # a line's end, which has no n-grams
_SUPERVISED = 3
_BATCH = 50_000  # words whose n-grams are looked at together
_READ = 1 << 24  # bytes that are read at a time


class Ngrams(NamedTuple):
    """The n-grams of words, in any order."""

    word: np.ndarray  # [n] int64, index of the word
    bucket: np.ndarray  # [n] int64, row of the bucket table


def ngrams(words: Sequence[str], shortest: int, longest: int, buckets: int) -> Ngrams:
    """The n-grams of `shortest` to `longest` letters of words: each one's hash modulo `buckets`.

    FNV-1a of its UTF-8 bytes, each as a signed number of 8 bits, as fastText has it. `<` and `>`
    alone are none. A word without n-grams, and a line's end, have no entry.
    """
    marked = [b"" if word == _END else f"<{word}>".encode() for word in words]
    lengths = np.array([len(text) for text in marked], np.int64)
    text = np.frombuffer(b"".join(marked), np.uint8)
    word_of = np.repeat(np.arange(len(words)), lengths)
    ends = np.cumsum(lengths)
    begins_letter = (text & 0xC0) != 0x80
    starts = np.flatnonzero(begins_letter)
    # Where the letter ends that a byte begins; a word's last letter ends with the word.
    following = np.append(starts[1:], len(text))
    letter_end = np.zeros(len(text) + 1, np.int64)
    letter_end[starts] = following
    signed = text.view(np.int8).astype(np.int32).view(np.uint32)
    own, at, hashed = word_of[starts], starts.copy(), np.full(len(starts), _FIRST)
    word_start, word_end = (ends - lengths)[own], ends[own]
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for n in range(1, longest + 1):
        inside = at < word_end
        own, at, hashed = own[inside], at[inside], hashed[inside]
        starts, word_start, word_end = starts[inside], word_start[inside], word_end[inside]
        end = letter_end[at]
        for offset in range(int((end - at).max(initial=0))):
            byte = np.flatnonzero(at + offset < end)
            hashed[byte] = (hashed[byte] ^ signed[at[byte] + offset]) * _PRIME
        at = end
        if n >= shortest:
            is_mark = (n == 1) & ((starts == word_start) | (at == word_end))
            found.append((own[~is_mark], hashed[~is_mark].astype(np.int64) % buckets))
    if not found:
        return Ngrams(*(np.zeros(0, np.int64),) * 2)
    return Ngrams(*(np.concatenate(part) for part in zip(*found, strict=True)))


@dataclasses.dataclass(frozen=True, eq=False)
class Subwords:
    """The rows of n-grams, by which unknown words have vectors."""

    table: np.ndarray  # [buckets, D] float32
    shortest: int
    longest: int

    def vector(self, word: str) -> np.ndarray | None:
        """The mean of a word's n-grams' rows [D] float32; None where it has none."""
        found = ngrams([word], self.shortest, self.longest, len(self.table)).bucket
        return (
            self.table[found].mean(axis=0, dtype=np.float64).astype(np.float32)
            if len(found)
            else None
        )

    def composed(self, words: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """Words' vectors of their own rows: the mean with their n-grams' rows, [V, D] float32."""
        from scipy.sparse import csr_array  # not at every import of w2v_jax

        vectors = np.empty(rows.shape, np.float32)
        for begin in range(0, len(words), _BATCH):
            part = words[begin : begin + _BATCH]
            word, bucket = ngrams(part, self.shortest, self.longest, len(self.table))
            ones = np.ones(len(word), np.float32)
            shape = len(part), len(self.table)
            sums = csr_array((ones, (word, bucket)), shape=shape) @ self.table
            count = 1 + np.bincount(word, minlength=len(part))[:, None]
            own = rows[begin : begin + len(part)]
            vectors[begin : begin + len(part)] = (sums + own) / count
        return vectors


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
        subwords = Subwords(table, header.shortest, header.longest)
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
