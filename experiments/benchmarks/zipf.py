"""A corpus of ids drawn by Zipf's law: no text is needed."""

import numpy as np

from w2v_jax.data.corpus import Corpus
from w2v_jax.types import Vocab

LINE = 25  # words a line


def corpus(vocab_size: int, words: int, seed: int) -> Corpus:
    """Words drawn by f(rank) ~ 1 / (rank + 2.7), 25 a line; counts are the expected ones."""
    law = 1 / (np.arange(1, vocab_size + 1) + 2.7)
    law /= law.sum()
    quantiles = np.random.default_rng(seed).random(words)
    ids = np.minimum(np.searchsorted(np.cumsum(law), quantiles), vocab_size - 1)
    ends = np.append(np.arange(LINE, words, LINE), words)
    counts = np.maximum(np.round(law * words), 1).astype(np.int64)
    vocabulary = Vocab(tuple(map(str, range(vocab_size))), counts)
    return Corpus(ids.astype(np.int32), ends.astype(np.int64), vocabulary, words, "")
