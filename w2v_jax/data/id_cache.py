"""Corpora kept as files of ids: written whole or not at all, checked when they are read."""

import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from w2v_jax.data import archives
from w2v_jax.data.files import reason_of
from w2v_jax.data.preparation import PLAIN, Preparation
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import TokenizedText, UserError, Vocab

FORMAT = 2  # of the files: a corpus of another format is made anew
IDS, LINE_ENDS, COUNTS, WORDS, HEADER = "ids.i4", "line_ends.i8", "counts.i8", "words", "header"
_FILES = (IDS, LINE_ENDS, COUNTS, WORDS, HEADER)
_DTYPES = {IDS: "<i4", LINE_ENDS: "<i8", COUNTS: "<i8"}
_READ = 1 << 22  # bytes read at a time
_BLOCK, _BLOCKS = 1 << 16, 64  # bytes of a block, and how many of a large file are checked


class Settings(NamedTuple):
    """What, beside the text, a corpus depends on."""

    min_count: int = 1
    max_vocab: int = 0
    unk: str = "keep"
    eos: bool = False
    max_words: int = 0
    known: str = ""  # `digest_of` the words
    max_types: int = 0


class Damaged(Exception):
    """The files are not what was written; the text says how."""


class Ids:
    """Ids [N] int32 of a file that stays open: a slice is read anew, and nothing else is held.

    Unlike a memory map's pages what was read doesn't count as memory of the process, and a file
    that was cut short is an error rather than a signal. A file that was deleted stays readable.
    """

    dtype = np.dtype(np.int32)

    def __init__(self, path: str):
        self._open(path, os.open(path, os.O_RDONLY))
        self._size = os.fstat(self._descriptor).st_size // self.dtype.itemsize
        self._index = None

    def _open(self, path: str, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor
        weakref.finalize(self, os.close, descriptor)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> np.ndarray:
        """A fresh array [end - begin] int32. Raises UserError where the file cannot be read."""
        begin, end, step = part.indices(len(self))
        if step != 1:
            raise IndexError(f"a step of {step}: ids are read as they lie")
        ids = np.empty(max(0, end - begin), _DTYPES[IDS])
        self._read(ids.view(np.uint8), begin * ids.itemsize)
        return ids.astype(self.dtype, copy=False) if self._index is None else self._index[ids]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def renumbered(self, index: np.ndarray) -> "Ids":
        """The same text in another vocabulary: index[ids], with index [V] int32."""
        made = object.__new__(Ids)
        made._open(self.path, os.dup(self._descriptor))
        made._size = self._size
        index = np.asarray(index, np.int32)
        made._index = index if self._index is None else index[self._index]
        return made

    def _read(self, into: np.ndarray, begin: int) -> None:
        """Fills [bytes] uint8 from a byte of the file on."""
        done = 0
        while done < len(into):
            try:
                data = os.pread(self._descriptor, min(len(into) - done, _READ), begin + done)
            except OSError as error:
                raise UserError(f"{self.path}: cannot be read ({reason_of(error)})") from error
            if not data:
                raise UserError(f"{self.path}: was cut short while it was in use")
            into[done : done + len(data)] = np.frombuffer(data, np.uint8)
            done += len(data)


def digest_of(known: Iterable[str]) -> str:
    """What tells a set of words from others, '' for none."""
    words = sorted(set(known))
    return hashlib.sha256(json.dumps(words).encode()).hexdigest() if words else ""


def finish(
    folder: str, vocab: Vocab, words: int, sha256: str, settings: Settings, note: str = ""
) -> None:
    """Adds vocabulary and header to a folder of ids and line ends. Raises OSError.

    `note` is repeated whenever the corpus is found.
    """
    _write(os.path.join(folder, WORDS), "\n".join(vocab.words).encode())
    _write(os.path.join(folder, COUNTS), vocab.counts.astype(_DTYPES[COUNTS]).tobytes())
    header = {
        "format": FORMAT,
        "settings": list(settings),
        "words": words,
        "sha256": sha256,
        "note": note,
        "files": {},
    }
    for name in _FILES[:-1]:
        path = os.path.join(folder, name)
        header["files"][name] = [os.path.getsize(path), _checksum(path)]
    text = json.dumps(header).encode()
    _write(os.path.join(folder, HEADER), text + b"\n" + hashlib.sha256(text).hexdigest().encode())


def read(folder: str, settings: Settings) -> TokenizedText:
    """The corpus in a folder: ids that are read as they are sliced, line ends mapped, read-only.

    Sizes, header and vocabulary are checked whole; of ids and line ends, 64 blocks of 64 KiB spread
    from the first to the last. Raises Damaged.
    """
    try:
        header = _header(folder)
        if header["format"] != FORMAT or header["settings"] != list(settings):
            raise Damaged("it is of another format or of other settings")
        for name, (size, checksum) in header["files"].items():
            path = os.path.join(folder, name)
            if os.path.getsize(path) != size or _checksum(path) != checksum:
                raise Damaged(f"{name} is damaged")
        with open(os.path.join(folder, WORDS), "rb") as file:
            words = tuple(file.read().decode().split("\n"))
        ids = Ids(os.path.join(folder, IDS))
        line_ends, counts = (_map(folder, name) for name in (LINE_ENDS, COUNTS))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Damaged(reason_of(error)) from error
    vocab = Vocab(words, np.array(counts, np.int64))
    if len(words) != len(counts) or vocab.counts.sum() != len(ids) or line_ends[-1] != len(ids):
        raise Damaged("its parts don't belong together")
    return TokenizedText(ids, line_ends, vocab, header["words"], header["sha256"])


def _header(folder: str) -> dict:
    with open(os.path.join(folder, HEADER), "rb") as file:
        text, _, checksum = file.read().partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != checksum:
        raise Damaged(f"{HEADER} is damaged")
    return json.loads(text)


def identity(paths: Iterable[str], how: Preparation = PLAIN) -> list | None:
    """What tells texts from others without reading them: real path, size, time of change, inode.

    And how they are prepared, where they are.

    A file that changes without any of these changing is taken for the same. None where a path is
    no regular file.
    """
    found = []
    for path in paths:
        archive, inside = archives.split(path)
        try:
            about = os.stat(archive)
        except OSError:
            return None
        if not stat.S_ISREG(about.st_mode):
            return None
        one = [os.path.realpath(archive), about.st_size, about.st_mtime_ns, about.st_ino]
        found.append([*one, *([inside] if inside else [])])
    return found if how.is_plain else [*found, list(how)]


class Store:
    """A cache folder: corpora/KEY, by text and settings; corpora/sources/ID -> KEY, by identity."""

    def __init__(self, folder: str, note: Callable[[str], None]):
        self.folder = os.path.join(folder, "corpora")
        self._note = note

    def new_folder(self) -> str:
        """A folder to write a corpus into. Raises OSError."""
        os.makedirs(self.folder, exist_ok=True)
        return tempfile.mkdtemp(prefix="new-", dir=self.folder)

    def find(self, source: list | None, settings: Settings) -> TokenizedText | None:
        """The corpus that was made of files of this identity, if it is there and whole."""
        try:
            with open(self._source(source, settings), encoding="ascii") as file:
                key = file.read()
            folder = os.path.join(self.folder, key)
            if source is None or key != os.path.basename(key) or not os.path.isdir(folder):
                return None
            corpus = read(folder, settings)
            note = _header(folder)["note"]
        except (OSError, ValueError):
            return None
        except Damaged as error:
            self._note(f"{folder}: {error}, so the corpus is read anew")
            return None
        if note:
            self._note(note)
        return corpus

    def publish(self, made: str, corpus: TokenizedText, settings: Settings, source) -> None:
        """Moves a corpus into the cache, where it replaces one that is damaged."""
        key = _key(corpus.sha256, list(settings))
        folder = os.path.join(self.folder, key)
        try:
            if not _is_whole(folder, settings):  # nor of the same text elsewhere
                try:
                    self._replace(folder, made, settings)
                except OSError:
                    if not _is_whole(folder, settings):  # no other process was quicker
                        raise
            corpus.ids.path = os.path.join(folder, IDS)
            if source is not None:  # taken before the text was read
                write_atomically(self._source(source, settings), key.encode())
        except (OSError, UserError) as error:
            self._note(f"the corpus is not cached: {reason_of(error)}")

    def _replace(self, folder: str, made: str, settings: Settings) -> None:
        for path in (*(os.path.join(made, name) for name in _FILES), made):
            _sync(path)
        try:
            os.rename(made, folder)
        except OSError:
            if not os.path.lexists(folder):
                raise
            if _is_whole(folder, settings):  # another was quicker: leave it to those who read it
                return
            old = os.path.join(self.folder, f"old-{secrets.token_hex(4)}")
            os.rename(folder, old)
            shutil.rmtree(old, ignore_errors=True)
            os.rename(made, folder)
        _sync(self.folder)

    def _source(self, source, settings: Settings) -> str:
        return os.path.join(self.folder, "sources", _key(source, list(settings)))


def _is_whole(folder: str, settings: Settings) -> bool:
    try:
        read(folder, settings)
    except Damaged:
        return False
    return True


def _key(*parts) -> str:
    return hashlib.sha256(json.dumps([FORMAT, *parts]).encode()).hexdigest()[:32]


def _map(folder: str, name: str) -> np.ndarray:
    return np.memmap(os.path.join(folder, name), _DTYPES[name], "r")


def _checksum(path: str) -> str:
    """Of a whole file, or of blocks spread over a large one."""
    digest, size = hashlib.sha256(), os.path.getsize(path)
    whole = size <= _BLOCK * _BLOCKS or os.path.basename(path) in (WORDS, COUNTS)
    with open(path, "rb") as file:
        if whole:
            return hashlib.file_digest(file, "sha256").hexdigest()
        for i in range(_BLOCKS):
            file.seek(i * (size - _BLOCK) // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def _write(path: str, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _sync(path: str) -> None:
    """Waits until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
