"""A run's folder, opened once: may it be used, what is in it, is it the same run."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from experiments.cli import console, earlier_flags
from experiments.cli.config import RunConfig
from experiments.runs import fingerprint, lock, rundir
from w2v_jax.defaults import resolve


class OpenRun(NamedTuple):
    """A folder that this process holds, and the run in it that may go on."""

    workdir: Path
    there: dict | None  # the fingerprint of the run that it holds; None: a new run

    def goes_on(self, this: dict) -> bool:
        """Whether it holds the run of fingerprint `this`; False for a new run.

        What a killed process had begun to write is removed. Raises UserError where the run that
        it holds is another.
        """
        if self.there is None:
            return False
        fingerprint.check(f"--workdir={self.workdir}", self.there, this)
        rundir.clear_unfinished(self.workdir)
        before, now = (flags["flags"].get("mesh", "") for flags in (self.there, this))
        if before != now:
            console.log(f"note: it began with --mesh={before}; the last bits are those of both")
        return True


@contextmanager
def open_run(config: RunConfig, workdir: Path, sized: list[str]) -> Iterator[OpenRun]:
    """Locks a run's folder. Flags are compared before the text is read.

    sized: fields that the size of the text decides; they are taken from the run there. Raises
    UserError where another process holds it, where it holds anything but a run that may go on or
    be replaced, and where that run's flags are others.
    """
    rundir.check(workdir, config.overwrite, config.resume)  # a folder that is refused gets no lock
    with lock.held(workdir):
        there = rundir.check(workdir, config.overwrite, config.resume)
        if there:
            stored = earlier_flags.values(there["flags"], sized)
            as_there = resolve(dataclasses.replace(config, **stored))
            known = {"flags": fingerprint.of_flags(as_there)}
            fingerprint.check(f"--workdir={workdir}", there, known)
        yield OpenRun(workdir, there)
