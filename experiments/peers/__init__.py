"""Other programs that train word2vec, as benchmark.py runs them; imported by their children too."""
