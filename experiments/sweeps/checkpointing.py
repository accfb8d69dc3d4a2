"""When a sweep's program is saved, and how it is taken up again.

A checkpoint holds the trials that one process trains together. Another process may go on with some
of them: what it takes up are rows of the arrays.
"""

import contextlib
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from experiments.cli import console, earlier_flags
from experiments.cli.config import RunConfig
from experiments.runs import rundir
from experiments.sweeps.plan import Program, Trial
from w2v_jax import checkpoint, sweeping
from w2v_jax.checkpoint import Checkpoints
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import UserError


class Source(NamedTuple):
    """The newest checkpoint of a folder, from which trials may go on."""

    folder: Path
    trials: list[str]  # as `written` names them, in the order of the arrays' rows
    epoch: int
    seconds: float
    arrays: dict[str, np.ndarray]  # [S, ..] each
    about: Mapping = MappingProxyType({})  # what else was saved with them

    def rows(self, trials: Sequence[Trial], base: RunConfig) -> list[int]:
        """Where these are in the arrays; [] where one of them isn't."""
        found = [_row(self.trials, trial, base) for trial in trials]
        return [] if None in found else found

    def whose(self, trials: Sequence[Trial], base: RunConfig) -> list[Trial]:
        """The trials of the arrays' rows; [] where one of them is none of these."""
        found = [next((t for t in trials if _is_this(n, t, base)), None) for n in self.trials]
        known = [trial for trial in found if trial is not None]
        return known if len(known) == len(found) else []


def written(trial: Trial, base: RunConfig) -> str:
    """A trial's name in a checkpoint: its flags, and its number in the sweep."""
    return trial.flags(base) + f" #{trial.index}"


def sources(
    folder: Path, number: int, trials: Sequence[Trial], base: RunConfig, alone: bool
) -> list[Source]:
    """What earlier processes left of a program's trials, the newest first.

    trials: those that this process goes on with; alone: no other process is at work in the folder.
    What is damaged is put aside, where no other process may need it.
    """
    found = []
    for path in _folders(folder, number):
        listed = _listed(path)
        own = [line for line in listed or () if any(_is_this(line, t, base) for t in trials)]
        if listed is not None and not own:
            continue
        checkpoints = Checkpoints(str(path), base.keep_checkpoints)
        note = console.note
        is_own = alone or (listed is not None and len(own) == len(listed))
        saved = checkpoints.restore(None, note) if is_own else checkpoints.newest(note)
        checkpoints.close()
        if saved:
            about = saved.about
            epoch, seconds = about["epoch"], about["seconds"]
            found.append(Source(path, about["members"], epoch, seconds, saved.arrays, about))
    return sorted(found, key=lambda source: -source.epoch)


def pieces(
    groups: Sequence[tuple[Trial, ...]], found: Sequence[Source], base: RunConfig
) -> list[tuple[list[Trial], Source | None]]:
    """The trials of groups that go on together, and from where; None: from the beginning."""
    by_source: dict[int | None, list[Trial]] = {}
    for group in groups:
        index = next((i for i, source in enumerate(found) if source.rows(group, base)), None)
        by_source.setdefault(index, []).extend(group)
    return [(trials, None if i is None else found[i]) for i, trials in by_source.items()]


def clear_all(folder: Path) -> None:
    """Removes all checkpoints of a sweep: all of its lines are written."""
    shutil.rmtree(folder / rundir.CHECKPOINTS, ignore_errors=True)


def _folders(folder: Path, number: int) -> list[Path]:
    base = folder / rundir.CHECKPOINTS
    found = [base / f"program-{number}", *sorted(base.glob(f"program-{number}-*"))]
    return [path for path in found if path.is_dir()]


def _listed(path: Path) -> list[str] | None:
    """The trials of a folder that holds a part of a program; None: of one that holds a whole."""
    try:
        return json.loads(path.with_suffix(".json").read_text())
    except FileNotFoundError:
        return None


def _row(names: Sequence[str], trial: Trial, base: RunConfig) -> int | None:
    return next((i for i, name in enumerate(names) if _is_this(name, trial, base)), None)


def _is_this(text: str, trial: Trial, base: RunConfig) -> bool:
    """Whether a trial is the one that a checkpoint of any version names so."""
    flags, _, index = text.rpartition("#")
    if index != str(trial.index):
        return False
    there = {**earlier_flags.of(base), **earlier_flags.stored(flags)}
    return not earlier_flags.differences(there, earlier_flags.of(trial.config))


