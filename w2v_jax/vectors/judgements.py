"""People's judgements, in files as their authors publish them: pairs, analogies, categories."""

import csv
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from w2v_jax.data import kinds
from w2v_jax.data.files import content, decoded
from w2v_jax.types import UserError

SEPARATORS = "\t;,"  # of fields; a line that has none of them twice is parted by blanks
SCORES = (  # what columns of scores are called, the likeliest first
    *("score", "simlex999", "human (mean)", "human mean", "mean", "rating", "similarity"),
    *("relatedness", "average_score", "average", "gold", "human", "sim"),
)
_SUFFIXED = re.compile(r".+[-._/](n|v|j|a|r|nn|vb|jj|noun|verb|adj)", re.I)


class Analogy(NamedTuple):
    """a is to b as c is to any of the answers."""

    section: int  # its index
    a: str
    b: str
    c: str
    answers: tuple[str, ...]

    @property
    def words(self) -> tuple[str, str, str, str]:
        """a, b, c and the first answer."""
        return self.a, self.b, self.c, self.answers[0]


class Columns(NamedTuple):
    """Where a file of pairs has what."""

    words: tuple[int, int]
    score: int
    has_header: bool


def pairs(path, score_column: str = "") -> tuple[tuple[str, str, float], ...]:
    """(word, word, score) of each line of a file.

    Fields are parted by tabs, semicolons, commas or blanks; # begins a comment. A first line whose
    score is no number is a header. The score is in the column that it names so (SCORES), or in
    `score_column`, a name or a number from 1 on; else in the first of numbers behind the words.
    Raises UserError for a file that cannot be read so.
    """
    return _parsed_pairs(str(path), content(path), score_column)


@lru_cache(maxsize=4)  # by what the file holds: a sweep's trials are measured with the same files
def _parsed_pairs(path: str, raw: bytes, score_column: str) -> tuple[tuple[str, str, float], ...]:
    lines = [(n, line, _fields(line)) for n, line in _lines(path, raw) if line[0] != "#"]
    if not lines:
        raise UserError(f"{path}: no word pairs in it")
    columns = _columns(path, lines, score_column)
    first, second = columns.words
    needed, found = max(*columns.words, columns.score), []
    for number, line, fields in lines[columns.has_header :]:
        if len(fields) <= needed or not (fields[first] and fields[second]):
            raise UserError(f"{path}: line {number}: expected word, word, score: {line[:60]!r}")
        score = _number(fields[columns.score])
        if score is None:
            field = fields[columns.score][:30]
            raise UserError(f"{path}: line {number}: the score {field!r} is not a number")
        found.append((fields[first], fields[second], score))
    if not found:
        raise UserError(f"{path}: no word pairs in it")
    return tuple(found)


def _columns(path: str, lines: Sequence[tuple[int, str, list[str]]], asked: str) -> Columns:
    """By the header, where there is one, and by which fields of the next line are numbers."""
    number, _, head = lines[0]
    has_header = len(lines) > 1 and _is_header(head, lines[1][2])
    row = lines[1][2] if has_header else head
    names = [field.lower() for field in head] if has_header else []
    numbers = [i for i, field in enumerate(row) if _number(field) is not None]
    if asked.isdigit() and int(asked) > 0:
        score = int(asked) - 1
        if score >= len(row):
            raise UserError(f"{path}: line {number}: has no column for `score_column={asked}`")
    elif asked:
        if asked.lower() not in names:
            told = f"there are {', '.join(names)}" if names else "it has no header: give a number"
            raise UserError(f"{path}: line {number}: no column {asked!r}: {told}")
        score = names.index(asked.lower())
    else:
        named = [names.index(name) for name in SCORES if name in names]
        behind = [i for i in numbers if i > 1]
        score = (named or behind or numbers[:1] or [2])[0]
    others = [i for i in range(len(row)) if i != score]
    words = [i for i in others if i not in numbers] if len(row) > 3 else others
    words = (words if len(words) > 1 else others)[:2]
    if len(row) < 3:  # whoever reads the line says so
        return Columns((0, 1), 2, has_header)
    return Columns((words[0], words[1]), score, has_header)


