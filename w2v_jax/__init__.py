"""word2vec as pure JAX functions: skip-gram and CBOW with negative sampling."""

from w2v_jax.api import evaluate, load, train
from w2v_jax.config import Config
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.phrases import Phrases
from w2v_jax.functional import make_hyper, make_train, stack
from w2v_jax.grid import Sweep, sweep
from w2v_jax.runs import Run
from w2v_jax.types import HyperParams, Metrics, Params, StaticConfig, UserError
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.xla_flags import configure

__all__ = [
    "Config",
    "Corpus",
    "HyperParams",
    "Metrics",
    "Params",
    "Phrases",
    "Run",
    "StaticConfig",
    "Sweep",
    "UserError",
    "WordVectors",
    "configure",
    "evaluate",
    "load",
    "make_hyper",
    "make_train",
    "stack",
    "sweep",
    "train",
]
