"""Lines of words to ids; the distributions that training draws from."""

import itertools
import re
from array import array
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from hashlib import sha256

import numpy as np

from w2v_jax.corpus import Source, read_lines, write_atomically
from w2v_jax.types import Corpus, UserError, Vocab

UNK = "<unk>"
EOS = "<eos>"


def load(source: Source, **options) -> Corpus:
    """Reads a located text and builds its vocabulary; `options` are those of `build`."""
    digest = sha256()
    more = f" and {len(source.paths) - 1} more" if len(source.paths) > 1 else ""
    with closing(read_lines(source.paths, digest)) as lines:
        built = build(lines, text=source.paths[0] + more, **options)
    return Corpus(*built, digest.hexdigest())


def build(
    lines: Iterable[list[str]],
    *,
    min_count: int = 1,
    max_vocab: int = 0,
    unk: str = "keep",
    eos: bool = False,
    max_words: int = 0,
    text: str = "the text",
) -> tuple[np.ndarray, np.ndarray, Vocab, int]:
    """The text as ids, and its vocabulary: most frequent first, ties by first appearance.

    A word is rare if it occurs fewer than `min_count` times, or is not among the `max_vocab`
    (0: no limit) most frequent. unk='keep': rare words become '<unk>', which exists if it stands in
    the text or a word is rare, is never rare itself, and is one of the `max_vocab`. unk='drop':
    rare words and '<unk>' are left out of the text, and lines that this empties.
    `eos` ends each line, blank ones too, with the word '<eos>' and makes the text one line;
    otherwise blank lines are left out. `max_words` (0: all) cuts the text after that many words.

    Returns (ids [N] int32, line_ends [lines] int64, vocab, words read before any were left out).
    Raises UserError, which calls the text `text`, where no word is left.
    """
    if unk not in ("keep", "drop"):
        raise UserError(f"--unk={unk}: not one of keep, drop")
    ids, line_ends, types = _number(lines, eos, max_words)
    words = len(ids)
    if not words:
        raise UserError(f"{text}: holds no words")
    counts = np.bincount(ids)
    out = _left_out(types, counts, min_count, max_vocab, unk, text)
    row = np.arange(len(types))
    if unk == "keep" and out.any():
        first = np.flatnonzero(out)[0]  # where '<unk>' first appears
        types[first] = UNK
        row[out] = first
        counts[first] = counts[out].sum()
        out[first] = False
    kept = np.flatnonzero(~out)
    order = kept[np.argsort(-counts[kept], kind="stable")]
    vocab = Vocab(tuple(types[i] for i in order), counts[order])
    place = np.full(len(types), -1, np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    ids = place[row][ids]
    if unk == "drop" and out.any():
        ids, line_ends = _without(ids, line_ends)
    return ids, np.array([len(ids)], np.int64) if eos else line_ends, vocab, words


def keep_probability(counts: np.ndarray, t: float, rule: str) -> np.ndarray:
    """Probability [V] float64 that subsampling keeps an occurrence; all ones for t = 0.

    With f = counts / sum(counts):
      rule 'paper'       min(1, sqrt(t / f))          Mikolov et al. 2013b, eq. 5: 1 - P(discard)
      rule 'word2vec_c'  min(1, sqrt(t / f) + t / f)  word2vec.c
    """
    if rule not in ("paper", "word2vec_c"):
        raise UserError(f"--subsample_rule={rule}: not one of paper, word2vec_c")
    if not 0 <= t < np.inf:
        raise UserError(f"--subsample={t}: neither 0 nor a positive number")
    counts = np.asarray(counts, np.float64)
    keep = np.ones_like(counts)
    if t:
        seen = counts > 0
        ratio = t / (counts[seen] / counts.sum())
        keep[seen] = np.sqrt(ratio) + (ratio if rule == "word2vec_c" else 0)
    return np.minimum(keep, 1)


def noise_distribution(counts: np.ndarray, power: float) -> np.ndarray:
    """Pn [V] float64: counts^power / sum(counts^power), 0 where a count is 0 (at power 0 too).

    Mikolov et al. 2013b, section 2.2: power 3/4.
    """
    counts = np.asarray(counts, np.float64)
    weights = np.zeros_like(counts)
    # Over the largest count, so that no power overflows.
    np.power(counts / counts.max(), power, out=weights, where=counts > 0)
    return weights / weights.sum()


def cumulative(pn: np.ndarray) -> np.ndarray:
    """sum of Pn up to and with each word, in units of 2^-32: [V] float64 -> [V] uint32.

    Word i is drawn by 32 random bits u where cdf[i-1] <= u < cdf[i], so each probability is exact
    to 2^-32. The last entry, 2^32, doesn't fit and is left at 2^32 - 1.
    """
    total = np.cumsum(np.asarray(pn, np.float64))
    return np.minimum(np.rint(total / total[-1] * 2.0**32), 2.0**32 - 1).astype(np.uint32)


def save_counts(path: str, vocab: Vocab) -> None:
    """Writes `word<TAB>count` lines, most frequent first."""
    rows = zip(vocab.words, vocab.counts.tolist(), strict=True)
    write_atomically(path, "".join(f"{word}\t{count}\n" for word, count in rows).encode())


def load_counts(path: str) -> Vocab:
    """Reads what `save_counts` wrote. Raises UserError naming the file and line."""
    counts = {}
    for number, line in enumerate(read_lines([path], sha256()), 1):
        if len(line) != 2 or not re.fullmatch(r"0*[1-9][0-9]{0,17}", line[1], re.ASCII):
            raise UserError(f"{path}: line {number}: not a word, a tab and its count")
        if line[0] in counts:
            raise UserError(f"{path}: line {number}: '{line[0]}' occurs twice")
        counts[line[0]] = int(line[1])
    values = np.fromiter(counts.values(), np.int64, len(counts))
    if (np.diff(values) > 0).any():
        number = int(np.argmax(np.diff(values) > 0)) + 2
        raise UserError(f"{path}: line {number}: more frequent than the word before it")
    return Vocab(tuple(counts), values)


def _number(lines, eos: bool, max_words: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Words by order of first appearance: ids [N] int32, line_ends [lines] int64, the types."""
    index = defaultdict(itertools.count().__next__)
    ids, line_ends = array("i"), array("q")
    for line in lines:
        if eos:
            line = [*line, EOS]
        if max_words:
            line = line[: max_words - len(ids)]
        if line:
            ids.extend(map(index.__getitem__, line))
            line_ends.append(len(ids))
        if max_words and len(ids) >= max_words:
            break
    return np.array(ids, np.int32), np.array(line_ends, np.int64), list(index)


def _left_out(types, counts, min_count, max_vocab, unk, text) -> np.ndarray:
    """Which types are rare or '<unk>' [types] bool."""
    literal = np.array([word == UNK for word in types])
    out = literal | (counts < min_count)
    if out[~literal].all():
        if literal.all():
            raise UserError(f"{text}: holds no word but {UNK}")
        top = counts[~literal].max()
        raise UserError(
            f"--min_count={min_count}: no word of {text} is left, the most frequent occurs {top} "
            + ("time" if top == 1 else "times")
        )
    if max_vocab:
        places = max_vocab
        if unk == "keep" and (out.any() or len(types) > max_vocab):
            places -= 1  # for '<unk>'
        if not places:
            raise UserError(f"--max_vocab={max_vocab}: leaves no place but that of {UNK}")
        kept = np.flatnonzero(~out)
        out[kept[np.argsort(-counts[kept], kind="stable")[places:]]] = True
    return out


def _without(ids: np.ndarray, line_ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The text without the words of id -1, and without the lines that had no others."""
    keep = ids >= 0
    ends = np.cumsum(keep)[line_ends - 1]
    return ids[keep], ends[np.diff(ends, prepend=0) > 0]
