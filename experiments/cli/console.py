"""What a run shows on a terminal: progress while it trains, a closing screen at its end."""

import contextlib
import math
import os
import sys
import threading
from collections.abc import Iterable, Iterator

from tqdm import tqdm

from experiments.cli import quoted
from experiments.cli.errors import as_flags
from experiments.report import chance, tables
from experiments.report.tables import counted
from w2v_jax import resources
from w2v_jax.data.files import is_packed
from w2v_jax.vectors import similarity
from w2v_jax.vectors.evaluation import LEAST, Measure
from w2v_jax.vectors.word_vectors import WordVectors

SOON = 1.0  # seconds of compiling that nothing is said of: a program that was kept takes less

_silent: list[bool] = []

NEVER = "(never had a context: untrained)"  # in place of neighbours


def log(text: str) -> None:
    """A line for whoever watches, on stderr, so that stdout stays the closing screen."""
    if not _silent:
        error(text)


def between(text: str) -> None:
    """Lines for whoever watches, above a progress bar where there is one."""
    if not _silent:
        tqdm.write(as_flags(text), file=sys.stderr)


def note(text: str) -> None:
    """A line about something that is no fault, but worth knowing."""
    log(f"note: {text}")


def error(text: str) -> None:
    """The line with which a process ends."""
    print(as_flags(text), file=sys.stderr, flush=True)


def silence() -> None:
    """From now on nothing is logged or drawn: another process of the run shows it."""
    _silent.append(True)


def _is_watched() -> bool:
    return sys.stderr.isatty() and not _silent


def missing_sets() -> None:
    """Says which of the standard word pairs are not installed."""
    if not resources.simlex999():
        log(f"note: {resources.NO_SIMLEX}")


def progress_bar(total_words: int, done: int = 0) -> tqdm:
    """Words done of words planned; silent where stderr is no terminal."""
    return tqdm(
        total=total_words,
        initial=done,
        unit="word",
        unit_scale=True,
        smoothing=0.1,
        dynamic_ncols=True,
        disable=not _is_watched(),
        bar_format="{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} words "
        "[{elapsed}<{remaining}, {rate_fmt}{postfix}]",
    )


@contextlib.contextmanager
def compiling() -> Iterator[None]:
    """Tells of a compilation that takes a while: seconds that run on a terminal, else one line."""
    ended = threading.Event()

    def tell():
        if ended.wait(SOON):
            return
        if not _is_watched():
            log("compiling ..")
            return
        with tqdm(bar_format="compiling .. {elapsed}", leave=False) as bar:
            bar.start_t -= SOON
            while not ended.wait(0.2):
                bar.refresh()

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def reading_bar(paths: Iterable[str]) -> tqdm:
    """Bytes of text read, of all where no file is compressed; gone once it is read."""
    plain = not any(is_packed(path) for path in paths)
    return tqdm(
        desc="reading",
        total=sum(os.path.getsize(p) for p in paths if os.path.isfile(p)) if plain else None,
        unit="B",
        unit_scale=True,
        dynamic_ncols=True,
        leave=False,
        delay=0.5,
        disable=not _is_watched(),
    )


def quality(measures: Iterable[Measure]) -> str:
    """A table of measures with their coverage."""
    rows = list(measures)
    width = max((len(m.name) for m in rows), default=0)
    lines = []
    for m in rows:
        value = "  -  " if m.value is None else f"{m.value:5.3f}"
        lines.append(f"  {m.name:<{width}}  {value}  ({_items(m)})")
    return "\n".join(lines)


def _items(m: Measure) -> str:
    """How many of its items a figure covers."""
    few = ": too few" if 0 < m.covered < LEAST else ""
    other = f", {m.folded:,} by another spelling" if m.folded else ""
    return f"{m.covered:,} of {counted(m.total, 'item')}{few}{other}"


def judged(rows: Iterable) -> str:
    """A table of `judged.Row`s: figures with their intervals over items, differences, coverage."""
    rows = list(rows)
    width = max((len(row.measure.name) for row in rows), default=0)
    compared = any(row.difference is not None for row in rows)
    head = "value ± 95% over items" + (", difference (p)" if compared else ", two tables need")
    lines = [f"  {'':<{width}}  {head}"]
    for row in rows:
        value = "  -  " if row.measure.value is None else f"{row.measure.value:5.3f}"
        value += " " * 8 if row.half is None else f" ± {row.half:.3f}"
        if compared:
            told = " " * 26
            if row.difference is not None and row.difference_half is not None:
                told = f"{row.difference:+.3f} ± {row.difference_half:.3f} ({row.p:.3f})"
            value += f"  {told:<24}"
        else:
            value += "       " if row.needed is None else f"  {row.needed:5.3f}"
        lines.append(f"  {row.measure.name:<{width}}  {value}  ({_items(row.measure)})")
    return "\n".join(lines)


