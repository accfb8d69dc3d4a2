"""What is done to a text before its words are counted: its encoding, its case, its punctuation."""

import codecs
import re
import unicodedata
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from w2v_jax.data import kinds, stream
from w2v_jax.types import UserError

TOKENS = ("words", "simple")
UTF8 = "utf-8"
LONGEST = 1 << 21  # letters, or bytes, of a word
_BLOCK = 1 << 20  # bytes of a file at a time
_NO_TEXT = {"idna", "punycode", "unicode_escape", "raw_unicode_escape"}  # of names, of programs
UNK = "<unk>"
_MARK = "\ufeff"
_SPACES = " \n\t\r"  # behind which a block may be cut


class Preparation(NamedTuple):
    """How a text's words are made of its bytes."""

    lower: bool = False  # small letters
    tokens: str = "words"  # what white space parts; simple: without punctuation
    encoding: str = UTF8

    @property
    def is_plain(self) -> bool:
        """Whether the bytes are read as they are."""
        return self == PLAIN

    def words(self, text: str) -> str:
        """A text of whole words, prepared; its lines stay."""
        text = _simple(text) if self.tokens == "simple" else text
        return text.lower() if self.lower else text  # a last sigma is that of its word


PLAIN = Preparation()


def checked(lower: bool, tokens: str, encoding: str) -> Preparation:
    """A preparation; its encoding by one name. Raises UserError for a value that is none."""
    if not isinstance(lower, bool | np.bool_):
        raise UserError(f"`lower={lower}`: neither True nor False")
    if tokens not in TOKENS:
        raise UserError(f"`tokens={tokens}`: not one of {', '.join(TOKENS)}")
    return Preparation(bool(lower), tokens, encoding_of(encoding))


def encoding_of(encoding: str) -> str:
    """An encoding by its one name. Raises UserError for what is none of text."""
    try:
        if not isinstance("a".encode(encoding), bytes) or b"".decode(encoding) != "":
            raise LookupError
        name = codecs.lookup(encoding).name
        if name.replace("-", "_") in _NO_TEXT:
            raise LookupError
    except (LookupError, TypeError, ValueError, AssertionError) as error:
        shown = " ".join(str(encoding).split())  # a line, whatever it holds
        raise UserError(f"`encoding={shown}`: no encoding of text that Python knows") from error
    return name


class _Letters(dict[int, int | None]):
    """What `str.translate` makes of a character: itself within a word, else a blank."""

    def __missing__(self, code: int) -> int | None:
        letter = chr(code)
        kept = letter.isalnum() or letter in _KEPT or unicodedata.category(letter)[0] == "M"
        self[code] = code if kept else 32
        return self[code]


_UNKNOWN = "\ufdd0"  # no character; in place of <unk>, as texts have it that were prepared before
_KEPT = f"_'\n\u200c\u200d{_UNKNOWN}"
_LETTERS = _Letters({ord("’"): ord("'"), 0xAD: None})  # a soft hyphen is within a word
# Two apostrophes, one behind a word, and what stands on no letter: before a word, as behind emoji.
_AT_EDGES = re.compile(rf"''+[^\w\s{_UNKNOWN}]*|'(?!\S)|(?<!\S)[^\w\s{_UNKNOWN}]+")


def _simple(text: str) -> str:
    """A blank in place of what stands between words.

    A word is letters, digits and underscores, the marks that stand on letters, and an apostrophe
    between two of them.
    """
    text = text.replace(UNK, _UNKNOWN).translate(_LETTERS)
    return _AT_EDGES.sub(" ", text).replace(_UNKNOWN, UNK)


def prepared(file: BinaryIO, how: Preparation, called: str) -> BinaryIO:
    """A file's text as it is prepared, in UTF-8.

    Raises UserError, when it is read, for what is not in its encoding; the message names the line.
    """
    return file if how.is_plain else stream.of(_blocks(file, how, called))


def _blocks(file: BinaryIO, how: Preparation, called: str) -> Iterator[bytes]:
    """The prepared text in blocks of whole words."""
    decoder, rest, lines = codecs.getincrementaldecoder(how.encoding)(), "", 1
    is_first = True
    while True:
        data = file.read(_BLOCK)
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeError as error:
            line = lines + rest.count("\n") + _lines_before(error, how)
            raise UserError(f"{called}: line {line}: {_refused(error, how)}") from error
        if is_first and text:
            text, is_first = text.removeprefix(_MARK), False
        text = rest + text
        cut = _cut(text, how) if data else len(text)
        rest, text = text[cut:], text[:cut]
        if len(rest) > LONGEST:
            raise UserError(f"{called}: has a word of over {LONGEST:,} letters: no text")
        lines += text.count("\n")
        yield how.words(text).encode("utf-8", "surrogatepass")
        if not data:
            return


def _cut(text: str, how: Preparation) -> int:
    """Behind the last character that parts words; 0 where there is none."""
    if cut := 1 + max(map(text.rfind, _SPACES)):
        return cut
    simple = how.tokens == "simple"
    for i in range(len(text) - 1, -1, -1):  # as where words stand side by side
        if text[i].isspace() or (simple and _LETTERS[ord(text[i])] == 32):
            return i + 1
    return 0


def _lines_before(error: UnicodeError, how: Preparation) -> int:
    if not isinstance(error, UnicodeDecodeError):  # of the text as a whole
        return 0
    return error.object[: error.start].decode(how.encoding, "replace").count("\n")


def _refused(error: UnicodeError, how: Preparation) -> str:
    if not isinstance(error, UnicodeDecodeError):
        return f"not {how.encoding} (`encoding`): {error}"
    if how.encoding == UTF8:
        return kinds.not_utf8(error.object[max(error.start - 1000, 0) :][:4000], True)
    return f"not {how.encoding} (`encoding`)"
