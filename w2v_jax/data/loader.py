"""Files to a corpus of ids on disk, in memory that doesn't grow with the text.

One pass numbers the words; meanwhile another thread reads, splits and hashes what follows (NumPy
lets both run at once). A second pass, over ids alone, gives the vocabulary's order.
"""

import hashlib
import io
import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from w2v_jax.data import id_cache, kinds
from w2v_jax.data.files import reason_of
from w2v_jax.data.id_cache import Settings
from w2v_jax.data.lossy_counting import IdRemap, LossyCounter
from w2v_jax.data.preparation import PLAIN, Preparation
from w2v_jax.data.sources import Chunk, Source, cache_folder, read_chunks
from w2v_jax.data.tokenizer import Words, tokens
from w2v_jax.data.vocab import EOS, choose
from w2v_jax.types import TokenizedText, UserError

CHUNK = 1 << 20  # bytes of text read at a time
AHEAD = 3  # chunks that are ready or being made ready
NO_CACHE = "none"
_BOM = "\ufeff".encode()
_NEWLINE = 10


class Part(NamedTuple):
    """A chunk and the words in it."""

    chunk: Chunk
    words: Words
    newlines: np.ndarray  # [newlines] int64, words before each; none with eos
    error: int | None  # first byte that is not UTF-8; the words end with the line before
    digest: Any  # hashlib's sha256 of the text through this chunk


class Scan(NamedTuple):
    """What the first pass learns of a text."""

    words: int  # words read
    sha256: str  # of the lines read
    pieces: list[tuple[int, int, int]]  # of each chunk: words, lines, generation of its numbers


def load(
    source: Source,
    *,
    cache_dir: str = "",
    known: tuple[str, ...] = (),
    how: Preparation = PLAIN,
    note: Callable[[str], None] = lambda line: None,
    progress: Callable[[int], None] = lambda count: None,
    **settings,
) -> TokenizedText:
    """Reads a located text and chooses its vocabulary, or maps what an earlier call made of it.

    `settings` are min_count, max_vocab, unk, eos, max_words, max_types: see `vocab.choose` and
      eos        ends each line, blank ones too, with the word '<eos>' and makes the text one line;
                 otherwise blank lines are left out
      max_words  cuts the text after that many words (0: all)
      max_types  bounds memory: see `lossy_counting.LossyCounter`; `known` are never rare
    `how` the text is prepared: see `preparation`.
    `cache_dir`: '' for the default folder, 'none' for no cache. `note` gets a line where the
    cache can't be used, which is no error, and one of what max_types lost. `progress` gets the
    uncompressed bytes done since the last call.

    ids are an `id_cache.Ids`, line_ends a read-only memory map. Raises UserError where the text
    cannot be read, is not UTF-8, or holds no word that stays.
    """
    wanted = Settings(**settings, known=id_cache.digest_of(known))
    if wanted.unk not in ("keep", "drop"):
        raise UserError(f"`unk={wanted.unk}`: not one of keep, drop")
    make = partial(_made, source.paths, how, wanted, known, note, progress)
    cache = id_cache.Store(os.path.expanduser(cache_dir) or cache_folder(), note)
    if cache_dir != NO_CACHE:
        identity = id_cache.identity(source.paths, how)
        found = cache.find(identity, wanted)
        if found:
            return found
        try:
            return make(cache.new_folder(), cache=cache, identity=identity)
        except (OSError, id_cache.Damaged) as error:
            where = getattr(error, "filename", None) or cache.folder
            note(f"the corpus is not cached: {where}: {reason_of(error)}")
    try:
        return make(tempfile.mkdtemp(prefix="w2v_jax-"))
    except (OSError, id_cache.Damaged) as error:
        folder = tempfile.gettempdir()
        raise UserError(f"{folder}: cannot be written ({reason_of(error)})") from error


def _made(
    paths, how, settings, known, note, progress, folder, cache=None, identity=None
) -> TokenizedText:
    """The corpus as files in `folder`, mapped; then moved into the cache or deleted."""
    try:
        counter = LossyCounter(folder, settings.max_types, known)
        scan = _scan(read_chunks(paths, CHUNK, how), settings, folder, counter, progress)
        types, counts = counter.types()
        vocab, index = choose(
            types,
            counts,
            min_count=settings.min_count,
            max_vocab=settings.max_vocab,
            unk=settings.unk,
            known=known,
            text=paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else ""),
        )
        indices = counter.indices(index)
        _renumber(scan.pieces, indices, (index < 0).any(), settings.eos, folder)
        indices.delete()
        lost = counter.report(settings.unk)
        id_cache.finish(folder, vocab, scan.words, scan.sha256, settings, lost)
        corpus = id_cache.read(folder, settings)
        if lost:
            note(lost)
        if cache:
            cache.publish(folder, corpus, settings, identity)
        return corpus
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # what is open or mapped stays readable


def _scan(chunks, settings: Settings, folder: str, counter: LossyCounter, progress) -> Scan:
    """The first pass: writes ids by the table of words, and the line ends."""
    digest, here = hashlib.sha256(), _Position()
    words, ended, pieces = 0, 0, []
    with (
        open(os.path.join(folder, id_cache.IDS), "wb") as ids_file,
        open(os.path.join(folder, id_cache.LINE_ENDS), "wb") as ends_file,
        closing(_ahead(_parts(chunks, settings.eos))) as parts,
    ):
        for part in parts:
            chunk, found = part.chunk, len(part.words)
            room = settings.max_words - words if settings.max_words else found + 1
            if part.error is not None and found < room:
                here.refuse(chunk, part.error)
            ids = counter.add(part.words, room)
            ends = part.newlines[part.newlines < room]
            if chunk.last or len(ids) == room:
                ends = np.append(ends, len(ids))
            ends = words + ends
            ends = ends[np.diff(ends, prepend=ended) > 0]  # the others are blank lines
            ids_file.write(ids.data)
            ends_file.write(ends.data)
            pieces.append((len(ids), len(ends), counter.generation))
            words += len(ids)
            ended = int(ends[-1]) if len(ends) else ended
            if len(ids) == room:
                _finish_line(digest, chunk, room, settings.eos, parts, here)
                break
            digest = part.digest
            here.pass_over(chunk)
            progress(len(chunk.data))
    return Scan(words, digest.hexdigest(), pieces)


