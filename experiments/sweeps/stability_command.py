"""The stability of members: read, compared, written as a table, a picture and a mean table."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags

from experiments.cli import console, pictures
from experiments.cli.config import to_flagfile
from experiments.report import plot_stability, stability, tables
from experiments.report.tables import counted
from experiments.runs import newest, rundir
from experiments.runs.store import LINES, SETTINGS
from experiments.sweeps import growth
from experiments.sweeps.outputs import VECTORS
from w2v_jax.data.vocab import load_counts
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import UserError
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors.word_vectors import WordVectors

TABLE, PICTURE, WORDS = "stability.md", "stability.png", "stability.jsonl"
ALONE = "the only setting"
SHOWN = 5  # words of a stratum, most and least stable


class Group(NamedTuple):
    """Members that differ by chance alone."""

    name: str
    ensemble: list[WordVectors]
    counts: np.ndarray


def define_flags() -> None:
    """The command's flags."""
    told = "Folder of a sweep with --save_vectors: each of its settings. Several are compared."
    flags.DEFINE_multi_string("sweep", [], told)
    flags.DEFINE_multi_string("run", [], "Run directory, a member; give several.")
    flags.DEFINE_integer("topn", 10, "Nearest words that are compared.", lower_bound=1)
    flags.DEFINE_integer(
        "words", 1000, "Words of each stratum of frequency that are asked.", lower_bound=5
    )
    flags.DEFINE_string("workdir", "", "Folder of the results (default: the first sweep's).")
    flags.DEFINE_boolean("plots", True, "Draw the picture.")
    pictures.define_flags()


def main() -> None:
    """Compares the members of each group; writes and prints the table."""
    values = flags.FLAGS
    if bool(values.sweep) == bool(values.run):
        raise UserError("give --sweep=FOLDER, or --run=RUN several times")
    if values.run and not values.workdir:
        raise UserError("--workdir=FOLDER is missing")
    folder = Path(values.workdir or values.sweep[0]).expanduser()
    groups = _of_sweeps(values.sweep) if values.sweep else _of_runs(values.run)
    formats = pictures.of_flags() if values.plots else ()
    report(folder, groups, values.topn, values.words, formats)


def report(
    folder: Path, groups: Iterable[Group], topn: int, asked: int, formats: Sequence[str]
) -> None:
    """Writes what is known of each group; prints the table.

    formats: of the picture; none: no picture.
    """
    found = {}
    for number, group in enumerate(groups):
        console.log(f"{group.name}: {counted(len(group.ensemble), 'member')}")
        found[group.name] = of_group = stability.of_ensemble(
            group.ensemble, group.counts, topn, asked
        )
        path = folder / f"mean-{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        rundir.save_as("text", path, of_group.mean)
    if not found:
        raise UserError("no setting has two members: give --seeds=N or --bootstrap=N")
    text = table(found)
    write_atomically(str(folder / TABLE), text.encode())
    write_atomically(str(folder / WORDS), "".join(_lines(found)).encode())
    print(text)
    written = [folder / TABLE, folder / WORDS]
    if formats:
        drawn = pictures.paths(folder / PICTURE, formats)
        plot_stability.plot(drawn, {n: s.strata for n, s in found.items()}, topn)
        written += drawn
    print("\n".join(f"written to {path}" for path in written))


def _of_sweeps(paths: list[str]) -> Iterable[Group]:
    """The settings of sweeps, named by their folder too where there are several."""
    if len({Path(path).expanduser().resolve() for path in paths}) < len(paths):
        raise UserError("--sweep: one is given twice")
    for path in paths:
        folder = Path(path).expanduser()
        for group in _of_sweep(folder):
            named = group.name
            if len(paths) > 1:
                named = f"{path}: {named}".replace(f": {ALONE}", "")
            yield group._replace(name=named)


def _of_sweep(folder: Path) -> Iterable[Group]:
    """The settings of a sweep, read one after the other. Raises UserError for another folder."""
    for name in (SETTINGS, LINES):
        if not (folder / name).is_file():
            raise UserError(f"--sweep={folder}: holds no {name} of a sweep")
    if not (folder / rundir.VOCAB).is_file():
        raise UserError(f"--sweep={folder}: holds no {rundir.VOCAB}: --save_vectors writes it")
    counts = load_counts(str(folder / rundir.VOCAB)).counts
    results = growth.opened(folder)
    drawn = results.settings.get("bootstrap", 0)
    by_setting: dict[str, list[int]] = {}
    for line in results.lines:
        # A diverged trial is no draw, and one that halving stopped none of a whole training.
        if line.get("frozen_step") is None and line.get("lost_rung") is None:
            name = " ".join(to_flagfile(line["setting"].items()).split()) or ALONE
            by_setting.setdefault(name, []).append(line["member"])
    for name, trials in by_setting.items():
        if len(trials) < 2:
            console.note(f"{name}: one member, which tells nothing of others: left out")
            continue
        paths = [folder / VECTORS / f"{trial}.txt" for trial in trials]
        absent = [path for path in paths if not path.is_file()]
        if absent:
            raise UserError(f"--sweep={folder}: no {absent[0]}: --save_vectors writes it")
        ensemble = [vectors_io.load(path, note=console.note) for path in paths]
        yield Group(f"{name}{', lines drawn anew' * bool(drawn)}", ensemble, counts)


