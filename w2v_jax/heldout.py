"""Text that was not trained on: its loss as in training, and its exact perplexity.

The loss is of the task that a run was trained for, which changes with its noise, K and
subsampling: it compares runs that share these. The perplexity asks the same of every run: how
probable the text's own words are beside one another.
"""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import blocks, checks, corpus, folding, model, pairs, sampling
from w2v_jax.losses import LOSSES
from w2v_jax.noise import NOISE
from w2v_jax.types import (
    Batch,
    BlockBatch,
    Corpus,
    Hyper,
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


def _blocks_loss(params: Params, batch: BlockBatch, static: Static) -> tuple[jax.Array, jax.Array]:
    """Sum of the loss over a batch, and its positives."""
    gathered = blocks.gather(params, batch, static)
    return blocks.objective(*gathered, batch, static), blocks.positives(batch, static)


def _pairs_loss(params: Params, batch: Batch, static: Static) -> tuple[jax.Array, jax.Array]:
    count = jnp.sum(pairs.positives(batch, static))
    if LOSSES[static.loss].vocabulary:
        rows = model.gather(params.input, batch.inputs)
        return pairs.objective(rows, params.output, batch, static)[1], count
    in_use, used = pairs.pairs_in_use(batch, params.input.shape, static)
    size = pairs.part_size(*in_use.inputs.shape, params.input.shape[1], static)

    def add_part(i, total):
        part = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, i * size, size), in_use)
        inputs = model.gather(params.input, part.inputs)
        outputs = model.gather(params.output, part.outputs)
        return total + pairs.objective(inputs, outputs, part, static)[1]

    parts = folding.most(-(-used // size))
    return jax.lax.fori_loop(0, parts, add_part, jnp.zeros((), jnp.float32)), count


def windows(text: Corpus, window: int, architecture: str) -> Windows:
    """All windows of a text, that stop at line ends: on the host, nothing left out or drawn.

    The window is the evaluation's, the same for runs of any window. Skip-gram's pairs weigh what
    a window drawn of U{1..window} holds of them, 1 - (distance - 1) / window, added up over the
    text; CBOW's places weigh 1.

    Raises UserError where no two words stand side by side.
    """
    size, lines = len(text.ids), len(text.line_ends)
    line = np.repeat(np.arange(lines), np.diff(text.line_ends, prepend=0))
    offsets = np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)])
    at = np.arange(size)[:, None] + offsets
    other = np.clip(at, 0, size - 1)
    exists = (at == other) & (line[other] == line[:, None])
    if not exists.any():
        raise UserError("the held-out text has no two words side by side on a line")
    contexts = np.where(exists, text.ids[other], 0).astype(np.int32)
    if architecture == "cbow":
        has = exists.any(axis=1)
        return CbowWindows(contexts[has], exists[has].astype(np.float32), np.array(text.ids)[has])
    place, column = np.nonzero(exists)
    weights = 1 - (np.abs(offsets[column]) - 1) / window
    types = len(text.vocab.words)
    pair = text.ids[place].astype(np.int64) * types + contexts[place, column]
    pair, which = np.unique(pair, return_inverse=True)
    centres, row = np.unique(pair // types, return_inverse=True)
    return SkipgramWindows(
        centres=centres.astype(np.int32),
        row=row.astype(np.int32),
        contexts=(pair % types).astype(np.int32),
        weights=np.bincount(which, weights).astype(np.float32),
    )


def perplexity(params: Params, hyper: Hyper, windows: Windows, static: Static) -> jax.Array:
    """exp(weighted mean of -log p) over all windows, p normalised over the whole vocabulary: [].

    Skip-gram: p(context o | centre c); CBOW: p(centre o | contexts), another task, so that the
    two don't compare. With s = h . u_o, negative sampling's optimum is s = log p_train(o | c) -
    log(K Pn(o)) (Levy & Goldberg 2014, section 3.1), and subsampling trains on p_train(o | c) ~
    p(o | c) keep(o), but for windows that reach further where words between are left out. So
      p(o | c) = softmax_o(s + log Pn(o) - log keep(o)),
      trained by the full softmax: softmax_o(s - log keep(o)),
    with the run's own Pn and keep: runs of any noise, K and subsampling compare. It is infinite
    where Pn of a word that occurs is 0.

    The optimum is that of noise drawn with replacement. Under exclude_target a positive w is drawn
    from Pn / (1 - Pn(w)) without w, and the optimum is
      s = log p_train(o | c) - log(K Pn(o)) - log[A - p_train(o | c) / (1 - Pn(o))],
    A = sum_w p_train(w | c) / (1 - Pn(w)): about the odds p / (1 - p) in place of p. It matters
    for the few words whose probability beside c is not small, which come out too probable by that
    factor; the other laws that leave words out act in the same direction. This isn't corrected.

    CBOW's h is the mean of the evaluation window's contexts, weighted by distance as the run's own
    law under static.expected_window, else equally, whatever the run's own window was.
    """
    of_model = _skipgram_loss if static.model == "skipgram" else _cbow_loss
    return jnp.exp(of_model(params, correction(hyper, static), hyper, windows, static))


def correction(hyper: Hyper, static: Static) -> jax.Array:
    """What turns scores into log probabilities up to a constant: log Pn - log keep, [V].

    As loss and noise law say. Raises UserError where one of them has no such correction.
    """
    checks.check_names(static)
    if cause := without_perplexity(static):
        raise UserError(f"{cause}: has no perplexity, for its scores are no log probabilities")
    log_noise = NOISE[static.noise].log_noise or jnp.log
    return LOSSES[static.loss].log_prob(log_noise(hyper.noise)) - jnp.log(hyper.keep)


def without_perplexity(static: Static) -> str:
    """The flag whose choice makes scores that aren't log probabilities; '' where they are."""
    loss = LOSSES[static.loss]
    if loss.log_prob is None:
        return f"--loss={static.loss}"
    if not loss.vocabulary and NOISE[static.noise].log_noise is None:
        return f"--noise={static.noise}"
    return ""


def _skipgram_loss(
    params: Params, bias: jax.Array, hyper: Hyper, windows: SkipgramWindows, static: Static
) -> jax.Array:
    """Mean -log p over pairs. A normaliser for each centre word, then the pairs' own scores."""

    def normaliser(centres):
        h = model.gather(params.input, centres)
        scores = jnp.matmul(h, params.output.T, precision=model.PRECISION)
        return jax.nn.logsumexp(scores + bias[None, :], axis=1)

    (centres,) = _in_chunks(ROWS, windows.centres)
    normalisers = jax.lax.map(normaliser, centres).reshape(-1)
    of_pair = jnp.asarray(windows.centres)[windows.row]

    def total(part):
        centres, row, contexts, weights = part
        h, rows = model.gather(params.input, centres), model.gather(params.output, contexts)
        score = jnp.sum(h * rows, axis=1) + bias[contexts]
        return jnp.sum(jnp.where(weights > 0, weights * (normalisers[row] - score), 0))

    parts = _in_chunks(PAIRS, of_pair, windows.row, windows.contexts, windows.weights)
    return jnp.sum(jax.lax.map(total, parts)) / jnp.sum(windows.weights)


def _cbow_loss(
    params: Params, bias: jax.Array, hyper: Hyper, windows: CbowWindows, static: Static
) -> jax.Array:
    """Mean -log p over places, `ROWS` of them at a time."""
    reach = windows.contexts.shape[1] // 2
    distance = jnp.concatenate([jnp.arange(reach, 0, -1), jnp.arange(1, reach + 1)])
    law = sampling.context_weights(distance, hyper.window, static)

    def total(part):
        contexts, exists, centres = part
        weights = exists * law[None, :]
        weights /= jnp.maximum(jnp.sum(weights, axis=1, keepdims=True), 1)
        h = jax.vmap(model.hidden)(model.gather(params.input, contexts), weights)
        scores = jnp.matmul(h, params.output.T, precision=model.PRECISION) + bias[None, :]
        own = jnp.take_along_axis(scores, centres[:, None], axis=1)[:, 0]
        nats = jax.nn.logsumexp(scores, axis=1) - own
        return jnp.sum(jnp.where(jnp.max(exists, axis=1) > 0, nats, 0))

    parts = _in_chunks(ROWS, windows.contexts, windows.exists, windows.centres)
    return jnp.sum(jax.lax.map(total, parts)) / len(windows.centres)


def _in_chunks(size: int, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Arrays [n, ..] as [chunks, size, ..], zeros at the end of the last."""
    size = min(size, len(arrays[0]))

    def cut(x):
        padding = [(0, -len(x) % size), *[(0, 0)] * (x.ndim - 1)]
        return jnp.pad(jnp.asarray(x), padding).reshape(-1, size, *x.shape[1:])

    return tuple(map(cut, arrays))
