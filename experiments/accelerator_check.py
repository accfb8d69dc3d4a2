"""What an accelerator does with w2v_jax, in ten minutes: one command, one table.

python -m experiments.accelerator_check --budget=540 --workdir=OUT [--corpus=FILE]

Eleven items, most valuable first, each a process of its own with a time limit and a line of
OUT/results.jsonl. The same command goes on where it was ended; what failed is tried again last.
Items that don't fit the rest of --budget are left out. Steps are measured on drawn ids; --corpus is
the text of items 10 and 11, and vectors are judged only with one. --tiny rehearses all on a CPU.
Without an accelerator only --items=11, the CPU cores, is measured. Leaves OUT/table.txt, at most
60 lines, and prints it.
"""

from experiments.benchmarks.accelerator import runner
from experiments.cli import command

if __name__ == "__main__":
    runner.define_flags()
    command.start(runner.main, __doc__)
