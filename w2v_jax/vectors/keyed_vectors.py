"""gensim's KeyedVectors, also within its models: read as data, written by gensim itself."""

import math
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np

from w2v_jax.data import kinds
from w2v_jax.data.files import reason_of
from w2v_jax.types import UserError
from w2v_jax.vectors import inert_pickle
from w2v_jax.vectors.inert_pickle import Global, Made
from w2v_jax.vectors.rows import Note, from_table
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.vectors.words import check

ROWS = ("vectors", "syn0")  # what gensim called the table, newest first
WORDS = ("index_to_key", "index2word", "index2entity")
_PLAIN = re.compile(r"[<>=|]?[fiu][1248]")  # types of an array's numbers


def read(path, file: BinaryIO, limit: int | None, note: Note) -> WordVectors:
    """Words, rows and counts of KeyedVectors, or of a Word2Vec with them, as gensim saves them.

    Large tables lie beside it, as FILE.vectors.npy. Raises UserError for any other pickle: nothing
    of it is carried out.
    """
    try:
        found = inert_pickle.read(file.read())
    except ValueError as error:
        raise UserError(f"{path}: a pickle that cannot be read: {error}") from error
    state, inside = _state_of(path, found)
    words = next((state[name] for name in WORDS if name in state), None)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UserError(f"{path}: its words are no list of text")
    vectors = _table(path, state, inside)
    if vectors.ndim != 2 or len(vectors) != len(words) or not vectors.size:
        raise UserError(f"{path}: its vectors are no table of a row a word")
    return from_table(path, words, vectors, limit, note, _counts(state, len(words)))


def _state_of(path, found: Any) -> tuple[dict, str]:
    """The attributes of the KeyedVectors, and where they lie: '' or 'wv.' within a model."""
    inside = ""
    while isinstance(found, Made) and isinstance(found.state, dict):
        if any(name in found.state for name in WORDS):
            return found.state, inside
        found, inside = found.state.get("wv"), inside + "wv."
    raise UserError(f"{path}: is {kinds.PICKLE}")


def _table(path, state: dict, inside: str) -> np.ndarray:
    for name in ROWS:
        if isinstance(state.get(name), Made):
            return _array(path, state[name])
        beside = f"{path}.{inside}{name}.npy"
        if os.path.exists(beside):
            return _beside(beside)
    if "vectors_vocab" in state:
        raise UserError(
            f"{path}: is gensim's FastText, which makes its vectors when it is loaded: there, save "
            "text by wv.save_word2vec_format(NEW)"
        )
    beside = f"{path}.{inside}{ROWS[0]}.npy"
    raise UserError(f"{path}: holds no vectors, and beside it is no {beside}")


def _beside(path: str) -> np.ndarray:
    """A table of its own file; of it only what is used is read."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: not a table of numbers: {reason_of(error)}") from error


def _counts(state: dict, words: int) -> np.ndarray | None:
    """How often each word occurred, where it is known."""
    counts = (state.get("expandos") or {}).get("count")
    if isinstance(counts, Made):
        try:
            array = _array("", counts)
        except UserError:
            return None
        if array.shape == (words,) and array.dtype.kind in "iu":
            return array.astype(np.int64)
    return None


def _array(path, made: Made) -> np.ndarray:
    """An array of plain numbers. Raises UserError for any other object."""
    try:
        shape, dtype, data, order = _parts(made)
        if isinstance(data, Made):  # protocol 2 has bytes as text, and what would encode it
            data = data.args[0].encode("latin-1")
        kind = dtype.args[0]
        kind = kind if isinstance(kind, str) else kind.decode()
        swapped = dtype.state and dtype.state[1] in (">", b">")
        if not _PLAIN.fullmatch(kind) or math.prod(shape) * int(kind[-1]) != len(data):
            raise ValueError
        flat = np.frombuffer(data, np.dtype(kind).newbyteorder(">" if swapped else "="))
        return flat.reshape(shape, order=order)
    except (ValueError, TypeError, IndexError, AttributeError, KeyError) as error:
        raise UserError(f"{path}: holds an array that is no table of numbers") from error


def _parts(made: Made) -> tuple[tuple[int, ...], Made, bytes, str]:
    """(shape, type, bytes, order) of an array as NumPy pickles it."""
    if not isinstance(made.of, Global) or not made.of.module.startswith("numpy"):
        raise ValueError
    if made.of.name == "_frombuffer":
        data, dtype, shape, order = made.args
        return shape, dtype, data, order
    _, shape, dtype, is_fortran, data = made.state
    return shape, dtype, data, "F" if is_fortran else "C"


def save(path, wv: WordVectors) -> None:
    """A file that `gensim.models.KeyedVectors.load` reads, large tables beside it.

    Raises UserError where gensim is not installed, or the file cannot be written.
    """
    try:
        from gensim.models import KeyedVectors
    except ImportError as error:
        raise UserError(f"{path}: needs gensim: pip install 'gensim>=4.4'") from error
    check(path, wv.words, blanks=True)
    keyed = KeyedVectors(wv.vectors.shape[1])
    keyed.add_vectors(list(wv.words), np.asarray(wv.vectors, np.float32))
    if wv.counts is not None:
        for word, count in zip(wv.words, wv.counts.tolist(), strict=True):
            keyed.set_vecattr(word, "count", count)
    path = Path(path)
    try:
        with TemporaryDirectory(prefix=".", suffix=".part", dir=path.parent) as folder:
            keyed.save(os.path.join(folder, path.name))
            for name in sorted(os.listdir(folder), reverse=True):  # the file itself is the last
                os.replace(os.path.join(folder, name), path.with_name(name))
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({reason_of(error)})") from error
