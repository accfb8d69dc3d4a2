"""Word vectors <-> files: word2vec's text and binary formats, npz, TensorBoard's projector.

What is saved loads again bit for bit. Files appear whole or not at all. What a file says of its own
size is believed as far as the bytes that are there.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from w2v_jax.counting import counted
from w2v_jax.data import kinds
from w2v_jax.data.files import opened
from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError
from w2v_jax.vectors import npz
from w2v_jax.vectors.word_vectors import WordVectors

EXACT = "%.9g"  # nine significant digits tell any two float32 apart
READ = 1 << 20  # bytes of a binary file read at a time
_HEADER = re.compile(rb"\s*(\d{1,12})[ \t]+(\d{1,12})\s*\n")
_NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf)")


def save_text(path, wv: WordVectors) -> None:
    """word2vec's text format: `V D`, then a line a word, `word x1 .. xD`, most frequent first.

    Raises UserError where a word is empty, repeated or holds whitespace, or path cannot be
    written. Source: word2vec.c with -binary 0; gensim's load_word2vec_format reads it.
    """
    _check_words(path, wv.words)
    row = " ".join([EXACT] * wv.vectors.shape[1])
    with whole_file(path) as file:
        file.write(_header(wv))
        for word, vector in zip(wv.words, _float32(wv), strict=True):
            file.write(f"{word} {row % tuple(vector.tolist())}\n".encode())


def save_binary(path, wv: WordVectors) -> None:
    """word2vec's binary format: `V D`, then each word, a blank, D little-endian float32, newline.

    Raises UserError as save_text does. Source: word2vec.c with -binary 1; gensim's
    load_word2vec_format(binary=True) reads it.
    """
    _check_words(path, wv.words)
    with whole_file(path) as file:
        file.write(_header(wv))
        for word, vector in zip(wv.words, _float32(wv), strict=True):
            file.write(word.encode() + b" " + vector.tobytes() + b"\n")


def save_npz(path, words: Sequence[str], **arrays) -> None:
    """NumPy's npz of the words and any arrays beside them, without pickle.

    words [V] as unicode; or [bytes] uint8, their UTF-8 with newlines between, where one ends in
    NUL, which NumPy would cut, or is so long that a table of them would take over a GiB. arrays by
    name: load_npz reads the one named vectors. Raises UserError as save_text does, TypeError for
    an array of Python objects.
    """
    _check_words(path, words)
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    if any(array.dtype.hasobject for array in arrays.values()):
        raise TypeError("an array of Python objects cannot be saved without pickle")
    with whole_file(path) as file:
        np.savez(file, words=npz.packed(words), **arrays)


def save_projector(folder, wv: WordVectors) -> None:
    """TensorBoard's embedding projector: vectors.tsv and metadata.tsv, a word a line in both.

    Load both at https://projector.tensorflow.org. Raises UserError as save_text does.
    """
    vectors, metadata = Path(folder) / "vectors.tsv", Path(folder) / "metadata.tsv"
    _check_words(metadata, wv.words)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror or error}") from error
    row = "\t".join([EXACT] * wv.vectors.shape[1]) + "\n"
    with whole_file(vectors) as file:
        for vector in _float32(wv):
            file.write((row % tuple(vector.tolist())).encode())
    with whole_file(metadata) as file:
        file.write("".join(f"{word}\n" for word in wv.words).encode())


def save(path, wv: WordVectors) -> None:
    """Vectors in the format of a name's suffix: .npz, .bin (word2vec's binary), or else text.

    A file appears whole or not at all; a pipe or a device is written straight into. Raises
    UserError as save_text does.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".npz":
        save_npz(path, wv.words, vectors=wv.vectors)
    else:
        (save_binary if suffix == ".bin" else save_text)(path, wv)


def load(path, limit: int | None = None) -> WordVectors:
    """The vectors in a file, by what it holds: word2vec's text or binary, or npz; packed or not.

    limit: of the first so many words; of text and binary no more than these are read. Raises
    UserError for a file that is none of them.
    """
    if limit is not None and (type(limit) is not int or limit < 1):
        raise UserError(f"`limit={limit}`: must be a whole number, at least 1")
    with opened(path, vectors=True) as file:
        head = file.peek(kinds.HEAD)[: kinds.HEAD]
        if kinds.is_zip(head):
            return _first(_checked(path, *npz.read(path, file), "row", 1), limit)
        if kinds.is_html(head):
            raise UserError(f"{path}: is a web page: give the file that it links to")
        suffix = Path(path).suffix.lower()
        if suffix == ".npz" and not _HEADER.match(head):
            raise UserError(f"{path}: not an npz of words and vectors: no zip archive")
        return (_read_text if _is_text(head, suffix) else _read_binary)(path, file, limit)


def _first(wv: WordVectors, limit: int | None) -> WordVectors:
    return WordVectors(wv.words[:limit], wv.vectors[:limit])


def _is_text(head: bytes, suffix: str) -> bool:
    """Whether word2vec's text format begins so; the suffix decides where the first row does not."""
    head = head.removeprefix(BOM_UTF8)
    header = _HEADER.match(head)
    if header is None:
        return True  # whose reader says what is wrong
    row, newline, _ = head[header.end() :].partition(b"\n")
    fields = row.split()[1:]
    whole = fields if newline else fields[:-1]  # the last may be cut off
    if (
        whole
        and all(map(_NUMBER.fullmatch, whole))
        and (not newline or len(fields) == int(header[2]))
    ):
        return True
    return (
        suffix != ".bin" and b"\0" not in row and (suffix in (".txt", ".vec") or kinds.is_text(row))
    )


