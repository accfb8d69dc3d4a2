"""Word vectors against people's judgements: word pairs and analogies, with their coverage.

python -m experiments.evaluate --run=OUT
python -m experiments.evaluate --vectors=FILE --pairs=FILE --analogies=FILE
"""

from collections.abc import Callable, Iterator

from absl import flags

from experiments.cli import command, console
from experiments.runs import vectors
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation
from w2v_jax.vectors.evaluation import Measure
from w2v_jax.vectors.word_vectors import WordVectors

flags.DEFINE_multi_string(
    "pairs", [], "Own word pairs: lines `word word score`; may be repeated. Adds to the standard."
)
flags.DEFINE_multi_string(
    "analogies", [], "Own analogies in Google's format; may be repeated. Adds to the standard."
)
flags.DEFINE_boolean("standard", True, "WordSim-353, SimLex-999 and Google's analogies.")


def main() -> None:
    """Prints a table of measures."""
    values = flags.FLAGS
    if not (values.pairs or values.analogies or values.standard):
        raise UserError("nothing asked: --nostandard without --pairs=FILE or --analogies=FILE")
    wv = vectors.load()
    own = [_told("pairs", evaluation.word_pairs, wv, path) for path in values.pairs]
    own += [_told("analogies", evaluation.analogies, wv, path) for path in values.analogies]
    if values.standard:
        own.append(evaluation.standard(wv))
        console.missing_sets()
    print("\n".join(map(console.quality, own)))


def _told(flag: str, measure: Callable, wv: WordVectors, path: str) -> Iterator[Measure]:
    try:
        yield from evaluation.told(measure(wv, path))
    except UserError as error:  # begins with the path
        raise UserError(f"--{flag}={error}") from error


if __name__ == "__main__":
    vectors.define_flags()
    command.start(main, __doc__)
