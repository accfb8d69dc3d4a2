"""w2v_jax beside other programs: alternating runs from raw text to vectors, speed and quality.

python -m experiments.benchmark --corpus=FILE --baselines=w2v_jax@3,gensim@5 --workdir=OUT
python -m experiments.benchmark --dataset=ptb --min_count=1 --baselines=w2v_jax@15,gensim@15 ...

Every run is a process of its own; the order of the entries turns round from seed to seed. A run
that is in OUT/results.jsonl is not repeated. Leaves results.jsonl, table.md and benchmark.png.
"""

from experiments.benchmarks import speed
from experiments.cli import command

if __name__ == "__main__":
    speed.define_flags()
    command.start(speed.main, __doc__)
