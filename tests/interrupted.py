"""Runs that a signal ends, and what is left of them."""

import itertools
import json
import os

from scripts import QUICK, start

from experiments.runs import rundir


def metrics_of(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["words_per_sec"], line["elapsed_sec"]
    return lines


def after_lines(monkeypatch, count, do):
    """Does something when metrics.jsonl has got so many lines in this process."""
    own, seen = rundir.LinesFile.write, itertools.count(1)

    def write(self, values):
        own(self, values)
        if next(seen) == count:
            do()

    monkeypatch.setattr(rundir.LinesFile, "write", write)


def signalled(monkeypatch, count, number, *args):
    """A run that gets a signal after so many lines; its exit status."""
    with monkeypatch.context() as patch:
        after_lines(patch, count, lambda: os.kill(os.getpid(), number))
        return start("ptb_skipgram", *args)


def arguments(text_folder, out, *more):
    return [*QUICK, f"--data_dir={text_folder}", f"--workdir={out}", "--log_every_steps=2", *more]
