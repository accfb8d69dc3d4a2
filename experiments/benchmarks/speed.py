"""w2v_jax beside other programs: alternating runs from raw text to vectors, speed and quality."""

import dataclasses
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments.benchmarks import child_process, plain_corpus
from experiments.benchmarks import table as benchmark_table
from experiments.benchmarks.baselines.commands import BASELINES, CACHE, Run, Task, Tools
from experiments.benchmarks.baselines.entries import Entry, entry, order, particular, same
from experiments.cli import console
from experiments.cli.config import OWN_SETS, REPEATED, RunConfig
from experiments.cli.errors import as_flags
from experiments.report import item_files
from experiments.report.tables import counted
from experiments.runs.store import Results, cpus, machine
from w2v_jax.data import sources as corpora
from w2v_jax.defaults import LARGE
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation, item_sets
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.item_sets import ItemSet

MEASURES = {
    "wordsim353_spearman": "wordsim353",
    "simlex999_spearman": "simlex999",
    "google_analogies_accuracy": "analogies",
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """All runs of a benchmark."""

    task: Task
    tools: Tools
    entries: list[Entry]
    seeds: int
    folder: Path
    own: tuple[ItemSet, ...] = ()  # one's own sets that all are measured with


def define_flags() -> None:
    """The benchmark's flags."""
    flags.DEFINE_string("corpus", "", "Text: file or glob, UTF-8, .gz/.xz/.bz2 too.")
    flags.DEFINE_enum("dataset", "", ["", *corpora.DATASETS], "Named corpus instead.")
    flags.DEFINE_string("data_dir", "", "Folder with PTB's files (default: $W2V_JAX_DATA).")
    flags.DEFINE_integer("max_words", 0, "The corpus's first so many words (0: all).", 0)
    flags.DEFINE_list(
        "baselines",
        [f"w2v_jax@{LARGE['epochs']}", "gensim@5"],  # each by its own default
        f"Of {', '.join(BASELINES)}; NAME@EPOCHS: other epochs, w2v_jax:FLAGFILE: other flags.",
    )
    flags.DEFINE_integer("seeds", 6, "Runs of each entry, seeds 1 to this.", 1)
    flags.DEFINE_string("workdir", "", "Folder of the results; runs found there are kept.")
    for name in OWN_SETS:
        about = RunConfig.__dataclass_fields__[name].metadata["help"]
        define = flags.DEFINE_multi_string if name in REPEATED else flags.DEFINE_string
        define(name, [] if name in REPEATED else "", as_flags(about))
    flags.DEFINE_enum("model", "skipgram", ["skipgram", "cbow"], "Architecture.")
    losses = ["negative_sampling", "hierarchical_softmax"]
    flags.DEFINE_enum("loss", losses[0], losses, "What all are trained by.")
    flags.DEFINE_boolean("subwords", False, "All train subwords; gensim's is its FastText.")
    flags.DEFINE_integer("dim", 100, "Embedding size D.", 1)
    flags.DEFINE_integer("window", 5, "Largest window W.", 1)
    flags.DEFINE_integer("negatives", 5, "Negatives K a positive.", 1)
    flags.DEFINE_float("subsample", 1e-4, "Subsampling threshold t (0: none).", 0.0)
    flags.DEFINE_integer("min_count", 5, "Words that occur less often are left out.", 1)
    flags.DEFINE_integer("epochs", 5, "Passes over the corpus, but for NAME@EPOCHS.", 1)
    flags.DEFINE_integer("threads", cpus(), "CPUs and worker threads of every run.", 1)
    flags.DEFINE_string("ours", "", "Flagfile of w2v_jax (default: train_corpus's defaults).")
    flags.DEFINE_multi_string("ours_flag", [], "A flag of w2v_jax, as --batch_size=1024.")
    flags.DEFINE_enum(
        "gensim_input", "sentences", ["sentences", "corpus_file"], "How gensim reads the text."
    )
    flags.DEFINE_enum(
        "gensim_export", "input", ["input", "sum"], "gensim's vectors: input rows, or both summed."
    )
    flags.DEFINE_string("word2vec_c", "", "The word2vec program of word2vec.c.")
    flags.DEFINE_string("fasttext", "", "The fasttext program.")
    flags.DEFINE_string("torch_python", "", "A Python that has torch, for d2l.")
    flags.DEFINE_integer("d2l_loader_workers", 4, "Processes of d2l's DataLoader.", 0)


def main() -> None:
    """Measures what is not measured yet, then writes table and plot."""
    plan = make_plan()
    shared = plan.task._asdict()
    del shared["epochs"]  # every run has its own
    known = ("name", "kind", "sha256")
    shared["own_sets"] = [{n: getattr(one, n) for n in known} for one in plan.own]
    results = Results(plan.folder, shared)
    for seed, chosen in order(plan.entries, plan.seeds):
        own = particular(chosen, plan.tools)
        found = results.find(peer=chosen.label, seed=seed)
        if found is None:
            line = measure(plan, chosen, seed)
            results.add({**line, "flags": own})
            console.log(benchmark_table.sentence(line))
        elif found["epochs"] != chosen.epochs or not same(chosen, found.get("flags", ""), own):
            raise UserError(
                f"--workdir={plan.folder}: holds {chosen.label} with other epochs or flags; "
                "give another folder"
            )
    report(results, plan.task, plan.own)


def report(results: Results, task: Task, own: Sequence[ItemSet] = ()) -> None:
    """table.md, printed too, and benchmark.png."""
    if not results.lines:
        raise UserError("--baselines: none of them can run here")
    from experiments.benchmarks import plot as benchmark_plot  # its errors must not lose a table

    names = [benchmark_table.run_name(line["peer"], line["seed"]) for line in results.lines]
    items = item_files.of_folder(results.folder, names, own)
    text = benchmark_table.document(results.lines, items, task, machine())
    results.write("table.md", text)
    print(text)
    benchmark_plot.draw(results.folder / "benchmark.png", results.lines, task)


def make_plan() -> Plan:
    """The flags, checked; the text as one plain file; the entries that are here."""
    values = flags.FLAGS
    if not values.workdir:
        raise UserError("--workdir=OUT is missing")
    if bool(values.corpus) == bool(values.dataset):
        raise UserError("give either --corpus=FILE or --dataset=NAME")
    if values.threads > cpus():
        raise UserError(
            f"--threads={values.threads}: this process may use {counted(cpus(), 'CPU')}"
        )
    if values.loss != "negative_sampling" and values.gensim_export == "sum":
        raise UserError(f"--gensim_export=sum: not with --loss={values.loss}: words have one row")
    if values.subwords and values.gensim_export == "sum":
        raise UserError("--gensim_export=sum: not with --subwords")
    others = [f for f in values.ours_flag if re.match(r"--export_vectors=(?!input$)", f)]
    if values.subwords and others:
        raise UserError(f"--ours_flag={others[0]}: not with --subwords")
    if len(set(values.baselines)) < len(values.baselines):
        raise UserError(f"--baselines={','.join(values.baselines)}: one is named twice")
    tools = Tools(
        ours=values.ours,
        ours_flags=tuple(values.ours_flag),
        **{name: values[name].value for name in Tools._fields if name in values and name != "ours"},
    )
    own = {name: values[name].value for name in Task._fields if name in values}
    task = Task(**{**own, "corpus": "", "corpus_sha256": "", "words": 0, "lines": 0})
    entries = []
    for label in values.baselines:
        one = entry(label, task, tools)
        if reason := BASELINES[one.name].missing(tools, task):
            if values["baselines"].present:
                raise UserError(f"--baselines={label}: {reason}")
            console.log(f"note: {label} is left out: {reason}")
        else:
            entries.append(one)
    console.missing_sets()
    own = item_sets.read_all(values.pairs, values.analogies, values.score_column)
    folder = Path(values.workdir).expanduser().absolute()
    text = plain_corpus.plain(source(), values.max_words, folder)
    task = task._replace(corpus=str(text.path), corpus_sha256=text.sha256)
    task = task._replace(words=text.words, lines=text.lines)
    return Plan(task, tools, entries, values.seeds, folder, own)


def source() -> corpora.Source:
    """The text that the flags name."""
    values = flags.FLAGS
    data_dir = values.data_dir
    if values.dataset == "ptb":
        data_dir = data_dir or os.environ.get("W2V_JAX_DATA", "")
    return corpora.locate(values.dataset, corpus=values.corpus, data_dir=data_dir)


def measure(plan: Plan, chosen: Entry, seed: int) -> dict:
    """One run: a line of results. Raises UserError where the process fails."""
    baseline = BASELINES[chosen.name]
    name = benchmark_table.run_name(chosen.label, seed)
    folder = plan.folder / "runs" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = Run(plan.task, plan.tools, chosen.epochs, chosen.flagfile, seed, folder)
    log = folder / "log.txt"
    child = child_process.run(baseline.command(run), log, plan.task.threads)
    shutil.rmtree(folder / CACHE, ignore_errors=True)
    if child.status:
        last = (child.output.strip().splitlines() or ["it printed nothing"])[-1]
        raise UserError(f"--baselines={chosen.label}: exit status {child.status}: {last} ({log})")
    times = baseline.times(run, child.output)
    words = plan.task.words * chosen.epochs
    wv = vectors_io.load(folder / baseline.vectors(plan.task))
    items = item_sets.items_of(wv, plan.own)
    item_files.write(plan.folder, name, items)
    measures = MEASURES | {one.headline: one.headline for one in plan.own}
    found = dict.fromkeys(measures, evaluation.Measure("", None, 0, 0))
    found |= {m.name: m for m in item_sets.measured(wv, plan.own, items) if m.name in measures}
    return {
        "peer": chosen.label,
        "seed": seed,
        "epochs": chosen.epochs,
        "words_per_sec": words / times["train_sec"] if times["train_sec"] else None,
        **times,
        "total_sec": child.wall_sec,
        "peak_mb": child.peak_mb,
        "vocab_size": len(wv.words),
        **{short: found[name].value for name, short in measures.items()},
        **{f"{short}_covered": found[name].covered for name, short in measures.items()},
    }
