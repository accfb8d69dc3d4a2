"""What checkpoints cost, and what a text costs that is larger than memory.

python -m experiments.benchmark_durability --corpus=FILE --rounds=3 --workdir=OUT
python -m experiments.benchmark_durability --corpus=FILE --ways=resident,plain,large \\
    --large='BIG/*.txt' --large_flags=--min_count=290 --workdir=OUT

Each way is train_corpus in a process of its own; a round is all ways, every second round the other
way about. plain: no checkpoint, the text read ahead of use; saving: a checkpoint every --every_sec;
resident: the text on the device; large: one epoch of another text. Words/s are corpus words over
seconds of training, saving and reading included. Peak memory is that of the process, pages of
mapped files too.
"""

from experiments.benchmarks import durability
from experiments.cli import command

if __name__ == "__main__":
    durability.define_flags()
    command.start(durability.main, __doc__)
