"""What reading a text costs: MB/s the first time, seconds of a later run that maps it, memory.

python -m experiments.benchmark_reading --corpus=FILE --workdir=OUT

A round is two processes: one reads the text with an empty cache of ids, the next maps what the
first left there. The text itself may lie in the system's page cache. MB are 10^6 bytes: of the
text, those of its files as they lie on disk; memory is the first process's peak. Leaves
results.jsonl and table.md.
"""

from experiments.benchmarks import reading
from experiments.cli import command

if __name__ == "__main__":
    reading.define_flags()
    command.start(reading.main, __doc__)
