"""metrics.jsonl as TensorBoard's events: while a run trains, or later."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from experiments.runs import rundir

_SCALARS = ("loss", "objective", "learning_rate", "words_per_sec")


@contextlib.contextmanager
def writer(workdir: Path, asked: bool) -> Iterator[Callable[[dict], None]]:
    """Yields a function that adds a line of metrics to the events, if they are asked for.

    Events of lines that metrics.jsonl doesn't hold count no more; those of lines that it holds
    already are added where there are none yet.
    """
    if not asked:
        yield lambda line: None
        return
    from tensorboardX import SummaryWriter

    folder, before = workdir / rundir.TENSORBOARD, list(rundir.metrics(workdir))
    begin = 0 if not are_there(workdir) else before[-1]["step"] if before else 0
    # A run that is taken up within the second would write into the same file.
    suffix = f".{begin:012d}"
    with SummaryWriter(str(folder), purge_step=begin + 1, filename_suffix=suffix) as events:

        def event(line, walltime=None):
            for name in _SCALARS:
                if line[name] is not None:
                    events.add_scalar(name, line[name], line["step"], walltime)

        for line in before if not begin else ():
            began = os.path.getmtime(workdir / rundir.METRICS) - before[-1]["elapsed_sec"]
            event(line, began + line["elapsed_sec"])
        yield event


def write(workdir: Path) -> None:
    """Makes the events of a run that had none."""
    with writer(workdir, True):
        pass


def are_there(workdir: Path) -> bool:
    """Whether a run directory holds events."""
    folder = workdir / rundir.TENSORBOARD
    return folder.is_dir() and any(folder.iterdir())