def similar(wv: WordVectors, words: Iterable[str], topk: int) -> tuple[str, list[str]]:
    """A line a word, its nearest neighbours with their cosines; and lines about unknown words."""
    words = list(words)
    by_subwords = [word for word in words if word not in wv and wv.has_vector(word)]
    ids, unknown = similarity.find_all(wv.words, [w for w in words if w not in by_subwords])
    lines = []
    for word in by_subwords:
        told = ", ".join(f"{near} {score:.3f}" for near, score in wv.most_similar(word, topk))
        lines.append(f"  {word} (unknown, by its n-grams) -> {told}")
    if ids:
        near, cosines = similarity.most_similar(wv.vectors, ids, topk, wv.untrained)
        for query, row, values in zip(ids, near, cosines, strict=True):
            never = query in wv.untrained
            lines.append(f"  {wv.words[query]} -> {NEVER if never else _scored(wv, row, values)}")
    return "\n".join(lines), unknown


def analogies(
    wv: WordVectors, triples: Iterable[tuple[str, ...]], topk: int, score: str
) -> tuple[str, list[str]]:
    """A line a triple, a : b = c : the best answers; and lines about unknown words."""
    lines, known, unknown = [], [], []
    for triple in triples:
        ids, missing = similarity.find_all(wv.words, triple)
        unknown += missing
        if not missing:
            known.append(ids)
    if known:
        best, scores = similarity.analogy(wv.vectors, known, topk, score, wv.untrained)
        for (a, b, c), row, values in zip(known, best, scores, strict=True):
            head = f"{wv.words[a]} : {wv.words[b]} = {wv.words[c]} :"
            never = {a, b, c} & set(wv.untrained)
            lines.append(f"  {head} {NEVER if never else _scored(wv, row, values)}")
    return "\n".join(lines), list(dict.fromkeys(unknown))


def estimate(value: float | None, half: float | None) -> str:
    """`value ± half` of its 95% interval, in as many digits as that allows, at most four.

    The value alone in four digits where they all are known, in one where half is not.
    """
    if value is None or half is None:
        return "nan" if value is None else f"{value:.1f}"
    if half < 0.5e-4 or abs(value) >= tables.LARGE:
        return tables.plus_minus(value, half if half >= 0.5e-4 else None, 4)
    digits = min(max(math.ceil(-math.log10(half / 2)), 0), 4)
    return f"{value:.{digits}f} ± {half:.{digits}f}"


def beside_bar(line: dict) -> str:
    """What of a line of metrics stands beside the progress bar."""
    loss = "" if line["loss"] is None else f"loss {estimate(line['loss'], line['loss_error'])}, "
    return f"{loss}rate {line['learning_rate']:.2g}"


def closing_screen(config, workdir, summary: dict, measures: list[Measure], wv) -> str:
    """What a run ends with: loss, speed, quality with its coverage, neighbours, where it lies."""
    objective = summary["objective"]
    loss = estimate(summary["final_loss"], summary["final_loss_error"])
    note = f"note: {summary['note']}\n" if summary["note"] else ""
    parts = [
        f"\n{note}{config.model} on {summary['dataset']}: "
        f"{counted(summary['words_per_epoch'], 'word')} x {_epochs(config, summary)}, "
        f"{counted(summary['vocab_size'], 'type')}, D {config.dim}",
        f"loss {loss} per positive in {_of_epoch(summary)}"
        + _heldout(summary)
        + (f"; objective {objective:.4f} ({config.objective})" if objective is not None else ""),
        f"{summary['train_sec']:.1f} s training ({summary['words_per_sec']:,.0f} words/s), "
        f"{summary['compile_sec']:.1f} s compilation, {summary['total_sec']:.1f} s in all",
    ]
    of_chance = summary.get("chance_loss")
    if chance.no_better(summary["final_loss"], summary["final_loss_error"], of_chance):
        parts.append(chance.warning(summary["final_loss"], of_chance))
    if measures:
        parts.append("quality\n" + quality(measures))
    vocabulary = set(wv.words)
    words = [word for word in config.show_similar if word in vocabulary]
    words = words or list(wv.words[len(wv.words) // 100 :][:4])  # neither rare nor everywhere
    if words:
        parts.append("nearest words (cosine)\n" + similar(wv, words, 5)[0])
    known = [
        t for t in (quoted.words(a, ":") for a in config.show_analogies) if set(t) <= vocabulary
    ]
    if known:
        score = config.analogy_score
        parts.append(f"analogies (a : b = c : ?, {score})\n" + analogies(wv, known, 3, score)[0])
    return "\n\n".join([*parts, f"written to {workdir}"])


def _epochs(config, summary: dict) -> str:
    """How many epochs were trained."""
    stopped = summary.get("stopped_epoch")
    return f"{stopped} of " * bool(stopped) + counted(config.epochs, "epoch")


def _of_epoch(summary: dict) -> str:
    """Of which epoch the tables are."""
    best = summary.get("best_epoch")
    return f"epoch {best}, which had the lowest held-out loss" if best else "the last epoch"


def _heldout(summary: dict) -> str:
    """The held-out measures that there are."""
    names = {"heldout_loss": "held-out loss", "perplexity": "perplexity"}
    found = [
        f"; {title} {estimate(summary[name], summary[f'{name}_error'])}"
        for name, title in names.items()
        if summary.get(name) is not None
    ]
    return "".join(found)


def _scored(wv: WordVectors, ids, values) -> str:
    pairs = zip(ids, values, strict=True)
    return ", ".join(f"{wv.words[i]} {value:.3f}" for i, value in pairs)
