"""Words and vectors in NumPy's npz, without pickle; what it says of its size is not trusted."""

import dataclasses
import math
import os
import warnings
import zipfile
from collections.abc import Sequence

import numpy as np
from numpy.lib import format as npy

from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError
from w2v_jax.vectors.rows import Note, from_table
from w2v_jax.vectors.subwords import Subwords
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.vectors.words import check

MOST_UNICODE = 1 << 30  # bytes of a table of words in which each has room for the longest
UNPACKED, PACKING = 1 << 26, 100  # bytes that an npz may unpack to anyhow; how often its own size
SUBWORDS = "ngrams", "ngram_buckets", "ngram_settings"  # [U, D]; [U]; shortest, longest, buckets
LONGEST = 100  # letters of an n-gram
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(path, archive: zipfile.ZipFile, limit: int | None, note: Note) -> WordVectors:
    """Words and vectors of an npz, as `save` leaves them; the only members that are looked at.

    Nothing is unpickled or written; an array may unpack to 64 MiB or 100 times the file, whichever
    is more. Raises UserError.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's and Python's about an odd header
        most = max(UNPACKED, PACKING * archive.fp.seek(0, os.SEEK_END))
        try:
            if not {"words.npy", "vectors.npy"} <= set(archive.namelist()):
                raise UserError(f"{path}: no array named words, or none named vectors")
            words, vectors = (_array(archive, name, most) for name in ("words", "vectors"))
            has_counts = "counts.npy" in archive.namelist()
            counts = _array(archive, "counts", most) if has_counts else None
            words, subwords = unpacked(words), None
            there = {name.removesuffix(".npy") for name in archive.namelist()}
            if absent := set(SUBWORDS) - there:
                if len(absent) < len(SUBWORDS):
                    raise UserError(f"{path}: no array named {min(absent)}")
            else:
                subwords = _subwords(path, *(_array(archive, name, most) for name in SUBWORDS))
        except UserError:
            raise
        except Exception as error:  # whatever zipfile, its packers and NumPy's header parser raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{path}: not an npz of words and vectors: {reason[:200]}") from error
    wv = from_arrays(path, words, vectors, counts, limit, note)
    if subwords and subwords.table.shape[1] != wv.vectors.shape[1]:
        raise UserError(f"{path}: {SUBWORDS[0]} have another D than vectors")
    return dataclasses.replace(wv, subwords=subwords)


def _subwords(path, table, buckets, settings) -> Subwords:
    """The rows of n-grams, if they are such. Raises UserError."""
    kinds = table.dtype.kind, buckets.dtype.kind, settings.dtype.kind
    fits = table.ndim == 2 and buckets.shape == table.shape[:1] and settings.shape == (3,)
    if kinds[0] != "f" or set(kinds[1:]) - {"i", "u"} or not fits:
        raise UserError(f"{path}: {', '.join(SUBWORDS)} are no rows of n-grams")
    shortest, longest, count = settings.tolist()
    ascending = (buckets[1:] > buckets[:-1]).all() and ((buckets >= 0) & (buckets < count)).all()
    with np.errstate(over="ignore"):
        table = table.astype(np.float32, copy=False)
    known = 1 <= shortest <= longest <= LONGEST and 1 <= count < 2**31
    if not known or not ascending or not np.isfinite(table).all():
        raise UserError(f"{path}: {', '.join(SUBWORDS)} are no rows of n-grams")
    return Subwords(table, shortest, longest, count, buckets.astype(np.int64))


def save(path, words: Sequence[str], **arrays) -> None:
    """NumPy's npz of the words and any arrays beside them, without pickle.

    words [V] as unicode; or [bytes] uint8, their UTF-8 with newlines between, where one ends in
    NUL, which NumPy would cut, or is so long that a table of them would take over a GiB. arrays by
    name: `read` takes those named vectors and counts. Raises UserError as the text format does,
    TypeError for an array of Python objects.
    """
    check(path, words, blanks=True)
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    if any(array.dtype.hasobject for array in arrays.values()):
        raise TypeError("an array of Python objects cannot be saved without pickle")
    with whole_file(path) as file:
        np.savez(file, words=packed(words), **arrays)


def save_vectors(path, wv: WordVectors) -> None:
    """Words, vectors and, where they are known, counts and subwords.

    Raises UserError as `save` does.
    """
    beside = {} if wv.counts is None else {"counts": np.asarray(wv.counts, np.int64)}
    if made_up := wv.subwords:
        buckets = made_up.bucket_of_row
        buckets = np.arange(len(made_up.table)) if buckets is None else buckets
        settings = np.array([made_up.shortest, made_up.longest, made_up.buckets], np.int64)
        arrays = made_up.table, np.asarray(buckets, np.int64), settings
        beside |= dict(zip(SUBWORDS, arrays, strict=True))
    save(path, wv.words, vectors=wv.vectors, **beside)


def from_arrays(path, words, vectors, counts, limit: int | None, note: Note) -> WordVectors:
    """The tables of a file, if they are such. Raises UserError."""
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.size:
        raise UserError(f"{path}: vectors must be a table of floats [V, D]")
    if words is None or len(words) != len(vectors):
        raise UserError(f"{path}: words must be text, one a row of vectors")
    if counts is not None and (counts.shape != (len(words),) or counts.dtype.kind not in "iu"):
        raise UserError(f"{path}: counts must be whole numbers, one a word")
    return from_table(path, words, vectors, limit, note, counts)


def packed(words: Sequence[str]) -> np.ndarray:
    """Words as `save` keeps them."""
    large = 4 * len(words) * max(map(len, words), default=0) > MOST_UNICODE
    if large or any(word.endswith("\0") for word in words):
        return np.frombuffer("\n".join(words).encode(), np.uint8)
    return np.array(words, np.str_)


def unpacked(words: np.ndarray) -> list[str] | None:
    """What `packed` made an array of; None for another array. Raises where it is no text."""
    if words.ndim == 1 and words.dtype == np.uint8:
        return words.tobytes().decode().split("\n")
    if words.ndim == 1 and words.dtype.kind == "U":
        return words.tolist()
    return None


def _array(archive: zipfile.ZipFile, name: str, limit: int) -> np.ndarray:
    """An array of an npz. Raises ValueError before it unpacks more than limit bytes."""
    about = archive.getinfo(f"{name}.npy")
    with archive.open(about) as member:
        read_header = _HEADERS.get(npy.read_magic(member))
        if read_header is None:
            raise ValueError(f"{name} is of an npy version that holds no plain array")
        shape, _, dtype = read_header(member)
    if about.file_size > limit or math.prod(shape) * max(dtype.itemsize, 1) > about.file_size:
        raise ValueError(f"{name} claims more than the file holds: {dtype} {list(shape)}"[:200])
    with archive.open(about) as member:
        return npy.read_array(member, allow_pickle=False)
