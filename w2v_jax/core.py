"""word2vec as the papers write it: an equation a function, of one example; `jax.vmap` for many.

V words, D embedding size, K negatives, C contexts, L turns of the longest path, B examples. DLFS2:
Deep Learning from Scratch 2. Both engines compute the same loss and the same step, faster (paths:
the pairs engine); tests hold them against this file.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax

from w2v_jax.types import Params


def embed(table: jax.Array, ids: jax.Array) -> jax.Array:
    """W[ids], [V, D] and [..] -> [.., D]: one-hot times W (DLFS2 4.1 `Embedding`; d2l 15.4.1)."""
    return table[ids]


def score(h: jax.Array, rows: jax.Array) -> jax.Array:
    """u . h for each row u, [D] and [.., D] -> [..] (DLFS2 4.2 `EmbeddingDot`; d2l's `bmm`)."""
    return rows @ h


def negative_sampling_loss(positive: jax.Array, negatives: jax.Array) -> jax.Array:
    """-log sigma(s) - sum_k log sigma(-s_k), [] and [K] -> [] (Mikolov et al. 2013b, eq. 4)."""
    return -jax.nn.log_sigmoid(positive) - jnp.sum(jax.nn.log_sigmoid(-negatives))


def skipgram_loss(
    params: Params, centre: jax.Array, context: jax.Array, negatives: jax.Array
) -> jax.Array:
    """The centre predicts one context: ids [], [], [K] -> [] (d2l 15.1.3, 15.2.1)."""
    h = embed(params.input, centre)
    u, u_negatives = embed(params.output, context), embed(params.output, negatives)
    return negative_sampling_loss(score(h, u), score(h, u_negatives))


def cbow_loss(
    params: Params, contexts: jax.Array, centre: jax.Array, negatives: jax.Array
) -> jax.Array:
    """The mean of the contexts predicts the centre: ids [C], [], [K] -> [] (DLFS2 4.2 `CBOW`)."""
    h = jnp.mean(embed(params.input, contexts), axis=0)
    u, u_negatives = embed(params.output, centre), embed(params.output, negatives)
    return negative_sampling_loss(score(h, u), score(h, u_negatives))


def hierarchical_softmax_loss(scores: jax.Array, codes: jax.Array) -> jax.Array:
    """-sum_j log sigma((1 - 2 code_j) s_j) over a word's path, [L] and [L] -> [] (2013b, eq. 3).

    A code is 0 or 1, and -1 behind the end of a path that is shorter than L.
    """
    turns = jax.nn.log_sigmoid(jnp.where(codes == 1, -scores, scores))
    return -jnp.sum(jnp.where(codes >= 0, turns, 0))


def skipgram_path_loss(
    params: Params, centre: jax.Array, nodes: jax.Array, codes: jax.Array
) -> jax.Array:
    """The centre predicts a context by its path: ids [], [L], codes [L] -> [] (d2l 15.2.2)."""
    h, u = embed(params.input, centre), embed(params.output, nodes)
    return hierarchical_softmax_loss(score(h, u), codes)


def cbow_path_loss(
    params: Params, contexts: jax.Array, nodes: jax.Array, codes: jax.Array
) -> jax.Array:
    """The mean of the contexts predicts the centre by its path: ids [C], [L], codes [L] -> []."""
    h = jnp.mean(embed(params.input, contexts), axis=0)
    return hierarchical_softmax_loss(score(h, embed(params.output, nodes)), codes)


def noise_distribution(counts: jax.Array, power: float = 0.75) -> jax.Array:
    """P(w) = count_w^power / sum_v count_v^power, [V] -> [V] (Mikolov et al. 2013b, 2.2)."""
    weights = (counts / jnp.max(counts)) ** power
    return weights / jnp.sum(weights)


def sample_negatives(key: jax.Array, p: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Negatives drawn from the noise distribution p [V] -> `shape` (DLFS2 4.2 `UnigramSampler`)."""
    return jax.random.choice(key, p.shape[0], shape, p=p)


def batch_loss(loss: Callable, params: Params, batch: tuple[jax.Array, ...]) -> jax.Array:
    """Mean loss of B examples; batch: what `loss` takes after the tables, [B, ..] each -> []."""
    return jnp.mean(jax.vmap(partial(loss, params))(*batch))


@partial(jax.jit, static_argnames=("loss", "optimizer"))
def train_step(
    params: Params,
    opt_state: optax.OptState,
    batch: tuple[jax.Array, ...],
    *,
    loss: Callable = skipgram_loss,
    optimizer: optax.GradientTransformation,
) -> tuple[Params, optax.OptState, jax.Array]:
    """One step down the gradient -> tables, the optimiser's state, the batch's loss []."""
    value, grads = jax.value_and_grad(batch_loss, argnums=1)(loss, params, batch)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return optax.apply_updates(params, updates), opt_state, value
