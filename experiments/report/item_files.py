"""Files of a folder of results: items/TRIAL.npz, item by item, and what intervals need of them."""

import zipfile
import zlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.report import over_items
from w2v_jax.data.writing import whole_file
from w2v_jax.types import UserError
from w2v_jax.vectors import item_sets
from w2v_jax.vectors.item_sets import ItemSet

ITEMS, OVER_ITEMS = "items", "over_items.npz"
DAMAGED = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


def write(folder: Path, trial: Hashable, items: Mapping[str, np.ndarray]) -> None:
    """A trial's results item by item."""
    path = _path(folder, trial)
    path.parent.mkdir(exist_ok=True)
    with whole_file(path) as file:
        np.savez_compressed(file, **items)


def read(path: Path) -> dict[str, np.ndarray]:
    """A trial's results item by item. Raises UserError naming the file."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except DAMAGED as error:
        raise UserError(f"{path}: damaged, or no results of a trial") from error


def of_folder(
    folder: Path, trials: Iterable[Hashable], own: Sequence[ItemSet] = ()
) -> dict[str, over_items.Items]:
    """What the trials' items tell; without their files, what an earlier call has left of them.

    Leaves it as OVER_ITEMS, a few hundred kB of which tables and plots can be made again without
    items; so for one's own sets whose files are gone. Raises UserError where a file is damaged.
    """
    files = {trial: _path(folder, trial) for trial in trials}
    items = {trial: read(file) for trial, file in files.items() if file.exists()}
    kept, there = folder / OVER_ITEMS, [one for one in own if item_sets.unchanged(one)]
    if not items:
        return _kept(kept)
    found = over_items.measured(items, there)
    gone = {one.name for one in own if one not in there}
    if gone:
        found |= {name: of for name, of in _kept(kept).items() if name in gone}
    over_items.save(kept, found)
    return found


def _kept(path: Path) -> dict[str, over_items.Items]:
    """What an earlier call has left."""
    try:
        return over_items.load(path) if path.exists() else {}
    except DAMAGED as error:
        raise UserError(f"{path}: damaged, or not written by a report") from error


def _path(folder: Path, trial: Hashable) -> Path:
    return folder / ITEMS / f"{trial}.npz"
