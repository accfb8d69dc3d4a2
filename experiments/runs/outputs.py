"""What is made of a run that is trained: vectors, measures, plots, events. Any of it also later."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from experiments import STARTED
from experiments.cli import console, pictures, quoted
from experiments.cli.config import RunConfig
from experiments.report.tables import counted
from experiments.runs import events, newest, own_sets, plot_heldout, rundir
from experiments.runs.plot_heldout import HELDOUT
from w2v_jax.types import UserError
from w2v_jax.vectors import item_sets, plots, similarity
from w2v_jax.vectors.evaluation import Measure
from w2v_jax.vectors.word_vectors import WordVectors

LOSS, EMBEDDING = "loss.png", "embedding.png"


def finish(
    config: RunConfig, workdir: Path, summary: dict, wv: WordVectors, unsaved: str = ""
) -> None:
    """Makes all that was asked for of a run whose training has ended; prints the screen.

    What `export` made of its checkpoints is made anew. unsaved: why its end isn't saved, or ''.
    Raises UserError where something can't be made or saved; all else is there then.
    """
    with _told(workdir):
        there = rundir.formats_there(workdir)
        rundir.write_vectors(workdir, wv, (*_formats(config, wv), *there))
        (workdir / rundir.EVALUATION).unlink(missing_ok=True)
        summary = {**summary, "complete": False, "evaluation": {}}
        _write(workdir, summary, time.time() - STARTED)
        plots_asked = config.plots or (workdir / rundir.PLOTS).exists()
        _rest(config, workdir, summary, wv, 0.0, plots_asked, [unsaved] if unsaved else [])


def make_missing(config: RunConfig, workdir: Path) -> None:
    """The same for a run whose vectors are written: makes what isn't there, and nothing else."""
    summary = rundir.read_summary(workdir)
    complete = summary.get("complete", False)
    told = "complete; --overwrite runs it again" if complete else "trained, but not complete"
    console.log(f"{workdir} holds this very run, {told}")
    with _told(workdir):
        wv = newest.of_run(workdir).wv
        there = rundir.formats_there(workdir)
        formats = [name for name in _formats(config, wv) if name not in there]
        for path in rundir.write_vectors(workdir, wv, formats):
            console.log(f"written to {path}")
        before = 0.0 if complete else summary["total_sec"]
        plots_asked = config.plots and not _plots_there(workdir, config.picture_formats)
        _rest(config, workdir, summary, wv, before, plots_asked, [])


def _formats(config: RunConfig, wv: WordVectors) -> list[str]:
    """Those that a run leaves; npz alone keeps subwords."""
    return ["text", *(["npz"] if wv.subwords else []), *config.export_formats]


def _rest(
    config: RunConfig,
    workdir: Path,
    summary: dict,
    wv: WordVectors,
    before: float,
    plots_asked: bool,
    failed: list[str],
) -> None:
    """Measures, events, plots, the screen, where they are missing; before: seconds until now."""
    was_complete = summary.get("complete", False)

    def write():
        now = None if was_complete else before + time.time() - STARTED
        _write(workdir, summary, now)

    earlier = own_sets.of_json(summary.get("own_sets", ()))
    own = own_sets.together([o for o in earlier if item_sets.unchanged(o)], own_sets.of(config))
    if own and summary.get("own_sets") != own_sets.in_json(own):
        summary["evaluation"] = {}
    if config.evaluate and not summary["evaluation"]:
        summary |= {"own_sets": own_sets.in_json(own)} if own else {}
        summary["evaluation"] = in_json(item_sets.measured(wv, own))
        write()
    if config.tensorboard and not events.are_there(workdir):
        events.write(workdir)
    if plots_asked:
        try:
            draw_plots(config.model, workdir, workdir, wv, formats=config.picture_formats)
        except (UserError, OSError, ImportError) as error:
            failed.append(f"no plots: {error}; the same command draws them")
    if not was_complete:
        summary["complete"] = True
        write()
    measures = own_sets.without_sections(of_json(summary["evaluation"]), own)
    print(console.closing_screen(config, workdir, summary, measures, wv))
    for line in _unknown(config, wv):
        console.log(f"note: {line}")
    if failed:
        raise UserError(f"{'; '.join(failed)}; all else is there")


@contextlib.contextmanager
def _told(workdir: Path) -> Iterator[None]:
    """Tells whoever ends the process by a signal what there is."""
    try:
        yield
    except (SystemExit, KeyboardInterrupt):
        saved = rundir.is_trained(workdir) or (workdir / rundir.CHECKPOINTS).exists()
        goes_on = "the same command makes what is missing" if saved else "its state is not saved"
        console.log(f"stopped: the training in {workdir} has ended; {goes_on}")
        raise


def _write(workdir: Path, summary: dict, total_sec: float | None) -> None:
    if total_sec is not None:
        summary["total_sec"] = total_sec
    rundir.write_summary(workdir, summary)


def in_json(measures) -> dict[str, dict]:
    """Measures as summary.json has them."""
    return {
        m.name: {"value": m.value, "covered": m.covered, "total": m.total, "folded": m.folded}
        for m in measures
    }


def of_json(found: dict[str, dict]) -> list[Measure]:
    """Measures from summary.json."""
    return [
        Measure(name, m["value"], m["covered"], m["total"], m.get("folded", 0))
        for name, m in found.items()
    ]


def draw_plots(
    model: str,
    run: Path,
    folder: Path,
    wv: WordVectors,
    step: float = float("inf"),
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """plots/loss.png and heldout.png, of a run up to a step, and embedding.png; returns where.

    Raises UserError, OSError or ImportError where they can't be drawn.
    """
    plots_folder = folder / rundir.PLOTS
    plots_folder.mkdir(parents=True, exist_ok=True)
    words, loss, epoch_ends = rundir.loss_curve(run, step)
    name = {"skipgram": "skip-gram", "cbow": "CBOW"}[model]
    paths = {n: pictures.paths(plots_folder / n, formats) for n in (LOSS, EMBEDDING, HELDOUT)}
    plots.plot_loss(paths[LOSS], words, loss, f"{name}, loss per positive", epoch_ends)
    if bare := plots.plot_embedding(paths[EMBEDDING], wv):
        console.log(
            f"note: {EMBEDDING} leaves out {counted(len(bare), 'word')} that no font here has all "
            f"letters of, such as {bare[0]}: install one, as Noto Sans, and "
            "clear matplotlib's font cache"
        )
    drawn = [LOSS, EMBEDDING]
    if lines := plot_heldout.epochs(run, step):
        plot_heldout.plot(paths[HELDOUT], lines, name)
        drawn.append(HELDOUT)
    return [path for name in drawn for path in paths[name]]


def _plots_there(workdir: Path, formats: Sequence[str]) -> bool:
    names = [LOSS, EMBEDDING, *([HELDOUT] if plot_heldout.epochs(workdir) else [])]
    paths = [p for n in names for p in pictures.paths(workdir / rundir.PLOTS / n, formats)]
    return all(path.is_file() for path in paths)


def _unknown(config: RunConfig, wv: WordVectors) -> list[str]:
    """Lines about words of --show_similar and --show_analogies that there are none of.

    Those of the defaults are PTB's, and no one asked for them.
    """
    asked = set(config.show_similar) - set(RunConfig.show_similar)
    for analogy in set(config.show_analogies) - set(RunConfig.show_analogies):
        asked |= set(quoted.words(analogy, ":"))
    return similarity.find_all(wv.words, sorted(asked))[1]
