"""Every program compiled for TPU v5e, TPU v6e and H100, none of which has to be there.

python -m experiments.aot_check --workdir=OUT

Needs the extra [aot], in an environment of its own: plugins that hold the compilers, no driver. A
process a device compiles the steps, the drawing and the sweep of `train_corpus`'s defaults from
shapes alone. A table shows what the compilers tell of each program, another the bounds on
them; the exit status is 1 where one is not met. Leaves results.jsonl and table.md.
"""

from experiments.benchmarks.ahead import check
from experiments.cli import command

if __name__ == "__main__":
    check.define_flags()
    command.start(check.main, __doc__)
