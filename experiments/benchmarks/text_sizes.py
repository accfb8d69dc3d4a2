"""train_corpus's defaults beside gensim's, on the beginnings of a text and on texts of ten types.

python -m experiments.benchmarks.text_sizes --corpus=FILE --workdir=OUT

Both programs train with their own defaults but for the model; every run is a process of its own.
A run that is in OUT/results.jsonl is not repeated. Leaves results.jsonl and table.md.
"""

import random
import shutil
import sys
from pathlib import Path

import numpy as np
from absl import flags

from experiments.benchmarks import child_process, gensim_search, plain_corpus
from experiments.benchmarks.baselines.commands import BASELINES, Run, Task, Tools
from experiments.benchmarks.speed import MEASURES
from experiments.cli import command, console
from experiments.report import item_files, over_items, stats
from experiments.report.tables import markdown, mean_and_interval, number, plus_minus
from experiments.runs import rundir
from experiments.runs.store import Results, cpus
from w2v_jax.data import sources as corpora
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.similarity import unit_rows
from w2v_jax.vectors.word_vectors import WordVectors

SIZES = (10_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
TYPED = (1_000, 10_000, 100_000, 1_000_000)  # words of the texts of ten types
MODELS = ("skipgram", "cbow")
PROGRAMS = ("w2v_jax", "gensim")
GROUPS = ("abcde", "vwxyz")  # the ten types: no line has words of both groups
ITEMS = {"wordsim353": "wordsim353", "simlex999": "simlex999", "analogies": "google_analogies"}
NAMES = {"wordsim353": "WordSim-353", "simlex999": "SimLex-999", "analogies": "analogies"}
SETTING = ("subsample", "learning_rate", "batch_size", "epochs")


def define_flags() -> None:
    """The benchmark's flags."""
    flags.DEFINE_string("corpus", "", "Text whose first words are taken; none: ten types alone.")
    flags.DEFINE_string("workdir", "", "Folder of the results; runs found there are kept.")
    flags.DEFINE_list("sizes", list(map(str, SIZES)), "Words of that text.")
    flags.DEFINE_list("sizes_of_ten_types", list(map(str, TYPED)), "Words of generated texts.")
    flags.DEFINE_list("models", list(MODELS), "Architectures.")
    flags.DEFINE_integer("seeds", 3, "Runs of each program, seeds 1 to this.", 1)
    flags.DEFINE_integer("threads", cpus(), "CPUs and worker threads of every run.", 1)


def main() -> None:
    """Measures what is not measured yet, size by size; then writes the table."""
    given = flags.FLAGS
    folder = gensim_search.workdir()
    results = Results(folder, {"threads": given.threads}, same_machine=False)
    sizes = [("ten types", int(words)) for words in given.sizes_of_ten_types]
    sizes += [("text", int(words)) for words in given.sizes] if given.corpus else []
    for text, words in sizes:
        for model in given.models:
            for seed in range(1, given.seeds + 1):
                for program in PROGRAMS[:: 1 if seed % 2 else -1]:
                    key = dict(text=text, words=words, model=model, program=program, seed=seed)
                    if results.find(**key) is None:
                        results.add({**key, **measured(folder, given.threads, **key)})
                        console.log(str(results.lines[-1]))
    told = table(results.lines, folder)
    results.write("table.md", told)
    print(told)


def corpus_file(folder: Path, text: str, words: int) -> Path:
    """The text as a plain file."""
    own = folder / "texts" / f"{text.replace(' ', '_')}-{words}"
    if not (own / "corpus.txt").exists():
        if text == "ten types":
            write_atomically(str(own / "corpus.txt"), ten_types(words).encode())
        else:
            source = corpora.locate("", corpus=flags.FLAGS.corpus)
            plain_corpus.plain(source, words, own)
    return own / "corpus.txt"


def ten_types(words: int) -> str:
    """Lines of ten words drawn from one of two groups of five."""
    draw = random.Random(0)
    lines = [draw.choices(draw.choice(GROUPS), k=10) for _ in range(words // 10)]
    return "".join(" ".join(line) + "\n" for line in lines)


def measured(
    folder: Path, threads: int, text: str, words: int, model: str, program: str, seed: int
) -> dict:
    """One training and its measures. Raises UserError where the process fails."""
    path, name = corpus_file(folder, text, words), f"{program}-{seed}"
    out = folder / "runs" / f"{text.replace(' ', '_')}-{words}-{model}-{name}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    log = out / "log.txt"
    child = child_process.run(_command(program, path, model, seed, threads, out), log, threads)
    if child.status:
        raise UserError(f"{program}: exit status {child.status}: {child.output[-300:]} ({log})")
    ours = program == "w2v_jax"
    wv = vectors_io.load(out / ("run/vectors.txt" if ours else "vectors.bin"))
    setting = {}
    if ours:
        lines = (out / "run" / rundir.FLAGS).read_text().splitlines()
        every = dict(line[2:].split("=", 1) for line in lines if line.startswith("--"))
        setting = {n: float(every[n]) for n in SETTING}
        setting["warned"] = "warning:" in child.output
    shutil.rmtree(out)
    if text == "ten types":
        return {**setting, "total_sec": child.wall_sec, "apart": apart(wv)}
    items = evaluation.standard_items(wv)
    (here := folder / f"{words}-{model}").mkdir(exist_ok=True)
    item_files.write(here, name, items)
    found = {m.name: m for m in evaluation.standard(wv, items)}
    return {
        **setting,
        "total_sec": child.wall_sec,
        **{short: found[long].value for long, short in MEASURES.items()},
        **{f"{short}_covered": found[long].covered for long, short in MEASURES.items()},
    }


def _command(program: str, path: Path, model: str, seed: int, threads: int, out: Path) -> list[str]:
    if program == "gensim":
        own = gensim_search.DEFAULTS
        task = Task(
            **{"corpus": str(path), "corpus_sha256": "", "words": 0, "lines": 0, "model": model},
            **{"dim": 100, "window": own["window"], "negatives": own["negative"]},
            **{"subsample": own["sample"], "min_count": 5, "epochs": own["epochs"]},
            threads=threads,
        )
        return BASELINES["gensim"].command(Run(task, Tools(), own["epochs"], "", seed, out))
    return [
        *(sys.executable, "-m", "experiments.train_corpus", f"--corpus={path}"),
        *(f"--model={model}", f"--seed={seed}", f"--workdir={out / 'run'}", "--noevaluate"),
        *("--noplots", "--show_similar=", "--show_analogies=", "--checkpoint_every_sec=0"),
    ]


def apart(wv: WordVectors) -> float:
    """The smallest cosine of two words of one group less the largest of two groups' words."""
    rows = unit_rows(wv.vectors)
    group = np.array([word in GROUPS[0] for word in wv.words])
    same = group[:, None] == group
    return float((rows @ rows.T)[same].min() - (rows @ rows.T)[~same].max())


def table(lines: list[dict], folder: Path) -> str:
    """table.md: means, and ours minus gensim's over seeds, and over seeds and items."""
    parts = [
        "Defaults of `train_corpus` and of gensim, but for the model. Means ± half width of the "
        "95% interval\nover seeds; differences by Welch's t; in brackets the half width over other "
        "word pairs and\nanalogies too. **Bold**: an interval that leaves out 0 (over items too, "
        "where that is known).\n"
    ]
    for field, name in {**NAMES, "apart": "ten types"}.items():
        some = [line for line in lines if line.get(field) is not None]
        keys = dict.fromkeys((line["words"], line["model"]) for line in some)
        rows = [_row(field, *key, some, folder) for key in sorted(keys, key=lambda k: k[0])]
        header = ["words", "model", *PROGRAMS, "difference", "items", "epochs", "batch", "t"]
        parts.append(f"{name}\n\n{markdown(header, rows)}" if rows else "")
    if any(line["text"] == "ten types" for line in lines):
        parts.append(
            "Ten types: two groups of five words that share no line; the smallest cosine within a\n"
            "group less the largest across: above 0 they are told apart.\n"
        )
    return "\n".join(filter(None, parts))


def _row(field: str, words: int, model: str, lines: list[dict], folder: Path) -> list[str]:
    own = [line for line in lines if (line["words"], line["model"]) == (words, model)]
    sides = [
        {f"{program}-{line['seed']}": line[field] for line in own if line["program"] == program}
        for program in PROGRAMS
    ]
    ours = next((line for line in own if line["program"] == "w2v_jax"), {})
    gap, covered = "–", number(ours.get(f"{field}_covered"))
    if all(sides):
        estimate = stats.welch(*(list(side.values()) for side in sides))
        wide = None
        if field in ITEMS:
            items = item_files.of_folder(folder / f"{words}-{model}", [*sides[0], *sides[1]])
            trials = [{name: name for name in side} for side in sides]
            wide = over_items.with_items(estimate, items.get(ITEMS[field]), *trials)
        gap = plus_minus(estimate.mean, estimate.half, sign="+")
        gap += f" ({wide.half:.3f})" if wide and np.isfinite(wide.half) else ""
        judge = wide or estimate
        gap = f"**{gap}**" if judge.half is not None and abs(judge.mean) > judge.half else gap
    setting = [f"{ours[name]:g}" if name in ours else "–" for name in SETTING]
    means = [mean_and_interval(list(side.values())) for side in sides]
    return [f"{words:,}", model, *means, gap, covered, setting[3], setting[2], setting[0]]


if __name__ == "__main__":
    define_flags()
    command.start(main, __doc__)
