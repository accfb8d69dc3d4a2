"""Words, counts and vectors as columns of Parquet, for dataframes."""

import dataclasses
import io
from typing import BinaryIO

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError
from w2v_jax.vectors.rows import Note, Rows
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.vectors.words import check

BATCH = 1 << 14  # rows that are read at a time


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
    """The columns that `save` writes; no more rows are read than are wanted.

    Raises UserError where they are not there.
    """
    arrow, parquet = _packages(path)
    source = file if file.seekable() else io.BytesIO(file.read())
    rows, counts = Rows(path, "row", limit), []
    try:
        table = parquet.ParquetFile(source)
        names = [name for name in ("word", "vector", "count") if name in table.schema_arrow.names]
        for batch in table.iter_batches(min(limit or BATCH, BATCH), columns=names):
            if rows.full:
                break
            counts += batch.column("count").to_pylist() if "count" in names else []
            _add(rows, batch)
    except (arrow.ArrowException, KeyError, ValueError, AttributeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: a Parquet file without word and vector: {reason}") from error
    wv = rows.taken(note)
    index = rows.numbers() - 1
    if not counts or any(counts[i] is None for i in index):
        return wv
    return dataclasses.replace(wv, counts=np.array([counts[i] for i in index], np.int64))


def _add(rows: Rows, batch) -> None:
    """The rows of a batch; the first one's D is that of all."""
    words, vectors = batch.column("word").to_pylist(), batch.column("vector")
    for word, vector in zip(words, vectors, strict=True):
        number = rows.seen + 1
        values = vector.values if vector.is_valid else None
        size = 0 if values is None else len(values)
        dim = rows.dim or size
        if rows.full:
            return
        if not isinstance(word, str) or size != dim or not size or values.null_count:
            rows.leave_out("values", number, f"no word with {counted(dim, 'value')}")
        else:
            rows.add(number, word, values.to_numpy(zero_copy_only=False))


def _packages(path):
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError(f"{path}: needs pyarrow: pip install pyarrow") from error
    return pyarrow, pyarrow.parquet
