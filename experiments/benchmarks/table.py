"""Lines of a benchmark's results.jsonl -> table.md."""

from collections.abc import Mapping, Sequence

from experiments.benchmarks.baselines.commands import Task
from experiments.report import over_items, stats
from experiments.report.tables import (
    counted,
    enclosed,
    half_width,
    markdown,
    mean_and_interval,
    plus_minus,
    spread,
)

QUALITY = {"wordsim353": "WS-353", "simlex999": "SimLex-999", "analogies": "analogies"}
ITEMS = {"analogies": "google_analogies"}  # of a field, where they are named otherwise
DIGITS = {"words_per_sec": 0, "train_sec": 1, "total_sec": 1, "peak_mb": 0}
TIMES = {"train_sec": "training", "total_sec": "text to vectors"}


def columns(lines: Sequence[dict]) -> dict[str, str]:
    """The measures by their fields: the standard ones, and one's own sets."""
    end = "_covered"
    every = dict.fromkeys(name.removesuffix(end) for x in lines for name in x if name.endswith(end))
    return QUALITY | {field: field.rpartition("_")[0] for field in every if field not in QUALITY}


def by_baseline(lines: Sequence[dict]) -> dict[str, list[dict]]:
    """The lines of each baseline, baselines by name: ours first."""
    names = sorted({line["peer"] for line in lines}, key=lambda n: (not n.startswith("w2v_jax"), n))
    return {name: [line for line in lines if line["peer"] == name] for name in names}


def reference(lines: Sequence[dict]) -> str | None:
    """The baseline that ratios are taken against: gensim, or the only other program; else None."""
    epochs = {line["peer"]: line["epochs"] for line in lines}
    programs = {label: label.split("@")[0] for label in epochs}
    others = {name for name in programs.values() if not name.startswith("w2v_jax")}
    base = "gensim" if "gensim" in others or len(others) != 1 else others.pop()
    labels = [label for label, name in programs.items() if name == base]
    return min(labels, key=lambda label: (label != base, epochs[label]), default=None)


def ratios(lines: Sequence[dict], a: str | None, b: str | None, field: str) -> list[float]:
    """b's figure / a's figure of the same seed, where both are known."""
    found = {(line["peer"], line["seed"]): line[field] for line in lines}
    seeds = {line["seed"] for line in lines}
    pairs = [(found.get((a, s)), found.get((b, s))) for s in sorted(seeds)]
    return [y / x for x, y in pairs if x and y]


def speed(lines: Sequence[dict]) -> str:
    """Medians of times and of ratios against the reference, with their ranges."""
    base = reference(lines)
    header = ["", "epochs", "runs", "words/s", *(f"{x}, s" for x in TIMES.values()), "peak MB"]
    header += ["x words/s", *(f"x {x}" for x in TIMES.values())]
    rows = []
    for baseline, runs in by_baseline(lines).items():
        mark = "~" if any(run.get("estimated") for run in runs) else ""
        factors = [ratios(lines, base, baseline, "words_per_sec")]
        factors += [ratios(lines, baseline, base, field) for field in TIMES]
        if baseline == base:  # 1, without a range
            factors = [factor[:1] for factor in factors]
        row = [baseline, str(runs[0]["epochs"]), str(len(runs))]
        for field, digits in DIGITS.items():
            estimated = mark if field in ("words_per_sec", "train_sec") else ""
            row.append(estimated + spread([run[field] for run in runs], digits))
        rows.append(row + [spread(factor, 2) for factor in factors])
    return markdown(header, rows)


def quality(lines: Sequence[dict]) -> str:
    """Means and intervals of the measures, with the items that the vocabulary covers."""
    rows, measures = [], columns(lines)
    for baseline, runs in by_baseline(lines).items():
        row = [baseline, str(runs[0]["epochs"]), str(len(runs))]
        for field in measures:
            covered = sorted({run.get(f"{field}_covered", 0) for run in runs})
            text = mean_and_interval([run.get(field) for run in runs])
            row.append(f"{text} ({'-'.join(f'{n:,}' for n in covered)})")
        rows.append(row)
    return markdown(["", "epochs", "runs", *measures.values()], rows)


