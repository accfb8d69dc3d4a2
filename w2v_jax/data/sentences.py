"""Sentences from Python, each a list of words, checked one after the other."""

from collections.abc import Iterable, Iterator

from w2v_jax.types import UserError


def checked(sentences: Iterable[Iterable[str]], argument: str = "sentences") -> Iterator[list[str]]:
    """Each sentence's words. argument: what messages call the sentences.

    Raises UserError for a text, for what can't be read one after the other, and where a sentence is
    no list of words.
    """
    if isinstance(sentences, str | bytes):
        raise UserError(f"`{argument}`: is a text: give lists of words (text.split())")
    if not isinstance(sentences, Iterable):
        raise UserError(f"`{argument}`: is {type(sentences).__name__}, not lists of words")
    for number, sentence in enumerate(sentences, 1):
        yield _words(sentence, f"`{argument}`: sentence {number:,}")


def _words(sentence: Iterable[str], named: str) -> list[str]:
    """A sentence's words. Raises UserError where it is no list of texts."""
    if isinstance(sentence, str | bytes):
        raise UserError(f"{named} is a text: give a list of words (sentence.split())")
    words = list(sentence) if isinstance(sentence, Iterable) else [sentence]
    for word in words:
        if not isinstance(word, str) or word.split() != [word]:
            raise UserError(f"{named} holds {word!r}, which is no word")
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise UserError(f"{named}: {word!r} has no UTF-8 form")
    return words
