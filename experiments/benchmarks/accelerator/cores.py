"""One run on 1, 2, 4, .. CPUs of this machine, beside gensim with as many threads."""

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from experiments.benchmarks import child_process, plain_corpus
from experiments.benchmarks.accelerator import texts
from experiments.benchmarks.accelerator.items import Given
from experiments.benchmarks.accelerator.sizes import Sizes
from experiments.runs.store import cpus
from w2v_jax.data import sources
from w2v_jax.types import UserError

NO_GENSIM = "gensim is not installed"
SHARED = {"model": "skipgram", "window": 5, "negatives": 5, "subsample": 1e-4, "min_count": 5}


def measure(sizes: Sizes, given: Given) -> Iterator[dict]:
    """A row a number of CPUs, of those that this process may use."""
    folder = given.workdir / "cores"
    source = sources.locate("", corpus=texts.path_of(sizes, given))
    text = plain_corpus.plain(source, sizes.cores_words, folder)
    with_gensim = find_spec("gensim") is not None
    for count in [n for n in sizes.cores if n <= cpus()]:
        summary = texts.trained(str(text.path), sizes, given, f"cores_{count}", 0, count)
        rate = gensim_words_per_sec(text, sizes, folder, count) if with_gensim else None
        kept = {name: summary[name] for name in ("words_per_sec", "compile_sec", "train_sec")}
        yield {"cores": count, "words": text.words, **kept, "gensim_words_per_sec": rate}
    if not with_gensim:
        yield {"note": NO_GENSIM}


def gensim_words_per_sec(
    text: plain_corpus.PlainText, sizes: Sizes, folder: Path, threads: int
) -> float:
    """Of one epoch with so many threads, on as many CPUs. Raises UserError where it fails."""
    report, vectors = folder / "report.json", folder / "vectors.bin"
    flags = {"corpus": text.path, "vectors": vectors, "report": report, **SHARED}
    flags |= {"dim": sizes.dim, "epochs": 1, "threads": threads, "seed": 1}
    flags |= {"input": "corpus_file", "export": "input"}  # its faster reader
    argv = [sys.executable, "-m", "experiments.benchmarks.baselines.gensim_training"]
    argv += [f"--{name}={value}" for name, value in flags.items()]
    child = child_process.run(argv, folder / "gensim.txt", threads)
    if child.status:
        last = (child.output.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"gensim ended with {child.status}: {last}")
    vectors.unlink()
    return text.words / json.loads(report.read_text())["train_sec"]
