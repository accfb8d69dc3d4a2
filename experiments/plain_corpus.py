"""Any corpus as one plain file that every program can read."""

import hashlib
from pathlib import Path

from w2v_jax import corpus as corpora
from w2v_jax.types import UserError

COMPRESSED = (".gz", ".xz", ".bz2")


def plain(source: corpora.Source, max_words: int, folder: Path) -> tuple[Path, int, int]:
    """The file, its words and its lines.

    A single plain file is read where it lies; anything else, as the first max_words of a text, is
    written to corpus.txt in `folder`. Raises UserError as corpus.read_lines does.
    """
    lone = len(source.paths) == 1 and Path(source.paths[0]).suffix.lower() not in COMPRESSED
    if lone and not max_words:
        words, lines = _count(_lines(source, 0))
        return Path(source.paths[0]).absolute(), words, lines
    path, temporary = folder / "corpus.txt", folder / "corpus.txt.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with open(temporary, "w", encoding="utf-8") as file:
            words, lines = _count(_lines(source, max_words), file)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"--workdir={folder}: {error.strerror or error}") from error
    return path, words, lines


def _lines(source: corpora.Source, max_words: int):
    """Lines of words, up to max_words of them (0: all)."""
    left = max_words
    for words in corpora.read_lines(source.paths, hashlib.sha256()):
        yield words[:left] if max_words else words
        left -= len(words)
        if max_words and left <= 0:
            return


def _count(lines, file=None) -> tuple[int, int]:
    total = number = 0
    for words in lines:
        total, number = total + len(words), number + 1
        if file:
            file.write(" ".join(words) + "\n")
    return total, number
