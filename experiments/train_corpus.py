"""word2vec on any UTF-8 text, one sentence a line; plain, .gz, .xz or .bz2.

python -m experiments.train_corpus --corpus=FILE_OR_GLOB --model=skipgram --workdir=OUT

The defaults are the blocks engine's fast setting. Shared noise words and, where the optimiser is
one of Adagrad's two forms, learning rate and epsilon are by default the model's own. Windows are
expected ones by default, but by the pairs engine or with CBOW's legacy gradient drawn ones.
"""

from absl import flags

from experiments import config, entry
from experiments.run import run
from w2v_jax.types import UserError

SHARED_NOISE = {"skipgram": 48, "cbow": 32}  # the fastest number that costs no quality
ADAGRAD = {"skipgram": (1.2, 500.0), "cbow": (0.9, 10.0)}  # learning rate, epsilon
DEFAULTS = {
    "dataset": None,
    "min_count": 5,
    "unk": "drop",
    "engine": "blocks",
    "rows": "touched",
    "noise": "with_replacement",
    "subsample_rule": "word2vec_c",
    "epochs": 3,  # as good as gensim's five
    "batch_size": 1024,
    "optimizer": "row_adagrad",
    "schedule": "linear",
}
OWN = {*DEFAULTS, "shared_noise", "expected_window", "learning_rate", "epsilon"}


def main() -> None:
    """One run."""
    if not flags.FLAGS.corpus and not flags.FLAGS.dataset:
        raise UserError("--corpus=FILE_OR_GLOB is missing (or --dataset=NAME)")
    model = flags.FLAGS.model
    drawn = flags.FLAGS.engine != "blocks" or flags.FLAGS.cbow_legacy_gradient
    defaults = {"shared_noise": SHARED_NOISE[model], "expected_window": not drawn}
    if flags.FLAGS.optimizer in ("adagrad", "row_adagrad"):
        defaults["learning_rate"], defaults["epsilon"] = ADAGRAD[model]
    for name, value in defaults.items():
        if not flags.FLAGS[name].present:
            flags.FLAGS.set_default(name, value)
    run(config.from_flags(), "train_corpus")


if __name__ == "__main__":
    config.define_flags(**DEFAULTS)
    entry.start(main, __doc__)
