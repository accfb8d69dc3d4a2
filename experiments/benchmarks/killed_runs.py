"""A run that is killed again and again, and whether it came to what it would have come to alone.

Everything that waits is a generator which yields while it does, so that one thread can look after
several processes.
"""

import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.report.tables import counted
from experiments.runs import rundir
from w2v_jax.types import UserError

STARTS, SAVES = 0.08, 0.4  # shares of the kills that are to come while it starts, while it saves
TIMES = ("words_per_sec", "elapsed_sec")  # what metrics.jsonl holds that no two runs share
SAME = ("final_loss", "objective", "corpus_sha256", "vocab_sha256", "words_per_epoch", "epochs")


LOST, LOSS = 134, 30  # status of a run of which a process was lost, seconds until it ends


class Moment(NamedTuple):
    """When a process is to be killed."""

    phase: str  # start: before it trains; training; save: during one; end: once all is trained
    fraction: float  # of the phase's time (save: of the training's, then at the next save)


class Pace(NamedTuple):
    """Seconds that the phases of a run take."""

    start: float
    training: float
    end: float  # until the run is complete: what a process does after that can't be lost


class Command(NamedTuple):
    """What trains; a run directory is given with --workdir."""

    argv: list[str]
    env: dict[str, str]

    def in_folder(self, folder: Path, *more: str) -> "Command":
        """The same in a folder, with further flags."""
        return self._replace(argv=[*self.argv, *more, f"--workdir={folder}"])


class Round(NamedTuple):
    """A run from its beginning to its end."""

    kills: list[dict]
    differences: list[str]  # from the run that nobody killed; empty: none


def plan(kills: int, seed: int | Sequence[int]) -> list[Moment]:
    """Moments of all phases in a random order; the first kills are more often early, the last late.

    The start's come first of all and between; one, at the very end, after the last step.
    """
    rng = np.random.default_rng(seed)
    starts, saves = round(STARTS * kills), round(SAVES * kills)
    ends = 1 if kills >= 4 else 0
    between = ["save"] * saves + ["training"] * (kills - starts - saves - ends)
    between += ["start"] * (starts - 1)
    between = [between[i] for i in rng.permutation(len(between))]
    phases = ["start"] * min(starts, 1) + between + ["end"] * ends
    return [Moment(phase, float(rng.uniform())) for phase in phases]


class Life:
    """One process at work in a run directory."""

    def __init__(self, command: Command, folder: Path, log: Path):
        self._folder, self._log = folder, log
        self._said = log.stat().st_size if log.exists() else 0
        self._born, self._began = time.time_ns(), time.perf_counter()
        self.trained: float | None = None  # seconds after its start when it began to train
        self.ended: float | None = None  # and to write what it has come to
        with open(log, "ab") as file:
            streams = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
            self._process = subprocess.Popen(command.argv, env=command.env, **streams)

    def __enter__(self) -> "Life":
        return self

    def __exit__(self, *error) -> None:
        self.kill()

    def sec(self) -> float:
        """Seconds since its start."""
        return time.perf_counter() - self._began

    def look(self) -> int | None:
        """Notes what it has come to; its exit status, None while it lives."""
        if self.trained is None and self._is_new(self._folder / rundir.METRICS):
            self.trained = self.sec()
        elif self.trained is not None and self.ended is None:
            names = (p for p in _listed(self._folder) if p.endswith(".part"))
            written = [*names, rundir.VECTORS["text"]]
            if any(self._is_new(self._folder / name) for name in written):
                self.ended = self.sec()
        return self._process.poll()

    def saves(self) -> bool:
        """Whether a checkpoint is half written, by this process (others' go when it starts)."""
        return self.trained is not None and any(
            name.endswith("tmp") for name in _listed(self._folder / rundir.CHECKPOINTS)
        )

    def kill(self) -> int:
        """SIGKILL, if it lives; its exit status, or minus the signal's number."""
        self._process.kill()
        return self._process.wait()

    def kill_other(self) -> bool:
        """SIGKILL to a process that it has started, and its own end; False where there is none."""
        number = self._process.pid
        try:
            others = Path(f"/proc/{number}/task/{number}/children").read_text().split()
            os.kill(int(others[0]), signal.SIGKILL)
        except (OSError, IndexError):
            return False
        try:
            return self._process.wait(LOSS) == LOST
        except subprocess.TimeoutExpired:
            return False

    def said(self) -> str:
        """What it printed."""
        with open(self._log, "rb") as file:
            file.seek(self._said)
            return file.read().decode(errors="replace")

    def _is_new(self, path: Path) -> bool:
        try:
            return path.stat().st_mtime_ns > self._born
        except OSError:
            return False


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def newest(folder: Path) -> int | None:
    """The step of the newest checkpoint of a run."""
    names = _listed(folder / rundir.CHECKPOINTS)
    return max((int(name) for name in names if name.isdecimal()), default=None)


