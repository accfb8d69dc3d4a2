"""Which words have an id, and which; the distributions that training draws from."""

import re
from collections.abc import Iterable
from hashlib import sha256

import numpy as np

from w2v_jax.data import preparation
from w2v_jax.data.sources import read_lines
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import UserError, Vocab

UNK, EOS = preparation.UNK, "<eos>"
FORGOTTEN = b""  # in the place of words whose names are lost: never one of a text


def choose(
    types: list[bytes],
    counts: np.ndarray,
    *,
    min_count: int = 1,
    max_vocab: int = 0,
    unk: str = "keep",
    known: Iterable[str] = (),
    text: str = "the text",
) -> tuple[Vocab, np.ndarray]:
    """The vocabulary of a text: most frequent first, ties by first appearance.

    `types` are the words of a text in the order of their first appearance, and `counts` [types]
    theirs; types that occur 0 times may follow. A word is rare if it occurs fewer than `min_count`
    times, or is not among the `max_vocab` (0: no limit) most frequent. The words of `known` may
    occur less often, and come before all others where `max_vocab` is short. FORGOTTEN is rare
    whatever its count. unk='keep': rare words become '<unk>', which exists if it stands in the text
    or a word is rare, is never rare itself, and is one of the `max_vocab`. unk='drop': rare words
    and '<unk>' are left out.

    Returns (vocab, index [types] int32: the id of each type, -1 if it is left out). Raises
    UserError, which calls the text `text`, where no word is left.
    """
    counts = counts[: np.count_nonzero(counts)].copy()
    types = types[: len(counts)]
    if not types:
        raise UserError(f"{text}: holds no words")
    out = _left_out(types, counts, min_count, max_vocab, unk, encoded(known), text)
    row = np.arange(len(types))
    if unk == "keep" and out.any():
        first = np.flatnonzero(out)[0]  # where '<unk>' first appears
        types[first] = UNK.encode()
        row[out] = first
        counts[first] = counts[out].sum()
        out[first] = False
    kept = np.flatnonzero(~out)
    order = kept[np.argsort(-counts[kept], kind="stable")]
    index = np.full(len(types), -1, np.int32)
    index[order] = np.arange(len(order), dtype=np.int32)
    return Vocab(tuple(types[i].decode() for i in order.tolist()), counts[order]), index[row]


def keep_probability(counts: np.ndarray, t: float, rule: str) -> np.ndarray:
    """Probability [V] float64 that subsampling keeps an occurrence; all ones for t = 0.

    With f = counts / sum(counts):
      rule 'paper'       min(1, sqrt(t / f))          Mikolov et al. 2013b, eq. 5: 1 - P(discard)
      rule 'word2vec_c'  min(1, sqrt(t / f) + t / f)  word2vec.c
    """
    if rule not in ("paper", "word2vec_c"):
        raise UserError(f"`subsample_rule={rule}`: not one of paper, word2vec_c")
    if not 0 <= t < np.inf:
        raise UserError(f"`subsample={t}`: neither 0 nor a positive number")
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
    to 2^-32, and one below may be 0: in n draws a word's count is off by n 2^-32 on average, no
    more than chance moves it anyhow. The last entry, 2^32, doesn't fit and is left at 2^32 - 1.
    """
    total = np.cumsum(np.asarray(pn, np.float64))
    return np.minimum(np.rint(total / total[-1] * 2.0**32), 2.0**32 - 1).astype(np.uint32)


def save_counts(path: str, vocab: Vocab) -> None:
    """Writes `word<TAB>count` lines, most frequent first."""
    write_atomically(path, counts_text(vocab))


def counts_text(vocab: Vocab) -> bytes:
    """What `save_counts` writes."""
    rows = zip(vocab.words, vocab.counts.tolist(), strict=True)
    return "".join(f"{word}\t{count}\n" for word, count in rows).encode()


def load_counts(path: str) -> Vocab:
    """Reads what `save_counts` wrote. Raises UserError naming the file and line."""
    counts = {}
    for number, line in enumerate(read_lines([path], sha256(), mark=""), 1):
        if len(line) != 2 or not re.fullmatch(r"[0-9]{1,18}", line[1], re.ASCII):
            raise UserError(f"{path}: line {number}: not a word, a tab and its count")
        if line[0] in counts:
            raise UserError(f"{path}: line {number}: '{line[0]}' occurs twice")
        counts[line[0]] = int(line[1])
    values = np.fromiter(counts.values(), np.int64, len(counts))
    if (np.diff(values) > 0).any():
        number = int(np.argmax(np.diff(values) > 0)) + 2
        raise UserError(f"{path}: line {number}: more frequent than the word before it")
    return Vocab(tuple(counts), values)


def encoded(words: Iterable[str]) -> set[bytes]:
    """The words as they stand in a text."""
    return {word.encode(errors="surrogatepass") for word in words}


def _left_out(types, counts, min_count, max_vocab, unk, known, text) -> np.ndarray:
    """Which types are rare or '<unk>' [types] bool."""
    literal = np.zeros(len(types), bool)
    for word in (UNK.encode(), FORGOTTEN):
        if word in types:
            literal[types.index(word)] = True
    never = np.zeros(len(types), bool)
    if known:
        never[:] = [word in known for word in types]
    out = literal | ((counts < min_count) & ~never)
    if out[~literal].all():
        raise UserError(_nothing_left(FORGOTTEN in types, counts[~literal], min_count, text))
    if max_vocab:
        indices = max_vocab
        if unk == "keep" and (out.any() or len(types) > max_vocab):
            indices -= 1  # for '<unk>'
        if not indices:
            raise UserError(f"`max_vocab={max_vocab}`: leaves no place but that of {UNK}")
        kept = np.flatnonzero(~out)
        out[kept[np.lexsort((-counts[kept], ~never[kept]))[indices:]]] = True
    return out


def _nothing_left(forgot: bool, counts: np.ndarray, min_count: int, text: str) -> str:
    """Why no word has an id, of words that occur `counts` [n] times."""
    if not len(counts):
        lost = f"`max_types`: too small, every word of {text} was forgotten"
        return lost if forgot else f"{text}: holds no word but {UNK}"
    top = counts.max()
    return (
        f"`min_count={min_count}`: no word of {text} is left, the most frequent occurs {top} "
        + ("time" if top == 1 else "times")
        + (" after `max_types` last forgot it" if forgot else "")
    )
