"""`1 word`, not `1 words`: who tells a number that may be 1 counts with `counted`."""

import re
from pathlib import Path

import pytest

import experiments
import w2v_jax
from w2v_jax.counting import counted

NOUNS = (
    *("trial", "seed", "word", "line", "run", "item", "pair", "type", "token", "epoch", "step"),
    *("setting", "program", "round", "kill", "file", "byte", "centre", "column", "value", "row"),
    *("checkpoint", "chunk", "thread", "CPU", "core", "device", "update", "point", "compilation"),
)
PLURAL = re.compile(rf"\{{([^{{}}]*)\}} (?:[a-z]+ )?(?:{'|'.join(NOUNS)})s\b")
NO_COUNT = re.compile(
    r"LEAST|LONGEST|LIMIT|MOST_|MIN_SEEDS|SIZE\.|^TEXT\."  # constants above 1
    r"|^(size\.|sizes\[|least$|2 \* |runs$)"  # above 1 where they are told
    r"|^(rate:|_rate\(|total_fmt$|.*_per_sec)"  # a rate, a unit
    r"|^rows:,$|static\.group_size"  # a multiple of a block
    r"|^cpus\(\)$|^CPUS$"  # the machine's name, by which results are told from others
    r"|^(', '|trial: |known$|folder$)"  # no number
)
FILES = sorted(
    path
    for package in (experiments, w2v_jax)
    for path in Path(package.__file__).parent.rglob("*.py")
    if "walkthrough" not in path.parts  # its numbers are asserted
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_numbers_of_things_are_counted(path):
    found = [match for match in PLURAL.finditer(path.read_text()) if not NO_COUNT.search(match[1])]
    assert not [match[0] for match in found]


def test_one_is_singular():
    assert [counted(n, "trial") for n in (0, 1, 2, 1000)] == [
        *("0 trials", "1 trial", "2 trials", "1,000 trials")
    ]
