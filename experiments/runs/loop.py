"""The reports of a training -> metrics, progress bar, checkpoints; until its end or a signal."""

import contextlib
import time
from pathlib import Path

import jax
import numpy as np

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.cli.errors import Diverged, Stopped
from experiments.runs import checkpointing, events, rundir, signals
from experiments.runs import epochs as epochs_of
from experiments.runs.checkpointing import Start
from experiments.runs.epochs import Epochs
from w2v_jax import columns
from w2v_jax.data.corpus import Corpus
from w2v_jax.replicas import ALONE, Partners


def train_loop(
    config: RunConfig,
    workdir: Path,
    corpus: Corpus,
    reports,
    key,
    accumulator,
    start: Start,
    epochs: Epochs,
    partners: Partners = ALONE,
):
    """Consumes the reports: each a line of metrics, a move of the bar and perhaps a checkpoint.

    Returns the last state, the seconds of training, all processes' together, without what saving
    the end takes, and why it isn't saved, or ''. Raises Stopped where a signal asked to end,
    Diverged.
    """
    state, report, unsaved, total = start.state, None, "", corpus.words * config.epochs
    stopped = 0
    metrics = rundir.LinesFile(workdir / rundir.METRICS, start.metrics_bytes)
    keep = checkpointing.CheckpointPolicy(
        *(config, workdir, key, accumulator, metrics, epochs, start, total)
    )
    with (
        contextlib.closing(metrics),
        contextlib.closing(epochs),
        contextlib.closing(keep),
        events.writer(workdir, config.tensorboard) as event,
        console.progress_bar(total, accumulator.last_words) as bar,
        signals.watched() as asked,
    ):
        try:
            epochs.open()
            for state, report in reports:
                line = accumulator.line(report, time.perf_counter())
                metrics.write(line)
                event(line)
                bar.set_postfix_str(console.beside_bar(line), False)
                bar.update(report.words - bar.n)
                ended = epochs_of.ends(report, corpus)
                if ended and (of_epoch := epochs.after(state, report, accumulator)):
                    event(of_epoch, is_epoch=True)
                early = ended and epochs.stopped is not None
                early = epochs_of.agreed(early, report, config, corpus, partners)
                if early or report.words == total:
                    state = epochs.chosen(state)
                if early:
                    break
                stopped = signals.agreed(asked, partners)
                if stopped:
                    break
                keep.after(state, report)
            if report and not stopped:
                _check_finite(state)
            train_sec = time.perf_counter() - accumulator.began
            if report and not stopped:
                unsaved = keep.end(state, report)
            stopped = stopped or asked.number or 0  # also while the end was saved
            if report and stopped:
                keep.save(state, report)
                keep.wait()
                raise Stopped(stopped, _told(config, workdir, report.step))
        except Diverged as error:
            raise Diverged(f"{error}; {keep.last_good()}") from error
    return state, train_sec, unsaved


def _told(config: RunConfig, workdir: Path, step: int) -> str:
    """What a run that was stopped says: where it is, and what goes on with it."""
    how = "the same command" if config.workdir else f"the same command with --workdir={workdir}"
    if config.overwrite or not config.resume:
        how += f" without {'--overwrite' if config.overwrite else '--noresume'}"
    return f"saved at step {step:,} in {workdir}; {how} goes on"


def _check_finite(state) -> None:
    tables = jax.tree.map(np.asarray, columns.gathered(state.params))
    if not all(np.isfinite(table).all() for table in tables):
        raise Diverged("the embeddings are not finite: try a smaller --learning_rate")
