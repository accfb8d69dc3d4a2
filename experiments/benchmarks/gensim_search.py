"""A random search with gensim's Word2Vec on Penn Treebank: a line of results for each setting."""

import hashlib
import math
import os
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags

from experiments.cli import console
from experiments.report import item_files
from experiments.runs.store import Results, cpus
from w2v_jax.data import sources as corpora
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation
from w2v_jax.vectors.evaluation import HEADLINES
from w2v_jax.vectors.word_vectors import WordVectors

DIM, MIN_COUNT = 100, 1
SEARCH_SEED = 1  # of every setting of the search; the judge's come after it
FIRST_JUDGE = 10_000  # judge's trials are numbered from here, beyond those of any search

# alpha: at 5 and 15 epochs of its other defaults' setting, .05 and .1 are gensim's best; from .4
# on its vectors have no correlation with people's scores.
LAWS = {
    "sg": "1, with chance .2 0",
    "window": "uniform_integer(1,10)",
    "negative": "log_uniform_integer(1,20)",
    "sample": "log_uniform(1e-5,1e-2), with chance .1 0",
    "alpha": "log_uniform(.005,.5)",
    "ns_exponent": "uniform(0,1)",
    "epochs": "uniform_integer(5,15)",
}
DEFAULTS = {  # gensim's own
    **{"sg": 0, "window": 5, "negative": 5, "sample": 1e-3},
    **{"alpha": 0.025, "ns_exponent": 0.75, "epochs": 5},
}


def define_flags() -> None:
    """The search's flags."""
    flags.DEFINE_string("data_dir", "", "Folder with PTB's files (default: $W2V_JAX_DATA).")
    flags.DEFINE_string("workdir", "", "Folder of the results; trials found there are kept.")
    flags.DEFINE_integer("points", 100, "Random settings.", 1, FIRST_JUDGE)
    flags.DEFINE_integer("seed", 0, "Seed of the settings' draws.", 0)
    flags.DEFINE_integer("only", -1, "Train this trial's setting again (-1: the search).", -1)
    flags.DEFINE_integer("seeds", 5, "With --only: seeds to train with.", 1)
    flags.DEFINE_integer(
        "first_seed", SEARCH_SEED + 1, "With --only: the first of them; the search's was 1.", 1
    )
    flags.DEFINE_integer("threads", cpus(), "gensim's worker threads.", 1)


class Job(NamedTuple):
    """One training."""

    role: str  # search | judge
    of: int  # the trial of the search whose setting it has
    seed: int  # gensim's


def draw(seed: int, trial: int) -> dict:
    """A trial's setting, by LAWS: a function of (seed, trial) alone; gensim's own names."""
    rng = np.random.default_rng([seed, trial])

    def log_uniform(low, high):
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    return {
        "sg": int(rng.random() >= 0.2),
        "window": int(rng.integers(1, 11)),
        "negative": int(log_uniform(1, 21)),
        "sample": _rounded(log_uniform(1e-5, 1e-2)) if rng.random() >= 0.1 else 0.0,
        "alpha": _rounded(log_uniform(0.005, 0.5)),
        "ns_exponent": _rounded(rng.uniform(0, 1)),
        "epochs": int(rng.integers(5, 16)),
    }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    """Trains what is not there yet."""
    folder = workdir()
    path = _training_file()
    results = Results(folder, _settings(path))
    jobs = [job for job in _jobs() if results.find(**job._asdict()) is None]
    text = _sentences(path) if jobs else []
    for number, job in enumerate(jobs, 1):
        line = _keep(job, text, results)
        console.log(f"{number} of {len(jobs)}: {_sentence(line)}")


def workdir() -> Path:
    """--workdir of a comparison with gensim. Raises UserError where either is not there."""
    given = flags.FLAGS.workdir
    if not given:
        raise UserError("--workdir=OUT is missing")
    if find_spec("gensim") is None:
        raise UserError("gensim is not installed: pip install 'w2v_jax[gensim]'")
    return Path(given).expanduser().absolute()


def _training_file() -> str:
    folder = flags.FLAGS.data_dir or os.environ.get("W2V_JAX_DATA", "")
    return corpora.locate("ptb", data_dir=os.path.expanduser(folder)).paths[0]


def _settings(path: str) -> dict:
    """What a folder's trials share."""
    from gensim import __version__

    return {
        "peer": f"gensim {__version__}",
        "corpus_sha256": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
        "dim": DIM,
        "min_count": MIN_COUNT,
        "threads": flags.FLAGS.threads,
        "draw_seed": flags.FLAGS.seed,
        "axes": LAWS,
        "base": DEFAULTS,
        "design": "random",
        "seeds": 1,
    }


def _jobs() -> Iterator[Job]:
    given = flags.FLAGS
    if given.only < 0:
        yield from (Job("search", trial, SEARCH_SEED) for trial in range(given.points))
    else:
        for seed in range(given.first_seed, given.first_seed + given.seeds):
            yield Job("judge", given.only, seed)


def _sentences(path: str) -> list[list[str]]:
    from gensim.models.word2vec import LineSentence

    return list(LineSentence(path))


def train(text: list[list[str]], setting: dict, seed: int, threads: int) -> WordVectors:
    """gensim's input rows after training on the sentences by a setting as of `draw`."""
    from gensim.models.word2vec import Word2Vec

    shared = dict(vector_size=DIM, min_count=MIN_COUNT, shrink_windows=True)
    model = Word2Vec(text, **shared, **setting, seed=seed, workers=threads)
    return WordVectors(tuple(model.wv.index_to_key), model.wv.vectors)


def _keep(job: Job, text, results: Results) -> dict:
    """Trains and measures; the trial's items, then its line, which tells that all is there."""
    setting = draw(flags.FLAGS.seed, job.of)
    began = time.perf_counter()
    wv = train(text, setting, job.seed, flags.FLAGS.threads)
    seconds = time.perf_counter() - began
    items = evaluation.standard_items(wv)
    measures = {m.name: m.value for m in evaluation.standard(wv, items)}
    trial = job.of if job.role == "search" else _next_judge(results)
    item_files.write(results.folder, trial, items)
    line = {
        **{"member": trial, "program": trial, "setting": setting, **job._asdict()},
        "flags": f"--seed={flags.FLAGS.seed} --only={job.of} --first_seed={job.seed} --seeds=1",
        **{"frozen_step": None, "stopped_epoch": None, "epochs": setting["epochs"]},
        **{"loss": None, "heldout_loss": None, "perplexity": None},
        **{name: measures.get(name) for name in HEADLINES},
        "train_sec": seconds,
    }
    results.add(line)
    return line


def _next_judge(results: Results) -> int:
    return max([FIRST_JUDGE - 1, *(line["member"] for line in results.lines)]) + 1


def _sentence(line: dict) -> str:
    """A trial in a line."""
    shown = " ".join(f"{name}={value:g}" for name, value in line["setting"].items())
    values = [line[name] for name in HEADLINES[:2]]
    wordsim, simlex = ("–" if value is None else f"{value:.3f}" for value in values)
    return (
        f"trial {line['member']}, {shown}, seed {line['seed']}: WordSim-353 {wordsim}, "
        f"SimLex-999 {simlex}, {line['train_sec']:.1f} s"
    )
