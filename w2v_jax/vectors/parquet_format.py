"""Words, counts and vectors as columns of Parquet, for dataframes."""

from typing import BinaryIO

import numpy as np

from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError
from w2v_jax.vectors.rows import Note, from_table
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.vectors.words import check


def save(path, wv: WordVectors) -> None:
    """Columns word (text), count (int64, null where unknown), vector (D float32).

    Raises UserError as the text format does, and where pyarrow is not installed.
    """
    arrow, parquet = _packages(path)
    check(path, wv.words, blanks=True)
    size, dim = wv.vectors.shape
    flat = arrow.array(np.ascontiguousarray(wv.vectors, np.float32).ravel())
    counts = [None] * size if wv.counts is None else np.asarray(wv.counts, np.int64)
    table = arrow.table(
        {
            "word": arrow.array(wv.words, arrow.string()),
            "count": arrow.array(counts, arrow.int64()),
            "vector": arrow.FixedSizeListArray.from_arrays(flat, dim),
        }
    )
    with whole_file(path) as file:
        parquet.write_table(table, file)


def read(path, file: BinaryIO, limit: int | None, note: Note) -> WordVectors:
    """The columns that `save` writes. Raises UserError where they are not there."""
    arrow, parquet = _packages(path)
    try:
        table = parquet.read_table(arrow.BufferReader(file.read()))
        words = table.column("word").to_pylist()
        rows = table.column("vector").combine_chunks()
        vectors = rows.flatten().to_numpy(zero_copy_only=False).reshape(len(words), -1)
        counts = table.column("count").to_numpy() if "count" in table.column_names else None
    except (arrow.ArrowException, KeyError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{path}: a Parquet file without the columns word and vector: {reason}"
        ) from error
    if vectors.dtype.kind != "f" or not vectors.size or not all(isinstance(w, str) for w in words):
        raise UserError(
            f"{path}: a Parquet file whose word and vector are no text and D floats a row"
        )
    if counts is not None and counts.dtype.kind not in "iu":  # a null makes it floats
        counts = None
    return from_table(path, words, vectors, limit, note, counts)


def _packages(path):
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(f"{path}: needs pyarrow: pip install pyarrow") from error
    return pyarrow, pyarrow.parquet
