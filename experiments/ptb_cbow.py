"""CBOW with negative sampling on Penn Treebank.

python -m experiments.ptb_cbow --flagfile=experiments/flagfiles/ptb_cbow.cfg --workdir=OUT
"""

from experiments.cli import command, config
from experiments.runs.run import run


def main() -> None:
    """One run."""
    run(config.from_flags(), "ptb_cbow")


if __name__ == "__main__":
    config.define_flags(model="cbow")
    command.start(main, __doc__)
