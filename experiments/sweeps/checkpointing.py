"""When a sweep's program is saved, and how it is taken up again."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.cli import console, earlier_flags
from experiments.cli.config import RunConfig
from experiments.runs import rundir
from experiments.sweeps.plan import Program, Trial
from w2v_jax import checkpoint, sweeping
from w2v_jax.checkpoint import Checkpoints
from w2v_jax.types import UserError


class Saves:
    """The checkpoints of one program: what its trials are after an epoch."""

    def __init__(self, folder: Path, program: Program, config: RunConfig):
        """config: of the sweep, for how often; the folder is that of the results."""
        self._folder = folder / rundir.CHECKPOINTS / f"program-{program.number}"
        self._checkpoints = Checkpoints(str(self._folder), config.keep_checkpoints)
        self._seconds, self._time = config.checkpoint_every_sec, time.perf_counter()
        self._program, self._base = program, earlier_flags.of(config)
        # What else decides which trial is where.
        self._trials = [m.flags(config) + f" #{m.index}" for m in program.trials]

    def after(self, now) -> None:
        """Saves if it is due."""
        if self._seconds and time.perf_counter() - self._time >= self._seconds:
            self.save(now)

    def save(self, now) -> None:
        """Begins to save a run.Progress."""
        about = {"epoch": now.epoch, "seconds": now.seconds, "members": self._trials}
        self._checkpoints.save(now.epoch, checkpoint.flat(_tree(now)), about)
        self._time = time.perf_counter()

    def end(self, now) -> None:
        """Saves the end of a program, unless no checkpoint was asked for or made.

        It is removed once the trials are measured; where it can't be written, they still are.
        """
        try:
            if self._seconds or self._checkpoints.last is not None:
                self.save(now)
            self.wait()
        except UserError as error:
            console.log(f"note: {error}")

    def wait(self) -> None:
        """Until what was saved is on the disk."""
        self._checkpoints.wait()

    def told(self) -> str:
        """Where a sweep that was stopped goes on."""
        folder = self._folder.parent.parent
        return (
            f"saved after epoch {self._checkpoints.last}; the same command, --workdir={folder}, "
            "goes on"
        )

    @contextlib.contextmanager
    def told_of_end(self) -> Iterator[None]:
        """Tells whoever ends the process by a signal what there is of a program that is trained."""
        try:
            yield
        except (SystemExit, KeyboardInterrupt):
            if self._checkpoints.last is not None:
                console.log(
                    "stopped behind the end of a training, which is saved; the same command goes on"
                )
            raise

    def restore(self, now) -> None:
        """Makes a program's beginning the newest checkpoint's progress, where there is one."""
        tree = _tree(now)
        note = lambda line: console.log(f"note: {line}")  # noqa: E731
        saved = self._checkpoints.restore(checkpoint.names_of(tree), note)
        if saved is None:
            return
        if not self._are_these(saved.about["members"]):
            console.log(f"note: {self._folder}: of a program of other trials, so it begins anew")
            self.clear()
            return
        found = checkpoint.unflat(saved.arrays, tree)
        devices = [m.active.device for m in now.trials]
        parts = sweeping.split((found["state"], found["alive"]), devices)
        now.trials = tuple(
            m.replace(state=state, active=active)
            for m, (state, active) in zip(now.trials, parts, strict=True)
        )
        now.diverged, now.stopped, now.loss = (found[n] for n in ("frozen", "stopped", "loss"))
        if now.best:
            now.best.params = list(sweeping.split(found["best"].pop("params"), devices))
            vars(now.best).update(found["best"])
        now.epoch, now.seconds = saved.about["epoch"], saved.about["seconds"]
        console.log(f"going on after epoch {now.epoch} ({self._folder})")

    def _are_these(self, trials: list[str]) -> bool:
        """Whether trials, as a checkpoint of any version names them, are the program's."""
        own = self._program.trials
        return len(trials) == len(own) and all(map(self._is_this, trials, own))

    def _is_this(self, text: str, trial: Trial) -> bool:
        written, _, index = text.rpartition("#")
        there = {**self._base, **earlier_flags.stored(written)}
        differ = earlier_flags.differences(there, earlier_flags.of(trial.config))
        return index == str(trial.index) and not differ

    def clear(self) -> None:
        """Removes the checkpoints: the program's results are written."""
        self._checkpoints.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._checkpoints.last = None
        with contextlib.suppress(OSError):  # another program's are there
            self._folder.parent.rmdir()


def _tree(now) -> dict:
    """All of a run.Progress that changes, on the host; trials in their order."""
    tree = {
        "state": sweeping.joined([m.state for m in now.trials]),
        "alive": sweeping.joined([m.active for m in now.trials]),
        "frozen": now.diverged,
        "stopped": now.stopped,
        "loss": now.loss,
    }
    if now.best:
        tree["best"] = {
            "params": sweeping.joined(now.best.params),
            **{n: np.asarray(getattr(now.best, n)) for n in ("loss", "training_loss", "worse")},
            "epoch": np.asarray(now.best.epoch),
        }
    return tree
