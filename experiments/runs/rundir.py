"""The files of a run directory (the contract that other programs read)."""

import contextlib
import dataclasses
import errno
import itertools
import json
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiments.cli.config import FLAGS
from w2v_jax.data.vocab import load_counts, save_counts
from w2v_jax.data.writing import write_atomically
from w2v_jax.types import UserError, Vocab
from w2v_jax.vectors import io as vectors_io
from w2v_jax.vectors import projector
from w2v_jax.vectors.word_vectors import WordVectors

FORMAT = 2  # of a run directory; 1 had no run.json, and is read as before
METRICS, EPOCHS, SUMMARY, VOCAB = "metrics.jsonl", "epochs.jsonl", "summary.json", "vocab.tsv"
RUN = "run.json"  # what the run is: its format and its fingerprint
UNTRAINED = "untrained.txt"  # words that never had a context, one a line; only where there are any
EVALUATION = "evaluation.json"  # measures of vectors that are no finished run's
VECTORS = {name: f"vectors{format_.suffix}" for name, format_ in vectors_io.FORMATS.items()}
PROJECTOR, PLOTS, TENSORBOARD = "projector", "plots", "tensorboard"
CHECKPOINTS = "checkpoints"
_FILES = (
    *(FLAGS, RUN, METRICS, EPOCHS, SUMMARY, VOCAB, UNTRAINED, EVALUATION),
    *VECTORS.values(),
)
_FOLDERS = (PROJECTOR, PLOTS, TENSORBOARD, CHECKPOINTS)
_UNFINISHED = re.compile(
    rf"\.[0-9a-f]{{16}}\.part|({'|'.join(map(re.escape, _FILES))})\.[0-9a-f]{{8}}\.tmp"
)


def check(workdir: Path, overwrite: bool, resume: bool) -> dict | None:
    """The fingerprint of the run that a workdir holds and that may go on; None: a new run.

    Raises UserError where it holds anything else that a run would write over.
    """
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir={workdir}: is not a folder")
    found = [name for name in (*_FILES, *_FOLDERS) if os.path.lexists(workdir / name)]
    if not found:
        return None
    if overwrite and not {FLAGS, RUN} & set(found):
        raise UserError(
            f"--workdir={workdir}: holds {found[0]} but no run ({FLAGS}); nothing is overwritten"
        )
    if overwrite:
        return None
    if resume and RUN in found:
        return _about(workdir)["identity"]
    raise UserError(
        f"--workdir={workdir}: holds a run ({found[0]}); "
        "give another folder, or --overwrite to replace it"
    )


def fingerprint_of(workdir: Path) -> dict | None:
    """The fingerprint of a folder's run; None for a run of the first format, or no run.

    Raises UserError where it is of a newer format than this version reads.
    """
    return _about(workdir)["identity"] if (workdir / RUN).exists() else None


def _about(workdir: Path) -> dict:
    """What run.json says. Raises UserError where it is damaged or too new."""
    path = workdir / RUN
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        format_, fingerprint = about["format"], about["identity"]
        flags, hashes = fingerprint["flags"], [v for k, v in fingerprint.items() if k != "flags"]
        if not isinstance(format_, int) or not all(isinstance(x, str) for x in hashes):
            raise ValueError
        if not all(isinstance(value, str) for value in flags.values()):
            raise ValueError
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: damaged") from error
    if format_ > FORMAT:
        raise UserError(
            f"{path}: format {format_}, made by a newer version; this one reads up to {FORMAT}"
        )
    return about


def is_trained(workdir: Path) -> bool:
    """Whether the run's training has ended, and its vectors are written."""
    return (workdir / SUMMARY).exists()


def is_complete(workdir: Path) -> bool:
    """Whether the run has come to its end, measures and plots included."""
    return is_trained(workdir) and read_summary(workdir).get("complete", False)


def create(
    workdir: Path,
    replace: bool,
    flagfile: str,
    fingerprint: dict,
    vocab: Vocab,
    untrained: Iterable[str] = (),
) -> None:
    """Clears a run that is to be replaced; writes flags, fingerprint and vocabulary.

    untrained: words that have no context, which are written too.
    """
    check(workdir, replace, False)
    try:
        for path in (workdir / name for name in (*_FILES, *_FOLDERS)):
            if path.name in (RUN, FLAGS):  # killed before these are written, it is still a run
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"--workdir={workdir}: {error.strerror or error}") from error
    about = {"format": FORMAT, "identity": fingerprint}
    write_atomically(str(workdir / RUN), (json.dumps(about, indent=2) + "\n").encode())
    write_atomically(str(workdir / FLAGS), flagfile.encode())
    save_counts(str(workdir / VOCAB), vocab)
    words = "".join(f"{word}\n" for word in untrained)
    if words:
        write_atomically(str(workdir / UNTRAINED), words.encode())


def untrained(workdir: Path) -> set[str]:
    """The words of a run that never had a context. Raises UserError where they can't be read."""
    path = workdir / UNTRAINED
    if not path.exists():
        return set()
    with _naming(path):
        return set(path.read_text(encoding="utf-8").split("\n")) - {""}


def with_untrained(workdir: Path, wv: WordVectors) -> WordVectors:
    """A run's word vectors with those of its words marked that never had a context."""
    never = untrained(workdir)
    ids = (i for i, word in enumerate(wv.words) if word in never) if never else ()
    return dataclasses.replace(wv, untrained=tuple(ids))


