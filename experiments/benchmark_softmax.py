"""The claim of "Deep Learning from Scratch 2", chapter 4: milliseconds a step against vocabulary.

python -m experiments.benchmark_softmax --workdir=OUT

CBOW's step as one-hot product and softmax, as gather and softmax, as gather and negative
sampling, on the same batch: forward, backward and the SGD update (softmax_variants.py). What
would not fit --memory_gb, or take longer than --max_step_sec, is told instead of run. All steps are
measured --rounds times over, every second round the other way about. Leaves results.jsonl, table.md
and softmax.png.
"""

from experiments.benchmarks import softmax
from experiments.cli import command

if __name__ == "__main__":
    softmax.define_flags()
    command.start(softmax.main, __doc__)
