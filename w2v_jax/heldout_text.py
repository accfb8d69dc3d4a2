"""Text that is not trained on, as ids of a vocabulary that is there, and its windows."""

import dataclasses
import hashlib
from array import array
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from w2v_jax.data import sources
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.preparation import PLAIN, Preparation
from w2v_jax.data.vocab import EOS, UNK
from w2v_jax.types import UserError, Vocab

PART = 1 << 16  # tokens whose windows are made at a time
BLOCK = 1000  # tokens of a part of a text that is one line


class Windows(NamedTuple):
    """Places of a text that have a context, in text order."""

    centres: np.ndarray  # [n] int32
    contexts: np.ndarray  # [n, 2W] int32, by their offset: -W..-1, 1..W
    weights: np.ndarray  # [n, 2W] float32, chance that a window of U{1..W} holds it; 0: no context
    types: np.ndarray  # [U] int32, the words that are a centre
    row: np.ndarray  # [n] int32, index in `types` of each centre
    ends: np.ndarray  # [lines] int32, line i is the centres ends[i-1]:ends[i]


def read(
    paths: Iterable[str], vocab: Vocab, *, unk: str, eos: bool, how: Preparation = PLAIN
) -> Corpus:
    """Files as ids of a vocabulary that is there already; otherwise as `loader.load` reads them.

    Words that the vocabulary lacks become '<unk>' where unk='keep' and it has that, else they are
    left out, and lines that this empties. eos: each line, blank ones too, ends with '<eos>', and
    the text is one line.

    ids [N], line_ends [lines]. Raises UserError where a file cannot be read or nothing is left.
    """
    paths, digest = list(paths), hashlib.sha256()
    lines = sources.read_lines(paths, digest, how=how)
    text = of_lines(lines, vocab, unk=unk, eos=eos, name=", ".join(map(str, paths)))
    return dataclasses.replace(text, sha256=digest.hexdigest())


def of_lines(
    lines: Iterable[list[str]], vocab: Vocab, *, unk: str, eos: bool, name: str = "`heldout`"
) -> Corpus:
    """Lines, each a list of words, as `read` makes a text of them; without a hash."""
    if unk not in ("keep", "drop"):
        raise UserError(f"`unk={unk}`: not one of keep, drop")
    index = {word: i for i, word in enumerate(vocab.words)}
    unknown = index.get(UNK, -1) if unk == "keep" else -1
    ids, ends, words = array("i"), array("q"), 0
    for line in lines:
        line = [*line, EOS] if eos else line
        found = [index.get(word, unknown) for word in line]
        ids.extend([i for i in found if i >= 0])
        ends.append(len(ids))
        words += len(line)
    if not ids:
        raise UserError(f"{name}: holds no word of the vocabulary")
    line_ends = np.array([len(ids)] if eos else np.unique(np.array(ends)), np.int64)
    line_ends = line_ends[line_ends > 0]
    return Corpus(np.array(ids, np.int32), line_ends, vocab, words, "")


def windows(text: Corpus, window: int) -> Windows:
    """All windows of a text, that stop at line ends: on the host, nothing left out or drawn.

    The window is the evaluation's, the same for runs of any window. A context weighs the chance
    that a window drawn of U{1..window} holds it, 1 - (distance - 1) / window. A text of a single
    line, such as a stream, is cut into `ends` of about BLOCK tokens each, for the measures by line;
    its windows run on.

    Raises UserError where no two words stand side by side.
    """
    size, lines = len(text.ids), len(text.line_ends)
    line = np.repeat(np.arange(lines, dtype=np.int32), np.diff(text.line_ends, prepend=0))
    offsets = np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)]).astype(np.int32)
    law = (1 - (np.abs(offsets) - 1) / window).astype(np.float32)
    parts, contexts, weights = [], [], []
    for begin in range(0, size, PART):  # the arrays between are several times as large
        own = np.arange(begin, min(begin + PART, size), dtype=np.int32)
        position = own[:, None] + offsets
        other = np.clip(position, 0, size - 1)
        exists = (position == other) & (line[other] == line[own, None])
        some = exists.any(axis=1)
        parts.append(own[some])
        contexts.append(np.where(exists, text.ids[other], 0)[some].astype(np.int32))
        weights.append(np.where(exists, law, 0)[some].astype(np.float32))
    index = np.concatenate(parts)
    if not len(index):
        raise UserError("the held-out text has no two words side by side on a line")
    centres = np.asarray(text.ids[:])[index]
    types, row = np.unique(centres, return_inverse=True)
    return Windows(
        centres=centres.astype(np.int32),
        contexts=np.concatenate(contexts),
        weights=np.concatenate(weights),
        types=types.astype(np.int32),
        row=row.astype(np.int32),
        ends=np.searchsorted(index, _parts(text)).astype(np.int32),
    )


def _parts(text: Corpus) -> np.ndarray:
    """Where lines end, [lines], or parts of about BLOCK tokens of a text that is one line."""
    if len(text.line_ends) > 1:
        return np.asarray(text.line_ends)
    size = len(text.ids)
    parts = max(round(size / BLOCK), 1)
    return np.arange(1, parts + 1) * size // parts
