"""Word vectors -> measures against people's judgements: word pairs and analogies."""

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from w2v_jax import resources
from w2v_jax.types import UserError
from w2v_jax.vectors import judgements
from w2v_jax.vectors.similarity import analogy, folded
from w2v_jax.vectors.word_vectors import WordVectors

MOST_FREQUENT = 300_000  # so many words are looked at, as by gensim and word2vec.c's users
_FOLD = " "  # before a folded word's key: no word begins with a blank
CANDIDATES = 5  # answers of an analogy looked at; more than one for other spellings of a, b, c
PAIR_SETS = ("wordsim353", "simlex999")
ANALOGY_SETS = ("google_analogies",)
HEADLINES = ("wordsim353_spearman", "simlex999_spearman", "google_analogies_accuracy")
LEAST = 20  # items below which a figure is chance, and is not given


class Measure(NamedTuple):
    """One figure, and how much of the file behind it the vocabulary covers."""

    name: str
    value: float | None  # None where it is undefined, as where nothing is covered
    covered: int  # items with all words in the vocabulary
    total: int  # items in the file
    folded: int = 0  # of the covered ones, those with a word in another spelling


def standard(wv: WordVectors, items: Mapping[str, np.ndarray] | None = None) -> Iterator[Measure]:
    """WordSim-353, SimLex-999 where it is installed, and Google's analogies.

    Measures of fewer than LEAST items are left out. items: what `standard_items` gave for these
    vectors, which costs most of the time.
    Sources: Finkelstein et al. 2002; Hill et al. 2015; Mikolov et al. 2013.
    """
    items = items or {}
    for name, path in standard_files().items():
        measure = word_pairs if name in PAIR_SETS else analogies
        yield from told(measure(wv, path, name, items.get(name)))


def told(measures: Iterable[Measure]) -> Iterator[Measure]:
    """Measures, those of fewer than LEAST items without their value."""
    for measure in measures:
        yield measure._replace(value=None) if measure.covered < LEAST else measure


def standard_items(wv: WordVectors) -> dict[str, np.ndarray]:
    """Item by item what `standard` measures: `pair_items`' cosines and `analogy_items`, by name.

    wordsim353 [353], simlex999 [999] (where it is installed) float64; google_analogies [19544]
    int8.
    """
    return {
        name: pair_items(wv, path)[1] if name in PAIR_SETS else analogy_items(wv, path)
        for name, path in standard_files().items()
    }


def standard_people(names: Iterable[str] = PAIR_SETS) -> dict[str, np.ndarray]:
    """People's scores, in the order of `standard_items`: wordsim353 [353], simlex999 [999].

    Raises UserError where SimLex-999 is asked for and not installed.
    """
    return {
        name: np.array([score for *_, score in judgements.pairs(standard_file(name))])
        for name in names
    }


def standard_files() -> dict[str, Path]:
    """The standard sets that are there: PAIR_SETS, then ANALOGY_SETS -> their files."""
    every = {
        "wordsim353": resources.packaged("wordsim353.tsv"),
        "simlex999": resources.simlex999(),
        "google_analogies": resources.packaged("questions-words.txt.xz"),
    }
    return {name: path for name, path in every.items() if path}


def standard_file(name: str) -> Path:
    """The file of a standard set. Raises UserError where it is SimLex-999, and not installed."""
    files = standard_files()
    if name not in files:
        raise UserError(resources.NO_SIMLEX)
    return files[name]


def standard_words() -> dict[str, np.ndarray]:
    """Which words each item has, by ids that are equal where words are, in any case and file.

    In the order of `standard_items`: wordsim353 [353, 2], simlex999 [999, 2] (where it is
    installed), google_analogies [19544, 4] int64.
    """
    ids: dict[str, int] = {}
    words = {
        name: [p[:2] for p in judgements.pairs(path)]
        if name in PAIR_SETS
        else [item.words for item in judgements.analogies(path)[1]]
        for name, path in standard_files().items()
    }
    return {
        name: np.array([[ids.setdefault(w.upper(), len(ids)) for w in item] for item in items])
        for name, items in words.items()
    }


