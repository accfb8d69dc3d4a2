"""Orbax in one place: the last few states of a training, each whole or not there.

A state is a flat dictionary of arrays, so that a checkpoint doesn't depend on how today's code
nests them. Orbax writes beside the training and renames what is complete into place; a checksum of
our own tells a damaged one when it is read.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from w2v_jax.types import UserError

FORMAT = 3  # of what a checkpoint holds; a newer one is refused
_STORED = {"representative": "owner"}  # fields by the names that formats up to 3 have
_ARRAYS, _ABOUT = "state", "about"
_UNFINISHED = ".orbax-checkpoint-tmp"
_NOT_DAMAGE = (errno.EIO, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_DAMAGED = "damaged-"  # what a checkpoint's folder is renamed to where it could not be read


class Saved(NamedTuple):
    """A checkpoint, read."""

    step: int
    arrays: dict[str, np.ndarray]
    about: dict  # what was saved with them, as JSON


class _Unreadable(Exception):
    pass


class Checkpoints:
    """The checkpoints in a folder, numbered by step, of which the last `keep` stay."""

    def __init__(self, folder: str, keep: int | None):
        """Opens a folder, which the first `save` makes; what a killed save left is removed.

        keep None: to read alone, and nothing in the folder changes. Raises UserError where it is
        no folder.
        """
        self.folder, self._keep, self._manager = os.path.abspath(folder), keep, None
        if os.path.lexists(self.folder) and not os.path.isdir(self.folder):
            raise UserError(f"{self.folder}: is not a folder")
        self.last: int | None = max(self.steps(), default=None)

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, in order."""
        names = os.listdir(self.folder) if os.path.isdir(self.folder) else []
        return sorted(int(name) for name in names if name.isdecimal() and name.isascii())

    def save(self, step: int, arrays: dict[str, np.ndarray], about: dict) -> None:
        """Begins to save; waits only for the save before it. The arrays must not change after.

        Raises UserError where this one or the one before it cannot be written.
        """
        if step == self.last:
            return
        args = _orbax().args
        about = {"format": FORMAT, **about}
        about["checksum"] = checksum(arrays, about)
        items = {_ARRAYS: args.PyTreeSave(arrays), _ABOUT: args.JsonSave(about)}
        with self._naming():
            if not self._open().save(step, args=args.Composite(**items)):
                raise UserError(f"{self.folder}/{step}: not saved, though it is not there")
        self.last = step

    def wait(self) -> None:
        """Until the last save is on the disk. Raises UserError where it cannot be written."""
        if self._manager:
            with self._naming():
                self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits and lets go, whatever became of the last save."""
        if self._manager:
            with contextlib.suppress(Exception):  # `wait` raises it, where it matters
                self._manager.close()
            self._manager = None

    def restore(self, names: list[str] | None, note: Callable[[str], None]) -> Saved | None:
        """The newest checkpoint that is whole; None where there is none at all.

        names: of the arrays; None: whatever they are. Newer ones that are damaged are put aside,
        with a note. Raises UserError where all are damaged, where one cannot be read for another
        reason, is of a newer format, or holds other arrays than these; nothing is moved then.
        """
        saved, damaged = self._newest(names, note)
        for step in damaged:
            self._put_aside(step)
        self.last = saved and saved.step
        return saved

    def newest(self, note: Callable[[str], None]) -> Saved | None:
        """The same of whatever arrays it holds, for another training: nothing is moved."""
        return self._newest(None, note)[0]

    def _newest(self, names, note) -> tuple[Saved | None, list[int]]:
        """The newest whole one, and the steps of those above it."""
        damaged = []
        for step in reversed(self.steps()):
            try:
                saved = self._read(step, names)
            except _Unreadable as error:
                note(f"{self.folder}/{step} is damaged ({error})")
                damaged.append(step)
                continue
            return saved, damaged
        if damaged:
            raise UserError(f"{self.folder}: none of its checkpoints can be read")
        return None, []

    def _read(self, step: int, names: list[str] | None) -> Saved:
        args = _orbax().args
        try:
            about = self._restored(step, _ABOUT, args.JsonRestore())
            names = self._check(step, about, names)
            one = _orbax().RestoreArgs(restore_type=np.ndarray)
            form = dict.fromkeys(names, 0), dict.fromkeys(names, one)
            arrays = self._restored(step, _ARRAYS, args.PyTreeRestore(*form))
            arrays = {name: np.asarray(arrays[name]) for name in names}
            if checksum(arrays, about) != about["checksum"]:
                raise _Unreadable("its checksum is another")
            return Saved(step, arrays, about)
        except (UserError, _Unreadable):
            raise
        except Exception as error:  # whatever Orbax and TensorStore make of damaged files
            if isinstance(error, MemoryError) or getattr(error, "errno", None) in _NOT_DAMAGE:
                raise UserError(
                    f"{self.folder}/{step}: cannot be read ({_first_line(error)})"
                ) from error
            raise _Unreadable(_first_line(error)) from error

    def _restored(self, step: int, item: str, how: Any) -> Any:
        return self._open().restore(step, args=_orbax().args.Composite(**{item: how}))[item]

    def _check(self, step: int, about: Any, names: list[str] | None) -> list[str]:
        """The names of its arrays. Raises UserError for a whole checkpoint of something else."""
        if not isinstance(about, dict) or not isinstance(about.get("format"), int):
            raise _Unreadable("it has no format")
        if "checksum" not in about:
            raise _Unreadable("it has no checksum")
        if about["format"] > FORMAT:
            raise UserError(
                f"{self.folder}/{step}: checkpoint of format {about['format']}, made by a newer "
                f"version; this one reads up to {FORMAT}"
            )
        found = sorted(self._open().item_metadata(step)[_ARRAYS].tree)
        if names is not None and found != sorted(names):
            raise UserError(f"{self.folder}/{step}: holds other arrays than this version's")
        return found

    def _put_aside(self, step: int) -> None:
        self.close()  # Orbax remembers which steps there are
        aside = _DAMAGED + str(step)
        number = 0
        while os.path.lexists(os.path.join(self.folder, aside)):
            number += 1
            aside = f"{_DAMAGED}{step}-{number}"
        with self._naming():
            os.rename(os.path.join(self.folder, str(step)), os.path.join(self.folder, aside))

    def _open(self):
        if self._manager is None:
            ocp = _orbax()
            options = {"read_only": True, "create": False}
            if self._keep is not None:
                options = {"max_to_keep": self._keep, "cleanup_tmp_directories": False}
                options["create"] = False  # it is made below
            alone = _alone(ocp)
            with self._naming():
                if self._keep is not None:
                    os.makedirs(self.folder, exist_ok=True)
                    self._clear()  # Orbax would do it beside the first save
                self._manager = ocp.CheckpointManager(
                    self.folder,
                    item_handlers={
                        _ARRAYS: ocp.PyTreeCheckpointHandler(use_compression=False, **alone),
                        _ABOUT: ocp.JsonCheckpointHandler(**alone),
                    },
                    options=ocp.CheckpointManagerOptions(**options, **alone),
                )
        return self._manager

    def _clear(self) -> None:
        """Removes what a save that was killed or failed has left: it may be what fills the disk."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self.folder):
                if name.endswith(_UNFINISHED):
                    shutil.rmtree(os.path.join(self.folder, name), ignore_errors=True)

    @contextlib.contextmanager
    def _naming(self) -> Iterator[None]:
        """Turns what Orbax and the system refuse into a line that names the folder."""
        try:
            yield
        except UserError:
            raise
        except Exception as error:  # of Orbax's many kinds; a disk that is full is a ValueError
            self._clear()
            raise UserError(
                f"{self.folder}: no checkpoint can be written ({_first_line(error)}); those "
                "before it are as they were"
            ) from error


