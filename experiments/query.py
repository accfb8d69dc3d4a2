"""Neighbours and analogies of a run's word vectors.

python -m experiments.query --run=OUT --similar=chip,toyota --topk=5
python -m experiments.query --run=OUT --analogy=king,man,queen --analogy_score=cosine
"""

from absl import flags

from experiments.cli import command, console, quoted
from experiments.runs import vectors
from w2v_jax.types import UserError
from w2v_jax.vectors.similarity import ANALOGY_SCORES

flags.DEFINE_list("similar", [], "Words to find the neighbours of.")
flags.DEFINE_multi_string(
    "analogy", [], 'a,b,c: a is to b as c is to ?; repeatable; "1,5" is a word.'
)
flags.DEFINE_enum(
    "analogy_score",
    "cosine",
    list(ANALOGY_SCORES),
    "3CosAdd, 3CosMul, or the book's dot of rows that are not normalised.",
)
flags.DEFINE_integer("topk", 5, "Answers a query.", lower_bound=1)


def main() -> None:
    """Answers the queries. Raises UserError about unknown words, once the others are answered."""
    values = flags.FLAGS
    triples = [tuple(quoted.words(analogy, ",")) for analogy in values.analogy]
    for analogy, triple in zip(values.analogy, triples, strict=True):
        if len(triple) != 3 or not all(triple):
            raise UserError(f"--analogy={analogy}: not of the form a,b,c")
    if not values.similar and not triples:
        raise UserError("nothing asked: give --similar=WORD,WORD or --analogy=a,b,c")
    wv = vectors.load()
    near, unknown = console.similar(wv, values.similar, values.topk)
    answers, missing = console.analogies(wv, triples, values.topk, values.analogy_score)
    if near:
        print(f"nearest words (cosine)\n{near}")
    if answers:
        print(f"analogies (a : b = c : ?, {values.analogy_score})\n{answers}")
    unknown = list(dict.fromkeys(unknown + missing))
    if unknown:  # what was asked for is not all there: the status says so
        raise UserError("; ".join(unknown))


if __name__ == "__main__":
    vectors.define_flags()
    command.start(main, __doc__)
