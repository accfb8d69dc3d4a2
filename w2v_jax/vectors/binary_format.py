"""Vectors in word2vec's binary format: a header, then each word, a blank, D float32, a newline."""

from typing import BinaryIO

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError
from w2v_jax.vectors.rows import Note, Rows
from w2v_jax.vectors.text_format import float32, header, header_sizes
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.vectors.words import check

READ = 1 << 20  # bytes that are read at a time


def read(path, file: BinaryIO, limit: int | None, note: Note) -> WordVectors:
    """Rows with or without a newline behind them, of either byte order.

    Raises UserError where a row is cut, or bytes follow the last.
    """
    promised, dim = header_sizes(path, file.readline(100))
    rows, size = Rows(path, "row", limit), 4 * dim
    data, offset = b"", 0
    while rows.seen < promised and not rows.full:
        blank = data.find(b" ", offset)
        if blank < 0 or blank + 2 + size > len(data):  # and the newline that may follow
            more = file.read(max(READ, len(data) - offset))  # a row may be of any length
            data, offset = data[offset:] + more, 0
            if more:
                continue
            if not data:  # whole rows, but fewer
                break
            blank = data.find(b" ")
            if blank < 0 or blank + 1 + size > len(data):
                told = f"{rows.seen + 1:,} of {promised:,}"
                raise UserError(f"{path}: cut short within row {told}")
        word = data[offset:blank]
        rows.add(rows.seen + 1, word, np.frombuffer(data, "<f4", dim, blank + 1))
        offset = blank + 1 + size
        offset += data[offset : offset + 1] == b"\n"  # word2vec.c ends a row so, gensim does not
    if not rows.full and (rest := len(data) - offset + len(file.read())):
        left = counted(rest, "byte")
        raise UserError(f"{path}: {left} after the {counted(promised, 'promised row')}")
    rows.swap_bytes()
    return rows.taken(note, promised)


def save(path, wv: WordVectors) -> None:
    """`V D`, then each word, a blank, D little-endian float32, newline.

    Raises UserError as the text format does. Source: word2vec.c with -binary 1; gensim's
    load_word2vec_format(binary=True) reads it.
    """
    check(path, wv.words)
    with whole_file(path) as file:
        file.write(header(wv))
        for word, vector in zip(wv.words, float32(wv), strict=True):
            file.write(word.encode() + b" " + vector.tobytes() + b"\n")
