"""The files of a sweep's trials: vectors, and results item by item; made at their end or later."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from absl import flags

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.report import item_files
from experiments.runs import rundir
from experiments.runs.store import Results
from experiments.sweeps.measuring import headlines
from w2v_jax.types import UserError
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors import item_sets
from w2v_jax.vectors.evaluation import HEADLINES
from w2v_jax.vectors.item_sets import KINDS, ItemSet
from w2v_jax.vectors.word_vectors import WordVectors

VECTORS = "vectors"
_SUFFIXES = {name: format_.suffix for name, format_ in vectors_io.FORMATS.items()}
_FOLDER = "-projector"  # of what is a folder
_STANDARD = {name.rsplit("_", 1)[0] for name in HEADLINES}
_IDLE = (
    *("objective", "show_similar", "show_similar_each_epoch"),
    *("show_analogies", "analogy_score"),
)


def check(base: RunConfig, axes: dict) -> None:
    """Says which flags of a run a sweep has no use for. Raises UserError for what it can't make."""
    if base.tensorboard:
        raise UserError(
            "--tensorboard: a sweep writes no events (a trial alone does: its flags are in "
            "results.jsonl)"
        )
    idle = [name for name in _IDLE if getattr(base, name) != getattr(RunConfig, name)]
    if base.export_formats != RunConfig.export_formats and not flags.FLAGS.save_vectors:
        idle.append("export_formats")  # they are those of --save_vectors
    if flags.FLAGS["plots"].present and base.plots and not axes:
        idle.append("plots")  # they are of what is swept
    if idle:
        console.log(f"note: no effect here: {', '.join(f'--{name}' for name in idle)}")


def write(folder: Path, trial: int, items: dict, wv: WordVectors, formats: Iterable[str]) -> None:
    """What is known of a trial beside its line; formats: of its vectors."""
    if items:
        item_files.write(folder, trial, items)
    # npz alone keeps subwords.
    for name in dict.fromkeys([*formats, *(["npz"] if formats and wv.subwords else [])]):
        rundir.save_as(name, _path(folder, trial, name), wv)


def formats(base: RunConfig) -> tuple[str, ...]:
    """In which vectors are asked for."""
    return ("text", *base.export_formats) if flags.FLAGS.save_vectors else ()


def make_missing(results: Results, base: RunConfig, own: Sequence[ItemSet] = ()) -> None:
    """Makes what is asked for and is not there of trials that are done, from their vectors.

    Raises UserError, before anything is made, for trials without: a sweep keeps no tables.
    """
    folder, asked = results.folder, formats(base)
    unmeasured = [x for x in results.lines if base.evaluate and not _is_measured(folder, x)]
    partly = [x for x in results.lines if x not in unmeasured and not _has_own(x, own)]
    lost = {
        "save_vectors": [x["member"] for x in results.lines if asked and not _there(folder, x)],
        "evaluate": [x["member"] for x in unmeasured if not _there(folder, x)],
        **{one.kind: [x["member"] for x in _lacking(partly, one, folder)] for one in own},
    }
    for flag, trials in lost.items():
        if trials:
            named = ", ".join(map(str, trials[:5])) + (", .." if len(trials) > 5 else "")
            raise UserError(
                f"--{flag}: --workdir={folder} has trials that were trained without it ({named}), "
                "and a sweep keeps no tables: another folder, or "
                + (f"without --{flag}" if flag in KINDS else f"--no{flag}")
            )
    for line in results.lines:
        trial = line["member"]
        missing = [name for name in asked if not _path(folder, trial, name).exists()]
        if missing:
            write(folder, trial, {}, vectors_io.load(_there(folder, line)[0]), missing)
    for line in [*unmeasured, *partly]:
        wv = vectors_io.load(_there(folder, line)[0])
        items = item_sets.items_of(wv, own)
        measures = {m.name: m for m in item_sets.measured(wv, own, items)}
        write(folder, line["member"], {**_items(folder, line), **items}, wv, ())
        line.update(headlines(measures, own))
        results.rewrite()


def _path(folder: Path, trial: int, name: str) -> Path:
    return folder / VECTORS / f"{trial}{_SUFFIXES.get(name, _FOLDER)}"


def _there(folder: Path, line: dict) -> list[Path]:
    """A trial's vectors that can be read."""
    paths = [_path(folder, line["member"], name) for name in _SUFFIXES]
    return [path for path in paths if path.is_file()]


def _items(folder: Path, line: dict) -> dict[str, np.ndarray]:
    path = folder / item_files.ITEMS / f"{line['member']}.npz"
    return item_files.read(path) if path.exists() else {}


def _is_measured(folder: Path, line: dict) -> bool:
    """Whether word pairs and analogies were looked at, whatever came of it."""
    known = any(line.get(name) is not None for name in HEADLINES)
    return known or bool(_STANDARD & _items(folder, line).keys())


def _lacking(lines: Iterable[dict], one: ItemSet, folder: Path) -> list[dict]:
    """The lines without a set's measure whose vectors aren't there."""
    return [x for x in lines if one.headline not in x and not _there(folder, x)]


def _has_own(line: dict, own: Sequence[ItemSet]) -> bool:
    """Whether each of one's own sets was looked at."""
    return {one.headline for one in own} <= line.keys()
