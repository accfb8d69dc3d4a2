"""One SGD step of CBOW in three formulations: what the book's chapter 4 starts from and ends at.

Deep Learning from Scratch 2, ch. 3 and 4: a one-hot row times W_in and a softmax over all words;
an embedding layer instead of the product; negative sampling instead of the softmax. A step
includes the update that its formulation asks for: whole tables where the gradient is dense, the
touched rows alone where it is not. Plain SGD, since Adam as the book has it updates whole tables
whatever the formulation and would hide what the benchmark is about.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import losses, model
from w2v_jax.types import Params


class Centres(NamedTuple):
    """A batch of CBOW's: the same for all variants."""

    contexts: jax.Array  # [T, 2W] int32
    targets: jax.Array  # [T, 1] int32
    negatives: jax.Array  # [T, K] int32


def draw_centres(vocab_size: int, batch_size: int, window: int, negatives: int, seed: int):
    """Words with frequency 1 / rank, noise from its 0.75th power -> Centres."""
    rng = np.random.default_rng(seed)
    law = 1 / np.arange(1, vocab_size + 1)

    def draw(power, *shape):
        cumulated = np.cumsum(law**power)
        indices = np.searchsorted(cumulated, rng.uniform(0, cumulated[-1], shape), side="right")
        return jnp.asarray(np.minimum(indices, vocab_size - 1), jnp.int32)

    contexts, targets = draw(1.0, batch_size, 2 * window), draw(1.0, batch_size, 1)
    return Centres(contexts, targets, draw(0.75, batch_size, negatives))


def hidden(rows: jax.Array) -> jax.Array:
    """The mean of each centre's context rows, [T, 2W, D] -> [T, D]."""
    weights = jnp.full(rows.shape[:2], 1 / rows.shape[1], rows.dtype)
    return jax.vmap(model.hidden)(rows, weights)


def softmax_loss(rows: jax.Array, table: jax.Array, batch: Centres) -> jax.Array:
    """Mean of -log softmax(W_out h)[target] over the batch; rows [T, 2W, D], table [V, D]."""
    scores = jnp.matmul(hidden(rows), table.T, precision=model.PRECISION)
    ones = jnp.ones(batch.targets.shape, scores.dtype)
    return jnp.mean(jax.vmap(losses.softmax)(scores, batch.targets, ones))


def sampling_loss(rows: jax.Array, outputs: jax.Array, batch: Centres) -> jax.Array:
    """Mean of the negative-sampling loss over the batch; outputs [T, 1 + K, D], target first."""
    scores = jax.vmap(model.dot_scores)(hidden(rows), outputs)
    labels = jnp.zeros_like(scores).at[:, 0].set(1)
    return jnp.mean(jax.vmap(losses.negative_sampling)(scores, labels, jnp.ones_like(scores)))


def one_hot_softmax(params: Params, batch: Centres, rate: jax.Array):
    """One-hot rows [T, 2W, V] times W_in, softmax over V; both gradients are whole tables."""

    def loss_of(params):
        one_hot = jax.nn.one_hot(batch.contexts, params.input.shape[0], dtype=params.input.dtype)
        rows = jnp.matmul(one_hot, params.input, precision=model.PRECISION)
        return softmax_loss(rows, params.output, batch)

    loss, grads = jax.value_and_grad(loss_of)(params)
    return jax.tree.map(lambda table, grad: table - rate * grad, params, grads), loss


def gather_softmax(params: Params, batch: Centres, rate: jax.Array):
    """W_in[contexts], softmax over V; the gradient of W_out is a whole table."""
    rows = model.gather(params.input, batch.contexts)
    grad = jax.value_and_grad(softmax_loss, argnums=(0, 1))
    loss, (of_rows, of_table) = grad(rows, params.output, batch)
    table = params.input.at[batch.contexts].add(-rate * of_rows)
    return Params(table, params.output - rate * of_table), loss


def gather_sampling(params: Params, batch: Centres, rate: jax.Array):
    """W_in[contexts], negative sampling; no work depends on V."""
    ids = jnp.concatenate([batch.targets, batch.negatives], axis=1)
    rows, outputs = model.gather(params.input, batch.contexts), model.gather(params.output, ids)
    grad = jax.value_and_grad(sampling_loss, argnums=(0, 1))
    loss, (of_rows, of_outputs) = grad(rows, outputs, batch)
    table = params.input.at[batch.contexts].add(-rate * of_rows)
    return Params(table, params.output.at[ids].add(-rate * of_outputs)), loss


VARIANTS = {
    "one-hot + softmax": one_hot_softmax,
    "gather + softmax": gather_softmax,
    "gather + negative sampling": gather_sampling,
}


class Compiled(NamedTuple):
    """A step, ready to run."""

    step: Callable  # (params, batch, rate) -> params, loss; the params given are gone
    needed: int  # bytes: tables, batch, result and what lies between


def compile_step(variant: str, vocab_size: int, dim: int, batch: Centres) -> Compiled:
    """Compiles without allocating a table; the compiler says what a step will need."""
    table = jax.ShapeDtypeStruct((vocab_size, dim), jnp.float32)
    rate = jax.ShapeDtypeStruct((), jnp.float32)
    step = jax.jit(VARIANTS[variant], donate_argnums=0)
    compiled = step.lower(Params(table, table), batch, rate).compile()
    memory = compiled.memory_analysis()
    size = memory.argument_size_in_bytes + memory.output_size_in_bytes
    return Compiled(compiled, size + memory.temp_size_in_bytes - memory.alias_size_in_bytes)
