"""PPMI and truncated SVD of the text in a process of its own; reports its times as JSON.

python -m experiments.benchmarks.baselines.ppmi_training --corpus=FILE --vectors=FILE ..
"""

import argparse
import json
import sys
import time

from experiments.cli.errors import as_flags
from w2v_jax import ppmi
from w2v_jax.config import Config
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.writing import write_atomically
from w2v_jax.defaults import resolve
from w2v_jax.types import UserError
from w2v_jax.vectors import io
from w2v_jax.vectors.word_vectors import WordVectors


def arguments() -> argparse.Namespace:
    """The command line: names are our flags'."""
    parser = argparse.ArgumentParser()
    for name in ("corpus", "vectors", "report"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("dim", "window", "min_count"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--subsample", type=float, required=True)
    return parser.parse_args()


def main() -> None:
    """Vocabulary, counts and SVD, vectors in word2vec's binary format."""
    args = arguments()
    began = time.perf_counter()
    corpus = Corpus.from_files(args.corpus, args.min_count, cache_dir="none")
    scanned = time.perf_counter()
    own = {name: getattr(args, name) for name in ("dim", "window", "min_count", "subsample")}
    config = resolve(Config(init="ppmi_svd", **own), corpus)
    table = ppmi.tables(config, corpus).input
    counted = time.perf_counter()
    io.save(args.vectors, WordVectors(corpus.vocab.words, table, counts=corpus.vocab.counts))
    report = {"vocab_sec": scanned - began, "train_sec": counted - scanned}
    write_atomically(args.report, json.dumps(report).encode())


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {as_flags(str(error))}")
