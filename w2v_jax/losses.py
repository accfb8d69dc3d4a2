"""The losses of one row of scores, and LOSSES, where the code looks them up."""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from w2v_jax.table_ops import look_up
from w2v_jax.types import Registry, StaticConfig


class Loss(NamedTuple):
    """A loss, as `terms` or else as `row`, and what follows from it.

    A row is a positive with its K negatives, O = 1 + K; over the vocabulary, all positives of a
    centre. Rows of weights 0 occur: their loss and its gradient are 0.
    """

    terms: Callable | None = None  # (scores, labels) -> l, [..] each, summed as sum_o w_o l_o
    row: Callable | None = None  # (scores [O], labels [O], weights [O]) -> []
    vocabulary: bool = False  # a row's scores are all words', [V], its labels ids: no negatives
    paths: bool = False  # a positive's outputs are its path's nodes, labels 1 - code: no negatives
    weigh: Callable | None = None  # a centre's weights [P O] -> those that its rows get
    linear: bool = False  # row is linear in its weights, so that windows may be expected ones
    log_prob: Callable | None = None  # log Pn [V] -> what scores lack to be log p(o) + constant
    chance: Callable | None = None  # (K, V) -> loss a positive where all scores are 0
    constants: tuple[str, ...] = ()  # fields of StaticConfig that terms or row get by name

    def __call__(self, scores: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
        """The loss of one row: []."""
        if self.terms is None:
            return self.row(scores, labels, weights)
        return jnp.sum(weights * self.terms(scores, labels))

    @property
    def in_blocks(self) -> bool:
        """Whether the blocks engine has it, which has each score apart."""
        return self.terms is not None and self.weigh is None and self.draws_negatives

    @property
    def draws_negatives(self) -> bool:
        """Whether a positive has negatives beside it."""
        return not (self.vocabulary or self.paths)

    @property
    def in_proportion(self) -> bool:
        """Whether a positive counts in proportion to its weight, as expected windows need it."""
        return (self.terms is not None or self.linear) and self.weigh is None

    @property
    def uses(self) -> tuple[str, ...]:
        """Flags that have an effect with it, of those that another loss may leave idle."""
        return self.constants + (("negatives", "noise") if self.draws_negatives else ())


@jax.custom_jvp
def negative_sampling_terms(scores: jax.Array, labels: jax.Array) -> jax.Array:
    """-log sigma(s) for a positive, -log sigma(-s) for noise: [O], [O] -> [O].

    Mikolov et al. 2013 (arXiv 1310.4546), eq. 4; the same as binary cross entropy on sigma(s).
    Nothing is clipped: log_sigmoid is finite for every finite score.
    """
    return -jax.nn.log_sigmoid(jnp.where(labels > 0, scores, -scores))


@negative_sampling_terms.defjvp
def _negative_sampling_terms_jvp(primals, tangents):
    """-sigma(-s) for a positive, sigma(s) for noise: the compiler drops a value not asked for."""
    scores, labels = primals
    sign = jnp.where(labels > 0, -1, 1).astype(scores.dtype)
    slope = sign * jax.nn.sigmoid(sign * scores)
    return negative_sampling_terms(scores, labels), slope * tangents[0]


def negative_sampling(scores: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    """sum_o w_o l_o: each positive with its K negatives, summed. [O] three times -> []."""
    return jnp.sum(weights * negative_sampling_terms(scores, labels))


def mean_weights(weights: jax.Array) -> jax.Array:
    """w_o / sum_o w_o, all 0 for an empty row. [O] -> [O]."""
    total = jnp.sum(weights)
    return weights / jnp.where(total > 0, total, 1)


def masked_mean(scores: jax.Array, labels: jax.Array, weights: jax.Array) -> jax.Array:
    """sum_o w_o l_o / sum_o w_o, 0 for an empty row. [O] three times -> [].

    The accounting of Dive into Deep Learning 15.4.2: a centre's mean over its unmasked entries.
    """
    return negative_sampling(scores, labels, mean_weights(weights))


def softmax(scores: jax.Array, targets: jax.Array, weights: jax.Array) -> jax.Array:
    """-sum_o w_o log softmax(s)[t_o] over the whole vocabulary. [V], [O], [O] -> [].

    Mikolov et al. 2013, eq. 2; Deep Learning from Scratch 2, ch. 3, whose cost at large V
    negative sampling removes.
    """
    return -jnp.sum(weights * look_up(jax.nn.log_softmax(scores), targets))


def _plus_log_noise(log_noise: jax.Array) -> jax.Array:
    """Negative sampling's optimum is s = log p - log(K Pn) (Levy & Goldberg 2014): [V] -> [V]."""
    return log_noise


def _chance_of_noise(negatives: int, vocab_size: int) -> float:
    """(1 + K) log 2: each of a positive and its K negatives costs -log sigma(0)."""
    del vocab_size
    return (1 + negatives) * math.log(2)


def _chance_of_vocabulary(negatives: int, vocab_size: int) -> float:
    """log V: every word is as probable."""
    del negatives
    return math.log(vocab_size)


def _chance_of_paths(negatives: int, vocab_size: int) -> None:
    """Not known without the counts: each turn costs log 2, and frequent words have few."""
    del negatives, vocab_size


LOSSES = Registry(
    "loss",
    negative_sampling=Loss(
        terms=negative_sampling_terms, log_prob=_plus_log_noise, chance=_chance_of_noise
    ),
    masked_mean=Loss(
        terms=negative_sampling_terms,
        weigh=mean_weights,
        log_prob=_plus_log_noise,
        chance=_chance_of_noise,
    ),
    hierarchical_softmax=Loss(
        terms=negative_sampling_terms, paths=True, log_prob=jnp.zeros_like, chance=_chance_of_paths
    ),
    softmax=Loss(
        row=softmax,
        vocabulary=True,
        linear=True,
        log_prob=jnp.zeros_like,
        chance=_chance_of_vocabulary,
    ),
)


def of(static: StaticConfig) -> Loss:
    """The loss that static names, its constants filled in. Raises UserError for another name."""
    loss = LOSSES[static.loss]
    constants = {name: getattr(static, name) for name in loss.constants}
    if not constants:
        return loss
    terms, row = (
        function and partial(function, **constants) for function in (loss.terms, loss.row)
    )
    return loss._replace(terms=terms, row=row)
