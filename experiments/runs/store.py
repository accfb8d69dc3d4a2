"""A measurement's folder: settings.json, and results.jsonl with a line for each thing measured."""

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

from absl import flags

from experiments.cli import console, earlier_flags
from experiments.cli.earlier_flags import Difference
from w2v_jax.data.writing import write_atomically
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

    def __init__(
        self,
        folder: Path,
        settings: dict | None,
        same_machine: bool = True,
        differences: Callable[[dict[str, str]], list[Difference]] | None = None,
    ):
        """Opens a folder. Raises UserError where it holds results of other settings; None: of any.

        same_machine: whether those of another machine are others too, as times are. differences:
        of the flags of Config that are among the settings, or in their "flags", from those here.
        `settings` and `lines` have today's names of flags, whatever version wrote them.
        """
        self.folder, self.path = folder, folder / LINES
        self._differences = differences
        given, settings = (
            settings,
            json.loads(json.dumps({**(settings or {}), "machine": machine()})),
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if (folder / SETTINGS).exists():
                old = self._old(folder / SETTINGS)
                if not same_machine:
                    old.pop("machine", None)
                if given is not None:
                    self._compare(old, settings)
                settings = {**settings, **old}
            else:
                text = json.dumps(settings, indent=2) + "\n"
                write_atomically(str(folder / SETTINGS), text.encode())
            self.settings = self._today(settings)
            self.lines = self._read()
        except OSError as error:
            raise UserError(f"--workdir={folder}: {error.strerror or error}") from error

    def _old(self, path: Path) -> dict:
        try:
            old = json.loads(path.read_text())
            if isinstance(old, dict) and isinstance(old.get("flags", ""), str):
                return {_own_flag(name): value for name, value in old.items()}
        except (ValueError, RecursionError):
            pass
        raise UserError(f"{path}: not a JSON object of settings")

    def _compare(self, old: dict, new: dict) -> None:
        there, old = self._parted(old)
        _, new = self._parted(new)
        found = self._differences(there) if self._differences else []
        differ = [(f"--{name}", theirs, own) for name, theirs, own in found]
        for name, value in new.items():
            if name in old or name in flags.FLAGS:  # of others that are not there nothing is known
                differ.append((name, old.get(name, _default(name)), value))
        for name in (name for name in old if name not in new):
            here = earlier_flags.REMOVED.get(name, earlier_flags.UNKNOWN)
            differ.append((name, earlier_flags.text_of(name, old[name]), here))
        shown = [f"{name} = {old}, not {new}" for name, old, new in differ if old != new]
        if shown:
            raise UserError(
                f"--workdir={self.folder}: holds results with {'; '.join(shown)}; "
                "give another folder"
            )

    def _parted(self, settings: dict) -> tuple[dict[str, str], dict]:
        """The flags of Config among settings, and what else there is; both by today's names."""
        if not self._differences:
            return {}, settings
        known = {n: v for n, v in settings.items() if earlier_flags.is_known(n)}
        there = earlier_flags.stored(settings.get("flags", ""))
        there |= earlier_flags.by_today({n: earlier_flags.text_of(n, v) for n, v in known.items()})
        rest = {n: v for n, v in settings.items() if n not in known and n != "flags"}
        return there, self._today(rest)

    def _today(self, values: dict) -> dict:
        """Settings, or a line, with today's names where flags are named."""
        if not self._differences or not earlier_flags.RENAMED:
            return values
        today = earlier_flags.today_of
        found = {
            name: today(values[name]) for name in ("axes", "base", "setting") if name in values
        }
        if "settings" in values:
            found["settings"] = [today(setting) for setting in values["settings"]]
        return {**values, **found}

    def _read(self) -> list[dict]:
        """The whole lines; the part that an interrupted write left is cut off."""
        if not self.path.exists():
            return []
        lines = self.whole_lines(self.path)
        return [_Line(self.path, self._today(line)) for line in lines]

    def whole_lines(self, path: Path) -> list[dict]:
        """The whole lines of a file; the part that an interrupted write left is cut off."""
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            os.truncate(path, len(whole))
        try:
            lines = [json.loads(line, object_hook=self._line) for line in whole.splitlines()]
        except UserError:
            raise
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path}: not JSON lines ({error})") from error
        if not all(isinstance(line, dict) for line in lines):
            raise UserError(f"{path}: not a JSON object a line")
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
        append(self.path, line)
        self.lines.append(line)

    def rewrite(self) -> None:
        """Writes the lines as they are now, in place of those in the file."""
        text = "".join(json.dumps(line) + "\n" for line in self.lines)
        write_atomically(str(self.path), text.encode())

    def once(self, measure: Callable[[], dict], **key) -> None:
        """Adds the line of this key, and tells it, where it is not there yet."""
        if self.find(**key) is None:
            self.add({**key, **measure()})
            console.log(json.dumps(self.lines[-1]))

    def write(self, name: str, text: str) -> None:
        """Writes a file beside the results."""
        write_atomically(str(self.folder / name), text.encode())


def append(path: Path, line: dict) -> None:
    """A line more of a file of JSON lines."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _own_flag(name: str) -> str:
    """Today's name of a flag of the script's own; names of a run's flags stay."""
    new = earlier_flags.today(name, "", flags.FLAGS)[0]
    return new if new in flags.FLAGS and not earlier_flags.is_known(name) else name


def _default(name: str):
    """What a folder that lacks a flag was made with: the flag is younger than the folder."""
    return flags.FLAGS[name].default if name in flags.FLAGS else None


def machine() -> str:
    """The processor's name and how many of its CPUs the command may use."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{name}, {CPUS} CPUs"


def cpus() -> int:
    """CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


CPUS = cpus()  # before the process is pinned to some, where others share its work
