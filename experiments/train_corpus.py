"""word2vec on any UTF-8 text, one sentence a line; plain, .gz, .xz or .bz2.

python -m experiments.train_corpus --corpus=FILE_OR_GLOB --model=skipgram --workdir=OUT

The defaults are the blocks engine's fast setting; some depend on other flags, and on small texts
there is less subsampling, and there are smaller steps and more epochs: see --help. A flag that is
given is what it is.
"""

from absl import flags

from experiments.cli import command, config, defaults
from experiments.cli.defaults import Case
from experiments.runs.run import run
from w2v_jax.types import UserError

ADAGRAD = ("adagrad", "row_adagrad")
CASES = {
    # The fastest number that costs no quality
    "negatives_per_group": (Case(48, {"model": ("skipgram",)}), Case(32, {"model": ("cbow",)})),
    "expected_window": (Case(True, {"engine": ("blocks",), "cbow_legacy_gradient": (False,)}),),
    "learning_rate": (
        Case(1.2, {"model": ("skipgram",), "optimizer": ADAGRAD}),
        Case(0.9, {"model": ("cbow",), "optimizer": ADAGRAD}),
    ),
    "epsilon": (
        Case(500.0, {"model": ("skipgram",), "optimizer": ADAGRAD}),
        Case(10.0, {"model": ("cbow",), "optimizer": ADAGRAD}),
    ),
}
SIZE = defaults.BySize()
DEFAULTS = {
    "dataset": None,
    "min_count": 5,
    "unk": "drop",
    "engine": "blocks",
    "update": "sparse",
    "noise": "with_replacement",
    "subsample_rule": "word2vec_c",
    "epochs": 3,  # as good as gensim's five
    "batch_size": 1024,
    "optimizer": "row_adagrad",
    "schedule": "linear",
}
OWN = {*DEFAULTS, *CASES, *defaults.SIZED}


def main() -> None:
    """One run."""
    if not flags.FLAGS.corpus and not flags.FLAGS.dataset:
        raise UserError("--corpus=FILE_OR_GLOB is missing (or --dataset=NAME)")
    defaults.of_flags(CASES)
    run(config.from_flags(), "train_corpus", SIZE)


if __name__ == "__main__":
    config.define_flags(**DEFAULTS)
    defaults.show_in_help(CASES, SIZE)
    command.start(main, __doc__)
