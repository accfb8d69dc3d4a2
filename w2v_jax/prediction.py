"""The word that contexts speak of: its exact distribution over the whole vocabulary."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import beginning, heldout, huffman, model, subword_rows
from w2v_jax.config import Config
from w2v_jax.types import Params, UserError, Vocab


def centre_log_probs(
    params: Params, vocabulary: Vocab, config: Config, contexts: Sequence[int]
) -> np.ndarray:
    """log p(centre = w | contexts) of every word w, nothing drawn: [V] float64, of sum 1.

    CBOW: softmax_w(h . u_w + b_w), h the mean of the contexts' input embeddings, u the output
    embeddings, b = log Pn - log keep what turns scores of negative sampling into log probabilities
    (`heldout.correction`); of hierarchical softmax log p(w | h) stands for h . u_w. Skip-gram:
    contexts count as independent of each other given the centre,
      p(w | o_1 .. o_n) ~ p(w)^(1 - n) prod_i p(w | o_i),  p(w | o) = softmax_w(v_o . u_w + b_w),
    v the input embeddings and p(w) the share of w in the text: a pair is trained both ways.

    contexts: ids of words, at least one. Raises UserError where the loss or the noise makes scores
    that are no log probabilities. Source: Levy & Goldberg 2014, 3.1; gensim's predict_output_word,
    whose distribution lacks b.
    """
    if not len(contexts):
        raise UserError("`contexts`: at least one word")
    hyper, static = beginning.make_hyper(config, vocabulary), config.static()
    bias = heldout.correction(hyper, static)
    params, _ = subword_rows.word_tables(params, config, vocabulary)
    ids = jnp.asarray(contexts, jnp.int32)
    if static.model == "cbow":
        shares = jnp.ones(len(ids)) / len(ids)
        rows = model.hidden(jnp.asarray(params.input)[ids], shares)[None, :]
    else:
        rows = jnp.asarray(params.input)[ids]
    if hyper.paths is None:
        scores = _scores(rows, jnp.asarray(params.output))
    else:
        scores = huffman.all_log_probs(rows, jnp.asarray(params.output), hyper.paths)
    log_probs = np.asarray(jax.nn.log_softmax(scores + bias[None, :], axis=1), np.float64)
    total = log_probs.sum(axis=0)
    if len(log_probs) > 1:
        share = vocabulary.counts / vocabulary.counts.sum()
        with np.errstate(divide="ignore"):
            total -= (len(log_probs) - 1) * np.log(share)
    total -= total.max()
    return total - np.log(np.exp(total).sum())


@jax.jit
def _scores(rows: jax.Array, output: jax.Array) -> jax.Array:
    """[n, D], [V, D] -> [n, V]."""
    return jnp.matmul(rows, output.T, precision=model.PRECISION)