def _ahead(items: Iterator) -> Iterator:
    """The items, made by another thread while earlier ones are in use; AHEAD at most wait."""
    made, room, ended = queue.SimpleQueue(), threading.Semaphore(AHEAD), threading.Event()

    def make():
        error = None
        try:
            while room.acquire() and not ended.is_set():
                made.put((next(items), None))
        except StopIteration:
            pass
        except Exception as caught:  # raised where the items are used
            error = caught
        made.put((None, error))

    # A daemon: an interrupt doesn't wait for one that waits for a pipe.
    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while (found := made.get())[0] is not None:
            yield found[0]
            room.release()
        if found[1]:
            raise found[1]
    finally:
        ended.set()
        room.release()
        thread.join(timeout=1)


def _parts(chunks: Iterator[Chunk], eos: bool) -> Iterator[Part]:
    """The chunks, split into words."""
    digest = hashlib.sha256()
    for chunk in chunks:
        text, bad = chunk.data, None
        try:
            if not text.isascii():
                text.decode()
        except UnicodeDecodeError as error:
            bad = error.start
            text = text[: text.rfind(b"\n", 0, bad) + 1]
        if chunk.first:
            text = text.removeprefix(_BOM)
        if eos:
            text = text.replace(b"\n", f" {EOS} ".encode())
            if chunk.open_line and bad is None:
                text += f" {EOS}".encode()
        found, newlines = tokens(text)
        digest.update(chunk.data)
        yield Part(chunk, Words(found), newlines, bad, digest.copy())


def _finish_line(digest, chunk: Chunk, words: int, eos: bool, parts, here: "_Position") -> None:
    """Takes the text through the line of word number `words` of a chunk into the digest."""
    data = chunk.data[: _through_line(chunk, words, eos)]
    digest.update(data)
    while not data.endswith(b"\n") and not chunk.last:
        here.pass_over(chunk)
        part = next(parts)
        chunk = part.chunk
        data = chunk.data[: chunk.data.find(b"\n") + 1] or chunk.data
        if part.error is not None and part.error < len(data):
            here.refuse(chunk, part.error)
        digest.update(data)


def _through_line(chunk: Chunk, words: int, eos: bool) -> int:
    """Bytes of a chunk up to the end of the line that holds its word number `words`."""
    skipped = len(_BOM) if chunk.first and chunk.data.startswith(_BOM) else 0
    end = skipped
    for line in io.BytesIO(chunk.data[skipped:]):
        end += len(line)
        words -= len(line.decode().split()) + (eos and line.endswith(b"\n"))
        if words <= 0:
            break
    return end


def _renumber(pieces, indices: IdRemap, drop: bool, eos: bool, folder: str) -> None:
    """The second pass: an id becomes its index in the vocabulary.

    `drop`: words of index -1 go, and lines that this empties. It is done in the same files: what is
    written is never longer than what was read.
    """
    names = [os.path.join(folder, name) for name in (id_cache.IDS, id_cache.LINE_ENDS)]
    kept, ended, now = 0, 0, None
    with ExitStack() as stack:
        old_ids, old_ends = (stack.enter_context(open(name, "rb")) for name in names)
        new_ids, new_ends = (stack.enter_context(open(name, "r+b")) for name in names)
        begin = 0
        for count, lines, generation in pieces:
            if generation != now:
                index, now = indices[generation], generation
            ids = index.take(np.frombuffer(old_ids.read(4 * count), np.int32))
            ends = np.frombuffer(old_ends.read(8 * lines), np.int64)
            if drop:
                keep = ids >= 0
                ends = ends - begin
                ends = kept + ends - np.searchsorted(np.flatnonzero(~keep), ends)
                ends = ends[np.diff(ends, prepend=ended) > 0]
                ids = ids[keep]
            new_ids.write(ids.data)
            if not eos:
                new_ends.write(ends.data)
            begin += count
            kept += len(ids)
            ended = int(ends[-1]) if len(ends) else ended
        if eos:
            new_ends.write(np.array([kept], np.int64).data)
        new_ids.truncate()
        new_ends.truncate()


class _Position:
    """Where in its file a chunk begins: lines from 1, bytes of the line before it."""

    def __init__(self):
        self._line, self._bytes = 1, 0

    def pass_over(self, chunk: Chunk) -> None:
        """Moves behind a chunk."""
        newline = chunk.data.rfind(b"\n")
        self._line += np.count_nonzero(np.frombuffer(chunk.data, np.uint8) == _NEWLINE)
        self._bytes = len(chunk.data) - newline - 1 + (self._bytes if newline < 0 else 0)
        if chunk.last:
            self.__init__()

    def refuse(self, chunk: Chunk, byte: int) -> None:
        """Raises the UserError for a byte of a chunk that is not UTF-8."""
        newline = chunk.data.rfind(b"\n", 0, byte)
        line = self._line + chunk.data.count(b"\n", 0, byte)
        column = byte - newline + (self._bytes if newline < 0 else 0)
        sample = chunk.data[max(newline, byte - 1000) + 1 if byte > 1000 else newline + 1 :][:4000]
        raise UserError(f"{chunk.path}: line {line}, byte {column}: {kinds.not_utf8(sample, True)}")
