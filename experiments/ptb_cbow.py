"""CBOW with negative sampling on Penn Treebank.

python -m experiments.ptb_cbow --flagfile=experiments/flagfiles/ptb_cbow.cfg --workdir=OUT
"""

from experiments import config, defaults, entry
from experiments.run import run


def main() -> None:
    """One run."""
    defaults.of_flags()
    run(config.from_flags(), "ptb_cbow")


if __name__ == "__main__":
    config.define_flags(model="cbow")
    defaults.show_in_help()
    entry.start(main, __doc__)
