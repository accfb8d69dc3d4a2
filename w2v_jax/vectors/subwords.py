"""fastText's subwords: vectors of character n-grams, and of words that no text had.

A word's vector is the mean of its own row and of the rows of its n-grams; that of an unknown word
the mean of its n-grams' rows. An n-gram is n letters of `<word>`, and its row that of its hash.
Source: Bojanowski et al. 2017, Enriching Word Vectors with Subword Information; fastText's
dictionary.cc, whose hash this is.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

_FIRST, _PRIME = np.uint32(2166136261), np.uint32(16777619)  # FNV-1a's
_END = "</s>"  # a line's end, which has no n-grams
_BATCH = 50_000  # words whose n-grams are looked at together


class Ngrams(NamedTuple):
    """The n-grams of words, in any order."""

    word: np.ndarray  # [n] int64, index of the word
    bucket: np.ndarray  # [n] int64, row of the bucket table


def ngrams(words: Sequence[str], shortest: int, longest: int, buckets: int) -> Ngrams:
    """The n-grams of `shortest` to `longest` letters of words: each one's hash modulo `buckets`.

    FNV-1a of its UTF-8 bytes, each as a signed number of 8 bits, as fastText has it. `<` and `>`
    alone are none. A word without n-grams, and a line's end, have no entry.
    """
    marked = [b"" if word == _END else f"<{word}>".encode() for word in words]
    lengths = np.array([len(text) for text in marked], np.int64)
    text = np.frombuffer(b"".join(marked), np.uint8)
    word_of = np.repeat(np.arange(len(words)), lengths)
    ends = np.cumsum(lengths)
    begins_letter = (text & 0xC0) != 0x80
    starts = np.flatnonzero(begins_letter)
    # Where the letter ends that a byte begins; a word's last letter ends with the word.
    upcoming = np.append(starts[1:], len(text))
    letter_end = np.zeros(len(text) + 1, np.int64)
    letter_end[starts] = upcoming
    signed = text.view(np.int8).astype(np.int32).view(np.uint32)
    own, position, hashed = word_of[starts], starts.copy(), np.full(len(starts), _FIRST)
    word_start, word_end = (ends - lengths)[own], ends[own]
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for n in range(1, longest + 1):
        inside = position < word_end
        own, position, hashed = own[inside], position[inside], hashed[inside]
        starts, word_start, word_end = starts[inside], word_start[inside], word_end[inside]
        end = letter_end[position]
        for offset in range(int((end - position).max(initial=0))):
            byte = np.flatnonzero(position + offset < end)
            hashed[byte] = (hashed[byte] ^ signed[position[byte] + offset]) * _PRIME
        position = end
        if n >= shortest:
            is_mark = (n == 1) & ((starts == word_start) | (position == word_end))
            found.append((own[~is_mark], hashed[~is_mark].astype(np.int64) % buckets))
    if not found:
        return Ngrams(*(np.zeros(0, np.int64),) * 2)
    return Ngrams(*(np.concatenate(part) for part in zip(*found, strict=True)))


@dataclasses.dataclass(frozen=True, eq=False)
class Subwords:
    """The rows of n-grams, by which unknown words have vectors."""

    table: np.ndarray  # [U, D] float32
    shortest: int
    longest: int
    buckets: int
    bucket_of_row: np.ndarray | None = (
        None  # [U] int64, the bucket of each row, ascending; None: all
    )

    def vector(self, word: str) -> np.ndarray | None:
        """The mean of a word's n-grams' rows [D] float32; None where it has none."""
        found = self.rows(ngrams([word], self.shortest, self.longest, self.buckets)).bucket
        if not len(found):
            return None
        return self.table[found].mean(axis=0, dtype=np.float64).astype(np.float32)

    def rows(self, found: Ngrams) -> Ngrams:
        """Of n-grams by bucket those that have a row, by row: an untrained one says nothing."""
        known = self.bucket_of_row
        if known is None:
            return found
        row = np.minimum(np.searchsorted(known, found.bucket), max(len(known) - 1, 0))
        has_row = known[row] == found.bucket if len(known) else np.zeros(len(row), bool)
        return Ngrams(found.word[has_row], row[has_row])

    def composed(self, words: Sequence[str], rows: np.ndarray) -> np.ndarray:
        """Words' vectors of their own rows: the mean with their n-grams' rows, [V, D] float32."""
        from scipy.sparse import csr_array  # not at every import of w2v_jax

        vectors = np.empty(rows.shape, np.float32)
        for begin in range(0, len(words), _BATCH):
            part = words[begin : begin + _BATCH]
            found = ngrams(part, self.shortest, self.longest, self.buckets)
            word, bucket = self.rows(found)
            ones = np.ones(len(word), np.float32)
            shape = len(part), len(self.table)
            sums = csr_array((ones, (word, bucket)), shape=shape) @ self.table
            count = 1 + np.bincount(word, minlength=len(part))[:, None]
            own = rows[begin : begin + len(part)]
            vectors[begin : begin + len(part)] = (sums + own) / count
        return vectors