def went_on(said: str) -> int | str | None:
    """From which step a process went on; anew, complete; None where it did not come to say so."""
    if found := re.search(r"going on from step ([\d,]+)", said):
        return int(found[1].replace(",", ""))
    for sign, meaning in (("begins anew", "anew"), ("this very run, complete", "complete")):
        if sign in said:
            return meaning
    return None


def uninterrupted(command: Command, folder: Path, log: Path) -> Generator[None, None, Pace]:
    """Runs to the end, without a checkpoint; how long that took. Raises UserError if it fails."""
    shutil.rmtree(folder, ignore_errors=True)
    command = command.in_folder(folder, "--checkpoint_every_sec=0")
    with Life(command, folder, log) as life:
        complete = None
        while (status := life.look()) is None:
            if complete is None and life.ended is not None and rundir.is_complete(folder):
                complete = life.sec()
            yield
        if status or life.trained is None or life.ended is None:
            raise UserError(f"exit status {status}: {_last_line(life)} ({log})")
        complete = complete or life.sec()
        return Pace(life.trained, life.ended - life.trained, complete - life.ended)


def killed(
    command: Command, folder: Path, log: Path, moments: Sequence[Moment], pace: Pace, whole: Path
) -> Generator[None, None, Round]:
    """Starts a run, kills it at the moments, each time starting it again, and lets it then end.

    Where it ends before, the moments left are left. whole: the run directory to compare with.
    """
    shutil.rmtree(folder, ignore_errors=True)
    kills, begun = [], 0  # begun: kills whose next process has told from where it goes on
    patience = 60 + 20 * sum(pace)
    for moment in [*moments, None]:
        with Life(command.in_folder(folder), folder, log) as life:
            while (status := life.look()) is None and not (moment and _due(life, moment, pace)):
                if life.sec() > patience:
                    return Round(kills, [f"no end after {patience:.0f} s ({log})"])
                yield
            other = status is None and len(kills) % 2 == 1 and life.kill_other()
            if not other and life.kill() != -signal.SIGKILL:  # it ended by itself, perhaps just now
                status = life.look()
            if status is None:
                died = {"phase": moment.phase, "sec": life.sec(), "trained": life.trained}
                died |= {"during_save": life.saves(), "newest": newest(folder), "went_on": None}
                died |= {"of_another": other}
            whence = went_on(life.said())
            if whence is None and (status is not None or life.trained is not None):
                whence = "anew"  # there was nothing of a run yet
            if whence is not None:
                for kill in kills[begun:]:
                    kill["went_on"] = whence
                begun = len(kills)
            if status is not None:
                break
            kills.append(died)
            if life.trained is not None:
                pace = pace._replace(start=life.trained)
    if status:
        return Round(kills, [f"exit status {status}: {_last_line(life)} ({log})"])
    return Round(kills, differences(whole, folder))


def _due(life: Life, moment: Moment, pace: Pace) -> bool:
    if moment.phase == "start":
        return life.sec() >= moment.fraction * pace.start
    since = life.ended if moment.phase == "end" else life.trained
    length = pace.end if moment.phase == "end" else pace.training
    if since is None or life.sec() - since < moment.fraction * length:
        return False
    return moment.phase != "save" or life.saves()


def _last_line(life: Life) -> str:
    return (life.said().strip().splitlines() or ["it printed nothing"])[-1]


def differences(whole: Path, other: Path) -> list[str]:
    """What tells a run's results from another's, a line each: the files to the byte, but times."""
    found = []
    for name in (rundir.VECTORS["text"], rundir.VOCAB, rundir.FLAGS):
        if not (other / name).is_file():
            found.append(f"{name} is missing")
        elif not filecmp.cmp(whole / name, other / name, shallow=False):
            found.append(f"{name} is another")
    try:
        ours, theirs = (rundir.read_summary(folder) for folder in (whole, other))
        found += [f"{name} is another" for name in SAME if ours[name] != theirs[name]]
        if not theirs["complete"]:
            found.append(f"{rundir.SUMMARY} is not complete")
        found += _metrics_differ(_metrics(whole), _metrics(other))
    except (UserError, OSError, ValueError, KeyError) as error:
        found.append(f"cannot be read: {error}")
    return found


def _metrics(folder: Path) -> list[dict]:
    lines = (folder / rundir.METRICS).read_text(encoding="utf-8").splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def _metrics_differ(ours: list[dict], theirs: list[dict]) -> list[str]:
    found = []
    if len(ours) != len(theirs):
        found.append(f"{rundir.METRICS} has {counted(len(theirs), 'line')}, not {len(ours)}")
    pairs = enumerate(zip(ours, theirs, strict=False), 1)
    first = next((number for number, (a, b) in pairs if a != b), None)
    return found if first is None else [*found, f"{rundir.METRICS} differs from line {first} on"]
