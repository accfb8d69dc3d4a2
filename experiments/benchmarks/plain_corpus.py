"""Any corpus as one plain file that every program can read."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from w2v_jax.data import files
from w2v_jax.data import sources as corpora
from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError


class PlainText(NamedTuple):
    """A text in one uncompressed file."""

    path: Path
    words: int
    lines: int
    sha256: str  # of the source's lines that were read


def plain(source: corpora.Source, max_words: int, folder: Path) -> PlainText:
    """The text as one file.

    A single plain file is read where it lies; anything else, as the first max_words of a text, is
    written to corpus.txt in `folder`. Raises UserError as corpus.read_lines does.
    """
    lone = len(source.paths) == 1 and not files.is_packed(source.paths[0])
    digest = hashlib.sha256()
    if lone and not max_words:
        words, lines = _count(_lines(source, 0, digest))
        path = Path(source.paths[0]).absolute()
        return PlainText(path, words, lines, digest.hexdigest())
    path = folder / "corpus.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--workdir={folder}: {error.strerror or error}") from error
    with whole_file(path) as file:
        words, lines = _count(_lines(source, max_words, digest), file)
    return PlainText(path, words, lines, digest.hexdigest())


def _lines(source: corpora.Source, max_words: int, digest):
    """Lines of words, up to max_words of them (0: all)."""
    left = max_words
    for words in corpora.read_lines(source.paths, digest):
        yield words[:left] if max_words else words
        left -= len(words)
        if max_words and left <= 0:
            return


def _count(lines, file=None) -> tuple[int, int]:
    total = number = 0
    for words in lines:
        total, number = total + len(words), number + 1
        if file:
            file.write((" ".join(words) + "\n").encode())
    return total, number
