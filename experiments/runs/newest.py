"""What a run has come to so far: its vectors, or those of its newest checkpoint."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.cli import console
from experiments.cli.config import EXPORTED
from experiments.runs import fingerprint, rundir
from w2v_jax.checkpoint import Checkpoints
from w2v_jax.data.vocab import load_counts
from w2v_jax.types import Params, UserError
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.warm_start import INPUT, OUTPUT


class Newest(NamedTuple):
    """A run's word vectors, and of when they are."""

    wv: WordVectors
    step: (
        int | None
    )  # of the checkpoint that they are from; None: they are the run's own, at its end
    epoch: int | None


def of_run(run: Path, table: str = "") -> Newest:
    """A run's vectors; where it has none, or not of this table, those of its newest checkpoint.

    table: input, output or sum, '' for the run's own. A note tells of a checkpoint before the run's
    end. Raises UserError where there is neither.
    """
    about = rundir.fingerprint_of(run)
    own = (about["flags"] if about else {}).get("export_vectors", "input")
    trained = rundir.is_trained(run)
    if trained and table in ("", own):
        rundir.read_summary(run)  # or it is of a newer format
        for path in rundir.vectors_paths(run):
            wv = rundir.with_counts(run, vectors_io.load(path, note=console.note))
            return Newest(rundir.with_untrained(run, wv), None, None)
    checkpoints = Checkpoints(str(run / rundir.CHECKPOINTS), None)
    saved = checkpoints.newest(console.note)
    checkpoints.close()
    if saved is None and not trained:
        raise rundir.no_run(run, f"({rundir.SUMMARY}) and no checkpoint of one")
    if saved is None or not (run / rundir.VOCAB).exists():
        what = rundir.VOCAB if saved else f"vectors of --export_vectors={table or own}"
        raise UserError(f"--run={run}: holds no {what} and no checkpoint to make them of")
    if "position" not in saved.about:
        raise UserError(f"--run={run}: its checkpoint is no single run's")
    if about:
        fingerprint.check(str(run), about, saved.about["identity"])
    ended = saved.about.get("ended", trained)
    epoch = saved.about["position"]["epoch"] + 1
    if not ended:
        console.log(
            f"note: {run} has not ended; this is its state at step {saved.step:,}, epoch {epoch}"
        )
    vocab = load_counts(str(run / rundir.VOCAB))
    params = Params(saved.arrays[f"state.{INPUT}"], saved.arrays[f"state.{OUTPUT}"])
    if len(vocab.words) != len(params.input):
        raise UserError(f"--run={run}: its vocabulary is another than its checkpoint's")
    wv = WordVectors(vocab.words, exported(params, table or own), counts=vocab.counts)
    wv = rundir.with_untrained(run, wv)
    return Newest(wv, None if ended else saved.step, None if ended else epoch)


def exported(params: Params, which: str) -> np.ndarray:
    """The word vectors [V, D]: input embeddings, output embeddings, or their sum."""
    if which not in EXPORTED:
        raise UserError(f"--export_vectors={which}: not one of {', '.join(EXPORTED)}")
    if which == "sum":
        return np.asarray(params.input + params.output)
    return np.asarray(getattr(params, which))
