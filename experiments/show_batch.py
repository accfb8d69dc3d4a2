"""A step of training in words: centre -> contexts | negatives, its loss, and the rows it moves.

python -m experiments.show_batch --dataset=toy
python -m experiments.show_batch --corpus=toy.txt --window=2 --negatives=3 --model=cbow
python -m experiments.show_batch --dataset=wiki_sample --engine=blocks

The functions are those that train, and the flags are train_corpus's, but every word stays and the
engine is pairs. Output embeddings start at 0 (--init), so that the first step moves them alone:
the second is shown.
"""

from absl import flags

from experiments.cli import command, config, defaults
from experiments.runs import batch
from w2v_jax.types import UserError


def main() -> None:
    """Shows one step."""
    if not flags.FLAGS.corpus and not flags.FLAGS.dataset:
        raise UserError("--corpus=FILE_OR_GLOB is missing (or --dataset=NAME)")
    batch.show_step(config.from_flags(), flags.FLAGS.step, flags.FLAGS.examples)


if __name__ == "__main__":
    own = {"min_count": 1, "unk": "keep", "engine": "pairs", "dataset": None}
    config.define_flags(config.without_result(), **{**config.of_library(), **own})
    defaults.show_in_help()
    flags.DEFINE_integer("step", 2, "The step that is shown, from 1.", lower_bound=1)
    told = "Examples shown: positives with their negatives; of --engine=blocks, centres."
    flags.DEFINE_integer("examples", 8, told, lower_bound=1)
    command.start(main, __doc__)
