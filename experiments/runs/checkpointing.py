"""When a run's state is saved, and what is saved with it; how it is taken up again."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.cli.errors import Diverged
from experiments.runs import fingerprint, rundir
from experiments.runs.epochs import Epochs
from experiments.runs.metrics import MetricAccumulator
from w2v_jax import checkpoint, columns
from w2v_jax.beginning import OF_TEXT
from w2v_jax.checkpoint import Checkpoints
from w2v_jax.training import Report
from w2v_jax.types import Params, TrainState, UserError
from w2v_jax.visits import Position

_COST = 0.01  # share of the time that copies of a good state may take
# What a checkpoint calls the fields of Position, whatever this version does.
_POSITION = dict(zip(("epoch", "place", "begin", "done", "step"), Position._fields, strict=True))


class Start(NamedTuple):
    """From where a run goes on."""

    state: TrainState
    position: Position
    accumulator: dict | None  # `MetricAccumulator.saved`
    metrics_bytes: int | None  # of metrics.jsonl, what belongs to it; None: a new file
    resumes: int  # how often the run has been taken up
    words_before: int  # of an earlier training, whose schedule goes on
    fingerprint: dict  # the run's
    ended: bool = False  # all epochs are done, or the run was stopped early
    epochs: dict | None = None  # `Epochs.saved`
    best: Params | None = None  # the best epoch's tables, on the host, under --early_stopping


class CheckpointPolicy:
    """Saves a run's state when it is due, on a signal, and at its end."""

    def __init__(
        self,
        config: RunConfig,
        workdir: Path,
        key: jax.Array,
        accumulator: MetricAccumulator,
        metrics: rundir.LinesFile,
        epochs: Epochs,
        start: Start,
        total: int,
    ):
        """total: words of all epochs, behind which a state is the run's end."""
        self._config, self._key = config, key
        self._accumulator, self._metrics = accumulator, metrics
        self._start, self._total, self._epochs = start, total, epochs
        self._checkpoints = opened(workdir, config)
        self._time = self._copied = time.perf_counter()
        self._step = start.position.step + start.position.done * config.replicas
        self._epoch, self._good, self._copy_sec = start.position.epoch, None, 0.0

    def after(self, state: TrainState, report: Report) -> None:
        """Saves if it is due. Raises UserError where it cannot, Diverged for a bad state."""
        config, now = self._config, time.perf_counter()
        steps, seconds = config.checkpoint_every_steps, config.checkpoint_every_sec
        by_steps = steps and report.step // steps > self._step // steps
        if by_steps or (seconds and now - self._time >= seconds):
            self.save(state, report)
        elif report.position.epoch > self._epoch and now - self._copied > self._copy_sec / _COST:
            self._good = self._snapshot(state, report)
            self._epoch = report.position.epoch
            self._copied = time.perf_counter()
            self._copy_sec = self._copied - now

    def save(self, state: TrainState, report: Report) -> None:
        """Begins to save. Raises as `after` does."""
        self.wait()  # for the save before, so that there are no two copies
        good, self._good = self._good, None
        try:
            snapshot = self._snapshot(state, report)
        except Diverged:
            self._good = good
            raise
        self._checkpoints.save(*snapshot)
        self._time, self._step = time.perf_counter(), report.step
        self._epoch = report.position.epoch

    def end(self, state: TrainState, report: Report) -> str:
        """Saves the last state, unless no checkpoint was asked for or made, and waits for it.

        Returns why it can't, or '': the run is not stopped for it, its vectors are to be written.
        """
        asked = self._config.checkpoint_every_sec or self._config.checkpoint_every_steps
        try:
            if asked or self._checkpoints.last is not None:
                self.save(state, report)
            self.wait()
        except UserError as error:
            return str(error)
        return ""

    def wait(self) -> None:
        """Until what was saved is on the disk."""
        self._checkpoints.wait()

    def last_good(self) -> str:
        """Saves the last good state, where it is newer than the last one saved; tells where."""
        try:
            if self._good:
                self._checkpoints.save(*self._good)
            self.wait()
        except UserError as error:
            return str(error)
        if self._checkpoints.last is None:
            return "no good state was there to save"
        return f"the last good state is in {self._checkpoints.folder}/{self._checkpoints.last}"

    def close(self) -> None:
        """Ends Orbax's threads."""
        self._checkpoints.close()

    def _snapshot(self, state: TrainState, report: Report) -> tuple[int, dict, dict]:
        saved = _saved_of(state, self._key, self._epochs.best)
        arrays = checkpoint.flat(columns.gathered(saved))
        if not all(np.isfinite(a).all() for a in arrays.values()):
            raise Diverged(
                f"the embeddings are not finite at step {report.step}, learning rate "
                f"{report.learning_rate:g}: try a smaller --learning_rate"
            )
        about = {
            "ended": report.words == self._total or self._epochs.stopped is not None,
            "position": dict(zip(_POSITION, report.position, strict=True)),
            "ledger": self._accumulator.saved(time.perf_counter()),
            "metrics_bytes": self._metrics.end(),
            "epochs": self._epochs.saved(),
            "resumes": self._start.resumes,
            "words_before": self._start.words_before,
            "identity": self._start.fingerprint,
        }
        return report.step, arrays, about


