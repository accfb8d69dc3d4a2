"""Word vectors on the standard sets, a suite of all that are there, and files of one's own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags

import w2v_jax
from experiments.cli import console
from experiments.report import judged
from experiments.report.judged import Row, Tables
from experiments.runs import vectors
from w2v_jax.config import Config
from w2v_jax.types import UserError
from w2v_jax.vectors import judgements, suites
from w2v_jax.vectors.suites import ANALOGIES, CATEGORIES, PAIRS, SUITES
from w2v_jax.vectors.word_vectors import WordVectors

PREPARED = ("lower", "tokens", "encoding")
STANDARD = ("wordsim353", "simlex999", "google_analogies")


def define_flags() -> None:
    """The command's flags."""
    flags.DEFINE_multi_string(
        "pairs",
        [],
        "Own word pairs: lines `word word score`; may be repeated. Adds to the standard.",
    )
    flags.DEFINE_multi_string(
        "analogies",
        [],
        "Own analogies, a file or a folder, as Google's or BATS; repeatable. Adds to the standard.",
    )
    flags.DEFINE_multi_string(
        "categories", [], "Own categories: lines `word category`; may be repeated."
    )
    flags.DEFINE_string(
        "score_column", "", "Column of --pairs' scores: its name or number, from 1."
    )
    flags.DEFINE_boolean("standard", True, "WordSim-353, SimLex-999 and Google's analogies.")
    flags.DEFINE_boolean("suite", False, f"All sets that are there: {', '.join(SUITES)}.")
    flags.DEFINE_string("suite_dir", "", "Folder with files of the suite's sets, as published.")
    flags.DEFINE_string("against", "", "Run directory or vectors file to tell the differences to.")
    flags.DEFINE_string("corpus", "", "A text instead of vectors: which items it will cover.")
    flags.DEFINE_integer("min_count", 5, "With --corpus: words that occur less often are left out.")
    for name in PREPARED:
        about = Config.__dataclass_fields__[name]
        define = flags.DEFINE_boolean if about.type is bool else flags.DEFINE_string
        define(name, about.default, f"With --corpus: {about.metadata['help']}")
    vectors.define_flags()


def main() -> None:
    """Prints a table of measures."""
    values = flags.FLAGS
    asked = values.pairs or values.analogies or values.categories
    if not (asked or values.standard or values.suite or values.suite_dir):
        raise UserError("nothing asked: --nostandard without --pairs=FILE or --analogies=FILE")
    tables = _tables()
    found = list(_own(tables))
    if values.suite or values.suite_dir:
        there = suites.files(values.suite_dir)
        for name, path in there.items():
            try:
                found += list(judged.rows(tables, SUITES[name].kind, path, name))
            except UserError as error:  # the other sets are measured all the same
                console.note(f"{name} is left out: {error}")
        absent = [name for name in SUITES if name not in there]
        if absent:
            console.note(f"not there: {', '.join(absent)} (--suite_dir=FOLDER with their files)")
    elif values.standard:
        files = suites.files()
        for name in STANDARD:
            if name in files:
                found += judged.rows(tables, SUITES[name].kind, files[name], name)
        console.missing_sets()
    if values.corpus:  # there are words, and no vectors
        found = [Row(row.measure._replace(value=None)) for row in found]
    print(console.judged(found))


def _tables() -> Tables:
    values = flags.FLAGS
    if not values.corpus:
        wv = vectors.load()
        return Tables(wv, vectors.named("against") if values.against else None)
    if values.run or values.vectors or values.against:
        raise UserError("--corpus is measured alone: without --run, --vectors and --against")
    try:
        corpus = w2v_jax.Corpus.from_files(
            values.corpus,
            min_count=values.min_count,
            **{name: values[name].value for name in PREPARED},
        )
    except UserError as error:
        raise UserError(str(error).replace("`files=", "`corpus=", 1)) from error
    words = corpus.vocab.words
    return Tables(WordVectors(words, np.zeros((len(words), 1), np.float32)))


def _own(tables: Tables) -> Iterator[Row]:
    """Rows of the files that flags name."""
    values = flags.FLAGS
    for flag, kind in (("pairs", PAIRS), ("analogies", ANALOGIES), ("categories", CATEGORIES)):
        for path in values[flag].value:
            try:
                rows = list(judged.rows(tables, kind, path, Path(path).stem, values.score_column))
                if not any(row.measure.covered for row in rows):
                    _hint(kind, path)
            except UserError as error:  # begins with the path
                raise UserError(f"--{flag}={error}") from error
            yield from rows


def _hint(kind: str, path: str) -> None:
    """Why nothing may be covered."""
    if kind == PAIRS:
        found = judgements.pairs(path, flags.FLAGS.score_column)
        words = [word for *pair, _ in found for word in pair]
    elif kind == ANALOGIES:
        words = [word for item in judgements.analogies(path)[1] for word in item.words]
    else:
        words = [word for word, _ in judgements.categories(path)]
    if suffix := judgements.suffix_of(words):
        console.note(
            f"{path}: no item is covered: words end in {suffix}, as {words[0]!r}; give the file "
            "without these"
        )
