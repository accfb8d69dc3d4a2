"""One program of several trials against as many runs in turn, on the same cores.

python -m experiments.benchmark_sweep --script=ptb_skipgram \\
    --flagfile_of_runs=experiments/flagfiles/ptb_skipgram.cfg --trials=8 --rounds=3 --workdir=OUT

A round is `--trials` processes of the script, with seeds 1, 2, .., and one of ptb_ablation with
the same seeds; every second round the other way about. Times are seconds of training, which both
leave in their results, and of whole processes, start-up and compilation included. Nothing is
evaluated. Each trial's loss of the last epoch must be its run's.
"""

from experiments.benchmarks import sweeping
from experiments.cli import command

if __name__ == "__main__":
    sweeping.define_flags()
    command.start(sweeping.main, __doc__)
