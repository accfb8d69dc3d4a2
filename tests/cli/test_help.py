"""--help names every flag once, under a topic, what matters first."""

import dataclasses
import re

import pytest
from scripts import start

from experiments.cli import help as helping
from experiments.cli.config import RunConfig


def test_every_field_of_a_run_has_a_topic():
    known = [name for names in helping.TOPICS.values() for name in names]
    assert len(known) == len(set(known))
    assert {f.name for f in dataclasses.fields(RunConfig)} <= set(known)


@pytest.mark.parametrize("script", ["train_corpus", "ptb_ablation", "query"])
def test_help_shows_each_flag_once_and_what_matters_first(capsys, script):
    assert start(script, "--help") == 0
    shown = capsys.readouterr().out
    names = re.findall(r"^  (?:-\w,)?--(?:\[no\])?(\w+):", shown, re.M)
    assert len(names) == len(set(names))
    topics = [line[:-1] for line in shown.splitlines() if re.fullmatch(r"[a-z][a-z, ]+:", line)]
    assert topics == [t for t in [*helping.TOPICS, "further flags"] if t in topics]
    if script != "query":
        assert {f.name for f in dataclasses.fields(RunConfig)} - set(names) <= {
            *("overwrite", "resume", "resident_gb", "checkpoint_every_steps"),
            *("continue_from", "continue_schedule", "processes", "distributed"),
        }
        assert names.index("corpus") < names.index("window") < names.index("beta1")
