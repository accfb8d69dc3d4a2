"""What a training leaves behind: a vector a word, asked in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from unicodedata import normalize

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.types import UserError
from w2v_jax.vectors import similarity


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and their vectors, as trained, not normalised."""

    words: tuple[str, ...]  # [V] most frequent first
    vectors: np.ndarray  # [V, D] float32
    untrained: tuple[int, ...] = ()  # ids of words that never had a context: no one's neighbours
    counts: np.ndarray | None = None  # [V] occurrences in the text; None: unknown

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        if not isinstance(word, str):
            return False
        return (
            any(normalize(form, word) in self._ids for form in ("NFC", "NFD")) or word in self._ids
        )

    def __getitem__(self, word: str) -> np.ndarray:
        """The vector of a word, [D]. Raises UserError where there is none."""
        return self.vectors[self._id(word)]

    def __repr__(self) -> str:
        return f"WordVectors({counted(len(self), 'word')}, D {self.vectors.shape[1]})"

    def first(self, count: int | None) -> "WordVectors":
        """Those of the first so many words; None: all."""
        if count is None or count >= len(self):
            return self
        return WordVectors(
            self.words[:count],
            self.vectors[:count],
            tuple(i for i in self.untrained if i < count),
            None if self.counts is None else self.counts[:count],
        )

    def most_similar(
        self, word: str | Sequence[str], topn: int = 10, negative: Sequence[str] = ()
    ) -> list[tuple[str, float]]:
        """The words with the greatest cosine: [(word, cosine)], best first.

        To one word; or to a sum of several, those of `negative` subtracted: most_similar(["king",
        "woman"], negative=["man"]). Raises UserError where a word is not in the vocabulary.
        Source: gensim's most_similar.
        """
        _check_topn(topn)
        if isinstance(word, str) and not len(negative):
            ids, scores = similarity.most_similar(
                self.vectors, [self._id(word)], topn, self.untrained
            )
            return self._scored(ids[0], scores[0])
        added = [word] if isinstance(word, str) else list(word)
        if isinstance(negative, str):
            negative = [negative]
        words = [*added, *negative]
        if not words:
            raise UserError("`word`: no word is given")
        signs = [1] * len(added) + [-1] * len(negative)
        chosen = [self._id(each) for each in words]
        ids, scores = similarity.combination(self.vectors, chosen, signs, topn, self.untrained)
        return self._scored(ids, scores)

    def rank(self, word: str, other: str) -> int:
        """How near `other` is to `word` among all words: 1 is its nearest (gensim's rank)."""
        return similarity.rank(self.vectors, self._id(word), self._id(other))

    def analogy(
        self, a: str, b: str, c: str, topn: int = 10, score: str = "cosine"
    ) -> list[tuple[str, float]]:
        """a is to b as c is to ?: [(word, score)], best first.

        score: cosine, mul or dot, as in `similarity.analogy`. Raises UserError where a word is not
        in the vocabulary.
        """
        if score not in similarity.ANALOGY_SCORES:
            names = ", ".join(similarity.ANALOGY_SCORES)
            raise UserError(f"`score={score}`: not one of {names}")
        _check_topn(topn)
        triple = [self._id(word) for word in (a, b, c)]
        ids, scores = similarity.analogy(self.vectors, [triple], topn, score, self.untrained)
        return self._scored(ids[0], scores[0])

    def similarity(self, a: str, b: str) -> float:
        """The cosine of two words: u.v / (|u| |v|), 0 where a vector is 0."""
        u, v = self._unit([a, b])
        return float(u @ v)

    def doesnt_match(self, words: Sequence[str]) -> str:
        """The word that is farthest from the mean of their unit vectors (gensim's doesnt_match)."""
        if isinstance(words, str) or len(words) < 2:
            raise UserError("`words`: a list of at least two words")
        unit = self._unit(words)
        return words[int(np.argmin(unit @ unit.mean(axis=0)))]

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def _id(self, word: str) -> int:
        """The id of a word, also in another Unicode form. Raises UserError with near spellings."""
        if not isinstance(word, str):
            raise UserError(f"`word={word!r}`: is no word")
        found = self._ids.get(word)
        return similarity.find(self.words, word) if found is None else found

    def _unit(self, words: Sequence[str]) -> np.ndarray:
        rows = self.vectors[[self._id(word) for word in words]].astype(np.float64)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(length > 0, length, 1)

    def _scored(self, ids: np.ndarray, scores: np.ndarray) -> list[tuple[str, float]]:
        return [(self.words[i], float(score)) for i, score in zip(ids, scores, strict=True)]


def _check_topn(topn: int) -> None:
    if isinstance(topn, bool) or not isinstance(topn, int | np.integer) or topn < 1:
        raise UserError(f"`topn={topn}`: must be a whole number, at least 1")
