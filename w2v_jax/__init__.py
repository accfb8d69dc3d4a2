"""word2vec as pure JAX functions: skip-gram and CBOW with negative sampling."""

from w2v_jax.xla_flags import configure

__all__ = ["configure"]
