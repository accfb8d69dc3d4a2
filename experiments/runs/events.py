"""metrics.jsonl as TensorBoard's events: while a run trains, or later."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from experiments.runs import rundir

_SCALARS = ("loss", "objective", "learning_rate", "words_per_sec")
OF_EPOCHS = ("heldout_loss", "perplexity")


@contextlib.contextmanager
def writer(workdir: Path, asked: bool) -> Iterator[Callable[..., None]]:
    """Yields a function that adds a line to the events, if they are asked for.

    The line is of metrics.jsonl, or with `is_epoch` of epochs.jsonl.

    Events of lines that metrics.jsonl doesn't hold count no more; those of lines that it holds
    already are added where there are none yet.
    """
    if not asked:
        yield lambda line, is_epoch=False: None
        return
    from tensorboardX import SummaryWriter

    folder, before = workdir / rundir.TENSORBOARD, list(rundir.metrics(workdir))
    begin = 0 if not are_there(workdir) else before[-1]["step"] if before else 0
    # A run that is taken up within the second would write into the same file.
    suffix = f".{begin:012d}"
    with SummaryWriter(str(folder), purge_step=begin + 1, filename_suffix=suffix) as events:

        def event(line, is_epoch=False, walltime=None):
            for name in OF_EPOCHS if is_epoch else _SCALARS:
                if line.get(name) is not None:
                    events.add_scalar(name, line[name], line["step"], walltime)

        if not begin and before:
            began = os.path.getmtime(workdir / rundir.METRICS) - before[-1]["elapsed_sec"]
            for is_epoch, lines in ((False, before), (True, rundir.epochs(workdir))):
                for line in lines:
                    event(line, is_epoch, began + line["elapsed_sec"])
        yield event


def write(workdir: Path) -> None:
    """Makes the events of a run that had none."""
    with writer(workdir, True):
        pass


def are_there(workdir: Path) -> bool:
    """Whether a run directory holds events."""
    folder = workdir / rundir.TENSORBOARD
    return folder.is_dir() and any(folder.iterdir())
