"""A step of training in words: centre -> contexts | negatives, its loss, and the rows it moves.

python -m experiments.show_batch --dataset=toy
python -m experiments.show_batch --corpus=toy.txt --window=2 --negatives=3 --model=cbow
python -m experiments.show_batch --dataset=wiki_sample --engine=blocks

The functions are those that train, and the flags are train_corpus's, but every word stays and the
engine is pairs. Output embeddings start at 0 (--init), so that the first step moves them alone:
the second is shown.
"""

from dataclasses import fields

from absl import flags

from experiments import config, defaults, entry
from experiments.report import batch
from experiments.train_corpus import CASES, DEFAULTS, SIZE
from w2v_jax.types import UserError

READING = {"cache_dir", "fallback_dataset"}
IDLE = {f.name for f in fields(config.Config) if not f.metadata["result"]} - READING
IDLE |= {
    "objective",
    "export_vectors",
    *config.CONTINUED,
}  # nothing is left behind


def main() -> None:
    """Shows one step."""
    if not flags.FLAGS.corpus and not flags.FLAGS.dataset:
        raise UserError("--corpus=FILE_OR_GLOB is missing (or --dataset=NAME)")
    defaults.of_flags(CASES)
    batch.show_step(config.from_flags(), flags.FLAGS.step, flags.FLAGS.examples, SIZE)


if __name__ == "__main__":
    own = {"min_count": 1, "unk": "keep", "engine": "pairs"}
    config.define_flags(IDLE, **{**DEFAULTS, **own})
    defaults.show_in_help(CASES, SIZE)
    flags.DEFINE_integer("step", 2, "The step that is shown, from 1.", lower_bound=1)
    flags.DEFINE_integer(
        "examples",
        8,
        "Examples shown: positives with their negatives; of --engine=blocks, centres.",
        lower_bound=1,
    )
    entry.start(main, __doc__)
