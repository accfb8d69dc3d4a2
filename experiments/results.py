"""A measurement's folder: settings.json, and results.jsonl with a line for each thing measured."""

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

from experiments import show
from w2v_jax.corpus import write_atomically
from w2v_jax.types import UserError

SETTINGS, LINES = "settings.json", "results.jsonl"


class _Line(dict):
    """What was read of a line: a field that it lacks is the user's to hear of."""

    def __init__(self, path: Path, fields: dict):
        super().__init__(fields)
        self._path = path

    def __missing__(self, name):
        raise UserError(f"{self._path}: a line without {name!r}; give another folder")


class Results:
    """What was measured under one group of settings; `lines` holds it, the file outlives us."""

    def __init__(self, folder: Path, settings: dict, same_machine: bool = True):
        """Opens a folder. Raises UserError where it holds results of other settings.

        same_machine: whether those of another machine are others too, as times are.
        """
        self.folder, self.path = folder, folder / LINES
        settings = json.loads(json.dumps({**settings, "machine": machine()}))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / SETTINGS).exists():
                old = self._old(folder / SETTINGS)
                if not same_machine:
                    old.pop("machine", None)
                self._compare(old, settings)
            else:
                text = json.dumps(settings, indent=2) + "\n"
                write_atomically(str(folder / SETTINGS), text.encode())
            self.lines = self._read()
        except OSError as error:
            raise UserError(f"--workdir={folder}: {error.strerror or error}") from error

    def _old(self, path: Path) -> dict:
        try:
            old = json.loads(path.read_text())
            if isinstance(old, dict):
                return old
        except (ValueError, RecursionError):
            pass
        raise UserError(f"{path}: not a JSON object")

    def _compare(self, old: dict, new: dict) -> None:
        for name in new:
            if name in old and old[name] != new[name]:
                raise UserError(
                    f"--workdir={self.folder}: holds results with {name} = {old[name]}, not "
                    f"{new[name]}; give another folder"
                )

    def _read(self) -> list[dict]:
        """The whole lines; the part that an interrupted write left is cut off."""
        if not self.path.exists():
            return []
        text = self.path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            os.truncate(self.path, len(whole))
        try:
            lines = [json.loads(line, object_hook=self._line) for line in whole.splitlines()]
        except (ValueError, RecursionError) as error:
            raise UserError(f"{self.path}: not JSON lines ({error})") from error
        if not all(isinstance(line, dict) for line in lines):
            raise UserError(f"{self.path}: not a JSON object a line")
        return lines

    def _line(self, fields: dict) -> _Line:
        return _Line(self.path, fields)

    def find(self, **key) -> dict | None:
        """The last line with these fields, if there is one."""
        for line in reversed(self.lines):
            if all(line.get(name) == value for name, value in key.items()):
                return line
        return None

    def of_rounds(self, rounds: int) -> list[dict]:
        """The lines of rounds 1 to this, each point's in the order in which they were added."""
        return [line for line in self.lines if line.get("round") in range(1, rounds + 1)]

    def add(self, line: dict) -> None:
        """Appends a line at once."""
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)

    def rewrite(self) -> None:
        """Writes the lines as they are now, in place of those in the file."""
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        write_atomically(str(self.path), text.encode())

    def once(self, measure: Callable[[], dict], **key) -> None:
        """Adds the line of this key, and tells it, where it is not there yet."""
        if self.find(**key) is None:
            self.add({**key, **measure()})
            show.say(json.dumps(self.lines[-1]))

    def write(self, name: str, text: str) -> None:
        """Writes a file beside the results."""
        write_atomically(str(self.folder / name), text.encode())


def machine() -> str:
    """The processor's name and how many of its CPUs this process may use."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{name}, {cpus()} CPUs"


def cpus() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
