"""One's own word pairs and analogies, which are measured beside the standard ones."""

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation, judgements
from w2v_jax.vectors.evaluation import Measure
from w2v_jax.vectors.suites import ANALOGIES, PAIRS, without_suffixes
from w2v_jax.vectors.word_vectors import WordVectors

KINDS = (PAIRS, ANALOGIES)
TAKEN = (*evaluation.PAIR_SETS, *evaluation.ANALOGY_SETS, "heldout_loss", "perplexity")


class ItemSet(NamedTuple):
    """A file of word pairs, or a file or folder of analogies."""

    name: str
    kind: str  # PAIRS | ANALOGIES
    path: str
    score_column: str
    sha256: str  # of its items, however they are written

    @property
    def headline(self) -> str:
        """The name of its measure over all items."""
        return f"{self.name}_{'spearman' if self.kind == PAIRS else 'accuracy'}"


def read(kind: str, path: str, score_column: str = "", others: Iterable[ItemSet] = ()) -> ItemSet:
    """A set by the name of its file; by another, where one of the others has that.

    Raises UserError for a file that can't be read so.
    """
    sha256 = _hash(kind, path, score_column)
    name = re.sub(r"\W+", "_", without_suffixes(Path(path).name)).strip("_") or kind
    whole = str(Path(path).expanduser().absolute())
    return renamed(ItemSet(name, kind, whole, score_column, sha256), others)


def read_all(
    pairs: str | Sequence[str] = (), analogies: str | Sequence[str] = (), score_column: str = ""
) -> tuple[ItemSet, ...]:
    """The sets of files, or of one. Raises UserError, which names argument, file and line."""
    found: list[ItemSet] = []
    for kind, given in zip(KINDS, (pairs, analogies), strict=True):
        for path in [given] if isinstance(given, str | Path) else given:
            source = f"`{kind}={path}`"
            if not str(path).strip():
                raise UserError(f"{source}: names no file")
            try:
                one = read(kind, str(path), score_column if kind == PAIRS else "", found)
            except UserError as error:
                raise UserError(f"{source}: {str(error).removeprefix(f'{path}: ')}") from error
            if any((other.kind, other.sha256) == (kind, one.sha256) for other in found):
                raise UserError(f"{source}: the same items are given twice")
            found.append(one)
    return tuple(found)


def renamed(one: ItemSet, others: Iterable[ItemSet]) -> ItemSet:
    """By the first of NAME, NAME_2, NAME_3 .. that no other set and no section of one has."""
    others = list(others)
    taken = {*TAKEN, *(other.name for other in others)}
    sections = {f"{other.name}_{head}" for other in others for head in _sections(other)}
    sections |= {f"google_analogies_{head}" for head in _standard_sections()}
    own = _sections(one)

    def is_free(name):
        return name not in taken | sections and not {f"{name}_{head}" for head in own} & taken

    numbered = (f"{one.name}_{number}" for number in itertools.count(2))
    return one._replace(name=next(n for n in itertools.chain([one.name], numbered) if is_free(n)))


def _sections(one: ItemSet) -> tuple[str, ...]:
    """Of analogies the sections' names; of pairs, and of what can't be read, none."""
    try:
        return judgements.analogies(one.path)[0] if one.kind == ANALOGIES else ()
    except UserError:
        return ()


def _standard_sections() -> tuple[str, ...]:
    return judgements.analogies(evaluation.standard_file("google_analogies"))[0]


def _hash(kind: str, path: str, score_column: str) -> str:
    found = judgements.pairs(path, score_column) if kind == PAIRS else judgements.analogies(path)
    return hashlib.sha256(repr(found).encode("utf-8", "surrogatepass")).hexdigest()


def unchanged(one: ItemSet) -> bool:
    """Whether its file still holds the same items."""
    try:
        return _hash(one.kind, one.path, one.score_column) == one.sha256
    except UserError:
        return False


def measured(
    wv: WordVectors, own: Sequence[ItemSet], items: Mapping[str, np.ndarray] | None = None
) -> Iterator[Measure]:
    """What `evaluation.standard` measures, and one's own sets; items: of `items_of`, if known."""
    items = items or {}
    yield from evaluation.standard(wv, items)
    for one in own:
        found = items.get(one.name)
        if one.kind == PAIRS:
            of = evaluation.word_pairs(wv, one.path, one.name, found, one.score_column)
        else:
            of = evaluation.analogies(wv, one.path, one.name, found)
        yield from evaluation.told(of)


def items_of(wv: WordVectors, own: Sequence[ItemSet]) -> dict[str, np.ndarray]:
    """Item by item what `measured` measures, by the sets' names.

    Word pairs: cosines [N] float64, NaN where a word is unknown; analogies: [N] int8, 1 right, 0
    wrong, -1 unknown.
    """
    found = evaluation.standard_items(wv)
    for one in own:
        if one.kind == PAIRS:
            found[one.name] = evaluation.pair_items(wv, one.path, one.score_column)[1]
        else:
            found[one.name] = evaluation.analogy_items(wv, one.path)
    return found


def people_of(one: ItemSet) -> np.ndarray:
    """People's scores of word pairs [N], in the order of `items_of`."""
    return np.array([score for *_, score in judgements.pairs(one.path, one.score_column)])


def groups_of(one: ItemSet) -> np.ndarray:
    """Which words each item has, by ids that are equal where words are, in any case: [N, k]."""
    if one.kind == PAIRS:
        items = [(a, b) for a, b, _ in judgements.pairs(one.path, one.score_column)]
    else:
        items = analogy_words(judgements.analogies(one.path)[1])
    return grouped(items)


def grouped(items: Iterable[Sequence[str]]) -> np.ndarray:
    """Ids of the words of each item, equal where words are, in any case: [N, k]."""
    ids: dict[str, int] = {}
    return np.array([[ids.setdefault(w.lower(), len(ids)) for w in item] for item in items])


def analogy_words(items: Sequence[judgements.Analogy]) -> list[tuple[str, ...]]:
    """What makes analogies vary together: their words, or the pairs of a category.

    Where an answer has several (BATS), items are all pairs of a category with one another.
    """
    several = any(len(item.answers) > 1 for item in items)
    return [(f"{q.section} {q.a}", f"{q.section} {q.c}") if several else q.words for q in items]
