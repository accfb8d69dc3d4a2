"""Text that is not trained on: its loss as in training, and its exact perplexity, by line.

The loss is of the task that a run was trained for, which changes with its noise, K and
subsampling: it compares runs that share these. The perplexity asks the same of every run: how
probable the text's own words are beside one another. Nothing is drawn. Windows, subsampling and
noise enter as expectations. Equal tables have equal figures, whatever engine, batch or random
numbers trained them.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import checks, huffman, losses, model, sampling, subword_rows
from w2v_jax.heldout_text import Windows
from w2v_jax.losses import LOSSES
from w2v_jax.noise import NOISE
from w2v_jax.table_ops import look_up
from w2v_jax.types import HyperParams, Params, StaticConfig, UserError

ROWS, WORDS = 128, 8192  # scores at a time, of so many centres with so many words: 4 MB
NODES = 2**22  # scores of a tree's nodes at a time
PAIRS = 2**15  # pairs whose embeddings are gathered at a time


class ByLine(NamedTuple):
    """Each line's sum of a measure over its positives, and the sum of their weights; `mean`."""

    loss: jax.Array | None  # [lines, 2]; None: this objective has none
    nats: jax.Array | None  # [lines, 2], -log p: the perplexity's logarithm; None: not asked for


def mean(sums: np.ndarray) -> np.ndarray:
    """A measure over all lines, sum / sum of weights: [.., lines, 2] -> [..] float64."""
    total = np.sum(np.asarray(sums, np.float64), axis=-2)
    return total[..., 0] / total[..., 1]


def measure(
    params: Params,
    hyper: HyperParams,
    windows: Windows,
    static: StaticConfig,
    perplexity: bool = True,
) -> ByLine:
    """Loss a positive and -log p of a held-out text, line by line: [lines, 2] each.

    Skip-gram's positives are the contexts o of each centre c, h = v_c; they weigh what `windows`
    says. CBOW's are the centres, h the mean of the evaluation window's contexts, weighted by
    distance as the run's own law under static.expected_window, else equally, whatever the run's own
    window was; they weigh 1. The two tasks don't compare. s_w = h . u_w, over all V words w.

    Loss: -log sigma(s_o) - K sum_w Pn(w) log sigma(-s_w), the mean over all draws of K negatives
    of Mikolov et al. 2013b, eq. 4. Where noise is never the positive, the sum is over the others,
    times 1 / (1 - Pn(o)): exact under exclude_target, and for CBOW under exclude_contexts; what the
    laws leave out beyond that stays in. Under skip_target it is the sum over the others as it is,
    -K sum_{w != o} Pn(w) log sigma(-s_w), for skipped draws are not repeated. Under masked_mean it
    is the same, and trained by the full softmax -log softmax(s)_o. A pair weighs keep(c) keep(o)
    times as much, a centre of CBOW keep(c) times: the mean over all draws of what subsampling
    leaves, but for windows that reach further where words between are left out (and CBOW's contexts
    are all there). None `without_loss`. A loss of one's own takes its terms l(s, 1) and l(s, 0) in
    place of the two logarithms. Of hierarchical softmax it is -log p(o) itself, and s_w = log p(w)
    below.

    -log p, whose mean is the logarithm of the perplexity, asks how probable the text itself is, p
    normalised over the whole vocabulary. Skip-gram: p(context o | centre c); CBOW: p(centre o |
    contexts). Negative sampling's optimum is s = log p_train(o | c) - log(K Pn(o)) (Levy & Goldberg
    2014, section 3.1), and subsampling trains on p_train(o | c) ~ p(o | c) keep(o), so
      p(o | c) = softmax_o(s + log Pn(o) - log keep(o)),
      trained by the full softmax: softmax_o(s - log keep(o)),
    with the run's own Pn and keep: runs of any noise, K and subsampling compare. It is infinite
    where Pn of a word that occurs is 0.

    The optimum is that of noise drawn with replacement. Under exclude_target a positive w is drawn
    from Pn / (1 - Pn(w)) without w, and the optimum is
      s = log p_train(o | c) - log(K Pn(o)) - log[A - p_train(o | c) / (1 - Pn(o))],
    A = sum_w p_train(w | c) / (1 - Pn(w)): about the odds p / (1 - p) in place of p. It matters
    for the few words whose probability beside c is not small, which come out too probable by that
    factor; the other laws that leave words out act in the same direction. Under skip_target it is
    the odds: s = log p_train(o | c) - log(K Pn(o)) - log[1 - p_train(o | c)]. This isn't corrected.

    Costs U V D multiplications (CBOW: n V D) and 2 U V exponentials; memory doesn't grow with V.
    perplexity: whether -log p is wanted, a sixth of it on CPU.
    """
    checks.check_names(static)
    checks.check_paths(static, hyper)
    checks.check_ngrams(static, hyper)
    of_model = _skipgram if static.model == "skipgram" else _cbow
    perplexity = perplexity and not without_perplexity(static)
    params = subword_rows.of_all_words(params, hyper.ngrams)
    indices = of_model(params, hyper, windows, static, perplexity)
    line = jnp.searchsorted(windows.ends, jnp.arange(len(windows.centres)), side="right")

    def by_line(x):  # [chunks, size, 2] -> [lines, 2]
        x = x.reshape(-1, 2)[: len(line)]
        return jax.ops.segment_sum(x, line, len(windows.ends), indices_are_sorted=True)

    return jax.tree.map(by_line, indices)


