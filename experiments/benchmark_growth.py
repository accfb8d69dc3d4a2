"""How w2v_jax's cost grows: words/s against V, D, corpus size, K and W, one at a time.

python -m experiments.benchmark_growth --workdir=OUT
python -m experiments.benchmark_growth --flagfile=experiments/flagfiles/FILE.cfg --workdir=OUT

On a synthetic Zipf corpus of ids; the training flags set the engine and what is not varied. A
point is timed from the end of the first dispatch (--log_every_steps steps), for --timed_sec at
least, epoch after epoch: subsampling and noise count where an epoch's draws fall into that time.
All points are measured --rounds times over, every second round the other way about. Leaves
results.jsonl, table.md and growth.png.
"""

from experiments.benchmarks import growth
from experiments.cli import command

if __name__ == "__main__":
    growth.define_flags()
    command.start(growth.main, __doc__)
