"""CBOW with negative sampling on Penn Treebank.

python -m experiments.ptb_cbow --flagfile=experiments/flagfiles/ptb_cbow.cfg --workdir=OUT
"""

from experiments import entry
from experiments.cli import config
from experiments.run import run


def main() -> None:
    """One run."""
    run(config.from_flags(), "ptb_cbow")


if __name__ == "__main__":
    config.define_flags(model="cbow")
    entry.start(main, __doc__)
