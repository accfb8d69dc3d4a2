"""What replicas cost in quality, and what they bring in time.

python -m experiments.benchmark_replicas --corpus=FILE --points=1:0:1.2,2:500:1.7 --workdir=OUT

A point is R:n:rate, as --replicas, --sync_every and --learning_rate have it. Each run is
train_corpus in a process of its own, seeds 1 to --seeds; every second seed takes the points the
other way about. A run that is in OUT/results.jsonl is not repeated. Leaves table.md, replicas.png.
"""

from experiments.benchmarks import replicas
from experiments.cli import command

if __name__ == "__main__":
    replicas.define_flags()
    command.start(replicas.main, __doc__)
