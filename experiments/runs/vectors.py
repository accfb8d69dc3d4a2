"""--run and --vectors: which word vectors a script reads."""

import os
from pathlib import Path

from absl import flags

from experiments.runs import newest
from w2v_jax.types import UserError
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.word_vectors import WordVectors


def define_flags() -> None:
    """--run and --vectors."""
    told = "Run directory; before its end, its newest checkpoint is read."
    flags.DEFINE_string("run", None, told)
    flags.DEFINE_string("vectors", None, "Vectors file instead (.txt, .vec, .bin or .npz).")


def load() -> WordVectors:
    """The word vectors named. Raises UserError where not exactly one source is."""
    run, file = flags.FLAGS.run, flags.FLAGS.vectors
    if bool(run) == bool(file):
        raise UserError("give either --run=OUT or --vectors=FILE")
    if file:
        return vectors_io.load(os.path.expanduser(file))
    return newest.of_run(Path(run).expanduser()).wv
