"""Whether a text leaves anything to train on: by its counts, before a program is compiled."""

import numpy as np
from scipy.special import betainc

from w2v_jax.counting import counted
from w2v_jax.data.corpus import Corpus, cut
from w2v_jax.types import StaticConfig, UserError

SPAN = 2**16  # tokens looked at a time; of most texts the first are enough
RISK = 1e-6  # of a seed that draws no centre in a whole run


def check(corpus: Corpus, keep: np.ndarray, static: StaticConfig, window: int, epochs: int) -> None:
    """Raises UserError where a text holds no centre, or may give none in all epochs.

    A line gives centres where r of its tokens are kept, two or (full_windows) a window: one of n
    tokens that is expected to keep n p does with P(Bin(n, p) >= r), and none does in E epochs with
    prod (1 - P)^E over lines. Refused is a text where that is above RISK: nothing is drawn, and
    what is not refused trains on every seed.

    keep [V]: probability that subsampling keeps an occurrence of a word; window: the run's W.
    """
    least = _least(static, window)
    longest = int(np.max(np.diff(corpus.line_ends, prepend=0)))
    if longest < least:
        raise UserError(
            f"nothing to train on: {least} words side by side make a pair of centre and context"
            f"{' with `full_windows`' if static.full_windows else ''}, and the longest of "
            f"{counted(len(corpus.line_ends), 'line')} has {longest} of the vocabulary; "
            "`reading=stream` reads the text as one line (`min_count`, `unk`: what is left out)"
        )
    draws = 1 if static.redraw == "once" else epochs
    needed = static.batch_size if static.drop_last else 0
    smallest = window if static.full_windows and static.dynamic_window else 1  # P(its span is 1)
    none = kept = variance = 0.0
    bounds = cut(corpus.line_ends, SPAN)
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        tokens, line = corpus.arrays(begin, end, end - begin)
        share, length = keep[tokens], np.bincount(line)
        of_lines = [np.bincount(line, share), np.bincount(line, share * (1 - share)), length]
        mean, spread, length = (x[length >= least] for x in of_lines)
        enough = betainc(least, length - least + 1, mean / length) / smallest
        with np.errstate(divide="ignore"):
            none += draws * float(np.sum(np.log1p(-np.minimum(enough, 1))))
        kept, variance = kept + float(np.sum(mean)), variance + float(np.sum(spread))
        if none <= np.log(RISK) and kept >= needed:
            return
    if none > np.log(RISK):
        raise UserError(
            f"nothing to train on: `subsample` is expected to keep {kept:,.3g} of "
            f"{counted(len(corpus.ids), 'word')} an epoch, on "
            f"{counted(len(corpus.line_ends), 'line')}, and perhaps no {least} side by side "
            f"in {counted(epochs, 'epoch')}; try a larger one, or 0"
        )
    if kept + 6 * np.sqrt(variance) < needed:  # else one may be filled
        raise UserError(
            f"nothing to train on: about {counted(round(kept), 'centre')} an epoch fill no batch "
            f"of `batch_size={static.batch_size}`, and `drop_last` leaves it out"
        )


def _least(static: StaticConfig, window: int) -> int:
    """Tokens that a line must keep so that one of them is a centre."""
    if not static.full_windows:
        return 2
    return 3 if static.dynamic_window else 2 * window + 1  # the smallest that may be drawn


def untrained(corpus: Corpus) -> tuple[int, ...]:
    """Ids of words that never have a context."""
    return tuple(np.flatnonzero(without_context(corpus)).tolist())


def without_context(corpus: Corpus) -> np.ndarray:
    """Words [V] bool that occur in the text, and each time as the only one of their line.

    In a text that was drawn anew also those that it has lost.
    """
    counts, lost = corpus.vocab.counts, False
    if corpus.room:
        occur = np.bincount(corpus.ids, minlength=len(counts))
        counts, lost = occur, (occur == 0) & (counts > 0)
    ends = np.asarray(corpus.line_ends)
    single = ends[np.diff(ends, prepend=0) == 1] - 1
    alone = np.zeros(len(corpus.vocab.words), np.int64)
    for begin in range(0, len(corpus.ids) if len(single) else 0, SPAN):
        first, last = np.searchsorted(single, [begin, begin + SPAN])
        if first < last:
            ids = np.asarray(corpus.ids[begin : begin + SPAN])[single[first:last] - begin]
            alone += np.bincount(ids, minlength=len(alone))
    return ((alone > 0) & (alone == counts)) | lost
