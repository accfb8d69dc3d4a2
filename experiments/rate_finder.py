"""Which learning rates learn: many of them, in one program, on a small part of an epoch.

python -m experiments.rate_finder --flagfile=experiments/flagfiles/ptb_skipgram.cfg --workdir=RATES

The flags are a run's. 64 rates from a 64th to 64 times --learning_rate train on 2% of the text's
lines, drawn at random, at a constant rate. Leaves rates.md, rates.json and rates.png. A rate that
is best on a small part is rather too high for a whole training: it has less time to lose.
"""

from experiments.cli import command, config
from experiments.sweeps import rate_finder

if __name__ == "__main__":
    config.define_flags(rate_finder.IDLE, **config.of_library())
    rate_finder.define_flags()
    command.start(rate_finder.main, __doc__)