def opened(workdir: Path, config: RunConfig) -> Checkpoints:
    """The checkpoints of a run directory."""
    return Checkpoints(str(workdir / rundir.CHECKPOINTS), config.keep_checkpoints)


def _saved_of(state: TrainState, key: jax.Array, best: Params | None) -> dict:
    """What a checkpoint keeps; best: tables, under --early_stopping."""
    saved = {"state": state, "key": jax.random.key_data(key)}
    return saved | {"best": best} if best else saved


def resumed(
    config: RunConfig, workdir: Path, begin: Callable[..., Start], key: jax.Array, total: int
) -> Start:
    """Where the newest whole checkpoint left a run; its beginning, where there is none.

    begin: (blank) -> the beginning; blank: in shape alone. total: words of all epochs. Raises
    UserError where a checkpoint is of a newer format or of another program.
    """
    first = begin(blank=True)
    best = first.state.params if config.early_stopping else None
    checkpoints, like = opened(workdir, config), jax.eval_shape(_saved_of, first.state, key, best)
    saved = checkpoints.restore(checkpoint.names_of(like), console.note)
    checkpoints.close()
    if saved is None:
        console.log("no checkpoint: the run begins anew")
        return begin(blank=False) if config.init in OF_TEXT else first
    fingerprint.check(
        f"{checkpoints.folder}/{saved.step}", saved.about["identity"], first.fingerprint
    )
    found = checkpoint.unflat(saved.arrays, like)
    if not np.array_equal(found["key"], jax.random.key_data(key)):
        raise UserError(f"{checkpoints.folder}/{saved.step}: its random key is of another seed")
    lying = jax.tree.map(lambda leaf: leaf.sharding, first.state)
    jax.tree.map(lambda leaf: leaf.delete(), first.state)  # two would take twice the memory
    ended = saved.about.get("ended", saved.about["ledger"]["words"] == total)
    said = "trained to its end, step" if ended else "going on from step"
    console.log(f"{said} {saved.step:,} ({checkpoints.folder}/{saved.step})")
    return Start(
        columns.like(found["state"], lying)
        if config.mesh
        else jax.tree.map(jnp.array, found["state"]),
        Position(**{_POSITION[name]: n for name, n in saved.about["position"].items()}),
        saved.about["ledger"],
        saved.about["metrics_bytes"],
        saved.about["resumes"] + 1,
        first.words_before,
        first.fingerprint,
        ended,
        saved.about.get("epochs"),
        found.get("best"),
    )