def _is_header(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether a number of the second line, not of its words, has none above it.

    The columns of raters may be called 1, 2 ..
    """
    both = list(zip(first, second, strict=False))
    return any(
        _is_number(below) and not _is_number(above) and (i > 1 or above.lower() in SCORES)
        for i, (above, below) in enumerate(both)
    )


def _fields(line: str) -> list[str]:
    mark = next((mark for mark in SEPARATORS if line.count(mark) > 1), None)
    return _split(line, mark) if mark else line.split()


def _split(line: str, mark: str) -> list[str]:
    """The fields between marks, quoted ones without their quotes."""
    if '"' not in line:
        return [field.strip() for field in line.split(mark)]
    try:
        (fields,) = csv.reader([line], delimiter=mark, skipinitialspace=True, strict=True)
    except csv.Error:
        fields = line.split(mark)
    return [field.strip() for field in fields]


def _number(field: str) -> float | None:
    """A finite number, or None."""
    try:
        value = math.nan if "_" in field else float(field)  # float() reads 1_0 as 10
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _is_number(field: str) -> bool:
    return _number(field) is not None


def analogies(path) -> tuple[tuple[str, ...], tuple[Analogy, ...]]:
    """The sections' names in order, and the analogies of a file, or of all files of a folder.

    Lines `a b c d` under `: section` or `# section` heads, or without any, which is one section;
    a fifth field is the section. Or lines `word answer/answer ..` (BATS), each with each other.
    Raises UserError for a file that cannot be read so. Sources: Mikolov et al. 2013; Gladkova,
    Drozd & Matsuoka 2016.
    """
    path = Path(path).expanduser()
    if not os.path.isdir(path):
        return _parsed_analogies(str(path), content(path))
    below = [*path.glob("*.txt"), *path.glob("*/*.txt")]  # BATS has four folders
    files = sorted(file for file in below if not file.name.startswith("."))
    if not files:
        raise UserError(f"{path}: holds no .txt file, and none in its folders")
    sections: dict[str, int] = {}
    items: list[Analogy] = []
    for file in files:
        names, found = _parsed_analogies(str(file), content(file))
        numbers = [sections.setdefault(name or file.stem, len(sections)) for name in names]
        items += [item._replace(section=numbers[item.section]) for item in found]
    return tuple(sections), tuple(items)


@lru_cache(maxsize=64)
def _parsed_analogies(path: str, raw: bytes) -> tuple[tuple[str, ...], tuple[Analogy, ...]]:
    lines = [
        (n, line, _split(line, "\t") if "\t" in line else line.split())
        for n, line in _lines(path, raw)
    ]
    rows = [(n, line, words) for n, line, words in lines if line[0] not in ":#"]
    if len(rows) > 1 and all(len(words) == 2 for _, _, words in rows):
        pairs = [(a, tuple(filter(None, b.split("/")))) for _, _, (a, b) in rows]
        if items := _each_with_each([pair for pair in pairs if pair[1]]):
            return ("",), items
    sections: dict[str, int] = {}
    items, current = [], ""
    for number, line, words in lines:
        if line[0] in ":#":
            current = line[1:].strip()
            if line[0] == ":":  # a comment that has no analogy is no section
                sections.setdefault(current, len(sections))
            continue
        if len(words) not in (4, 5):
            raise UserError(f"{path}: line {number}: expected four words: {line[:60]!r}")
        section = words[4] if len(words) == 5 else current
        index = sections.setdefault(section, len(sections))
        items.append(Analogy(index, *words[:3], (words[3],)))
    if not items:
        raise UserError(f"{path}: no analogies in it")
    return tuple(sections), tuple(items)


def _each_with_each(pairs: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[Analogy, ...]:
    return tuple(
        Analogy(0, a, answers[0], c, wanted)
        for a, answers in pairs
        for c, wanted in pairs
        if a != c
    )


def categories(path) -> tuple[tuple[str, str], ...]:
    """(word, category) of each line of a file: `word category ..`, or words under heads.

    Heads are `: category` or `# category`. Fields are parted by tabs, semicolons, commas or blanks;
    further ones, as BLESS' relations, are passed over, and so is a first line that says `category`
    or `class`. A word counts once. Raises UserError for a file that cannot be read so.
    """
    path = str(path)
    found: dict[str, str] = {}
    current = None
    for number, line in _lines(path, content(path)):
        if line[0] in ":#":
            current = line[1:].strip()
            continue
        mark = next((mark for mark in SEPARATORS if mark in line), None)
        fields = [field for field in (_split(line, mark) if mark else line.split()) if field]
        if len(fields) > 1:
            if found or fields[1].lower() not in ("category", "class"):
                found.setdefault(fields[0], fields[1])
        elif fields and current is not None:
            found.setdefault(fields[0], current)
        else:
            raise UserError(f"{path}: line {number}: expected word, category: {line[:60]!r}")
    if len(set(found.values())) < 2:
        raise UserError(f"{path}: fewer than two categories in it")
    return tuple(found.items())


def suffix_of(words: Sequence[str]) -> str:
    """The suffix that most words end in, as -n of sun-n, .n or /NN; '' where most have none."""
    marked = [match[0] for word in words if (match := _SUFFIXED.fullmatch(word))]
    if len(marked) * 2 <= len(words):
        return ""
    suffixes = Counter(re.search(r"[-._/][^-._/]+$", word)[0] for word in marked)
    return suffixes.most_common(1)[0][0]


def _lines(path: str, raw: bytes) -> list[tuple[int, str]]:
    """The lines that are not blank, stripped, with their numbers from 1."""
    text = decoded(raw, path)
    if kinds.is_html(raw[: kinds.HEAD]):
        raise UserError(f"{path}: is a web page: give the file that it shows or links to")
    numbered = enumerate(text.split("\n"), 1)
    return [(number, line.strip()) for number, line in numbered if line.strip()]
