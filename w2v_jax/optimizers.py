"""Optimisers and schedules, and OPTIMIZERS and SCHEDULES, where the code looks them up."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from w2v_jax import sparse_update
from w2v_jax.types import Registry


class Optimizer(NamedTuple):
    """An optax transformation of one table, and what follows from it."""

    make: Callable  # (learning_rate, **constants) -> optax.GradientTransformation
    uses: tuple[
        str, ...
    ] = ()  # its constants, fields of HyperParams: `make` gets these and no others
    sparse: bool = False  # treats elements or rows apart: update = sparse may show it some rows
    epsilon_hat: bool = False  # its epsilon may stand beside the root of the raw second moment
    above_zero: tuple[str, ...] = ()  # constants that must not be 0
    memory_adds: bool = False  # what it remembers is a sum over steps; else a mean
    keeps_unmoved_rows: bool = False  # leaves rows of gradient 0 as they are, and their memory


class Schedule(NamedTuple):
    """How the rate changes."""

    shape: Callable  # (fraction of the words planned that is done, **constants) -> factor of it
    uses: tuple[
        str, ...
    ] = ()  # its constants, fields of HyperParams: `shape` gets these and no others


def sgd(learning_rate: jax.Array) -> optax.GradientTransformation:
    """x <- x - rate g."""
    return optax.sgd(learning_rate)


def adagrad(learning_rate: jax.Array, epsilon: jax.Array) -> optax.GradientTransformation:
    """x <- x - rate g / sqrt(sum g^2 + epsilon), an element each (Duchi et al. 2011)."""
    return optax.adagrad(learning_rate, initial_accumulator_value=0.0, eps=epsilon)


def row_adagrad(learning_rate: jax.Array, epsilon: jax.Array) -> optax.GradientTransformation:
    """The same with the mean of a row's g^2."""
    return optax.chain(
        sparse_update.scale_by_row_adagrad(epsilon), optax.scale_by_learning_rate(learning_rate)
    )


def adam(learning_rate, beta1, beta2, epsilon) -> optax.GradientTransformation:
    """Kingma & Ba 2015."""
    return optax.adam(learning_rate, beta1, beta2, epsilon)


def adamw(learning_rate, beta1, beta2, epsilon, weight_decay) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""
    return optax.adamw(learning_rate, beta1, beta2, epsilon, weight_decay=weight_decay)


def linear(done: jax.Array, final_rate: jax.Array) -> jax.Array:
    """1 - (1 - r) p, from 1 to r: word2vec.c's and gensim's decay, each with an r of its own."""
    return optax.linear_schedule(1.0, final_rate, 1)(done)


def cosine(done: jax.Array, final_rate: jax.Array) -> jax.Array:
    """r + (1 - r) (1 + cos(pi p)) / 2, from 1 to r (Loshchilov & Hutter 2017)."""
    return optax.cosine_decay_schedule(1.0, 1, final_rate)(done)


_ADAM = {"sparse": True, "epsilon_hat": True, "above_zero": ("epsilon",)}
_ADAGRAD = {"sparse": True, "memory_adds": True, "keeps_unmoved_rows": True}
OPTIMIZERS = Registry(
    "optimizer",
    adam=Optimizer(adam, ("beta1", "beta2", "epsilon"), **_ADAM),
    adamw=Optimizer(adamw, ("beta1", "beta2", "epsilon", "weight_decay"), **_ADAM),
    adagrad=Optimizer(adagrad, ("epsilon",), **_ADAGRAD),
    row_adagrad=Optimizer(row_adagrad, ("epsilon",), **_ADAGRAD),
    sgd=Optimizer(sgd, sparse=True, keeps_unmoved_rows=True),
)
SCHEDULES = Registry(
    "schedule",
    constant=Schedule(optax.constant_schedule(1.0)),
    linear=Schedule(linear, ("final_rate",)),
    cosine=Schedule(cosine, ("final_rate",)),
)
