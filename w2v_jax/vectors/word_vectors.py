"""What a training leaves behind: a vector a word, asked in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from unicodedata import normalize

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.types import UserError
from w2v_jax.vectors import similarity
from w2v_jax.vectors.subwords import Subwords


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Words and their vectors, as trained, not normalised."""

    words: tuple[str, ...]  # [V] most frequent first
    vectors: np.ndarray  # [V, D] float32
    untrained: tuple[int, ...] = ()  # ids of words that never had a context: no one's neighbours
    counts: np.ndarray | None = None  # [V] occurrences in the text; None: unknown
    subwords: Subwords | None = None  # by which unknown words have vectors

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        if not isinstance(word, str):
            return False
        return (
            any(normalize(form, word) in self._ids for form in ("NFC", "NFD")) or word in self._ids
        )

    def has_vector(self, word: str) -> bool:
        """Whether it is a word of the vocabulary, or has subwords that have vectors."""
        return word in self or self._of_subwords(word) is not None

    def __getitem__(self, word: str) -> np.ndarray:
        """The vector of a word, [D]; of subwords also that of an unknown one.

        Raises UserError where there is none.
        """
        unknown = self._of_subwords(word)
        return self.vectors[self._id(word)] if unknown is None else unknown

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
            self.subwords,
        )

    def most_similar(
        self, word: str | Sequence[str], topn: int = 10, negative: Sequence[str] = ()
    ) -> list[tuple[str, float]]:
        """The words with the greatest cosine: [(word, cosine)], best first.

        To one word; or to a sum of several, those of `negative` subtracted: most_similar(["king",
        "        woman"], negative=["man"]). Raises UserError where a word has no vector.
        Source: gensim's most_similar.
        """
        _check_topn(topn)
        words = [word] if isinstance(word, str) else list(word)
        negative = [negative] if isinstance(negative, str) else list(negative)
        if any(self._of_subwords(each) is not None for each in [*words, *negative]):
            return self._near_unknown(words, negative, topn)
        if isinstance(word, str) and not len(negative):
            ids, scores = similarity.most_similar(
                self.vectors, [self._id(word)], topn, self.untrained
            )
            return self._scored(ids[0], scores[0])
        if not [*words, *negative]:
            raise UserError("`word`: no word is given")
        signs = [1] * len(words) + [-1] * len(negative)
        chosen = [self._id(each) for each in [*words, *negative]]
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

    def _of_subwords(self, word: str) -> np.ndarray | None:
        """The vector of an unknown word, where there are subwords and it has some."""
        if self.subwords is None or word in self or not isinstance(word, str):
            return None
        return self.subwords.vector(word)

    def _near_unknown(
        self, added: Sequence[str], subtracted: Sequence[str], topn: int
    ) -> list[tuple[str, float]]:
        """The words nearest to a sum of which a word is not in the vocabulary."""
        words = [*added, *subtracted]
        signs = np.array([1.0] * len(added) + [-1.0] * len(subtracted))
        known = [self._id(word) for word in words if word in self]
        left_out = [*known, *self.untrained]
        target = (signs @ self._unit(words)).astype(np.float32)
        ids, scores = similarity.nearest(self.vectors, target, topn, left_out)
        return self._scored(ids, scores)

    def _unit(self, words: Sequence[str]) -> np.ndarray:
        rows = np.stack([self[word] for word in words]).astype(np.float64)
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(length > 0, length, 1)

    def _scored(self, ids: np.ndarray, scores: np.ndarray) -> list[tuple[str, float]]:
        return [(self.words[i], float(score)) for i, score in zip(ids, scores, strict=True)]


def _check_topn(topn: int) -> None:
    if isinstance(topn, bool) or not isinstance(topn, int | np.integer) or topn < 1:
        raise UserError(f"`topn={topn}`: must be a whole number, at least 1")
