"""Answers about word vectors: to flags, to lines of a pipe, or at a prompt."""

import contextlib
import json
import sys
from collections.abc import Iterator

from absl import flags

from experiments.cli import console, quoted
from experiments.runs import questions, vectors
from experiments.runs.questions import Asked
from w2v_jax.counting import counted
from w2v_jax.types import UserError
from w2v_jax.vectors.similarity import ANALOGY_SCORES

PROMPT = "> "
MOST_TOLD = 5  # questions without an answer whose reasons are the last line


def define_flags() -> None:
    """The command's flags."""
    flags.DEFINE_list("similar", [], "Words to find the neighbours of.")
    flags.DEFINE_multi_string(
        "analogy", [], 'a,b,c: a is to b as c is to ?; repeatable; "1,5" is a word.'
    )
    flags.DEFINE_multi_string("ask", [], "A question as at the prompt; repeatable.")
    flags.DEFINE_enum(
        "analogy_score",
        "cosine",
        list(ANALOGY_SCORES),
        "3CosAdd, 3CosMul, or the book's dot of rows that are not normalised.",
    )
    flags.DEFINE_integer("topk", 5, "Answers a query.", lower_bound=1)
    flags.DEFINE_boolean("json", False, "An object of JSON a question, a line each.")
    vectors.define_flags()


def main() -> None:
    """Answers. Raises UserError about unknown words, once the others are answered."""
    values = flags.FLAGS
    triples = [tuple(quoted.words(analogy, ",")) for analogy in values.analogy]
    for analogy, triple in zip(values.analogy, triples, strict=True):
        if len(triple) != 3 or not all(triple):
            raise UserError(f"--analogy={analogy}: not of the form a,b,c")
    wv = vectors.load()
    asked = Asked(wv, values.topk, values.analogy_score, vectors.predict(wv))
    if not (values.similar or triples or values.ask):
        return _prompt(asked) if sys.stdin.isatty() else _answered(asked, _lines_of_stdin())
    if values.json:
        named = [f'"{word}"' if " " in word else word for word in values.similar]
        analogies = ["{} : {} = {}".format(*triple) for triple in triples]
        return _answered(asked, [*named, *analogies, *values.ask])
    near, unknown = console.similar(wv, values.similar, values.topk)
    found, missing = console.analogies(wv, triples, values.topk, values.analogy_score)
    if near:
        print(f"nearest words (cosine)\n{near}")
    if found:
        print(f"analogies (a : b = c : ?, {values.analogy_score})\n{found}")
    _answered(asked, values.ask, list(dict.fromkeys(unknown + missing)))
    return None


def _lines_of_stdin() -> Iterator[str]:
    for line in sys.stdin:
        if line := line.strip():
            yield line


def _answered(asked: Asked, lines, unanswered: list[str] | None = None) -> None:
    """An answer a line. Raises UserError at the end about those that have none."""
    unanswered, count = unanswered or [], 0
    for line in lines:
        count += 1
        try:
            print(_told(asked, line), flush=True)
        except UserError as error:
            unanswered.append(str(error))
            if flags.FLAGS.json:
                print(json.dumps({"query": line, "error": str(error)}, ensure_ascii=False))
            elif count > 1:  # a single one's is the line that the command ends with
                console.log(f"  {line} -> {error}")
    if len(unanswered) > MOST_TOLD:  # what was asked for is not all there: the status says so
        raise UserError(f"{counted(len(unanswered), 'question')} of {count:,} without an answer")
    if unanswered:
        raise UserError("; ".join(unanswered))


def _told(asked: Asked, line: str) -> str:
    """The answer to a question, as text or as JSON. Raises UserError where there is none."""
    if line == "?":
        return questions.HELP
    found = questions.answer(asked, line)
    return json.dumps(found.as_json(), ensure_ascii=False) if flags.FLAGS.json else found.text()


def _prompt(asked: Asked) -> None:
    """Questions and answers until the end of input; a fault ends none."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 (its import gives `input` a history)
    print(f"{asked.wv}; ? shows what can be asked, Ctrl-D ends")
    while True:
        try:
            line = input(PROMPT).strip()
        except EOFError:
            print()
            return
        if line == "?":
            print(questions.HELP)
        elif line:
            try:
                print(questions.answer(asked, line).text())
            except UserError as error:
                print(f"  {error}")
