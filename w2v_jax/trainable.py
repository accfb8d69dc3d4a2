"""Whether a text leaves anything to train on: told by its counts, before a program is compiled."""

import numpy as np
from scipy.special import betainc

from w2v_jax import train
from w2v_jax.types import Corpus, Static, UserError

SPAN = 2**16  # tokens looked at a time; of most texts the first are enough


def check(corpus: Corpus, keep: np.ndarray, static: Static, window: int, epochs: int) -> None:
    """Raises UserError where a text holds no centre, or is expected to give none in all epochs.

    A line gives centres where r of its tokens are kept, two or (full_windows) a window: one of
    n tokens that is expected to keep n p gives E[N; N >= r] = n p P(Bin(n - 1, p) >= r - 1).
    Refused is a text with less than one: nothing is drawn, so that every seed has the same answer.

    keep [V]: probability that subsampling keeps an occurrence of a word; window: the run's W.
    """
    least = _least(static, window)
    longest = int(np.max(np.diff(corpus.line_ends, prepend=0)))
    if longest < least:
        raise UserError(
            f"nothing to train on: {least} words side by side make a pair of centre and context"
            f"{' with --full_windows' if static.full_windows else ''}, and the longest of "
            f"{len(corpus.line_ends):,} lines has {longest} of the vocabulary (--min_count, --unk)"
        )
    draws = 1 if static.redraw == "once" else epochs
    needed = static.batch_size if static.drop_last else 0
    centres = kept = variance = 0.0
    bounds = train.cut(corpus.line_ends, SPAN)
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        tokens, line = train.chunk_arrays(corpus, begin, end, end - begin)
        share, length = keep[tokens], np.bincount(line)
        of_lines = [np.bincount(line, share), np.bincount(line, share * (1 - share)), length]
        mean, spread, length = (x[length >= least] for x in of_lines)
        enough = betainc(least - 1, length - least + 1, mean / length)
        centres += draws * float(np.sum(mean * enough))
        kept, variance = kept + float(np.sum(mean)), variance + float(np.sum(spread))
        if centres >= 1 and kept >= needed:
            return
    if centres < 1:
        raise UserError(
            f"nothing to train on: --subsample is expected to keep {kept:,.2g} of "
            f"{len(corpus.ids):,} words an epoch, and no two side by side in all {epochs:,}; "
            "try a larger one, or 0"
        )
    if kept + 6 * np.sqrt(variance) < needed:  # else one may be filled
        raise UserError(
            f"nothing to train on: about {kept:,.0f} centres an epoch fill no batch of "
            f"--batch_size={static.batch_size}, and --drop_last leaves it out"
        )


def _least(static: Static, window: int) -> int:
    """Tokens that a line must keep so that one of them is a centre."""
    if not static.full_windows:
        return 2
    return 3 if static.dynamic_window else 2 * window + 1  # the smallest that may be drawn
