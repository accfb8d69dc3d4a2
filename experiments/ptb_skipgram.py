"""Skip-gram with negative sampling on Penn Treebank.

python -m experiments.ptb_skipgram --flagfile=experiments/flagfiles/ptb_skipgram.cfg --workdir=OUT
"""

from experiments import config, defaults, entry
from experiments.run import run


def main() -> None:
    """One run."""
    defaults.of_flags()
    run(config.from_flags(), "ptb_skipgram")


if __name__ == "__main__":
    config.define_flags(model="skipgram")
    defaults.show_in_help()
    entry.start(main, __doc__)
