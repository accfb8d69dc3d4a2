"""A text's phrases: counted, told, and joined in a new text."""

import contextlib
import dataclasses
import gzip
import heapq
import lzma
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from absl import flags

from experiments.cli import console
from experiments.report.tables import counted
from w2v_jax.config import Config
from w2v_jax.data import phrases, preparation, sources
from w2v_jax.data.phrases import CONNECTORS, MOST_TYPES, THRESHOLDS, Phrases
from w2v_jax.data.writing import is_stream, whole_file
from w2v_jax.types import UserError

PACK = {".gz": gzip.open, ".xz": lzma.open}
SHOWN = 10  # phrases that are told
ENGLISH = "english"
PREPARED = ("lower", "tokens", "encoding")


def define_flags() -> None:
    """The command's flags."""
    flags.DEFINE_string("corpus", "", "Text: file, folder or glob; .gz/.xz/.bz2/.zst/.zip too.")
    flags.DEFINE_string("output", "", "Text to write, .gz/.xz too.")
    flags.DEFINE_boolean("overwrite", False, "Replace the file that is there.")
    flags.DEFINE_enum("score", "default", list(THRESHOLDS), "word2phrase's score, or npmi.")
    flags.DEFINE_float("threshold", None, "Scores above it make phrases (default 10, npmi 0.5).")
    flags.DEFINE_integer("min_count", 5, "Taken off each count; npmi: fewer make no phrase.", 1)
    flags.DEFINE_string("delimiter", "_", "Between the words of a phrase.")
    flags.DEFINE_list(
        "connectors", [], f"Words that may stand within a phrase; english: {', '.join(CONNECTORS)}."
    )
    flags.DEFINE_integer(
        "max_types", MOST_TYPES, "Words and candidates that are counted; rare ones go beyond.", 1
    )
    for name in PREPARED:
        about = Config.__dataclass_fields__[name]
        define = flags.DEFINE_boolean if about.type is bool else flags.DEFINE_string
        define(name, about.default, about.metadata["help"])


def main() -> None:
    """Reads the text twice; writes it with its phrases, and tells the best."""
    values = flags.FLAGS
    for name in ("corpus", "output"):
        if not values[name].value:
            raise UserError(f"--{name}=FILE is missing")
    output = Path(values.output).expanduser()
    paths = sources.locate("", corpus=values.corpus).paths
    _check(output, paths)
    how = preparation.checked(values.lower, values.tokens, values.encoding)
    began = time.perf_counter()
    with console.reading_bar(paths) as bar:
        read = phrases.lines(paths, how, bar.update)
        try:
            found = _learned((line.words for line in read), how.lower)
        except UserError as error:
            raise UserError(str(error).replace("`text`", f"`corpus={values.corpus}`")) from error
    told: Counter[str] = Counter()
    with _written(output) as file, console.reading_bar(paths) as bar:
        for line in phrases.lines(paths, how, bar.update):
            words = list(found.told(line.words))
            told.update(word for word, is_phrase in words if is_phrase)
            joined = " ".join(word for word, _ in words)
            file.write((joined + ("\n" if line.ends else " ")).encode("utf-8"))
    tell = console.log if is_stream(output) else print
    tell(_report(found, told, output, time.perf_counter() - began))


def _learned(sentences: Iterator[list[str]], lower: bool) -> Phrases:
    """The phrases by the flags, of a text that is prepared already."""
    values = flags.FLAGS
    connectors = [w for one in values.connectors for w in (CONNECTORS if one == ENGLISH else [one])]
    found = Phrases.learn(
        sentences,
        values.min_count,
        values.threshold,
        score=values.score,
        delimiter=values.delimiter,
        connectors=connectors,
        max_types=values.max_types,
    )
    return dataclasses.replace(found, lower=lower)


def _check(output: Path, paths: tuple[str, ...]) -> None:
    """Raises UserError where the output may not be written, or the text not be read twice."""
    if output.suffix.lower() in (".bz2", ".zst", ".zip"):
        raise UserError(f"--output={output}: is packed as .gz or .xz, or plain")
    if output.is_dir() or not output.parent.is_dir():
        what = "is a folder" if output.is_dir() else "its folder isn't there"
        raise UserError(f"--output={output}: {what}")
    if not is_stream(output) and not os.access(output.parent, os.W_OK):
        raise UserError(f"--output={output}: its folder can't be written in")
    if output.exists() and not is_stream(output) and not flags.FLAGS.overwrite:
        raise UserError(f"--output={output}: is there; another file, or --overwrite")
    for path in paths:
        file = Path(path)
        if file.exists() and not file.is_file():
            raise UserError(f"--corpus={path}: is read twice: give a file, no pipe")
        if output.exists() and file.exists() and output.samefile(file):
            raise UserError(f"--output={output}: is the text itself")


@contextlib.contextmanager
def _written(output: Path) -> Iterator[BinaryIO]:
    """The output, whole or not at all, packed as its name says."""
    with whole_file(output) as file:
        suffix = output.suffix.lower()
        if suffix not in PACK:
            yield file
            return
        with PACK[suffix](file, "wb") as packed:
            yield packed


def _report(found: Phrases, told: Counter[str], output: Path, seconds: float) -> str:
    best = heapq.nlargest(SHOWN, told.items(), key=lambda item: item[1])
    lines = [f"  {phrase} ({count:,})" for phrase, count in best]
    times = f", {counted(sum(told.values()), 'time')}" if told else ""
    head = (
        f"{counted(len(told), 'phrase')}{times}, in {counted(found.words, 'word')}, "
        f"{seconds:.0f} s: {output}"
    )
    if found.forgotten:
        head += (
            f"\n--max_types: words and pairs of fewer than {found.forgotten + 1} occurrences were "
            "forgotten while the text was read"
        )
    return "\n".join([head, *(["the most frequent:", *lines] if lines else [])])
