"""--run and --vectors: which word vectors a script reads."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from absl import flags

from experiments.cli import console
from experiments.runs import newest, rundir
from w2v_jax.prediction import centre_log_probs
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


def named(flag: str) -> WordVectors:
    """Those of the run directory or file that a flag names. Raises UserError, which names it."""
    path, limit = Path(flags.FLAGS[flag].value).expanduser(), flags.FLAGS.limit
    try:
        if path.is_dir():
            return newest.of_run(path).wv.first(limit)
        return vectors_io.load(path, limit, console.note)
    except UserError as error:  # begins with the path, or with --run=
        raise UserError(f"--{flag}={str(error).removeprefix('--run=')}") from error


def predict(wv: WordVectors) -> Callable[[list[int]], np.ndarray] | None:
    """Of ids of contexts: log p of each word as the centre; None without --run.

    Its tables are read when it is first called. Raises UserError then where there are none.
    """
    if not flags.FLAGS.run:
        return None
    run = cache(lambda: newest.model_of(Path(flags.FLAGS.run).expanduser()))

    def log_probs(contexts):
        found = centre_log_probs(run().params, run().vocab, run().config, contexts)
        return found[: len(wv)]  # --limit

    return log_probs
