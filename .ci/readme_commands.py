"""Runs the commands that the READMEs show, one after the other, at a small size, in a folder.

python .ci/readme_commands.py FOLDER [README ..]

Each README has a folder of its own, where its commands find the files that they name. All READMEs
are run unless some are named, but for those that have their folder already. A command that nothing
here makes small fails.
"""

import bz2
import gzip
import lzma
import math
import os
import re
import shlex
import struct
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUEUES = (  # side by side; a queue's in their order
    ("README.md", "README.ko.md", "experiments/benchmarks/README.md"),
    ("experiments/README.md", "experiments/sweeps/README.md", "experiments/results/README.md"),
)
TRAINING = ["--epochs=1", "--dim=10"]
SMALL = {  # what makes a command small, beside the texts that `prepare` writes
    "train_corpus": [*TRAINING, "--min_count=1"],
    "ptb_skipgram": TRAINING,
    "ptb_cbow": TRAINING,
    "ptb_ablation": ["--epochs=2", "--seeds=2"],
    "ablation_report": [],
    "stability": ["--words=20"],
    "rate_finder": ["--rates=3", "--seeds=2", "--dim=10"],
    "query": [],
    "evaluate": [],
    "export": [],
    "show_batch": [],
    "benchmark": ["--epochs=1", "--dim=10", "--seeds=1"],
    "benchmarks.text_sizes": [
        *("--sizes=2000", "--sizes_of_ten_types=", "--models=cbow", "--seeds=1")
    ],
    "benchmark_growth": [
        *("--axes=dim", "--sweep_dim=5,10", "--vocab_size=100", "--words=20000"),
        *("--timed_sec=0.1", "--rounds=1"),
    ],
    "aot_check": ["--devices=v5e", "--programs=steps blocks skipgram"],
    "benchmark_softmax": ["--vocab_sizes=100,1000", "--timed_sec=0.1", "--rounds=1"],
    "benchmark_reading": ["--rounds=1"],
    "benchmark_sweep": ["--trials=2", "--rounds=1"],
    "hypergradients": [
        *("--steps=5", "--descent_steps=1", "--max_vocab=50", "--max_words=5000"),
        *("--heldout_centres=64", "--batch_size=64", "--optimizers=sgd"),
    ],
    "gensim_search": ["--points=2"],
    "search_report": [],
    "kill_test": ["--kills=1", "--settings=blocks_skipgram", "--seed=3"],  # early in its training
    "benchmark_replicas": [
        *("--points=1:0:1.2,2:20:1.2", "--seeds=1"),
        "--train_flags=--min_count=1,--dim=10,--epochs=1",
    ],
    "benchmark_scaling": ["--repeats=1", "--batch_sizes=128", "--dims=10,20"],
    "grow_corpus": ["--words=40000", "--files=2"],
    "wikipedia_text": [],
    "phrases": ["--threshold=2"],
    "accelerator_check": ["--tiny", "--items=1"],
    "benchmark_durability": [
        "--epochs=1",
        "--rounds=1",
        "--train_flags=--dim=10",
        "--large_flags=--min_count=1",
    ],
}
LEFT_OUT = {  # what a command says -> the package without which it is left out, and why
    "gensim": ("gensim", "compares with gensim"),
    "text_sizes": ("gensim", "compares with gensim"),
    "d2l": ("torch", "runs a loop of PyTorch"),
    "aot_check": ("libtpu", "compiles for devices that are not there"),
}
HERE = {"--torch_python=PATH": f"--torch_python={sys.executable}"}
TAKEN = {"experiments/benchmarks/README.md": ("README.md", "SWEEP")}  # another's output
WORDS = 12_000
NAMED = "people city chip toyota king man queen"  # words that commands ask for


def main(folder: Path, names: list[str]) -> None:
    """Each command ends with status 0, but for those that are left out."""
    began = time.perf_counter()
    queues = [jobs for jobs in planned(folder.absolute(), names) if jobs]
    failed = threading.Event()
    with ThreadPoolExecutor(len(QUEUES)) as pool:
        told = list(pool.map(partial(follow, failed=failed), queues))
    print(f"{sum(map(len, queues))} commands: {time.perf_counter() - began:.0f} s")
    if any(told):
        sys.exit("\n".join(filter(None, told)))