def run_name(baseline: str, seed: int) -> str:
    """A run's, as its files are named."""
    return f"{baseline.replace('/', '_')}-seed{seed}"


def gaps(lines: Sequence[dict], items: Mapping[str, over_items.Items]) -> str:
    """Differences of the measures' means to the reference's, over seeds, and over items too.

    items: of the runs, by `run_name`.
    """
    base, rows, measures = reference(lines), [], columns(lines)
    baselines = by_baseline(lines)
    for baseline, runs in baselines.items():
        row = [baseline]
        for field, name in measures.items():
            sides = [known(some, field) for some in (runs, baselines.get(base, []))]
            of_field = items.get(ITEMS.get(field, field if field in QUALITY else name))
            row += _gap(*sides, of_field) if all(sides) else ["–", "–"]
        rows += [row] if baseline != base else []
    header = [cell for name in measures.values() for cell in (name, "over items too")]
    return markdown([f"minus {base}", *header], rows)


def _gap(ours: Mapping, base: Mapping, items: over_items.Items | None) -> tuple[str, str]:
    estimate = stats.welch(list(ours.values()), list(base.values()))
    wide = over_items.with_items(
        estimate, items, *({name: name for name in s} for s in (ours, base))
    )
    return plus_minus(estimate.mean, estimate.half, sign="+"), half_width(wide and wide.half)


def known(runs: Sequence[dict], field: str) -> dict[str, float]:
    """The figures of a field that there are, by `run_name`."""
    some = [run for run in runs if run.get(field) is not None]
    return {run_name(run["peer"], run["seed"]): run[field] for run in some}


def document(
    lines: Sequence[dict], items: Mapping[str, over_items.Items], task: Task, machine: str
) -> str:
    """table.md."""
    name = {"skipgram": "Skip-gram", "cbow": "CBOW"}[task.model]
    base = reference(lines) or "gensim"
    runs = min(map(len, by_baseline(lines).values()))
    title = (
        "Difference of means ± half width of its 95% interval over seeds, items the same (Welch's\n"
        "t). Over items too: that for other seeds and other word pairs or analogies of the same\n"
        "sections; items that share a word vary together.\n\n"
    )
    several = reference(lines) and len(by_baseline(lines)) > 1
    differences = title + gaps(lines, items) if several else ""
    threads = counted(task.threads, "thread")
    outputs = "hierarchical softmax" if task.in_tree else f"K {task.negatives}"
    outputs += ", subwords" * task.subwords
    return f"""{name}, D {task.dim}, W {task.window}, {outputs}, t {task.subsample:g}, \
min_count {task.min_count}, {counted(task.words, "word")}; {threads} of {machine}.

Words/s: the text's words before subsampling x epochs / seconds of training. Text to vectors: the
whole process. Peak MB: of its largest process. x: how many times as fast as {base}, from the two
runs of a seed. ~: estimated from the rate that the program prints (word2vec.c's counts its own CPU
time); neither it nor fastText is given a seed.
{enclosed(runs)}

{speed(lines)}
Mean ± half width of the 95% interval over seeds, items the same (Student's t); in brackets the
items that the vocabulary covers. WS-353 and SimLex-999: Spearman's rho.

{quality(lines)}
{differences}"""


def sentence(line: dict) -> str:
    """A run, for whoever watches."""
    measures = ", ".join(
        f"{name} {'–' if line[field] is None else format(line[field], '.3f')}"
        for field, name in columns([line]).items()
    )
    train = "–" if line["train_sec"] is None else f"{line['train_sec']:.1f} s"
    return (
        f"{line['peer']}, seed {line['seed']}: training {train}, text to vectors "
        f"{line['total_sec']:.1f} s, {line['peak_mb']:,.0f} MB; {measures}"
    )
