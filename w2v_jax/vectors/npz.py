"""Words and vectors in NumPy's npz, without pickle; what it says of its size is not trusted."""

import io
import math
import os
import warnings
import zipfile
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from w2v_jax.types import UserError

MOST_UNICODE = 1 << 30  # bytes of a table of words in which each has room for the longest
UNPACKED, PACKING = 1 << 26, 100  # bytes that an npz may unpack to anyhow; how often its own size
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(path, file: BinaryIO) -> tuple[list[str], np.ndarray]:
    """Words and vectors [V, D] float32 of an npz, not checked. Raises UserError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's and Python's about an odd header
        if not isinstance(file.raw, io.FileIO):  # a pipe's, or unpacked: the table is at the end
            file = io.BytesIO(file.read())
        limit = max(UNPACKED, PACKING * file.seek(0, os.SEEK_END))
        try:
            with zipfile.ZipFile(file) as archive:
                if not {"words.npy", "vectors.npy"} <= set(archive.namelist()):
                    raise UserError(f"{path}: no array named words, or none named vectors")
                words, vectors = (_array(archive, name, limit) for name in ("words", "vectors"))
                words = _unpacked(words)
        except UserError:
            raise
        except Exception as error:  # whatever zipfile, its packers and NumPy's header parser raise
            reason = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"{path}: not an npz of words and vectors: {reason[:200]}") from error
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.size:
        raise UserError(f"{path}: vectors must be a table of floats [V, D]")
    if words is None or len(words) != len(vectors):
        raise UserError(f"{path}: words must be text, one a row of vectors")
    with np.errstate(over="ignore"):
        return words, vectors.astype(np.float32)


def packed(words: Sequence[str]) -> np.ndarray:
    """Words as save_npz keeps them."""
    large = 4 * len(words) * max(map(len, words), default=0) > MOST_UNICODE
    if large or any(word.endswith("\0") for word in words):
        return np.frombuffer("\n".join(words).encode(), np.uint8)
    return np.array(words, np.str_)


def _unpacked(words: np.ndarray) -> list[str] | None:
    """What _packed made an array of; None for another array. Raises where it is no text."""
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
