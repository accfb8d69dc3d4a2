"""--run and --vectors: which word vectors a script reads."""

from pathlib import Path

from absl import flags

from experiments.runs import newest, rundir
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
        try:
            path = Path(file).expanduser()
            return rundir.with_untrained(path.parent, vectors_io.load(path))
        except UserError as error:  # begins with the path
            raise UserError(f"--vectors={error}") from error
    return newest.of_run(Path(run).expanduser()).wv
