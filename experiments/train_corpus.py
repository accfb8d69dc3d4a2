"""word2vec on any UTF-8 text, one sentence a line; plain, .gz, .xz or .bz2.

python -m experiments.train_corpus --corpus=FILE_OR_GLOB --model=skipgram --workdir=OUT
"""

from absl import flags

from experiments import config, entry
from experiments.run import run
from w2v_jax.types import UserError


def main() -> None:
    """One run."""
    if not flags.FLAGS.corpus and not flags.FLAGS.dataset:
        raise UserError("--corpus=FILE_OR_GLOB is missing (or --dataset=NAME)")
    run(config.from_flags(), "train_corpus")


if __name__ == "__main__":
    config.define_flags(dataset=None, min_count=5, unk="drop")
    entry.start(main, __doc__)
