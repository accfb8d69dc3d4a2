"""Kills runs with SIGKILL, again and again, and tells whether they come to the same bits.

python -m experiments.kill_test --kills=100 --workdir=OUT

Each setting is trained once undisturbed. Then runs of it are killed at random moments, while they
start, train, save and end, started again by the same command, and compared when they are through:
vectors, vocabulary and flags to the byte, metrics but for their times. Leaves results.jsonl, a line
a kill and a line a run, and table.md. Exit status 1 where anything differs.
"""

from experiments.benchmarks import kill_test
from experiments.cli import command

if __name__ == "__main__":
    kill_test.define_flags()
    command.start(kill_test.main, __doc__)