class Saves:
    """The checkpoints of one program, or a part: what its trials are after an epoch."""

    def __init__(
        self,
        folder: Path,
        program: Program,
        config: RunConfig,
        source: Source | None = None,
        whole: bool = True,
    ):
        """config: of the sweep, for how often; the folder is that of the results.

        source: where the trials go on from; whole: whether they are all of the program's.
        """
        self._program, self._base, self._source = program, config, source
        # What else decides which trial is where.
        self._trials = [written(trial, config) for trial in program.trials]
        name = f"program-{program.number}"
        if not whole:
            digest = hashlib.sha256("\n".join(self._trials).encode()).hexdigest()
            name += f"-{digest[:12]}"
        self._folder, self._whole = folder / rundir.CHECKPOINTS / name, whole
        self._checkpoints = Checkpoints(str(self._folder), config.keep_checkpoints)
        self._seconds, self._time = config.checkpoint_every_sec, time.perf_counter()
        self._is_new = True

    def holds(self, program: Program) -> None:
        """From now on the rows are the trials of another program of this shape."""
        self._program = program
        self._trials = [written(trial, self._base) for trial in program.trials]

    def after(self, now, about: Mapping = MappingProxyType({})) -> None:
        """Saves if it is due."""
        if self._seconds and time.perf_counter() - self._time >= self._seconds:
            self.save(now, about)

    def save(self, now, about: Mapping = MappingProxyType({})) -> None:
        """Begins to save a run.Progress; about: what else is to be known of it, in JSON."""
        if self._is_new:
            self._begin()
        trials = {"epoch": now.epoch, "seconds": now.seconds, "members": self._trials}
        about = {**trials, **about}
        self._checkpoints.save(now.epoch, checkpoint.flat(_tree(now)), about)
        self._time = time.perf_counter()

    def _begin(self) -> None:
        """Makes room for the first save, where older ones are of other trials."""
        self._is_new = False
        here = self._source and self._source.folder == self._folder
        if here and self._source.trials == self._trials:
            self._checkpoints.last = self._source.epoch
        else:
            shutil.rmtree(self._folder, ignore_errors=True)
        if not self._whole:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            listed = json.dumps(self._trials).encode()
            write_atomically(str(self._folder.with_suffix(".json")), listed)

    def end(self, now) -> None:
        """Saves the end of a program, unless no checkpoint was asked for or made.

        It is removed once the trials are measured; where it can't be written, they still are.
        """
        if self._source and now.epoch == self._source.epoch:
            return  # it is there
        try:
            if self._seconds or self._has_saved():
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
            if self._has_saved():
                console.log(
                    "stopped behind the end of a training, which is saved; the same command goes on"
                )
            raise

    def _has_saved(self) -> bool:
        return self._checkpoints.last is not None or self._source is not None

    def restore(self, now) -> None:
        """Makes a program's beginning the progress that its source holds, if it has one."""
        if self._source is None:
            return
        tree, (folder, _, epoch, seconds, arrays, _) = _tree(now), self._source
        count = len(arrays["loss"])
        arrays.setdefault("curve", np.full((count, *now.curve.shape[1:]), np.nan))
        arrays.setdefault("begun", np.zeros(count, np.int64))
        if sorted(arrays) != sorted(checkpoint.names_of(tree)):
            raise UserError(f"{folder}/{epoch}: holds other arrays than this version's")
        rows = self._source.rows(self._program.trials, self._base)
        rows += rows[-1:] * (self._program.size - len(rows))
        found = checkpoint.unflat({name: array[rows] for name, array in arrays.items()}, tree)
        found["alive"][len(self._program.trials) :] = False
        devices = [m.active.device for m in now.trials]
        parts = sweeping.split((found["state"], found["alive"]), devices)
        now.trials = tuple(
            m.replace(state=state, active=active)
            for m, (state, active) in zip(now.trials, parts, strict=True)
        )
        now.diverged, now.stopped, now.loss = (found[n] for n in ("frozen", "stopped", "loss"))
        now.curve, now.begun = found["curve"], found["begun"]
        if now.best:
            now.best.params = list(sweeping.split(found["best"].pop("params"), devices))
            vars(now.best).update(found["best"])
        now.epoch, now.seconds = epoch, seconds
        arrays.clear()  # they may be as large as the state
        console.log(f"going on after epoch {epoch} ({folder})")

    def clear(self) -> None:
        """Removes the checkpoints: the program's results are written."""
        self._checkpoints.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.with_suffix(".json").unlink(missing_ok=True)
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
        "curve": now.curve,
        "begun": now.begun,
    }
    if now.best:
        tree["best"] = {
            "params": sweeping.joined(now.best.params),
            **{n: np.asarray(getattr(now.best, n)) for n in ("loss", "training_loss", "worse")},
            "epoch": np.asarray(now.best.epoch),
        }
    return tree