def with_counts(workdir: Path, wv: WordVectors) -> WordVectors:
    """A run's word vectors with how often each word occurred, where its vocabulary is there."""
    if wv.counts is not None or not (workdir / VOCAB).exists():
        return wv
    vocab = load_counts(str(workdir / VOCAB))
    return dataclasses.replace(wv, counts=vocab.counts) if vocab.words == wv.words else wv


def clear_unfinished(workdir: Path) -> None:
    """Removes what a process that was killed had begun to write; for whoever holds the lock."""
    for path in workdir.iterdir():
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


class LinesFile:
    """metrics.jsonl or epochs.jsonl, an object a line; a line is whole or not there."""

    def __init__(self, path: Path, keep: int | None):
        """A new file, or the first `keep` bytes of the one there. Raises UserError."""
        self.path = path
        with _naming(self.path):
            if keep is None:
                self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115 (closed by close)
                return
            if os.path.getsize(self.path) < keep:
                raise UserError(f"{self.path}: shorter than its run's checkpoint says")
            os.truncate(self.path, keep)
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115

    def write(self, values: dict) -> None:
        """Appends a line at once, or nothing."""
        data = json.dumps(values).encode() + b"\n"
        with _naming(self.path):
            written = self._file.write(data)
            if written != len(data):  # the disk is full
                os.ftruncate(self._file.fileno(), self._file.tell() - written)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def end(self) -> int:
        """Bytes so far, once they are on the disk."""
        with _naming(self.path):
            os.fsync(self._file.fileno())
            return self._file.tell()

    def close(self) -> None:
        """Closes the file."""
        with contextlib.suppress(OSError):  # each line is written already
            self._file.close()


def metrics(workdir: Path) -> Iterator[dict]:
    """The lines of metrics.jsonl. Raises UserError where it can't be read."""
    return _lines(workdir / METRICS)


def epochs(workdir: Path) -> Iterator[dict]:
    """The lines of epochs.jsonl, if it is there. Raises UserError where it can't be read."""
    path = workdir / EPOCHS
    return _lines(path) if path.exists() else iter(())


def _lines(path: Path) -> Iterator[dict]:
    with _naming(path), open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise UserError(f"{path}: line {number}: not JSON") from error


def loss_curve(workdir: Path, steps: float = math.inf) -> tuple[list[int], list[float], list[int]]:
    """Of metrics.jsonl: words and loss of each line that has one, words where epochs end.

    steps: where the curve ends.
    """
    words, loss, ends = [], [], {}
    for line in itertools.takewhile(lambda line: line["step"] <= steps, metrics(workdir)):
        ends[line["epoch"]] = line["words"]
        if line["loss"] is not None:
            words.append(line["words"])
            loss.append(line["loss"])
    return words, loss, list(ends.values())


@contextlib.contextmanager
def _naming(path: Path):
    """Turns what the system refuses into a line that names the file."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def formats_there(workdir: Path) -> list[str]:
    """The formats in which a folder holds word vectors."""
    paths = {**VECTORS, "projector": f"{PROJECTOR}/metadata.tsv"}
    return [name for name, path in paths.items() if (workdir / path).is_file()]


def save_as(name: str, path: Path, wv: WordVectors) -> None:
    """The word vectors in the format of this name, whatever the path ends in."""
    save = projector.save if name == "projector" else vectors_io.FORMATS[name].save
    save(path, wv)


def write_vectors(workdir: Path, wv: WordVectors, formats: Iterable[str]) -> list[Path]:
    """The word vectors in each format; returns where."""
    paths = {name: workdir / (VECTORS.get(name) or PROJECTOR) for name in dict.fromkeys(formats)}
    for name, path in paths.items():
        save_as(name, path, wv)
    return list(paths.values())


def write_summary(workdir: Path, summary: dict) -> None:
    """summary.json, written behind the vectors; `complete` once nothing is missing."""
    write_json(workdir / SUMMARY, {"format": FORMAT, **summary})


def write_json(path: Path, values: dict) -> None:
    """An object as a file, whole or not at all."""
    text = json.dumps(values, indent=2, allow_nan=False)
    write_atomically(str(path), (text + "\n").encode())


def read_summary(run: Path) -> dict:
    """summary.json of a run. Raises UserError where there is none, or one of a newer format."""
    path = run / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise no_run(run, f"({SUMMARY}: {error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not JSON ({error})") from error
    version = summary.get("format") if isinstance(summary, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise UserError(f"{path}: has no format number")
    if version > FORMAT:
        raise UserError(f"{path}: format {version} is newer than this program's {FORMAT}")
    return summary


def no_run(run: Path, why: str) -> UserError:
    """The error about a folder without a finished run, with what is there instead."""
    several = os.path.isfile(run / "results.jsonl")
    kept = f"; it holds several: a sweep's are --vectors={run}/vectors/TRIAL.txt (--save_vectors)"
    return UserError(f"--run={run}: no finished run {why}" + kept * several)


def vectors_paths(run: Path) -> list[Path]:
    """The files of word vectors that are there, of all of which the same can be read."""
    return [path for path in (run / name for name in VECTORS.values()) if path.is_file()]


def vectors_path(run: str) -> Path:
    """The vectors file of a run directory."""
    folder = Path(run).expanduser()
    read_summary(folder)
    return folder / VECTORS["text"]
