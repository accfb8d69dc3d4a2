"""word2vec on any UTF-8 text, one sentence a line; plain, .gz, .xz or .bz2.

python -m experiments.train_corpus --corpus=FILE_OR_GLOB --model=skipgram --workdir=OUT

The defaults are the library's, the blocks engine's fast setting. Some depend on other flags or on
the size of the text (--help says how). A flag that is given is what it is.
"""

from absl import flags

from experiments.cli import command, config, defaults
from experiments.cli.config import of_library
from experiments.runs.run import run
from w2v_jax.types import UserError


def main() -> None:
    """One run."""
    if not flags.FLAGS.corpus and not flags.FLAGS.dataset:
        raise UserError("--corpus=FILE_OR_GLOB is missing (or --dataset=NAME)")
    run(config.from_flags(), "train_corpus")


if __name__ == "__main__":
    config.define_flags(dataset=None, **of_library())
    defaults.show_in_help()
    command.start(main, __doc__)
