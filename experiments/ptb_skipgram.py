"""Skip-gram with negative sampling on Penn Treebank.

python -m experiments.ptb_skipgram --flagfile=experiments/flagfiles/ptb_skipgram.cfg --workdir=OUT
"""

from experiments.cli import command, config
from experiments.runs.run import run


def main() -> None:
    """One run."""
    run(config.from_flags(), "ptb_skipgram")


if __name__ == "__main__":
    config.define_flags(model="skipgram")
    command.start(main, __doc__)