def flat(tree: Any) -> dict[str, np.ndarray]:
    """A pytree's arrays on the host, named by their paths: copies, but of NumPy's own arrays."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {
        _name(path): leaf if isinstance(leaf, np.ndarray) else np.array(leaf)
        for path, leaf in leaves
    }


def unflat(arrays: dict[str, np.ndarray], like: Any) -> Any:
    """The pytree whose `flat` they are; like: one of its structure, shapes and dtypes.

    Raises UserError where shapes or dtypes differ.
    """

    def leaf(path, expected):
        found = without_column(arrays[_name(path)], expected.shape)
        if found.shape != expected.shape or found.dtype != expected.dtype:
            raise UserError(
                f"checkpoint: {_name(path)} is {found.dtype}{list(found.shape)}, not "
                f"{expected.dtype}{list(expected.shape)}"
            )
        return found

    return jax.tree_util.tree_map_with_path(leaf, like)


def without_column(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array, or an accumulator a row [.., V, 1] as formats before 3 have it, as [.., V]."""
    return array.reshape(shape) if array.shape == (*shape, 1) else array


def names_of(tree: Any) -> list[str]:
    """The names that `flat` gives a pytree's arrays."""
    return [_name(path) for path, _ in jax.tree_util.tree_flatten_with_path(tree)[0]]


def _name(path) -> str:
    whole = jax.tree_util.keystr(path, simple=True, separator=".")
    return ".".join(_STORED.get(part, part) for part in whole.split("."))


def checksum(arrays: dict[str, np.ndarray], about: dict) -> str:
    """sha256 of names, types, shapes and values, and of a JSON object but for its "checksum"."""
    about = {name: value for name, value in about.items() if name != "checksum"}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    """What went wrong: the system's reason, where TensorStore gives its number."""
    text = " ".join(str(error).split()) or type(error).__name__
    if number := re.search(r"os_error_code='(\d+)'", text):
        return os.strerror(int(number[1]))
    return text if len(text) < 200 else f"{text[:200]}.."


def _alone(ocp) -> dict:
    """Of several processes that JAX has joined each opens a folder by itself, and waits for none.

    Manager and handlers must both be told: a handler that is not saves no array, and says nothing.
    """
    if not jax.distributed.is_initialized():
        return {}
    own = jax.process_index()
    options = ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process{own}"
    )
    return {"multiprocessing_options": options}


def _orbax():
    """Imported where it is needed: it takes longer than a small model's first epoch."""
    import orbax.checkpoint as ocp

    return ocp
