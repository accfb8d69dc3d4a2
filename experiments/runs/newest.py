"""What a run has come to so far: its vectors, or those of its newest checkpoint."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.cli import console
from experiments.cli.config import EXPORTED, RunConfig
from experiments.runs import fingerprint, rundir
from w2v_jax import subword_rows
from w2v_jax.checkpoint import Checkpoints, Saved
from w2v_jax.data.vocab import load_counts
from w2v_jax.losses import LOSSES
from w2v_jax.types import Params, SubwordParams, UserError, Vocab
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.warm_start import INPUT, NGRAMS, OUTPUT


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
        for path in sorted(rundir.vectors_paths(run), key=lambda path: path.suffix != ".npz"):
            wv = rundir.with_counts(run, vectors_io.load(path, note=console.note))
            return Newest(rundir.with_untrained(run, wv), None, None)
    saved = _checkpoint(run)
    if saved is None and not trained:
        raise rundir.no_run(run, f"({rundir.SUMMARY}) and no checkpoint of one")
    if saved is None or not (run / rundir.VOCAB).exists():
        what = rundir.VOCAB if saved else f"vectors of --export_vectors={table or own}"
        raise UserError(f"--run={run}: holds no {what} and no checkpoint to make them of")
    if about:
        fingerprint.check(str(run), about, saved.about["identity"])
    ended = saved.about.get("ended", trained)
    epoch = saved.about["position"]["epoch"] + 1
    if not ended:
        console.log(
            f"note: {run} has not ended; this is its state at step {saved.step:,}, epoch {epoch}"
        )
    params, vocab = _tables(run, saved)
    loss = (about["flags"] if about else {}).get("loss", "")
    if loss in LOSSES and LOSSES[loss].paths and (table or own) != "input":
        raise UserError(
            f"--export_vectors={table or own}: the output embeddings of --loss={loss} are a tree's "
            "nodes, not words"
        )
    config = fingerprint.config_of(about) if about else RunConfig()
    wv = rundir.with_untrained(run, word_vectors(params, config, vocab, table or own))
    return Newest(wv, None if ended else saved.step, None if ended else epoch)


class Model(NamedTuple):
    """What a run predicts with."""

    params: Params
    vocab: Vocab
    config: RunConfig


def model_of(run: Path) -> Model:
    """Both tables of a run's newest checkpoint. Raises UserError where it has none."""
    about, saved = rundir.fingerprint_of(run), _checkpoint(run)
    if about is None or saved is None or not (run / rundir.VOCAB).exists():
        raise UserError(f"--run={run}: holds no checkpoint, which has both tables")
    fingerprint.check(str(run), about, saved.about["identity"])
    return Model(*_tables(run, saved), fingerprint.config_of(about))


def _checkpoint(run: Path) -> Saved | None:
    """The newest of a run. Raises UserError where it is another kind's."""
    checkpoints = Checkpoints(str(run / rundir.CHECKPOINTS), None)
    saved = checkpoints.newest(console.note)
    checkpoints.close()
    if saved is not None and "position" not in saved.about:
        raise UserError(f"--run={run}: its checkpoint is no single run's")
    return saved


def _tables(run: Path, saved: Saved) -> tuple[Params, Vocab]:
    """A checkpoint's tables and their words. Raises UserError where these don't fit."""
    vocab = load_counts(str(run / rundir.VOCAB))
    params = Params(saved.arrays[f"state.{INPUT}"], saved.arrays[f"state.{OUTPUT}"])
    if (ngrams := saved.arrays.get(f"state.{NGRAMS}")) is not None:
        params = SubwordParams(*params, ngrams)
    if len(vocab.words) != len(params.input):
        raise UserError(f"--run={run}: its vocabulary is another than its checkpoint's")
    return params, vocab


def word_vectors(params: Params, config: RunConfig, vocab: Vocab, which: str = "") -> WordVectors:
    """The words' vectors of a training's tables; which: input, output or sum, '' for config's."""
    tables, made_up = subword_rows.word_tables(params, config, vocab)
    which = which or config.export_vectors
    made_up = made_up if which == "input" else None  # unknown words have no output embedding
    return WordVectors(vocab.words, exported(tables, which), (), vocab.counts, made_up)


def exported(params: Params, which: str) -> np.ndarray:
    """The word vectors [V, D]: input embeddings, output embeddings, or their sum."""
    if which not in EXPORTED:
        raise UserError(f"--export_vectors={which}: not one of {', '.join(EXPORTED)}")
    if which == "sum":
        return np.asarray(params.input + params.output)
    return np.asarray(getattr(params, which))
