"""Text to ids by Python's own str.split() and Counter, and what compares a corpus with it."""

import hashlib
import io
from collections import Counter

import numpy as np
import pytest

from experiments.cli.errors import as_flags
from w2v_jax.data import loader
from w2v_jax.data.sources import Source
from w2v_jax.types import UserError


class BadByte(Exception):
    """File, line and byte, from 1, of what is not UTF-8."""


def naive_read(files, eos, max_words):
    """The lines read, as words, and the bytes read."""
    lines, data, left = [], [], max_words or 10**9
    for number, file in enumerate(files):
        for i, line in enumerate(io.BytesIO(file)):
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise BadByte(number, i + 1, error.start + 1) from error
            words = (text.removeprefix("\ufeff") if i == 0 else text).split()
            words = ([*words, "<eos>"] if eos else words)[:left]
            lines.append(words)
            data.append(line)
            left -= len(words)
            if not left:
                return lines, b"".join(data)
    return lines, b"".join(data)


def naive_choice(read, min_count, max_vocab, unk, eos):
    """(lines that are left, vocabulary as (word, count)), or None where no word is left."""
    words = [word for line in read for word in line]
    ranked = [(w, n) for w, n in Counter(words).most_common() if w != "<unk>"]
    kept = [w for w, n in ranked if n >= min_count]
    has_unk = "<unk>" in words or len(kept) < len(ranked)
    if max_vocab and unk == "drop":
        kept = kept[:max_vocab]
    elif max_vocab and len(kept) + has_unk > max_vocab:
        kept = kept[: max_vocab - 1]
    if not kept:
        return None
    kept = set(kept)
    if unk == "drop":
        text = [[w for w in line if w in kept] for line in read]
    else:
        text = [[w if w in kept else "<unk>" for w in line] for line in read]
    if eos:
        text = [[word for line in text for word in line]]
    text = [line for line in text if line]
    return text, Counter(w for line in text for w in line).most_common()


def written(folder, files, suffix="", pack=bytes):
    paths = [folder / f"{i}{suffix}" for i in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(pack(data))
    return Source("files", tuple(map(str, paths)), "")


def load(source, cache_dir="none", **options):
    return loader.load(source, cache_dir=str(cache_dir), **options)


def decoded(corpus):
    starts = [0, *corpus.line_ends[:-1].tolist()]
    words = [corpus.vocab.words[i] for i in corpus.ids[:].tolist()]
    return [words[a:b] for a, b in zip(starts, corpus.line_ends.tolist(), strict=True)]


def check(corpus, files, min_count=1, max_vocab=0, unk="keep", eos=False, max_words=0):
    """Compares a corpus with the naive derivation."""
    read, data = naive_read(files, eos, max_words)
    text, types = naive_choice(read, min_count, max_vocab, unk, eos)
    assert decoded(corpus) == text
    assert list(zip(corpus.vocab.words, corpus.vocab.counts.tolist(), strict=True)) == types
    assert corpus.words == sum(map(len, read))
    assert corpus.sha256 == hashlib.sha256(data).hexdigest()
    assert corpus.line_ends[-1] == len(corpus.ids)
    dtypes = corpus.ids.dtype, corpus.line_ends.dtype, corpus.vocab.counts.dtype
    assert dtypes == (np.int32, np.int64, np.int64)


def error_of(function, *args, **options):
    with pytest.raises(UserError) as caught:
        function(*args, **options)
    assert "\n" not in str(caught.value)
    return as_flags(str(caught.value))
