"""Each baseline as the benchmark sees it: whether it can run, its command, its outputs."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from experiments.runs import rundir
from w2v_jax.types import UserError

CACHE = "cache"  # of one run of ours


class Task(NamedTuple):
    """What all baselines do alike. Field names are flag names where there is such a flag."""

    corpus: str  # one plain text file
    corpus_sha256: str
    words: int  # in it
    lines: int  # in it
    model: str
    dim: int
    window: int
    negatives: int
    subsample: float
    min_count: int
    epochs: int
    threads: int
    loss: str = "negative_sampling"  # or hierarchical_softmax
    subwords: bool = False  # fastText's, n-grams of 3 to 6 letters

    @property
    def in_tree(self) -> bool:
        """Whether the loss is hierarchical softmax."""
        return self.loss == "hierarchical_softmax"


class Tools(NamedTuple):
    """Where the user has the baselines, and what is particular to one."""

    ours: str = ""  # flagfile of w2v_jax
    ours_flags: tuple[str, ...] = ()
    gensim_input: str = "sentences"
    gensim_export: str = "input"
    word2vec_c: str = ""
    fasttext: str = ""
    torch_python: str = ""
    d2l_loader_workers: int = 4


class Run(NamedTuple):
    """One process to start."""

    task: Task
    tools: Tools
    epochs: int
    flagfile: str
    seed: int
    folder: Path


class Baseline(NamedTuple):
    """A program that trains word2vec."""

    missing: Callable[[Tools, Task], str]  # why it cannot run here, or ''
    command: Callable[[Run], list[str]]
    times: Callable[[Run, str], dict]  # (run, what it printed) -> train_sec and what else is known
    vectors: Callable[[Task], str]  # where in the run's folder
    trains: bool = True  # in epochs; else it counts the text once, and has no seed


def _shared(run: Run, *names: str) -> list[str]:
    return [f"--{name}={getattr(run.task, name)}" for name in names]


def _program(path: str, flag: str) -> str:
    """'' where the program is there; the reason where no flag was given."""
    if not path:
        return f"no --{flag}=PATH"
    if shutil.which(path) is None:
        raise UserError(f"--{flag}={path}: no such program")
    return ""


def _reported(run: Run, output: str) -> dict:
    return json.loads((run.folder / "report.json").read_text())


def _w2v_jax_command(run: Run) -> list[str]:
    flagfile = [f"--flagfile={os.path.abspath(run.flagfile)}"] if run.flagfile else []
    of_loss = ["--engine=pairs"] if run.task.in_tree else []
    return [
        *(sys.executable, "-m", "experiments.train_corpus", *flagfile),
        *_shared(run, "corpus", "model", "dim", "window", "negatives", "subsample", "min_count"),
        *_shared(run, "loss"),
        *of_loss,
        *(["--subwords"] if run.task.subwords else []),
        *(f"--epochs={run.epochs}", f"--seed={run.seed}", f"--workdir={run.folder / 'run'}"),
        *("--noevaluate", "--noplots", "--show_similar=", "--show_analogies="),
        # New: from raw text each time, as the baselines do, and compiled each time.
        f"--cache_dir={run.folder / CACHE}",
        "--checkpoint_every_sec=0",  # vectors are all that the baselines leave
        *run.tools.ours_flags,
    ]


def _w2v_jax_times(run: Run, output: str) -> dict:
    summary = rundir.read_summary(run.folder / "run")
    kept = {name: summary.get(name) for name in ("train_sec", "compile_sec")}
    return {**kept, "loss": summary.get("final_loss")}


def _gensim_command(run: Run) -> list[str]:
    return [
        *(sys.executable, "-m", "experiments.benchmarks.baselines.gensim_training"),
        *_shared(run, "corpus", "model", "dim", "window", "negatives", "subsample", "min_count"),
        *_shared(run, "loss"),
        *(f"--epochs={run.epochs}", f"--seed={run.seed}", f"--input={run.tools.gensim_input}"),
        *(*_shared(run, "threads"), f"--export={run.tools.gensim_export}"),
        *(["--subwords"] if run.task.subwords else []),
        *(f"--vectors={run.folder / 'vectors.bin'}", f"--report={run.folder / 'report.json'}"),
    ]


def _ppmi_missing(tools: Tools, task: Task) -> str:
    return "it has no subwords" if task.subwords else ""


def _ppmi_command(run: Run) -> list[str]:
    return [
        *(sys.executable, "-m", "experiments.benchmarks.baselines.ppmi_training"),
        *_shared(run, "corpus", "dim", "window", "subsample", "min_count"),
        *(f"--vectors={run.folder / 'vectors.bin'}", f"--report={run.folder / 'report.json'}"),
    ]


def _d2l_command(run: Run) -> list[str]:
    return [
        *(run.tools.torch_python, "-m", "experiments.benchmarks.baselines.d2l_training"),
        *_shared(run, "corpus", "dim", "window", "negatives", "subsample", "min_count", "threads"),
        *(f"--epochs={run.epochs}", f"--seed={run.seed}"),
        f"--loader_workers={run.tools.d2l_loader_workers}",
        *(f"--vectors={run.folder / 'vectors.txt'}", f"--report={run.folder / 'report.json'}"),
    ]


def _d2l_missing(tools: Tools, task: Task) -> str:
    if task.model != "skipgram":
        return "the chapter's loop is skip-gram's"
    if task.in_tree:
        return "the chapter trains by negative sampling"
    if task.subwords:
        return "the chapter trains no subwords"
    if reason := _program(tools.torch_python, "torch_python"):
        return reason
    has_torch = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    if subprocess.run([tools.torch_python, "-c", has_torch], capture_output=True).returncode:
        raise UserError(f"--torch_python={tools.torch_python}: has no torch")
    return ""


def _word2vec_c_missing(tools: Tools, task: Task) -> str:
    return "it has no subwords" if task.subwords else _program(tools.word2vec_c, "word2vec_c")


def _word2vec_c_command(run: Run) -> list[str]:
    task = run.task
    options = {
        "train": task.corpus,
        "output": run.folder / "vectors.bin",
        "binary": 1,
        "cbow": int(task.model == "cbow"),
        "size": task.dim,
        "window": task.window,
        "negative": 0 if task.in_tree else task.negatives,
        "hs": int(task.in_tree),
        "sample": task.subsample,
        "min-count": task.min_count,
        "iter": run.epochs,
        "threads": task.threads,
    }
    return [run.tools.word2vec_c, *(str(x) for k, v in options.items() for x in (f"-{k}", v))]


def _word2vec_c_times(run: Run, output: str) -> dict:
    """Its rate is per second of a thread's own CPU time; its words count a </s> a line."""
    words = re.search(r"Words in train file: (\d+)", output)
    rates = re.findall(r"Words/thread/sec: *([\d.]+)k", output)
    if not words or not rates or not float(rates[-1]):
        return {"train_sec": None}
    train_sec = int(words[1]) * run.epochs / (float(rates[-1]) * 1000 * run.task.threads)
    return {"train_sec": train_sec, "estimated": True}


