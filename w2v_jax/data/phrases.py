"""Words that stand together more often than by chance, as one: new_york, times_square.

A candidate is two words, and whatever connector words stand between them. It is a phrase where its
score is above the threshold. n counts in the text, V types of words and candidates together, N
words in all:
  default: (n(a b) - min_count) / (n(a) n(b)) V
  npmi: log(p(a b) / (p(a) p(b))) / -log p(a b), p = n / N, of what occurs min_count times
Sources: Mikolov et al. 2013b, eq. 6; Bouma 2009, Normalized (Pointwise) Mutual Information in
Collocation Extraction; gensim's models.phrases, whose figures these are.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.data import kinds
from w2v_jax.data.preparation import PLAIN, Preparation
from w2v_jax.data.preparation import checked as checked_preparation
from w2v_jax.data.sentences import checked
from w2v_jax.data.sources import locate, read_chunks
from w2v_jax.types import UserError

THRESHOLDS = {"default": 10.0, "npmi": 0.5}  # by the score
LONGEST = 10_000  # words of a line that are looked at together, as by gensim's LineSentence
MOST_TYPES = 40_000_000  # words and candidates that are counted: rare ones are forgotten beyond
_CHUNK = 1 << 20  # bytes
# Of English phrases: of, the, and the like, as in bank_of_america
CONNECTORS = (
    *("a", "an", "the", "for", "of", "with", "without", "at", "from", "to", "in", "on", "by"),
    *("and", "or"),
)


class Line(NamedTuple):
    """Words of a line, or of a part of a long one."""

    words: list[str]
    ends: bool  # the line ends with them


@dataclass(frozen=True, eq=False, repr=False)
class Phrases:
    """The phrases of a text."""

    counts: dict[str, int]  # of words, and of candidates as they are joined
    words: int  # in all
    min_count: int
    threshold: float
    score: str  # default | npmi
    delimiter: str
    connectors: frozenset[str]
    lower: bool = False  # of a text in small letters
    forgotten: int = 0  # words and candidates of fewer occurrences were forgotten; 0: none

    @classmethod
    def learn(
        cls,
        text: str | Path | Iterable[Iterable[str]],
        min_count: int = 5,
        threshold: float | None = None,
        *,
        score: str = "default",
        delimiter: str = "_",
        connectors: Iterable[str] = (),
        max_types: int = MOST_TYPES,
        lower: bool = False,
        tokens: str = "words",
        encoding: str = "utf-8",
    ) -> "Phrases":
        """Counts the words and candidates of a text, which is read once.

        text: a file, a folder or a glob, a sentence a line; or sentences, each a list of words.
        threshold: that a score must be above (None: 10, of npmi 0.5). connectors: words that may
        stand within a phrase, and neither begin nor end one. Beyond max_types the rarest are
        forgotten while it is read. lower, tokens, encoding: as of `Corpus.from_files`; of sentences
        lower alone. Raises UserError for a value that is none, and where a sentence is no list of
        words.
        """
        threshold = _threshold(score, threshold)
        for name, value in (("min_count", min_count), ("max_types", max_types)):
            whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
            if not whole or value < 1:
                raise UserError(f"`{name}={value}`: must be a whole number, at least 1")
        if not isinstance(delimiter, str) or delimiter.split() != [delimiter]:
            raise UserError(f"`delimiter={delimiter}`: must be letters without white space")
        between = _connectors(connectors)
        how = checked_preparation(lower, tokens, encoding)
        if isinstance(text, str | Path):
            if not str(text).strip():
                raise UserError("`text`: names no file")
            paths = locate("", corpus=str(text), argument="text").paths
            sentences: Iterable[list[str]] = (line.words for line in lines(paths, how))
        else:
            sentences = (list(map(how.words, words)) for words in checked(text, "text"))
        counts, total, rare = _counted(sentences, delimiter, between, max_types)
        if not total:
            shown = f"`text={text}`" if isinstance(text, str | Path) else "`text`"
            raise UserError(f"{shown}: holds no words")
        return cls(counts, total, min_count, threshold, score, delimiter, between, how.lower, rare)

    def score_of(self, first: str, second: str, between: Iterable[str] = ()) -> float:
        """A candidate's score, -inf where it does not occur."""
        both = self.counts.get(self.delimiter.join([first, *between, second]), 0)
        a, b = self.counts.get(first, 0), self.counts.get(second, 0)
        if not (a and b and both):
            return -math.inf
        if self.score == "default":
            return (both - self.min_count) / (a * b) * len(self.counts)
        if both < self.min_count:
            return -math.inf
        of_a, of_b, of_both = a / self.words, b / self.words, both / self.words
        if of_both >= 1:  # the text is this candidate alone
            return -math.inf
        return math.log(of_both / (of_a * of_b)) / -math.log(of_both)

    def joined(self, sentence: Iterable[str]) -> list[str]:
        """A sentence with each of its phrases as one word, from left to right.

        A word is in one phrase at most: the first that it makes with those before it. Raises
        UserError for a text in place of a list of words.
        """
        if isinstance(sentence, str):
            raise UserError("`sentence`: is a text: give a list of words (sentence.split())")
        return [word for word, _ in self.told(sentence)]

    def told(self, sentence: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """The same, each word with whether it is a phrase that was joined."""
        waiting: list[str] = []  # a word that may begin a phrase, and the connectors behind it
        for word in sentence:
            if word in self.connectors:
                if waiting:
                    waiting.append(word)
                else:
                    yield word, False
            elif waiting and self.score_of(waiting[0], word, waiting[1:]) > self.threshold:
                yield self.delimiter.join([*waiting, word]), True
                waiting = []
            else:
                yield from ((one, False) for one in waiting)
                waiting = [word]
        yield from ((one, False) for one in waiting)

    def __repr__(self) -> str:
        words = counted(self.words, "word")
        return f"Phrases({words}, {self.score}, threshold {self.threshold:g})"


def _threshold(score: str, threshold: float | None) -> float:
    if not isinstance(score, str) or score not in THRESHOLDS:
        raise UserError(f"`score={score}`: not one of {', '.join(THRESHOLDS)}")
    if threshold is None:
        return THRESHOLDS[score]
    number = isinstance(threshold, int | float | np.number) and not isinstance(threshold, bool)
    if not number or not math.isfinite(threshold):
        raise UserError(f"`threshold={threshold}`: not a number")
    if score == "npmi" and not -1 <= threshold <= 1:
        raise UserError(f"`threshold={threshold:g}`: npmi lies between -1 and 1")
    return float(threshold)


def _connectors(words: Iterable[str]) -> frozenset[str]:
    if isinstance(words, str) or not isinstance(words, Iterable):
        raise UserError("`connectors`: give a list of words (text.split())")
    words = list(words)
    for word in words:
        if not isinstance(word, str) or word.split() != [word]:
            raise UserError(f"`connectors`: holds {word!r}, which is no word")
    return frozenset(words)


def _counted(
    sentences: Iterable[list[str]], delimiter: str, connectors: frozenset[str], max_types: int
) -> tuple[dict[str, int], int, int]:
    """Counts of words and candidates, the number of words, and what was forgotten (0: nothing)."""
    counts: dict[str, int] = {}
    total, rare = 0, 1
    for sentence in sentences:
        waiting: list[str] = []
        for word in sentence:
            if word in connectors:
                if waiting:
                    waiting.append(word)
                continue
            counts[word] = counts.get(word, 0) + 1
            if waiting:
                both = delimiter.join([*waiting, word])
                counts[both] = counts.get(both, 0) + 1
            waiting = [word]
        total += len(sentence)
        if len(counts) > max_types:
            counts = {name: n for name, n in counts.items() if n >= rare}
            rare += 1
    return counts, total, rare - 1


def joined_lines(
    paths: Iterable[str],
    how: Preparation,
    phrases: Phrases,
    progress: Callable[[int], object] = lambda count: None,
) -> Iterator[list[str]]:
    """The whole lines of files with their phrases joined, which are looked for as in `lines`."""
    whole: list[str] = []
    for line in lines(paths, how, progress):
        whole += phrases.joined(line.words)
        if line.ends:
            yield whole
            whole = []


def lines(
    paths: Iterable[str],
    how: Preparation = PLAIN,
    progress: Callable[[int], object] = lambda count: None,
) -> Iterator[Line]:
    """The lines of files as words, those of more than LONGEST words in parts.

    progress is told the bytes of each chunk. Raises UserError, which names file and line.
    """
    words: list[str] = []
    number = 1
    for chunk in read_chunks(paths, _CHUNK, how):
        number = 1 if chunk.first else number
        for text, is_whole in _texts(chunk, number):
            words += text.split()
            while len(words) > LONGEST or (words and len(words) == LONGEST and not is_whole):
                yield Line(words[:LONGEST], False)
                words = words[LONGEST:]
            if is_whole:
                yield Line(words, True)
                words = []
        number += chunk.data.count(b"\n")
        progress(len(chunk.data))


def _texts(chunk, number: int) -> Iterator[tuple[str, bool]]:
    """The lines of a chunk, and whether each is whole with it."""
    try:
        text = chunk.data.decode()
    except UnicodeDecodeError as error:
        line = number + chunk.data[: error.start].count(b"\n")
        raise UserError(f"{chunk.path}: line {line}: {kinds.not_utf8(error.object)}") from error
    parts = (text.removeprefix("\ufeff") if chunk.first else text).split("\n")
    yield from ((part, True) for part in parts[:-1])
    if parts[-1] or not chunk.last or chunk.open_line:
        yield parts[-1], chunk.last