def load_text(path) -> WordVectors:
    """Vectors in word2vec's text format, with LF or CRLF, a byte-order mark left out.

    The last row may lack its newline. Raises UserError, which names the line at fault.
    """
    with opened(path, vectors=True) as file:
        return _read_text(path, file)


def _read_text(path, file: BinaryIO, limit: int | None = None) -> WordVectors:
    words, rows = [], []
    count, dim = _read_header(path, file)
    for number, line in enumerate(file, 2):
        if len(rows) == limit:
            break
        if len(rows) == count:
            if line.strip():
                told = counted(count, "promised row")
                raise UserError(f"{path}: line {number}: more than the {told}")
            continue
        if not line.endswith(b"\n") and len(rows) < count - 1:
            break
        source = f"{path}: line {number}"
        word, _, values = line.partition(b" ")
        words.append(_decode(source, word, line))
        rows.append(_parse_row(source, values, dim))
    if len(rows) < min(count, limit or count):
        raise UserError(f"{path}: cut short: {counted(count, 'row')} promised, {len(rows)} read")
    return _checked(path, words, np.stack(rows), "line", 2)


def load_binary(path) -> WordVectors:
    """Vectors in word2vec's binary format. Raises UserError, which names the row at fault."""
    with opened(path, vectors=True) as file:
        return _read_binary(path, file)


def _read_binary(path, file: BinaryIO, limit: int | None = None) -> WordVectors:
    count, dim = _read_header(path, file)
    wanted, words, rows = min(count, limit or count), [], []
    data, offset = b"", 0
    while len(words) < wanted:
        blank = data.find(b" ", offset)
        if blank < 0 or blank + 2 + 4 * dim > len(data):  # and the newline that may follow
            more = file.read(max(READ, len(data) - offset))  # a row may be of any length
            data, offset = data[offset:] + more, 0
            if more:
                continue
            blank = data.find(b" ")
            if blank < 0 or blank + 1 + 4 * dim > len(data):
                told = counted(count, "row")
                raise UserError(f"{path}: cut short: {told} promised, {len(words)} read")
        words.append(_decode(f"{path}: row {len(words) + 1}", data[offset:blank]))
        rows.append(np.frombuffer(data, "<f4", dim, blank + 1))
        offset = blank + 1 + 4 * dim
        offset += data[offset : offset + 1] == b"\n"  # word2vec.c ends a row so, gensim does not
    if wanted == count and (rest := len(data) - offset + len(file.read())):
        left = counted(rest, "byte")
        raise UserError(f"{path}: {left} after the {counted(count, 'promised row')}")
    rows = np.stack(rows)
    if kinds.is_swapped(rows):
        rows = rows.byteswap()
    return _checked(path, words, rows, "row", 1)


def load_npz(path) -> WordVectors:
    """The words and vectors of an npz, as of save_npz; the only members that are looked at.

    Nothing is unpickled or written; an array may unpack to 64 MiB or 100 times the file, whichever
    is more. Raises UserError, which names the row at fault.
    """
    with opened(path, vectors=True) as file:
        return _checked(path, *npz.read(path, file), "row", 1)


def _header(wv: WordVectors) -> bytes:
    return b"%d %d\n" % wv.vectors.shape


def _float32(wv: WordVectors) -> np.ndarray:
    return np.asarray(wv.vectors, "<f4")


def _read_header(path, file: BinaryIO) -> tuple[int, int]:
    """V and D from the first line. Nothing is allocated on their word."""
    line = file.readline(100).removeprefix(BOM_UTF8)
    match = _HEADER.fullmatch(line)
    if match is None or 0 in (sizes := (int(match[1]), int(match[2]))):
        hint = ""
        if len(fields := line.split()) > 4 and all(map(_NUMBER.fullmatch, fields[1:4])):
            hint = "; it seems GloVe's, which has none: put such a line before it"
        raise UserError(f"{path}: line 1: expected the header `V D`: two positive numbers{hint}")
    return sizes


def _parse_row(source: str, values: bytes, dim: int) -> np.ndarray:
    """The D values of a line as float32."""
    fields = values.split()
    if len(fields) != dim:
        raise UserError(f"{source}: expected {counted(dim, 'value')}, found {len(fields)}")
    try:
        if b"_" in values:
            raise ValueError  # float() reads 1_0 as 10
        with np.errstate(over="ignore"):
            return np.array(list(map(float, fields)), np.float32)
    except ValueError:
        raise UserError(f"{source}: a value is not a number") from None


def _decode(source: str, word: bytes, sample: bytes = b"") -> str:
    try:
        return word.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{source}: the word is {kinds.not_utf8(sample)}") from error


def _checked(path, words: list[str], vectors: np.ndarray, unit: str, first: int) -> WordVectors:
    """What was read, if its words are words and its numbers finite; row i is `unit first + i`."""
    _check_words(path, words, unit, first)
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise UserError(f"{path}: {unit} {first + bad[0]}: a value is not finite")
    return WordVectors(tuple(words), vectors)


def _check_words(path, words: Sequence[str], unit: str = "row", first: int = 1) -> None:
    """Words must survive every format: no whitespace, none empty or repeated, all UTF-8."""
    seen = set()
    for number, word in enumerate(words, first):
        if word.split() != [word]:
            fault = "is empty or holds whitespace"
        elif word in seen:
            fault = "occurs twice"
        elif not _encodes(word):
            fault = "has no UTF-8 form"
        else:
            seen.add(word)
            continue
        raise UserError(f"{path}: {unit} {number}: the word {word[:60]!r} {fault}")


def _encodes(word: str) -> bool:
    try:
        return bool(word.encode())
    except UnicodeEncodeError:
        return False