def word_pairs(
    wv: WordVectors,
    path,
    name: str | None = None,
    cosines: np.ndarray | None = None,
    score_column: str = "",
) -> Iterator[Measure]:
    """Correlation of the pairs' cosines with people's scores, rank (Spearman) and linear (Pearson).

    rho = cov(x, y) / (sd(x) sd(y)), over ranks or values; pairs with unknown words are left out.

    path: a file that `judgements.pairs` reads. name: its stem unless given. cosines: [P] of
    `pair_items`, where they are there already. Yields <name>_spearman and <name>_pearson.
    Unknown words that have vectors by their subwords count as known. Raises UserError for a file
    that cannot be read so. Source: gensim's evaluate_word_pairs.
    """
    wv = _with_subwords(wv, path, score_column)
    name = Path(path).stem if name is None else name
    people, ids = _scores_and_ids(wv, path, score_column)
    known = (ids >= 0).all(axis=1)
    folded = _other_spellings(wv.words, [p[:2] for p in judgements.pairs(path, score_column)], ids)
    people = people[known]
    cosines = _cosines(wv.vectors, *ids[known].T) if cosines is None else cosines[known]
    finite = bool(np.isfinite(cosines).all())  # the ranks of a diverged run's NaN would mislead
    for kind in ("spearman", "pearson"):
        value = correlation(kind, people, cosines) if finite else None
        yield Measure(f"{name}_{kind}", value, int(known.sum()), len(known), folded)


def pair_items(wv: WordVectors, path, score_column: str = "") -> tuple[np.ndarray, np.ndarray]:
    """People's scores [P] and the pairs' cosines [P], in the order of a file as of `word_pairs`.

    cos(u, v) = u.v / (|u| |v|), 0 where a vector is zero; NaN where a word is unknown, or its
    vector not finite. float64 both. Raises UserError for a file that cannot be read so.
    """
    wv = _with_subwords(wv, path, score_column)
    people, ids = _scores_and_ids(wv, path, score_column)
    known = (ids >= 0).all(axis=1)
    cosines = np.full(len(ids), np.nan)
    cosines[known] = _cosines(wv.vectors, *ids[known].T)
    return people, cosines


def _with_subwords(wv: WordVectors, path, column: str) -> WordVectors:
    """With the words of a file of pairs that are unknown and have vectors by their subwords."""
    if wv.subwords is None:
        return wv
    index, _ = _spellings(wv.words)
    words = dict.fromkeys(w for a, b, _ in judgements.pairs(path, column) for w in (a, b))
    unknown = [w for w, i in zip(words, _ids(index, words), strict=True) if i < 0]
    rows = {word: row for word in unknown if (row := wv.subwords.vector(word)) is not None}
    if not rows:
        return wv
    # The frequent words that are looked at, and those behind them.
    head = wv.first(MOST_FREQUENT - len(rows))
    return WordVectors((*head.words, *rows), np.concatenate([head.vectors, [*rows.values()]]))


def _scores_and_ids(wv: WordVectors, path, column: str) -> tuple[np.ndarray, np.ndarray]:
    """People's scores [P] of a file's pairs, and the words' ids [P, 2], -1 for unknown ones."""
    first, second, scores = zip(*judgements.pairs(path, column), strict=True)
    index, _ = _spellings(wv.words)
    return np.asarray(scores), np.stack([_ids(index, first), _ids(index, second)], axis=1)


def analogies(
    wv: WordVectors, path, name: str | None = None, answers: np.ndarray | None = None
) -> Iterator[Measure]:
    """Share of analogies "a is to b as c is to d" whose best answer (3CosAdd) is d.

    accuracy = right / covered; items with unknown words are left out; spellings as of `_ids`.

    path: a file or a folder that `judgements.analogies` reads. name: its stem unless given.
    answers: [Q] of `analogy_items`, where they are there already. Yields
    <name>_<section>_accuracy for each named section, then <name>_accuracy over all. Raises
    UserError for a file that cannot be read so. Source: Mikolov et al. 2013, Efficient Estimation,
    4.1; gensim's evaluate_word_analogies.
    """
    name = Path(path).stem if name is None else name
    sections, items = judgements.analogies(path)
    answers = analogy_items(wv, path) if answers is None else answers
    section = np.array([item.section for item in items])
    for i, head in enumerate(sections):
        if head:
            yield _accuracy(f"{name}_{head}_accuracy", answers, section == i)
    ids = _analogy_ids(_spellings(wv.words)[0], items)
    folded = _other_spellings(wv.words, [item.words for item in items], ids[:, :4])
    yield _accuracy(f"{name}_accuracy", answers, section >= 0)._replace(folded=folded)


