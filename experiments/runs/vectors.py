"""--run and --vectors: which word vectors a script reads."""

from pathlib import Path

from absl import flags

from experiments.cli import console
from experiments.runs import newest, rundir
from w2v_jax.types import UserError
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.word_vectors import WordVectors


def define_flags() -> None:
    """--run and --vectors."""
    told = "Run directory; before its end, its newest checkpoint is read."
    flags.DEFINE_string("run", None, told)
    told = "Vectors file of any program instead: text, binary, npz, safetensors, KeyedVectors .."
    flags.DEFINE_string("vectors", None, told)
    flags.DEFINE_integer("limit", None, "The first so many words alone.", lower_bound=1)


def load() -> WordVectors:
    """The word vectors named. Raises UserError where not exactly one source is."""
    run, file = flags.FLAGS.run, flags.FLAGS.vectors
    if bool(run) == bool(file):
        raise UserError("give either --run=OUT or --vectors=FILE")
    if file:
        try:
            path = Path(file).expanduser()
            wv = vectors_io.load(path, flags.FLAGS.limit, console.note)
            return rundir.with_untrained(path.parent, wv)
        except UserError as error:  # begins with the path
            raise UserError(f"--vectors={error}") from error
    return newest.of_run(Path(run).expanduser()).wv.first(flags.FLAGS.limit)
