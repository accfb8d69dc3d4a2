"""Entries that a reader may add to the registries, some of each kind, and what tests ask them."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import optax

from w2v_jax import beginning, losses, model, sampling, subsampling
from w2v_jax.beginning import OF_TEXT
from w2v_jax.checks import REGISTRIES
from w2v_jax.config import Config
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import resolve
from w2v_jax.engines import blocks
from w2v_jax.losses import Loss
from w2v_jax.model import INITS
from w2v_jax.noise import NegativeDistribution, first_good
from w2v_jax.optimizers import Optimizer, Schedule
from w2v_jax.types import Params, StaticConfig

EVERY = {**REGISTRIES, "init": INITS}


def hinge_terms(scores, labels):
    """Smooth, so that differences tell its slope: max(0, 1 - s)^2 or max(0, 1 + s)^2."""
    return jax.nn.relu(1 - jnp.where(labels > 0, scores, -scores)) ** 2


def info_nce(scores, labels, weights):
    """-w log softmax(s)[positive] among the positive and the negatives in use."""
    del labels
    in_use = jnp.where(weights > 0, scores, -1e9)  # an empty row: all alike, and weighs nothing
    return weights[0] * (jax.nn.logsumexp(in_use) - in_use[0])


def scaled_terms(scores, labels, group_size):
    """Negative sampling's, of scores times a constant."""
    return losses.negative_sampling_terms(scores * group_size, labels)


def distinct(draws, positives, exists, k):
    """K distinct words; the positive may be among them."""
    del positives
    return first_good(draws, lambda words: words >= 0, exists, k, distinct=True)


def uniform(draws, positives, exists, k):
    """K independent draws of any word, whatever Pn."""
    del exists
    shape, size = (*positives.shape[1:], k), draws.noise.shape[0]
    draw = partial(jax.random.randint, shape=shape, minval=0, maxval=size, dtype=jnp.int32)
    return jax.vmap(draw)(draws.keys)


def uniform_ratio(positives, words, noise):
    return jnp.ones(positives.shape, jnp.float32), 1 / (noise.shape[0] * noise[words])


def lion(learning_rate, beta1, beta2, weight_decay):
    return optax.lion(learning_rate, beta1, beta2, weight_decay=weight_decay)


def ones(input_key, output_key, shape):
    del input_key, output_key
    return Params(jnp.ones(shape), jnp.ones(shape))


ADDED = {
    "loss": {
        "hinge": Loss(terms=hinge_terms),
        "info_nce": Loss(row=info_nce, linear=True),
        "scaled": Loss(terms=scaled_terms, constants=("group_size",)),
    },
    "noise": {
        "distinct": NegativeDistribution(distinct, lambda window, k: k),
        "uniform": NegativeDistribution(
            uniform,
            lambda window, k: 1,
            ratio=uniform_ratio,
            log_noise=lambda noise: jnp.full_like(noise, -jnp.log(noise.shape[0])),
            uses=(),
        ),
    },
    "optimizer": {"lion": Optimizer(lion, ("beta1", "beta2", "weight_decay"), sparse=True)},
    "schedule": {"square": Schedule(lambda done: (1 - done) ** 2)},
    "init": {"ones": ones},
}


def add(monkeypatch):
    """Adds them all."""
    for field, entries in ADDED.items():
        for name, entry in entries.items():
            monkeypatch.setitem(EVERY[field], name, entry)


def names(field, such=lambda entry: True):
    """The entries there are and those added, such as are asked for."""
    entries = {**EVERY[field], **ADDED.get(field, {})}
    return [name for name, entry in entries.items() if such(entry)]


# A text of V words

V, D, K, KEY = 12, 3, 2, jax.random.key(3)
SMALL = StaticConfig(
    window=2,
    negatives=K,
    noise="with_replacement",
    batch_size=8,
    block=4,
    group_size=8,
    negatives_per_group=6,
    optimizer="sgd",
)


def tables(init="xavier"):
    if init in OF_TEXT:
        lines = jax.random.randint(KEY, (8, 6), 0, V).tolist()
        lines = [[str(word) for word in line] for line in [*lines, range(V)]]
        corpus = Corpus.from_sentences(lines, min_count=1)
        config = resolve(Config(init=init, dim=D), corpus)
        return jax.tree.map(jnp.array, beginning.tables(config, corpus))
    return model.init_params(KEY, V, D, init)


@cache
def drawing(static):
    """hyper -> a text as four batches."""
    tokens = jax.random.randint(KEY, (48,), 0, V)
    lines = jnp.repeat(jnp.arange(8, dtype=jnp.int32), 6)

    @jax.jit
    def drawn(hyper):
        zero = jnp.int32(0)
        sampled = subsampling.sample_chunk(KEY, zero, zero, tokens, lines, hyper, static)
        make = blocks.make_blocks if static.engine == "blocks" else sampling.make_batch
        return jax.lax.map(lambda step: make(sampled, step, hyper, static), jnp.arange(4))

    return drawn
