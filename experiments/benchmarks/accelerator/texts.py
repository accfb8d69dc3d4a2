"""The text of whole runs, given or drawn, and the command that trains on it."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

from experiments.benchmarks import child_process, zipf
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError

DRAWN = "drawn_text.txt"


def path_of(sizes: Sizes, given: Given) -> str:
    """The files of the text with commas between; one is drawn by Zipf's law where none is given."""
    if given.corpus:
        return given.corpus
    path = given.workdir / DRAWN
    if not path.exists():
        write(path, sizes.vocab_size, sizes.text_words)
    return str(path)


def write(path: Path, vocab_size: int, words: int) -> None:
    """A text of drawn words, a line as in `zipf.LINE`."""
    corpus = zipf.corpus(vocab_size, words, 1)
    names = np.array([f"w{i}" for i in range(vocab_size)], object)
    begin = 0
    with whole_file(path) as file:
        for end in corpus.line_ends.tolist():
            file.write((" ".join(names[corpus.ids[begin:end]]) + "\n").encode())
            begin = end


def trained(text: str, sizes: Sizes, given: Given, name: str, words: int, threads: int) -> dict:
    """One epoch of train_corpus from the text to vectors: its summary, and seconds in all.

    words: of the text's beginning (0: all). threads: CPUs that it may use. The device must be
    free. Raises UserError where it fails.
    """
    folder = given.workdir / "runs" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fields = sizes.blocks(sizes.judged_batch_sizes[0])
    argv = [sys.executable, "-m", "experiments.train_corpus", f"--corpus={text}", "--epochs=1"]
    argv += [f"--{field}={value}" for field, value in fields.items()]
    argv += [f"--max_words={words}", f"--cache_dir={cache(given)}", f"--workdir={folder / 'run'}"]
    argv += ["--noevaluate", "--noplots", "--log_every_steps=1000", "--checkpoint_every_sec=0"]
    child = child_process.run(argv, folder / "log.txt", threads)
    if child.status:
        last = (child.output.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"train_corpus ended with {child.status}: {last}")
    summary = json.loads((folder / "run" / "summary.json").read_text())
    (folder / "run" / "vectors.txt").unlink()  # large, and nobody's
    return {**summary, "total_sec": child.wall_sec}


def cache(given: Given) -> Path:
    """Where texts are kept as ids, and programs of whole runs."""
    return given.workdir / "cache"
