"""The processes that share a sweep: started here on CPUs, or those of --distributed.

The first, which owns the folder and the screen, prepares it. Then each trains its share. The first
waits for all and brings the lines together. No process needs another while it trains.
"""

import contextlib
import sys
from collections.abc import Iterator
from typing import NamedTuple

from absl import flags

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.cli.errors import Stopped
from experiments.runs import children, distributed, group
from experiments.runs.children import Children
from experiments.runs.group import Group
from experiments.sweeps.shares import Share
from w2v_jax.types import UserError

PATIENCE = 120  # seconds that the other processes have to save, where the first was asked to stop


class Team(NamedTuple):
    """The processes of a sweep, as one of them sees them."""

    share: Share = Share()
    children: Children | None = None
    group: Group | None = None

    def leads(self) -> bool:
        """Whether this is the first."""
        return self.share.number == 0

    def is_alone(self) -> bool:
        """Whether there is no other."""
        return self.share.processes == 1

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """While the text is read: by one process of a machine first."""
        return self.group.reading() if self.group else contextlib.nullcontext()

    def begin(self) -> None:
        """The folder is ready: tells the others, or waits to be told."""
        if self.group:
            self.group.trains(True if self.leads() else None)
        elif self.children:
            self.children.tell("begin")
        elif not self.is_alone():
            children.heard_from_the_first()

    def agree(self, settings: dict) -> None:
        """Raises UserError, in all processes, where one was given another sweep."""
        if self.group:
            self.group.agree(settings)

    def finish(self) -> None:
        """Until all have trained their shares; from here each is by itself."""
        if self.group:
            self.group.gathered("finished", self.share.number)
            self.group.part()
        elif self.children:
            self.children.wait()


@contextlib.contextmanager
def together(base: RunConfig, folder: str, trials: int) -> Iterator[Team]:
    """The processes of a sweep into a folder. It must be called before JAX starts."""
    if distributed.is_started():
        given = distributed.given()
        yield Team(Share(given.number, given.processes))
        return
    with group.together() as joined:
        if joined:
            yield from _of_group(joined, base)
            return
        count = min(flags.FLAGS.processes or 1, trials)
        if count == 1 or not _can_start(base):
            yield Team()
            return
        with children.started(count, _script(), folder, PATIENCE) as others:
            yield Team(Share(0, count), children=others)


def _of_group(joined: Group, base: RunConfig) -> Iterator[Team]:
    if not base.workdir:
        raise UserError("--workdir is missing: all processes of --distributed write to one folder")
    try:
        yield Team(Share(joined.given.number, joined.given.processes), group=joined)
    except (Stopped, SystemExit, KeyboardInterrupt):
        joined.stop()
        raise


def _can_start(base: RunConfig) -> bool:
    if children.can_start(base):
        return True
    console.log(
        "note: --processes: one process, as the text can't be read twice, or JAX is not on CPUs"
    )
    return False


def _script() -> str:
    """The command's own name."""
    return sys.modules["__main__"].__spec__.name.rpartition(".")[2]
