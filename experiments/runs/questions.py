"""Questions about word vectors, a line each, and their answers as text and as JSON."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from experiments.cli import quoted
from w2v_jax.types import UserError
from w2v_jax.vectors import similarity
from w2v_jax.vectors.word_vectors import WordVectors

HELP = """\
  king                          its nearest words
  king - man + woman            the nearest to that sum
  man : king = woman            as man is to king, so is woman to ..
  king ~ queen                  their cosine
  odd breakfast lunch car       the one that doesn't match
  rank king queen               how near queen is to king, 1 is the nearest
  predict the of france         the likeliest word among these, of a run
  "New York"                    a word that holds blanks
  ?                             this; Ctrl-D ends"""
OPERATORS = "+-:=~"
Predict = Callable[[list[int]], np.ndarray]  # ids of contexts -> log p of each word [V]


class Answer(NamedTuple):
    """To one question."""

    query: str
    kind: str
    values: dict  # what is found, as JSON has it

    def text(self) -> str:
        """A line: the question -> what is found."""
        found = self.values
        if "answers" in found:
            told = ", ".join(f"{each['word']} {each['score']:.3f}" for each in found["answers"])
        elif self.kind == "rank":
            told = f"{found['rank']:,} of {found['of']:,}, cosine {found['score']:.3f}"
        else:
            told = found["word"] if self.kind == "odd" else f"{found['score']:.3f}"
        return f"  {self.query} -> {told}"

    def as_json(self) -> dict:
        """The question, its kind and what is found."""
        return {"query": self.query, "kind": self.kind, **self.values}


class Asked(NamedTuple):
    """What questions are asked of."""

    wv: WordVectors
    topk: int
    analogy_score: str
    predict: Predict | None  # None: there are vectors alone


def answer(asked: Asked, line: str) -> Answer:
    """The answer to a line, as HELP shows them. Raises UserError where there is none."""
    tokens = [token for token in quoted.words(line, " ") if token]
    wv = asked.wv
    if not tokens:
        raise UserError(f"{line!r}: no word is in it")
    if len(tokens) == 1:
        return _ranked(line, "similar", wv.most_similar(tokens[0], asked.topk))
    marks = {token for token in tokens if token in OPERATORS}
    if not marks:
        return _named(asked, line, tokens[0], tokens[1:])
    if marks <= {"+", "-"}:
        added, subtracted = _signed(line, tokens)
        return _ranked(line, "sum", wv.most_similar(added, asked.topk, negative=subtracted))
    if marks == {"~"} and len(tokens) == 3 and tokens[1] == "~":
        return Answer(line, "similarity", {"score": round(wv.similarity(tokens[0], tokens[2]), 6)})
    if tokens[1:4:2] == [":", "="] and tokens[5:] in ([], [":"], [":", "?"]) and len(tokens) > 4:
        triple = tokens[0], tokens[2], tokens[4]
        found = wv.analogy(*triple, asked.topk, asked.analogy_score)
        return _ranked(line, "analogy", found)
    raise UserError(f"{line!r}: is no question: ? shows those that are")


def _named(asked: Asked, line: str, name: str, words: Sequence[str]) -> Answer:
    """A question that begins with its name."""
    wv = asked.wv
    if name == "odd" and len(words) > 1:
        return Answer(line, "odd", {"word": wv.doesnt_match(words)})
    if name == "rank" and len(words) == 2:
        found = {
            "rank": wv.rank(*words),
            "of": len(wv) - 1,
            "score": round(wv.similarity(*words), 6),
        }
        return Answer(line, "rank", found)
    if name == "predict":
        if asked.predict is None:
            raise UserError(f"{line!r}: needs both tables of a run: --run=OUT")
        log_probs = asked.predict([similarity.find(wv.words, word) for word in words])
        best = np.argsort(-log_probs, kind="stable")[: asked.topk]
        found = [(wv.words[i], float(np.exp(log_probs[i]))) for i in best]
        return _ranked(line, "predict", found)
    raise UserError(f"{line!r}: is no question: `a + b`, `a ~ b`, or one word a line")


def _signed(line: str, tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words that are added and those that are subtracted."""
    tokens = tokens if tokens[0] in "+-" else ["+", *tokens]
    signs, words = tokens[::2], tokens[1::2]
    if len(signs) != len(words) or not set(signs) <= {"+", "-"} or set(words) & {"+", "-"}:
        raise UserError(f"{line!r}: a sign between two words each, as king - man + woman")
    both = list(zip(signs, words, strict=True))
    return [w for sign, w in both if sign == "+"], [w for sign, w in both if sign == "-"]


def _ranked(line: str, kind: str, found: list[tuple[str, float]]) -> Answer:
    answers = [{"word": word, "score": round(score, 6)} for word, score in found]
    return Answer(line, kind, {"answers": answers})
