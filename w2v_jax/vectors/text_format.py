"""Vectors as lines of text: word2vec's, fastText's .vec and, without a header, GloVe's."""

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO, NamedTuple

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError
from w2v_jax.vectors.rows import Note, Rows
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.vectors.words import check

HEADER = re.compile(rb"\s*(\d{1,12})[ \t]+(\d{1,12})\s*\n")
NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf|infinity)", re.I)
SAMPLE = 50  # lines from which D is known where no header tells it
EXPECTED = "expected rows `word x1 .. xD`, or first a header `V D` of two positive numbers"
_FRACTION = re.compile(rb"[.eE]")
EXACT = "%.9g"  # nine significant digits tell any two float32 apart


class Layout(NamedTuple):
    """What the first lines tell."""

    promised: int | None  # V; None without a header
    dim: int
    rows_from: int  # the number of the first line that is a row


def read(path, file: BinaryIO, limit: int | None, note: Note) -> WordVectors:
    """A line's last D fields are its row, what stands before them is its word, blanks included.

    Fields are parted by blanks or tabs. Raises UserError for no vectors, and for a file cut short
    within its last row.
    """
    lines = _lines(path, file)
    head = list(islice(lines, SAMPLE))
    layout = _layout(path, head)
    rows = Rows(path, "line", limit)
    for number, line in chain(head, lines):
        if rows.full:
            break
        if number >= layout.rows_from:
            last = not line.endswith(b"\n")
            _add(rows, number, line, layout, last)
            if last and _may_be_cut(line):
                note(f"{path}: line {number}: has no line end, and a short last number: is it cut?")
    return rows.taken(note, layout.promised)


def _may_be_cut(line: bytes) -> bool:
    """Whether the last number has fewer letters than all others of its row."""
    *others, last = map(len, line.split()[1:] or [b""])
    return bool(others) and last < min(others)


def _lines(path, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers."""
    for number, line in enumerate(file, 1):
        if number == 1:
            line = line.removeprefix(BOM_UTF8)
            if line.count(b"\r") > 1:
                raise UserError(f"{path}: lines end in CR alone: `tr '\\r' '\\n' < FILE > NEW`")
        if not line.isspace():
            yield number, line


def _layout(path, head: list[tuple[int, bytes]]) -> Layout:
    """V and D of a header; or D alone, of most of the first lines. Raises UserError."""
    if not head:
        raise UserError(f"{path}: line 1: {EXPECTED}: nothing is there")
    number, line = head[0]
    if HEADER.fullmatch(line):
        return Layout(*header_sizes(path, line, number), number + 1)
    sizes = Counter(filter(None, (_numbers_behind(line) for _, line in head)))
    if not sizes:
        raise UserError(f"{path}: line {number}: {EXPECTED}")
    most = max(sizes.values())
    return Layout(None, max(dim for dim, lines in sizes.items() if lines == most), number)


def header_sizes(path, line: bytes, number: int = 1) -> tuple[int, int]:
    """V and D from a header. Nothing is allocated on their word. Raises UserError."""
    match = HEADER.fullmatch(line.removeprefix(BOM_UTF8))
    if match is None or 0 in (sizes := (int(match[1]), int(match[2]))):
        raise UserError(f"{path}: line {number}: {EXPECTED}")
    return sizes


def _numbers_behind(line: bytes) -> int:
    """How many numbers stand at the end of a line, behind its first field."""
    fields = line.split()
    found = 0
    while found < len(fields) - 1 and NUMBER.fullmatch(fields[-1 - found]):
        found += 1
    return found


def _add(rows: Rows, number: int, line: bytes, layout: Layout, last: bool) -> None:
    """The row of a line. Raises UserError where it is the last, and cut."""
    dim = layout.dim
    word, _, values = line.partition(b" ")
    fields = values.split()
    if len(fields) != dim or not word:
        word, fields = _word_and_fields(line, dim)
        values = b" ".join(fields)
    promised = layout.promised
    if last and (len(fields) < dim or (promised is not None and rows.seen + 1 < promised)):
        told = f" of {promised:,}" if promised else ""
        raise UserError(f"{rows.path}: line {number}: cut short within row {rows.seen + 1:,}{told}")
    if len(fields) == dim - 1 and line[:1].isspace() and len(line.split()) == dim:
        return rows.leave_out("no word", number, "has no word")
    if len(fields) != dim:
        why = f"expected {counted(dim, 'value')}, found {len(fields)}"
        return rows.leave_out("values", number, why)
    try:
        if b"_" in values:
            raise ValueError  # float() reads 1_0 as 10
        with np.errstate(over="ignore"):
            row = np.array(list(map(float, fields)), np.float32)
    except ValueError:
        return rows.leave_out("no number", number, "a value is not a number")
    return rows.add(number, word, row)


def _word_and_fields(line: bytes, dim: int) -> tuple[bytes, list[bytes]]:
    """A word that holds blanks, or whose row is parted by tabs; all fields where there is none."""
    if dim > len(line):
        return b"", line.split()[1:]
    word, *fields = line.rstrip().rsplit(None, dim)
    before = word.split()[1:]
    numbers = len(fields) == dim and before and all(map(NUMBER.fullmatch, before))
    like_values = any(map(_FRACTION.search, before)) or not any(map(_FRACTION.search, fields))
    if numbers and like_values:  # more values than a row has; but route 66 is a word
        return word, before + fields
    return word, fields


def save(path, wv: WordVectors) -> None:
    """`V D`, then a line a word, `word x1 .. xD`, most frequent first.

    Raises UserError where a word is empty, repeated or holds white space, or path cannot be
    written. Source: word2vec.c with -binary 0; gensim's load_word2vec_format reads it.
    """
    check(path, wv.words)
    row = " ".join([EXACT] * wv.vectors.shape[1])
    with whole_file(path) as file:
        file.write(header(wv))
        for word, vector in zip(wv.words, float32(wv), strict=True):
            file.write(f"{word} {row % tuple(vector.tolist())}\n".encode())


def header(wv: WordVectors) -> bytes:
    """word2vec's first line."""
    return b"%d %d\n" % wv.vectors.shape


def float32(wv: WordVectors) -> np.ndarray:
    """The rows as files keep them."""
    return np.asarray(wv.vectors, "<f4")