class _Vocabulary(NamedTuple):
    """What a hidden vector has with all words of the vocabulary."""

    loss: jax.Array  # sum_w Pn(w) l(s_w, 0); of the full softmax log sum_w exp s_w; of paths 0
    log_z: jax.Array | None  # log sum_w exp(s_w + correction)


def _skipgram(
    params: Params, hyper: HyperParams, windows: Windows, static: StaticConfig, perplexity: bool
) -> ByLine:
    """Sums of each centre, [chunks, size, 2]: first what each centre word has with all others."""

    def of_types(types):
        return _of_vocabulary(
            model.gather(params.input, types), params.output, hyper, static, perplexity
        )

    every = jax.lax.map(of_types, *_in_chunks(_rows(params, hyper), windows.types))
    every = jax.tree.map(lambda x: x.reshape(-1), every)

    def of_centres(part):
        centres, row, contexts, weights = part
        h = model.gather(params.input, centres)
        of_centre = jax.tree.map(lambda x: look_up(x, row)[:, None], every)
        keep_prob = hyper.keep_prob
        kept = weights * look_up(keep_prob, centres)[:, None] * look_up(keep_prob, contexts)
        if LOSSES[static.loss].paths:
            scores = huffman.log_probs(h, params.output, look_up(hyper.paths, contexts))
        else:
            scores = jax.vmap(model.dot_scores)(h, model.gather(params.output, contexts))
        return _sums(scores, contexts, of_centre, weights, kept, hyper, static)

    arrays = windows.centres, windows.row, windows.contexts, windows.weights
    rows = 1 if hyper.paths is None else hyper.paths.shape[1]
    size = max(PAIRS // rows // windows.contexts.shape[1], 1)
    return jax.lax.map(of_centres, _in_chunks(size, *arrays))


def _cbow(
    params: Params, hyper: HyperParams, windows: Windows, static: StaticConfig, perplexity: bool
) -> ByLine:
    """Sums of each centre, [chunks, size, 2], `ROWS` of them at a time."""
    reach = windows.contexts.shape[1] // 2
    distance = jnp.concatenate([jnp.arange(reach, 0, -1), jnp.arange(1, reach + 1)])
    law = sampling.context_weights(distance, hyper.window, static)

    def of_centres(part):
        contexts, weights, centres = part
        exists = (weights > 0).astype(jnp.float32)
        real = jnp.max(exists, axis=1, keepdims=True)
        shares = exists * law[None, :]
        shares /= jnp.maximum(jnp.sum(shares, axis=1, keepdims=True), 1)
        h = jax.vmap(model.hidden)(model.gather(params.input, contexts), shares)
        if LOSSES[static.loss].paths:
            own = huffman.log_probs(h, params.output, look_up(hyper.paths, centres[:, None]))
        else:
            own = jnp.sum(h * model.gather(params.output, centres), axis=1, keepdims=True)
        every = _of_vocabulary(h, params.output, hyper, static, perplexity)
        every = jax.tree.map(lambda x: x[:, None], every)
        kept = real * look_up(hyper.keep_prob, centres)[:, None]
        return _sums(own, centres[:, None], every, real, kept, hyper, static)

    return jax.lax.map(
        of_centres,
        _in_chunks(_rows(params, hyper), windows.contexts, windows.weights, windows.centres),
    )


def _rows(params: Params, hyper: HyperParams) -> int:
    """Hidden vectors at a time: of paths fewer where there are many words, as nodes' scores are."""
    return ROWS if hyper.paths is None else max(1, min(ROWS, NODES // len(params.output)))


def _of_vocabulary(
    h: jax.Array, output: jax.Array, hyper: HyperParams, static: StaticConfig, perplexity: bool
) -> _Vocabulary:
    """What hidden vectors [r, D] have with all words, WORDS of them at a time: [r] each."""
    size, loss_of = output.shape[0], losses.of(static)
    if loss_of.paths and not perplexity:
        return _Vocabulary(jnp.zeros(h.shape[:1]), None)
    bias = correction(hyper, static) if perplexity else None
    count = -(-size // WORDS)
    width = -(-size // count)

    def add(i, sums):
        begin = jnp.minimum(i * width, size - width)
        new = begin + jnp.arange(width) >= i * width  # the last words' may overlap those before
        words = partial(jax.lax.dynamic_slice_in_dim, start_index=begin, slice_size=width)
        if loss_of.paths:
            scores = huffman.all_log_probs(h, output, words(hyper.paths))
        else:
            scores = jnp.matmul(h, words(output).T, precision=model.PRECISION)

        def log_sum(bias):
            return jax.nn.logsumexp(scores + jnp.where(new, bias, -jnp.inf)[None, :], axis=1)

        if loss_of.paths:
            loss = sums.loss
        elif loss_of.vocabulary:
            loss = jnp.logaddexp(sums.loss, log_sum(jnp.zeros(width)))
        elif loss_of.terms:
            nats = loss_of.terms(scores, jnp.zeros_like(scores))
            noise = jnp.where(new, words(hyper.noise), 0)
            loss = sums.loss + jnp.matmul(nats, noise, precision=model.PRECISION)
        else:
            loss = sums.loss
        log_z = jnp.logaddexp(sums.log_z, log_sum(words(bias))) if perplexity else None
        return _Vocabulary(loss, log_z)

    none = jnp.full(h.shape[:1], -jnp.inf)
    first = none if loss_of.vocabulary else jnp.zeros(h.shape[:1])
    return jax.lax.fori_loop(0, count, add, _Vocabulary(first, none if perplexity else None))


def _sums(
    scores: jax.Array,
    words: jax.Array,
    every: _Vocabulary,
    weights: jax.Array,
    kept: jax.Array,
    hyper: HyperParams,
    static: StaticConfig,
) -> ByLine:
    """Over the positives of each centre, [r, P] -> [r, 2]: weighted sums and sums of weights.

    scores, words: the positives'; weights: the text's; kept: those times what subsampling keeps.
    """

    def added(nats, weights):
        total = jnp.sum(jnp.where(weights > 0, weights * nats, 0), axis=1)
        return jnp.stack([total, jnp.sum(weights, axis=1)], axis=1)

    nats = None
    if every.log_z is not None:
        nats = added(every.log_z - scores - look_up(correction(hyper, static), words), weights)
    if without_loss(static):
        return ByLine(None, nats)
    loss = losses.of(static)
    if not loss.draws_negatives:
        return ByLine(added(every.loss - scores, kept), nats)
    noise = every.loss
    if not NOISE[static.noise].hits_target:
        share = look_up(hyper.noise, words)
        own = loss.terms(scores, jnp.zeros_like(scores))
        noise = noise - share * own
        if not NOISE[static.noise].skips_target:
            noise /= 1 - share
    positive = loss.terms(scores, jnp.ones_like(scores))
    return ByLine(added(positive + hyper.negatives.astype(jnp.float32) * noise, kept), nats)


def correction(hyper: HyperParams, static: StaticConfig) -> jax.Array:
    """What turns scores into log probabilities up to a constant: log Pn - log keep, [V].

    Loss and negative-sampling distribution say it. Raises UserError where one has no correction.
    """
    checks.check_names(static)
    if cause := without_perplexity(static):
        raise UserError(f"{cause}: has no perplexity, for its scores are no log probabilities")
    log_noise = NOISE[static.noise].log_noise or jnp.log
    return LOSSES[static.loss].log_prob(log_noise(hyper.noise)) - jnp.log(hyper.keep_prob)


def without_perplexity(static: StaticConfig) -> str:
    """The flag whose choice makes scores that aren't log probabilities; '' where they are."""
    loss = LOSSES[static.loss]
    if loss.log_prob is None:
        return f"`loss={static.loss}`"
    if loss.draws_negatives and NOISE[static.noise].log_noise is None:
        return f"`noise={static.noise}`"
    return ""


def without_loss(static: StaticConfig) -> str:
    """The flag whose choice leaves no expectation to take over negatives; '' where there is."""
    loss = LOSSES[static.loss]
    if loss.terms is None and loss.row is not losses.softmax:
        return f"`loss={static.loss}`"
    if loss.draws_negatives and NOISE[static.noise].hits_target is None:
        return f"`noise={static.noise}`"
    return ""


def _in_chunks(size: int, *arrays: jax.Array) -> tuple[jax.Array, ...]:
    """Arrays [n, ..] as [chunks, size, ..], zeros at the end of the last."""
    size = min(size, len(arrays[0]))

    def cut(x):
        padding = [(0, -len(x) % size), *[(0, 0)] * (x.ndim - 1)]
        return jnp.pad(jnp.asarray(x), padding).reshape(-1, size, *x.shape[1:])

    return tuple(map(cut, arrays))
