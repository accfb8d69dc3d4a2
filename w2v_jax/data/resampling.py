"""A text's lines drawn anew, with replacement: what another text of the kind might have been."""

import numpy as np

BLOCK = 1000  # tokens of a part of a text that is one line, drawn as lines are
MARGIN = 8  # standard deviations of a drawn text's length for which its chunks have room


def drawn_lines(line_ends: np.ndarray, seed: int) -> np.ndarray:
    """As many lines as there are, each drawn from all: their numbers, in text order [lines].

    A bootstrap of documents. Their order says nothing: an epoch visits chunks and centres in an
    order of its own. Source: Efron 1979; Antoniak & Mimno 2018, section 4.
    """
    lines = len(line_ends)
    return np.sort(np.random.default_rng([seed, lines]).integers(0, lines, lines))


def parts(line_ends: np.ndarray) -> np.ndarray:
    """Where the lines end that are drawn: those of the text, or parts of a text of one line."""
    if len(line_ends) > 1:
        return np.asarray(line_ends)
    size = int(line_ends[-1])
    count = max(round(size / BLOCK), 1)
    return np.arange(1, count + 1) * size // count


def gathered(
    ids: np.ndarray, line_ends: np.ndarray, lines: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The ids [N] of these lines, one behind the other, and where each ends [lines]."""
    lengths = np.diff(line_ends, prepend=0)[lines]
    ends = np.cumsum(lengths)
    begins = line_ends[lines] - lengths
    index = np.arange(ends[-1]) + np.repeat(begins - (ends - lengths), lengths)
    return np.asarray(ids)[index], ends


def longest(line_ends: np.ndarray) -> int:
    """Tokens that no drawn text has more of, but by a chance that needs no thought.

    All texts drawn from one have so the same room, and train in one program.
    """
    lengths = np.diff(line_ends, prepend=0).astype(float)
    spread = np.std(lengths) * np.sqrt(len(lengths))
    return int(np.ceil(lengths.sum() + MARGIN * spread))