def _fasttext_command(run: Run) -> list[str]:
    task = run.task
    options = {
        "input": task.corpus,
        "output": run.folder / "vectors",
        # word2vec.c's, to compare the two; with subwords its own.
        "lr": 0.025 if task.model == "skipgram" and not task.subwords else 0.05,
        "dim": task.dim,
        "ws": task.window,
        "epoch": run.epochs,
        "neg": task.negatives,
        "loss": "hs" if task.in_tree else "ns",
        "minCount": task.min_count,
        "t": task.subsample,
        "minn": 3 if task.subwords else 0,
        "maxn": 6 if task.subwords else 0,
        "thread": task.threads,
    }
    flags = [str(x) for k, v in options.items() for x in (f"-{k}", v)]
    return [run.tools.fasttext, task.model, *flags]


def _fasttext_times(run: Run, output: str) -> dict:
    """It trains until it has read epochs x (words + a </s> a line), at the rate printed last."""
    rates = [int(rate) for rate in re.findall(r"words/sec/thread: *(\d+)", output)]
    if not rates or not rates[-1]:
        return {"train_sec": None}
    tokens = run.epochs * (run.task.words + run.task.lines)
    return {"train_sec": tokens / (rates[-1] * run.task.threads), "estimated": True}


BASELINES = {
    "w2v_jax": Baseline(
        lambda tools, task: "",
        _w2v_jax_command,
        _w2v_jax_times,
        lambda task: f"run/vectors.{'npz' if task.subwords else 'txt'}",
    ),
    "gensim": Baseline(
        lambda tools, task: "" if find_spec("gensim") else "pip install 'w2v_jax[gensim]'",
        _gensim_command,
        _reported,
        lambda task: "vectors.bin",
    ),
    "ppmi_svd": Baseline(
        _ppmi_missing, _ppmi_command, _reported, lambda task: "vectors.bin", trains=False
    ),
    "word2vec_c": Baseline(
        _word2vec_c_missing,
        _word2vec_c_command,
        _word2vec_c_times,
        lambda task: "vectors.bin",
    ),
    "fasttext": Baseline(
        lambda tools, task: _program(tools.fasttext, "fasttext"),
        _fasttext_command,
        _fasttext_times,
        lambda task: f"vectors.{'bin' if task.subwords else 'vec'}",
    ),
    "d2l": Baseline(_d2l_missing, _d2l_command, _reported, lambda task: "vectors.txt"),
}
