"""A text as large as asked for, made of another's lines, repeated and shuffled."""

import hashlib
import os
import re
import shutil
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags

from experiments.cli import console
from experiments.report.tables import counted
from w2v_jax.data import sources as corpora
from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError

_BLOCK = 1 << 15  # lines that are joined at a time
_PART = re.compile(r"part-\d+\.txt(\.tmp)?")


class Lines(NamedTuple):
    """A text's lines that have words, in one piece."""

    text: bytes  # each line with its newline
    begins: np.ndarray  # [L] int64, bytes
    ends: np.ndarray  # [L] int64
    words: np.ndarray  # [L] int64, of each line


def define_flags() -> None:
    """The script's flags."""
    flags.DEFINE_string("corpus", "", "Text to repeat: file or glob, UTF-8, .gz/.xz/.bz2 too.")
    flags.DEFINE_float("words", 1e9, "Words to write.", 1.0, 1e15)
    flags.DEFINE_integer("files", 8, "Files to write them into.", 1, 10_000)
    flags.DEFINE_integer("seed", 1, "Seed of the lines' orders.", 0)
    flags.DEFINE_string("workdir", "", "Folder of the files.")
    flags.DEFINE_boolean("overwrite", False, "Replace the files that --workdir holds.")


def main() -> None:
    """Reads, repeats, tells what was written."""
    values = flags.FLAGS
    for name in ("corpus", "workdir"):
        if not values[name].value:
            raise UserError(f"--{name}=.. is missing")
    began = time.perf_counter()
    folder = Path(values.workdir).expanduser()
    paths = corpora.locate("", corpus=values.corpus).paths
    check(folder, paths, values.overwrite)
    lines = read(paths)
    words = int(values.words)
    with console.progress_bar(words) as bar:
        written = grow(lines, words, folder, values.files, values.seed, bar.update)
    size = sum(path.stat().st_size for path in parts(folder, values.files))
    print(
        f"{counted(written, 'word')}, {written / lines.words.sum():.2f} copies of {values.corpus}: "
        f"{size / 1e9:.2f} GB in {counted(values.files, 'file')} in {folder}, "
        f"{time.perf_counter() - began:.0f} s"
    )


def check(folder: Path, paths: Iterable[str], overwrite: bool) -> None:
    """Clears a folder that may be replaced. Raises UserError for one that may not."""
    try:
        found = sorted(os.listdir(folder)) if folder.exists() else []
        if found and not overwrite:
            raise UserError(f"--workdir={folder}: holds {found[0]}; another folder, or --overwrite")
        if other := [name for name in found if not _PART.fullmatch(name)]:
            raise UserError(f"--workdir={folder}: holds {other[0]}, which this did not write")
        for path in paths:
            if Path(path).resolve().parent == folder.resolve():
                raise UserError(f"--workdir={folder}: holds {path}, the text to repeat")
        for name in found:
            (folder / name).unlink()
    except OSError as error:
        raise UserError(f"--workdir={folder}: {error.strerror or error}") from error


def read(paths: Iterable[str]) -> Lines:
    """The lines of the files. Raises UserError as corpus.read_lines does, and for no words."""
    text, ends, counts = bytearray(), array("q"), array("q")
    with console.reading_bar(paths) as bar:
        for words in corpora.read_lines(paths, hashlib.sha256()):
            if words:
                text += f"{' '.join(words)}\n".encode()
                bar.update(len(text) - (ends[-1] if ends else 0))
                ends.append(len(text))
                counts.append(len(words))
    if not ends:
        raise UserError("--corpus: holds no words")
    after = np.array(ends, np.int64)
    return Lines(bytes(text), np.append(0, after[:-1]), after, np.array(counts, np.int64))


def parts(folder: Path, files: int) -> list[Path]:
    """The files' paths."""
    width = max(2, len(str(files - 1)))
    return [folder / f"part-{number:0{width}}.txt" for number in range(files)]


def grow(
    lines: Lines,
    words: int,
    folder: Path,
    files: int,
    seed: int,
    progress: Callable[[int], object] = lambda words: None,
) -> int:
    """Writes at least so many words, a file whole or not at all; returns how many.

    `progress` is told the words of each block. Raises UserError where they cannot be written.
    """
    needed = int(words / lines.words.sum() * len(lines.text))
    written, blocks, rest = 0, _shuffled(len(lines.ends), seed), np.empty(0, np.int64)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if needed > (free := shutil.disk_usage(folder).free):
            raise UserError(
                f"--words={words}: needs {needed / 1e9:.1f} GB, {folder} has {free / 1e9:.1f}"
            )
        for number, path in enumerate(parts(folder, files), 1):
            goal = words * number // files
            with whole_file(path) as file:
                while written < goal:
                    rest = rest if len(rest) else next(blocks)
                    totals = written + np.cumsum(lines.words[rest])
                    count = 1 + int(np.searchsorted(totals[:-1], goal))
                    file.write(_joined(lines, rest[:count]))
                    progress(int(totals[count - 1]) - written)
                    written, rest = int(totals[count - 1]), rest[count:]
    except OSError as error:
        raise UserError(f"--workdir={folder}: {error.strerror or error}") from error
    return written


def _shuffled(number: int, seed: int) -> Iterator[np.ndarray]:
    """Blocks of numbers of lines: permutations of all of them, without end, by (seed, copy)."""
    copy = 0
    while True:
        order = np.random.default_rng([seed, copy]).permutation(number)
        yield from (order[i : i + _BLOCK] for i in range(0, number, _BLOCK))
        copy += 1


def _joined(lines: Lines, order: np.ndarray) -> bytes:
    text, begins, ends = lines.text, lines.begins[order].tolist(), lines.ends[order].tolist()
    return b"".join([text[a:b] for a, b in zip(begins, ends, strict=True)])
