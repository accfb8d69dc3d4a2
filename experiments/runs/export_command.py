"""A run's word vectors in any format, plots and measures, at its end or its newest checkpoint."""

import contextlib
import os
from pathlib import Path

from absl import flags

from experiments.cli import console
from experiments.runs import lock, newest, outputs, rundir
from w2v_jax.types import UserError
from w2v_jax.vectors import evaluation
from w2v_jax.vectors import io as vectors_io

FORMATS = (*vectors_io.FORMATS, "projector")


def define_flags() -> None:
    """The command's flags."""
    flags.DEFINE_string("run", None, "Run directory.")
    flags.DEFINE_list("formats", ["text"], f"Any of {', '.join(FORMATS)}.")
    flags.DEFINE_boolean("plots", False, "Also draw plots/.")
    flags.DEFINE_boolean(
        "evaluate",
        False,
        "Also measure word pairs and analogies: into summary.json where the run has ended, else "
        "and with --output into evaluation.json.",
    )
    flags.DEFINE_enum(
        "export_vectors",
        "",
        ["", "input", "output", "sum"],
        "Which embeddings, of the newest checkpoint (default: the run's own; others need "
        "--output).",
    )
    flags.DEFINE_string("output", "", "Folder of the files (default: the run's).")


def main() -> None:
    """Makes what is asked for, or nothing."""
    values = flags.FLAGS
    if not values.run:
        raise UserError("--run=OUT is missing")
    if wrong := sorted(set(values.formats) - set(FORMATS)):
        raise UserError(f"--formats={wrong[0]}: not one of {', '.join(FORMATS)}")
    vectors_io.check_packages("--formats", values.formats)
    if not values.formats and not values.plots and not values.evaluate:
        raise UserError("nothing asked: give --formats=, --plots or --evaluate")
    run = Path(values.run).expanduser()
    if not rundir.fingerprint_of(run):
        rundir.read_summary(run)  # no lock is left in a folder that holds no run
    folder = Path(values.output).expanduser() if values.output else run
    inside = _is_inside(run, folder)
    with lock.held(run, "--run") if inside else contextlib.nullcontext():
        found = newest.of_run(run, values.export_vectors)
        _make(run, folder, inside, found)


def _is_inside(run: Path, folder: Path) -> bool:
    """Whether the files go into the run directory. Raises UserError where they may not go."""
    flag = flags.FLAGS.output
    if not flag or (folder.exists() and os.path.samefile(run, folder)):
        own = (rundir.fingerprint_of(run) or {"flags": {}})["flags"].get("export_vectors", "input")
        if flags.FLAGS.export_vectors not in ("", own):
            raise UserError(
                f"--export_vectors={flags.FLAGS.export_vectors}: the run's own are {own}; give "
                "--output=DIR"
            )
        return True
    for name in (rundir.RUN, rundir.FLAGS, rundir.SUMMARY):
        if os.path.lexists(folder / name):
            raise UserError(f"--output={flag}: holds a run ({name}), which stays as it is")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output={flag}: {error.strerror or error}") from error
    return False


def _make(run: Path, folder: Path, inside: bool, found: newest.Newest) -> None:
    """The files; a line on stdout for each."""
    values, ends = flags.FLAGS, found.step is None
    written = rundir.write_vectors(folder, found.wv, values.formats)
    if values.evaluate:
        measures = list(evaluation.standard(found.wv))
        print(console.quality(measures))
        written.append(_keep(folder, outputs.in_json(measures), inside and ends, found))
    if values.plots:
        about = rundir.fingerprint_of(run) or {"flags": {}}
        step = float("inf") if ends else found.step
        model = about["flags"].get("model", "skipgram")
        try:
            written += outputs.draw_plots(model, run, folder, found.wv, step)
        except OSError as error:
            raise UserError(f"{folder}: {error.strerror or error}") from error
    print("\n".join(f"written to {path}" for path in written))


def _keep(folder: Path, measures: dict, of_the_run: bool, found: newest.Newest) -> Path:
    """Writes measures where they belong, which is returned."""
    if of_the_run and rundir.is_trained(folder):
        rundir.write_summary(folder, {**rundir.read_summary(folder), "evaluation": measures})
        return folder / rundir.SUMMARY
    about = {"step": found.step, "epoch": found.epoch, "evaluation": measures}
    rundir.write_json(folder / rundir.EVALUATION, about)
    return folder / rundir.EVALUATION
