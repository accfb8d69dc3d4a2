"""Settings of every test: the CPU, strict types and ranks, quick compilation."""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from w2v_jax import update
from w2v_jax.types import Corpus, Hyper, Vocab
from w2v_jax.vocab import cumulative

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session", autouse=True)
def optax_promotes_types():
    """Optax's Adam multiplies integers by a traced beta: standard promotion inside optax alone."""
    own = update.optimizer

    def optimizer(*args):
        transformation = own(*args)

        def promoting(*args):
            with jax.numpy_dtype_promotion("standard"):
                return transformation.update(*args)

        return optax.GradientTransformation(transformation.init, promoting)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(update, "optimizer", optimizer)
        yield


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Tests leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def make_hyper():
    """(noise, **fields) -> Hyper; everything is kept, the window and K are 2 unless told."""

    def make(noise, **fields):
        noise = np.asarray(noise, np.float64)
        values = {
            "learning_rate": 0.01,
            "keep": np.ones(len(noise)),
            "noise": noise / noise.sum(),
            "beta1": 0.9,
            "beta2": 0.999,
            "epsilon": 1e-8,
            "weight_decay": 1e-4,
        }
        counts = {"window": 2, "negatives": 2}
        for name, value in fields.items():
            (counts if name in counts else values)[name] = value
        return Hyper(
            **{name: jnp.asarray(value, jnp.float32) for name, value in values.items()},
            **{name: jnp.int32(value) for name, value in counts.items()},
            noise_cdf=jnp.asarray(cumulative(noise)),
        )

    return make


@pytest.fixture(scope="session")
def make_corpus():
    """(lines of ids, words read, V) -> Corpus."""

    def make(lines, words=None, vocab_size=None):
        ids = np.concatenate([np.asarray(line, np.int32) for line in lines])
        size = vocab_size or int(ids.max()) + 1
        vocab = Vocab(tuple(f"w{i}" for i in range(size)), np.bincount(ids, minlength=size))
        ends = np.cumsum([len(line) for line in lines]).astype(np.int64)
        return Corpus(ids, ends, vocab, len(ids) if words is None else words, "")

    return make