def planned(folder: Path, names: list[str]) -> list[list[tuple[str, Path]]]:
    """Each queue's commands and the folders that they run in, which are made; no command twice."""
    known, queues, seen = [name for queue in QUEUES for name in queue], [], set()
    for path in [*ROOT.glob("README*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("*/*/README.md")]:
        name = path.relative_to(ROOT).as_posix()
        if (name in known) != bool(shown(name)):
            sys.exit(f"{name}: shows no command" if name in known else f"{name}: not in QUEUES")
    for queue in QUEUES:
        jobs = []
        for name in queue:
            own = folder / name.replace("/", "-")
            if (not names or name in names) and not own.exists():
                prepare(own)
                jobs += [(line, own) for line in dict.fromkeys(shown(name)) if line not in seen]
                if name in TAKEN:
                    other, output = TAKEN[name]
                    (own / output).symlink_to(folder / other.replace("/", "-") / output)
            seen.update(shown(name))
        queues.append(jobs)
    return queues


def follow(queue: list[tuple[str, Path]], failed: threading.Event) -> str:
    """Runs commands one after the other; why it stopped, or ''. Stops where one failed."""
    for line, folder in queue:
        if failed.is_set():
            break
        if reason := run(line, folder):
            failed.set()
            return reason
    return ""


def shown(name: str) -> list[str]:
    """The commands of a README's shell blocks, a line each."""
    text = (ROOT / name).read_text(encoding="utf-8")
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    return re.findall(r"python (-m experiments\..*)", re.sub(r"\\\n *", "", blocks))


def prepare(folder: Path) -> None:
    """The files that the commands name: an excerpt of Wikipedia, as a text and as PTB too."""
    packed = (ROOT / "w2v_jax" / "resources" / "wiki_sample.txt.xz").read_bytes()
    words = lzma.decompress(packed).decode().split()[:WORDS] + NAMED.split() * 5
    lines = [" ".join(words[begin : begin + 20]) + "\n" for begin in range(0, len(words), 20)]
    text = "".join(lines)
    for name in ("texts", "ptb"):
        (folder / name).mkdir(parents=True)
    for name in ("text.txt", "FILE", "ptb/ptb.train.txt"):
        (folder / name).write_text(text, encoding="utf-8")
    for name in ("other.txt", "ptb/ptb.valid.txt"):
        (folder / name).write_text("".join(lines[::10]), encoding="utf-8")
    (folder / "texts" / "one.txt.gz").write_bytes(gzip.compress(text.encode()))
    (folder / "my_pairs.tsv").write_text("people\tcity\t5\nking\tman\t6\nwar\ttime\t1\n")
    (folder / "experiments").symlink_to(ROOT / "experiments")
    article = f"<page><ns>0</ns><revision><text>{text}</text></revision></page>"
    dump = f"<mediawiki>{article}</mediawiki>".encode()
    (folder / "enwiki-pages-articles.xml.bz2").write_bytes(bz2.compress(dump))
    vectors_of_others(folder, sorted(set(words)))


def vectors_of_others(folder: Path, words: list[str]) -> None:
    """Vectors as other programs publish them: word2vec's binary in gzip, GloVe's text in a zip."""
    rows = [[math.sin(i * j) for j in range(1, 5)] for i in range(1, len(words) + 1)]
    with gzip.open(folder / "GoogleNews-vectors-negative300.bin.gz", "wb") as file:
        file.write(b"%d 4\n" % len(words))
        for word, row in zip(words, rows, strict=True):
            file.write(word.encode() + b" " + struct.pack("<4f", *row) + b"\n")
    lines = [f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, rows, strict=True)]
    with zipfile.ZipFile(folder / "glove.6B.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("glove.6B.50d.txt", "glove.6B.100d.txt"):
            archive.writestr(name, "".join(lines))


def run(line: str, folder: Path) -> str:
    """One command at its small size, or a word why not. Returns how it failed, or ''."""
    _, module, *given = shlex.split(line)
    module = module.removeprefix("experiments.")
    if module not in SMALL:
        return f"python {line}: neither in SMALL nor in LEFT_OUT"
    for said, (package, reason) in LEFT_OUT.items():
        if said in line and find_spec(package) is None:
            print(f"left out, {reason}: {line}", flush=True)
            return ""
    argv = ["-m", f"experiments.{module}", *(HERE.get(flag, flag) for flag in given)]
    drawn = any(flag.startswith("--bootstrap") for flag in given)
    argv += [f.replace("--seeds", "--bootstrap") if drawn else f for f in SMALL[module]]
    began = time.perf_counter()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "W2V_JAX_DATA": str(folder)}
    env.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # small runs mostly compile
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run([sys.executable, *argv], cwd=folder, env=env, **streams)
    seconds = f"{time.perf_counter() - began:.1f} s"
    print(f"$ python {shlex.join(argv)}\n{done.stdout}({seconds})", flush=True)
    return f"python {line}: exit status {done.returncode}" if done.returncode else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
