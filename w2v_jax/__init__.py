"""word2vec as pure JAX functions: skip-gram and CBOW with negative sampling."""
