"""The files of a run directory (the contract that other programs read)."""

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

from w2v_jax import export
from w2v_jax.corpus import write_atomically
from w2v_jax.types import UserError, Vocab, WordVectors
from w2v_jax.vocab import save_counts

FORMAT = 1  # of summary.json and of what lies beside it
FLAGS, METRICS, SUMMARY, VOCAB = "flags.cfg", "metrics.jsonl", "summary.json", "vocab.tsv"
VECTORS = {"text": "vectors.txt", "binary": "vectors.bin", "npz": "vectors.npz"}
PROJECTOR, PLOTS, TENSORBOARD = "projector", "plots", "tensorboard"
_FILES = (FLAGS, METRICS, SUMMARY, VOCAB, *VECTORS.values())
_FOLDERS = (PROJECTOR, PLOTS, TENSORBOARD)


def check(workdir: Path, overwrite: bool) -> None:
    """Refuses a workdir that holds a run, or anything that a run would write over."""
    if workdir.exists() and not workdir.is_dir():
        raise UserError(f"--workdir={workdir}: is not a folder")
    found = [name for name in (*_FILES, *_FOLDERS) if os.path.lexists(workdir / name)]
    if found and overwrite and FLAGS not in found:
        raise UserError(
            f"--workdir={workdir}: holds {found[0]} but no run ({FLAGS}); nothing is overwritten"
        )
    if found and not overwrite:
        raise UserError(
            f"--workdir={workdir}: holds a run ({found[0]}); "
            "give another folder, or --overwrite to replace it"
        )


def create(workdir: Path, overwrite: bool, flagfile: str, vocab: Vocab) -> None:
    """Makes the folder, clears a run that is to be replaced, writes flags and vocabulary.

    Raises UserError where another run has taken the folder since `check`.
    """
    check(workdir, overwrite)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        for path in (workdir / name for name in (*_FILES, *_FOLDERS)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        with open(workdir / FLAGS, "x", encoding="utf-8") as file:  # one of two runs gets it
            file.write(flagfile)
        save_counts(str(workdir / VOCAB), vocab)
    except OSError as error:
        raise UserError(f"--workdir={workdir}: {error.strerror or error}") from error


@contextlib.contextmanager
def metrics_writer(workdir: Path):
    """Yields a function that appends an object to metrics.jsonl; a line is whole or not there."""
    path = workdir / METRICS
    with _naming(path):
        file = open(path, "x", encoding="utf-8", buffering=1)  # noqa: SIM115 (closed below)

    def write(values: dict) -> None:
        with _naming(path):
            file.write(json.dumps(values) + "\n")

    with file:
        yield write


@contextlib.contextmanager
def _naming(path: Path):
    """Turns what the system refuses into a line that names the file."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from error


def write_vectors(workdir: Path, wv: WordVectors, formats: tuple[str, ...]) -> None:
    """The word vectors in each format; vectors.txt always."""
    for name in dict.fromkeys(("text", *formats)):
        path = workdir / (VECTORS.get(name) or PROJECTOR)
        if name == "text":
            export.save_text(path, wv)
        elif name == "binary":
            export.save_binary(path, wv)
        elif name == "npz":
            export.save_npz(path, wv.words, vectors=wv.vectors)
        else:
            export.save_projector(path, wv)


def vocab_sha256(workdir: Path) -> str:
    """Identity of the vocabulary: of words, counts and their order."""
    return hashlib.sha256((workdir / VOCAB).read_bytes()).hexdigest()


def write_summary(workdir: Path, summary: dict) -> None:
    """summary.json, written last: a run that has it is complete."""
    text = json.dumps({"format": FORMAT, **summary}, indent=2, allow_nan=False)
    write_atomically(str(workdir / SUMMARY), (text + "\n").encode())


def read_summary(run: Path) -> dict:
    """summary.json of a run. Raises UserError where there is none, or one of a newer format."""
    path = run / SUMMARY
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--run={run}: no finished run ({SUMMARY}: {error.strerror})") from error
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from error
    version = summary.get("format") if isinstance(summary, dict) else None
    if not isinstance(version, int):
        raise UserError(f"{path}: has no format number")
    if version > FORMAT:
        raise UserError(f"{path}: format {version} is newer than this program's {FORMAT}")
    return summary


def vectors_path(run: str) -> Path:
    """The vectors file of a run directory."""
    folder = Path(run).expanduser()
    read_summary(folder)
    return folder / VECTORS["text"]
