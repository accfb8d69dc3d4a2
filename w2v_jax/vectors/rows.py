"""The rows of a file of vectors, as they are read: the usable ones are kept, the others counted."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.data import kinds
from w2v_jax.types import UserError
from w2v_jax.vectors import words as words_
from w2v_jax.vectors.word_vectors import WordVectors

Note = Callable[[str], None]  # is given a line about a file that was read all the same
FIRST = 1 << 20  # bytes that are allocated for the first rows
CHECKED = 1 << 14  # rows whose numbers are looked at together
SPOILT = 100  # so many rows left out, and more than are kept: it is no file of vectors


@dataclasses.dataclass
class LeftOut:
    """Rows that cannot be used, all for one reason."""

    first: str  # where the first is, and what is wrong with it
    rows: int = 1


class Rows:
    """Words and rows of a file, in its order; of double words the first.

    Memory grows with the rows that are there: nothing is allocated on the word of a header.
    """

    def __init__(self, path, unit: str, limit: int | None = None):
        self.path, self.unit, self.limit = path, unit, limit
        self.seen = 0  # rows, the unusable ones too
        self._ids: dict[str, int] = {}
        self._numbers: list[int] = []  # of each kept row, in the file
        self._vectors = np.empty((0, 0), np.float32)
        self._left_out: dict[str, LeftOut] = {}
        self._undecoded = b""  # words that are not UTF-8, to tell what they may be

    @property
    def full(self) -> bool:
        """Whether there are as many as are wanted."""
        return len(self._ids) == self.limit

    @property
    def dim(self) -> int:
        """D of the rows kept so far; 0: there is none yet."""
        return self._vectors.shape[1] if self._ids else 0

    def add(self, number: int, word: bytes | str, row) -> None:
        """A row of the file; `number` is its line's, or its own from 1 on."""
        if isinstance(word, bytes):
            try:
                word = word.decode()
            except UnicodeDecodeError:
                self._undecoded += word[: 4096 - len(self._undecoded)]
                return self.leave_out("UTF-8", number, "the word is not UTF-8")
        if wrong := words_.fault(word):
            return self.leave_out(wrong, number, f"the word {word[:60]!r} {wrong}")
        if word in self._ids:
            return self.leave_out("double", number, f"the word {word[:60]!r} occurs twice")
        self.seen += 1
        i = self._ids[word] = len(self._ids)
        self._numbers.append(number)
        if i == len(self._vectors):
            self._grow(len(row))
        self._vectors[i] = row
        return None

    def fill(self, words: Sequence[str], vectors: np.ndarray) -> None:
        """All rows at once, of words that have no fault."""
        self._ids = {word: i for i, word in enumerate(words)}
        self._numbers = list(range(1, len(words) + 1))
        self._vectors, self.seen = vectors, len(words)

    def leave_out(self, kind: str, number: int, why: str) -> None:
        """Counts a row that cannot be used: of what kind, where, and why."""
        self.seen += 1
        self._count(kind, number, why)

    def swap_bytes(self) -> None:
        """Turns big-endian numbers round, where they are."""
        if kinds.is_swapped(self._vectors[: len(self._ids)]):
            self._vectors.byteswap(inplace=True)

    def taken(self, note: Note, promised: int | None = None) -> WordVectors:
        """What was kept, and one note of what was not. Raises UserError where nothing is left."""
        full = self.full
        if self._ids:
            if len(self._vectors) > len(self._ids):
                self._vectors.resize((len(self._ids), self._vectors.shape[1]), refcheck=False)
            self._leave_out_what_is_not_finite()
        if len(self._undecoded) > 20:  # of less it can't be told
            hint = kinds.not_utf8(self._undecoded).removeprefix("not UTF-8")
            self._left_out["UTF-8"].first += hint
        left_out = sum(kind.rows for kind in self._left_out.values())
        firsts = [kind.first for kind in self._left_out.values()]
        if not self._ids or left_out > max(SPOILT, len(self._ids)):
            raise UserError(f"{self.path}: {firsts[0] if firsts else 'holds no rows'}")
        lines = []
        if promised is not None and promised != self.seen and not full:
            lines.append(f"{counted(promised, 'row')} announced, {self.seen:,} there")
        if left_out:
            told = "; ".join(f"{kind.rows:,} as {kind.first}" for kind in self._left_out.values())
            lines.append(f"{left_out:,} of {counted(self.seen, 'row')} left out: {told}")
        if lines:
            note(f"{self.path}: " + "; ".join(lines))
        return WordVectors(tuple(self._ids), self._vectors)

    def numbers(self) -> np.ndarray:
        """Of each row that was taken, in the file."""
        return np.array(self._numbers, np.int64)

    def _count(self, kind: str, number: int, why: str) -> None:
        if kind in self._left_out:
            self._left_out[kind].rows += 1
        else:
            self._left_out[kind] = LeftOut(f"{self.unit} {number:,}: {why}")

    def _grow(self, dim: int) -> None:
        rows = len(self._vectors)
        if not rows:
            self._vectors = np.empty((max(1, FIRST // (4 * dim)), dim), np.float32)
        else:  # the system moves large memory without a copy
            self._vectors.resize((rows + rows // 4 + 1, dim), refcheck=False)

    def _leave_out_what_is_not_finite(self) -> None:
        bad: list[int] = []
        for begin in range(0, len(self._vectors), CHECKED):
            finite = np.isfinite(self._vectors[begin : begin + CHECKED]).all(axis=1)
            bad += (begin + np.flatnonzero(~finite)).tolist()
        if not bad:
            return
        for i in bad:
            self._count("finite", self._numbers[i], "a value is not finite")
        gone = set(bad)
        kept = [word for i, word in enumerate(self._ids) if i not in gone]
        self._ids = {word: i for i, word in enumerate(kept)}
        self._numbers = [n for i, n in enumerate(self._numbers) if i not in gone]
        self._vectors = np.delete(self._vectors, bad, axis=0)


def from_table(
    path,
    words: Sequence[str],
    vectors: np.ndarray,
    limit: int | None,
    note: Note,
    counts: np.ndarray | None = None,
) -> WordVectors:
    """Words and rows that lie in the file as two tables; counts, where it has them."""
    rows = Rows(path, "row", limit)
    if len(set(words)) == len(words) and not any(map(words_.fault, words[:limit])):
        count = len(vectors)
        words, vectors = words[:limit], vectors[:limit]
        with np.errstate(over="ignore"):
            # A copy where it is a part: the whole would stay in memory behind it.
            copy = None if len(vectors) == count else True
            rows.fill(words, np.array(vectors, np.float32, order="C", copy=copy))
    else:
        for number, (word, row) in enumerate(zip(words, vectors, strict=True), 1):
            if rows.full:
                break
            with np.errstate(over="ignore"):
                rows.add(number, word, row)
    wv = rows.taken(note)
    if counts is None:
        return wv
    return dataclasses.replace(wv, counts=np.asarray(counts, np.int64)[rows.numbers() - 1])