def analogy_items(wv: WordVectors, path) -> np.ndarray:
    """Each analogy's answer, in the order of a file as of `analogies`: [Q] int8.

    1 right, 0 wrong, -1 where a, b, c or all answers are unknown. Raises UserError for a file that
    cannot be read so.
    """
    _, items = judgements.analogies(path)
    index, group = _spellings(wv.words)
    ids = _analogy_ids(index, items)
    known = (ids[:, :3] >= 0).all(axis=1) & (ids[:, 3:] >= 0).any(axis=1)
    answers = np.full(len(items), -1, np.int8)
    answers[known] = _answered(wv.vectors[:MOST_FREQUENT], ids[known], group)
    return answers


def _analogy_ids(index: dict[str, int], items) -> np.ndarray:
    """Of a, b, c and as many answers as the most have, -1 for unknown ones and none: [Q, 3 + A]."""
    most = max(len(item.answers) for item in items)
    absent = ("",)  # no word
    rows = [
        (item.a, item.b, item.c, *item.answers, *absent * (most - len(item.answers)))
        for item in items
    ]
    return _ids(index, [word for row in rows for word in row]).reshape(-1, 3 + most)


def _answered(vectors: np.ndarray, ids: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Whether the best answer is one that is wanted: ids [Q, 3 + A] -> [Q] bool.

    The best answer is a wanted one itself or the first that is no spelling of a, b or c; any
    spelling of a wanted one is right.
    """
    answers, _ = analogy(vectors, ids[:, :3], CANDIDATES)
    groups, wanted = group[answers], ids[:, None, 3:]
    itself = (answers[:, :, None] == wanted).any(axis=2)
    allowed = (groups[:, :, None] != group[ids[:, :3]][:, None, :]).all(axis=2) | itself
    best = allowed & (np.cumsum(allowed, axis=1) == 1)
    right = ((groups[:, :, None] == group[wanted]) & (wanted >= 0)).any(axis=2)
    return (best & right).any(axis=1)


def _accuracy(name: str, answers: np.ndarray, chosen: np.ndarray) -> Measure:
    covered = int((chosen & (answers >= 0)).sum())
    value = int((chosen & (answers == 1)).sum()) / covered if covered else None
    return Measure(name, value, covered, int(chosen.sum()))


def _spellings(words) -> tuple[dict[str, int], np.ndarray]:
    """Word, and folded word, -> id, exact spelling first, then the most frequent; [V] groups.

    A group's number is the id of its most frequent spelling.
    """
    words = words[:MOST_FREQUENT]
    index: dict[str, int] = {}
    groups = [index.setdefault(folded(word), i) for i, word in enumerate(words)]
    index = {_FOLD + word: i for word, i in index.items()}
    index.update({word: i for i, word in enumerate(words)})
    return index, np.array(groups, np.int32)


def _ids(index: dict[str, int], words) -> np.ndarray:
    """The words' ids: the exact spelling's, else the most frequent other one's, -1 for neither."""
    ids = (index.get(w, -1) if w in index else index.get(_FOLD + folded(w), -1) for w in words)
    return np.fromiter(ids, np.int32)


def _other_spellings(words, items, ids: np.ndarray) -> int:
    """Of the items known, how many have a word in another spelling than the vocabulary's."""
    pairs = zip(items, ids.tolist(), strict=True)
    known = [(item, row) for item, row in pairs if min(row) >= 0]
    return sum([words[i] for i in row] != list(item) for item, row in known)


def _cosines(vectors: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Cosines of pairs of rows, 0 where one is zero: [P], [P] -> [P] float64."""
    a, b = vectors[left].astype(np.float64), vectors[right].astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.sum(a * b, axis=1) / np.where(lengths > 0, lengths, 1)


def correlation(kind: str, x: np.ndarray, y: np.ndarray) -> float | None:
    """`spearman` or `pearson` of two finite samples [P]; None where it is undefined.

    It is undefined for fewer than two items, and where one side is constant.
    """
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return None
    from scipy.stats import pearsonr, spearmanr  # half a second: not at every import of w2v_jax

    with warnings.catch_warnings(), np.errstate(all="ignore"):  # a file's scores may overflow
        warnings.simplefilter("ignore")
        value = float((spearmanr if kind == "spearman" else pearsonr)(x, y).statistic)
    return value if math.isfinite(value) else None


def ids_of(wv: WordVectors, words: Sequence[str]) -> list[int]:
    """The words' ids, exact spelling before folded case; -1 for unknown ones."""
    return _ids(_spellings(wv.words)[0], words).tolist()
