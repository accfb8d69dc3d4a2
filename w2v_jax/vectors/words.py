"""Which words a file of vectors can hold."""

from collections.abc import Sequence

from w2v_jax.types import UserError


def fault(word: str) -> str:
    """What is wrong with a word in any file; '' where nothing is."""
    if not word.strip():
        return "is white space"
    if "\n" in word:
        return "holds a line break"
    return "" if _encodes(word) else "has no UTF-8 form"


def check(path, words: Sequence[str], blanks: bool = False) -> None:
    """Raises UserError where a format would not give the words back as they are.

    blanks: whether it keeps those within a word, as npz does and lines of text do not.
    """
    seen = set()
    for number, word in enumerate(words, 1):
        wrong = fault(word)
        if not wrong and not blanks and word.split() != [word]:
            wrong = "holds white space: .npz, .safetensors and .parquet keep it"
        if not wrong and word in seen:
            wrong = "occurs twice"
        if wrong:
            raise UserError(f"{path}: row {number}: the word {word[:60]!r} {wrong}")
        seen.add(word)


def _encodes(word: str) -> bool:
    try:
        return bool(word.encode())
    except UnicodeEncodeError:
        return False