def _of_runs(paths: list[str]) -> Iterable[Group]:
    """Runs of one vocabulary. Raises UserError where theirs differ."""
    folders = [Path(path).expanduser() for path in paths]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("--run: one is given twice, which is no other member")
    ensemble = [newest.of_run(folder).wv for folder in folders]
    for folder, wv in zip(folders, ensemble, strict=True):
        if wv.words != ensemble[0].words:
            raise UserError(f"--run={folder}: its words are others than those of {folders[0]}")
        if wv.vectors.shape != ensemble[0].vectors.shape:
            raise UserError(f"--run={folder}: its --dim is another than that of {folders[0]}")
    if len(ensemble) < 2:
        raise UserError("--run: give it several times, once for each member")
    counts = ensemble[0].counts
    if counts is None:
        raise UserError(f"--run={folders[0]}: holds no {rundir.VOCAB}")
    yield Group("runs", ensemble, counts)


def _lines(found: dict[str, stability.Stability]) -> Iterable[str]:
    """stability.jsonl: a line a word."""
    for name, of_group in found.items():
        for word in of_group.words:
            yield json.dumps({"setting": name, **word._asdict()}, ensure_ascii=False) + "\n"


def table(found: dict[str, stability.Stability]) -> str:
    """stability.md."""
    parts = []
    for number, (name, of_group) in enumerate(found.items()):
        head = f"## {name}: {counted(of_group.size, 'member')}\n"
        parts += [head, _strata(of_group), _extremes(of_group)]
        if of_group.worth:
            parts.append(_worth(of_group, number))
    return "\n".join([_said(next(iter(found.values()))), *parts])


def _said(first: stability.Stability) -> str:
    return (
        "# How stable neighbours are\n\n"
        f"Overlap: the share of a word's nearest words (the first {first.topn}) that two members "
        "have in common,\nmean over all pairs of members. ±: half width of the 95% interval over "
        "members drawn anew\n(the jackknife), of a range of frequencies also over its words where "
        "some were drawn.\n"
    )


def _strata(of_group: stability.Stability) -> str:
    rows = [
        [
            f"{stratum.low:,} and more"
            if stratum.high is None
            else f"{stratum.low:,} to {stratum.high - 1:,}",
            f"{stratum.words:,}",
            f"{stratum.asked:,}",
            tables.plus_minus(stratum.overlap, stratum.half),
        ]
        for stratum in of_group.strata
    ]
    return tables.markdown(["occurrences", "words", "asked", "overlap"], rows)


def _extremes(of_group: stability.Stability) -> str:
    """The most and the least stable words of each stratum."""
    rows = []
    for stratum in of_group.strata:
        words = [
            w
            for w in of_group.words
            if w.count >= stratum.low and (stratum.high is None or w.count < stratum.high)
        ]
        words.sort(key=lambda word: -word.overlap)
        most, least = words[:SHOWN], words[: -SHOWN - 1 : -1]
        rows.append([f"{stratum.low:,}", *(", ".join(map(_shown, some)) for some in (most, least))])
    return tables.markdown(["from", "most stable", "least stable"], rows)


def _shown(word: stability.Word) -> str:
    return f"{word.word} {tables.plus_minus(word.overlap, word.half, 2)}"


def _worth(of_group: stability.Stability, number: int) -> str:
    header = ["", "one member", "mean table", "difference", "p"]
    rows = [
        [
            one.name,
            *(tables.plus_minus(e.mean, e.half) for e in (one.single, one.mean)),
            tables.plus_minus(one.difference.mean, one.difference.half, sign="+"),
            "< 0.001" if one.difference.p < 0.001 else f"{one.difference.p:.3f}",
        ]
        for one in of_group.worth
    ]
    told = (
        f"The members' unit rows, turned onto their mean (orthogonal Procrustes) and averaged:\n"
        f"mean-{number}.txt. ±: 95% intervals over members and items.\n\n"
    )
    return told + tables.markdown(header, rows)
