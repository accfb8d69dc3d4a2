"""Text that was not trained on: its loss as in training, and its exact perplexity.

The loss is of the task that a run was trained for, and changes with its noise, K and subsampling:
it compares epochs of one run. The perplexity asks the same of every run: how probable the text's
own words are beside one another.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import blocks, corpus, folding, losses, model, pairs, sampling
from w2v_jax.types import (
    Batch,
    BlockBatch,
    Corpus,
    Hyper,
    Metrics,
    Params,
    Static,
    Stream,
    UserError,
    Vocab,
)
from w2v_jax.vocab import EOS, UNK

ROWS = 512  # rows [V] of scores at a time: 20 MB at PTB's size
PAIRS = 2**15  # pairs whose embeddings are gathered at a time
SEED = 0  # of everything that is drawn of a held-out text, whatever the run's own is


class SkipgramWindows(NamedTuple):
    """Pairs of centre and context, each once."""

    centres: np.ndarray  # [U] int32, the words that are a centre
    row: np.ndarray  # [P] int32, place in `centres` of a pair's centre
    contexts: np.ndarray  # [P] int32
    weights: np.ndarray  # [P] float32, expected number of windows that hold the pair


class CbowWindows(NamedTuple):
    """Places with a context, in text order."""

    contexts: np.ndarray  # [n, 2W] int32, by their offset: -W..-1, 1..W
    exists: np.ndarray  # [n, 2W] float32, 1 or 0
    centres: np.ndarray  # [n] int32


Windows = SkipgramWindows | CbowWindows


def read(paths: Iterable[str], vocab: Vocab, *, unk: str, eos: bool) -> Corpus:
    """Files as ids of a vocabulary that is there already; otherwise as `ingest.load` reads them.

    Words that the vocabulary lacks become '<unk>' where unk='keep' and it has that, else they are
    left out, and lines that this empties. eos: each line, blank ones too, ends with '<eos>', and
    the text is one line.

    ids [N], line_ends [lines]. Raises UserError where a file cannot be read or nothing is left.
    """
    if unk not in ("keep", "drop"):
        raise UserError(f"--unk={unk}: not one of keep, drop")
    paths, digest = list(paths), hashlib.sha256()
    place = {word: i for i, word in enumerate(vocab.words)}
    unknown = place.get(UNK, -1) if unk == "keep" else -1
    ids, ends, words = [], [], 0
    for line in corpus.read_lines(paths, digest):
        line = [*line, EOS] if eos else line
        found = [place.get(word, unknown) for word in line]
        ids.extend(i for i in found if i >= 0)
        ends.append(len(ids))
        words += len(line)
    if not ids:
        raise UserError(f"{', '.join(paths)}: holds no word of the vocabulary")
    ends = [len(ids)] if eos else np.unique(ends)
    line_ends = np.array(ends, np.int64)
    line_ends = line_ends[line_ends > 0]
    return Corpus(np.array(ids, np.int32), line_ends, vocab, words, digest.hexdigest())


def draw(tokens: jax.Array, line: jax.Array, hyper: Hyper, static: Static) -> Stream:
    """A held-out text subsampled, with windows and noise, the same ones in every call.

    Tokens [C] and their lines [C] (-1 in padding) as of `train.chunk_arrays`. The draw is
    `sampling.draw_stream`'s of a constant key, epoch and chunk: members whose hyper is equal get
    the same text.
    """
    static = static._replace(redraw="epoch")  # so that noise is drawn a batch at a time
    zero = jnp.int32(0)
    return sampling.draw_stream(jax.random.key(SEED), zero, zero, tokens, line, hyper, static)


def loss(params: Params, stream: Stream, hyper: Hyper, static: Static) -> jax.Array:
    """Mean loss a positive, of all positives of a stream, as training reports it: [].

    (1 / positives) sum over positives of -log sigma(s) - sum over K noise words of log sigma(-s),
    or of the full softmax; under masked_mean too the former. NaN where nothing is a positive. A
    last batch that isn't full counts as well. Mikolov et al. 2013b, eq. 4.
    """
    static = static._replace(drop_last=False, cbow_legacy_gradient=False)
    make = blocks.make_blocks if static.engine == "blocks" else sampling.make_batch
    of_batch = _blocks_loss if static.engine == "blocks" else _pairs_loss

    def add(step, sums):
        new = of_batch(params, make(stream, step, hyper, static), static)
        return sums[0] + new[0], sums[1] + new[1]

    # Under vmap as many steps for all: places past a member's end weigh nothing.
    steps = folding.most(sampling.steps_of(stream.centres, static))
    zero = jnp.zeros((), jnp.float32)
    total, count = jax.lax.fori_loop(0, steps, add, (zero, zero))
    return total / count
