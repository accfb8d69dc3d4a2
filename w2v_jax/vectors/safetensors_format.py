"""Words and vectors in safetensors, with a model card beside them."""

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.data.writing import whole_file, write_atomically
from w2v_jax.types import UserError
from w2v_jax.vectors import npz
from w2v_jax.vectors.rows import Note
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.vectors.words import check

MOST_HEADER = 100_000_000  # bytes, as the format's own reader has it


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins with a length and a JSON object of at most so many bytes."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MOST_HEADER


def read(path, file: BinaryIO, limit: int | None, note: Note) -> WordVectors:
    """The tensors `words` (UTF-8, a newline between two), `vectors` [V, D] and perhaps `counts`.

    Raises UserError where they are not there, or the package safetensors is not.
    """
    try:
        tensors = _tensors(path, file, limit)
    except UserError:
        raise
    except Exception as error:  # its own kind, which is no ValueError; or of NumPy
        raise UserError(f"{path}: not safetensors: {' '.join(str(error).split())[:200]}") from error
    if not {"words", "vectors"} <= set(tensors):
        there = ", ".join(sorted(tensors)[:5])
        raise UserError(f"{path}: no tensor named words, or none named vectors: it has {there}")
    try:
        words = npz.unpacked(tensors["words"])
    except UnicodeDecodeError:
        words = None
    vectors, counts = tensors["vectors"], tensors.get("counts")
    if words is not None and len(vectors) == limit:
        words = words[:limit]
    if counts is not None and len(vectors) == limit:
        counts = counts[:limit]
    return npz.from_arrays(path, words, vectors, counts, limit, note)


def _tensors(path, file: BinaryIO, limit: int | None) -> dict[str, np.ndarray]:
    """By name; of a file that lies there plainly no more of `vectors` than is wanted."""
    package = _package(path)
    if not isinstance(getattr(file, "raw", None), io.FileIO):  # it comes through a pipe, or packed
        return package.load(file.read())
    from safetensors import safe_open

    with safe_open(file.raw.name, "numpy") as tensors:
        names = tensors.keys()
        found = {name: tensors.get_tensor(name) for name in ("words", "counts") if name in names}
        if "vectors" in names:
            found["vectors"] = tensors.get_slice("vectors")[:limit]
        return found or dict.fromkeys(names)


def save(path, wv: WordVectors) -> None:
    """The file, and beside it README.md where there is none: a small model card.

    Raises UserError as the text format does, and where the package safetensors is not installed.
    """
    package = _package(path)
    check(path, wv.words, blanks=True)
    words = np.frombuffer("\n".join(wv.words).encode(), np.uint8)
    tensors = {"words": words, "vectors": np.ascontiguousarray(wv.vectors, np.float32)}
    if wv.counts is not None:
        tensors["counts"] = np.asarray(wv.counts, np.int64)
    data = package.save(tensors, {"format": "w2v_jax word vectors"})
    with whole_file(path) as file:
        file.write(data)
    card = Path(path).with_name("README.md")
    if not card.exists() and Path(path).is_file():
        write_atomically(str(card), _card(Path(path).name, wv).encode())


def _card(name: str, wv: WordVectors) -> str:
    size, dim = wv.vectors.shape
    return f"""---
library_name: w2v_jax
tags: [word2vec, word-embeddings]
---
# Word vectors

{counted(size, "word")}, D {dim}, trained with w2v_jax.

`{name}` has the tensors `words` (UTF-8, a newline between two words), `vectors` [{size}, {dim}]
float32{" and `counts`" if wv.counts is not None else ""}. Row i of `vectors` is of word i.

```python
import w2v_jax as w2v

vectors = w2v.load("{name}")
vectors.most_similar({wv.words[0]!r})
```
"""


def _package(path):
    try:
        import safetensors.numpy
    except ImportError as error:
        raise UserError(f"{path}: needs safetensors: pip install safetensors") from error
    return safetensors.numpy
