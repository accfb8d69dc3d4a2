"""A sweep's folder: plan, programs, a line a trial, table and plots."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import flags

from experiments.cli import console, earlier_flags
from experiments.cli.config import RunConfig, resolved, to_flagfile
from experiments.report import item_files
from experiments.report.tables import counted
from experiments.runs import heldout_text, lock, memory, own_sets, reading, rundir
from experiments.runs import run as wiring
from experiments.runs.store import CPUS, SETTINGS, Results, cpus
from experiments.sweeps import (
    checkpointing,
    design,
    growth,
    halving,
    halving_rule,
    plan,
    plot_curves,
    plot_differences,
    shares,
    table_files,
    team,
    training,
)
from experiments.sweeps import outputs as sweep_outputs
from experiments.sweeps import plot as sweep_plot
from experiments.sweeps import table as sweep_table
from experiments.sweeps.outputs import VECTORS
from experiments.sweeps.team import Team
from experiments.sweeps.training import Sweep
from w2v_jax import beginning, checks, heldout, sweeping
from w2v_jax.data.corpus import Corpus
from w2v_jax.data.vocab import save_counts
from w2v_jax.types import UserError
from w2v_jax.vectors.item_sets import ItemSet

FLAGS, TABLE = "flags.cfg", "table.md"
HELDOUT_LOSS = "expected over noise"  # what the lines' is; it was of drawn noise once


def define_flags() -> None:
    """What a sweep has beside a run's flags and its axes."""
    flags.DEFINE_boolean(
        "common_random_numbers",
        True,
        "Trials of different settings have the same seeds, and so draw the same random numbers; "
        "differences between settings are sharper.",
    )
    flags.DEFINE_list("static_axes", [], "Axes to compile a program for each value of.")
    flags.DEFINE_boolean("save_vectors", False, "Write vectors/TRIAL.txt for each trial.")
    flags.DEFINE_integer(
        "vmap_width",
        0,
        "Trials a device takes at a time, vmapped (0: on CPU one, on accelerators all it has).",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "cpu_devices", 0, "Trials trained side by side on CPU (0: one a core).", lower_bound=0
    )


def run(base: RunConfig) -> None:
    """Trains all trials and leaves a folder; goes on with one that was interrupted."""
    folder = Path(base.workdir or f"runs/ablation-{time.strftime('%Y%m%d-%H%M%S')}").expanduser()
    for name in (rundir.RUN, rundir.METRICS, rundir.SUMMARY):
        if (folder / name).exists():
            raise UserError(f"--workdir={folder}: holds a run ({name}), not a sweep")
    if base.resample:
        raise UserError("--resample is a single run's: here --bootstrap=N draws N texts")
    values, settings = design.settings(base)
    checks.check_alone(base.static(), "a sweep's trial")
    base = wiring.without_missing_extras(base)
    base = heldout_text.checked(base)
    sweep_outputs.check(base, values)
    held = growth.known(folder).settings
    own = _own_sets(base, held)  # what can't be read is told before the text is read
    halving_rule.check(base, settings, held, own)
    count = len(settings) * design.trials_of_a_setting()
    with team.together(base, str(folder), count) as own:
        if own.leads():
            _lead(base, values, settings, folder, own)
        else:
            _follow(base, values, settings, folder, own)


def _lead(base: RunConfig, values: dict, settings: list[dict], folder: Path, own: Team) -> None:
    """The first process: all but the others' shares."""
    sweep = _read(base, values, settings, own)
    own.agree(_shared(sweep))
    with lock.held(folder):
        held = growth.known(folder)
        sweep = _with_own_sets(sweep, held.settings)
        results = sweep.results(folder, held.settings)
        programs, numbers = growth.numbered(sweep.programs, held)
        sweep = sweep._replace(programs=programs)
        settings = growth.merged(held.settings, results.settings | sweep.settings)
        results.write(FLAGS, to_flagfile(resolved(sweep.base)))
        shares.collect(results, sweep.programs)
        growth.keep(folder, held, numbers, settings)
        growth.renew(results, sweep.base, held, settings)
        results.settings = settings
        sweep_outputs.make_missing(results, sweep.base, sweep.own)
        if flags.FLAGS.save_vectors:
            (folder / VECTORS).mkdir(exist_ok=True)
            save_counts(str(folder / rundir.VOCAB), sweep.corpus.vocab)
        done = {line["member"] for line in results.lines}
        left = [p for p in sweep.programs if not {m.index for m in p.trials} <= done]
        if left and sweep.held:
            _check_measure(folder)
        console.log(_described(sweep, left, own.share.processes))
        own.begin()
        if halving_rule.is_asked():
            halving.train(sweep, results, folder, design.trials_of_a_setting())
        else:
            lines = results if own.is_alone() else None
            training.train_share(sweep, own.share, done, lines, folder)
        own.finish()
        shares.collect(results, sweep.programs)
        checkpointing.clear_all(folder)
        report(results, sweep.base.picture_formats if sweep.base.plots else ())


def _follow(base: RunConfig, values: dict, settings: list[dict], folder: Path, own: Team) -> None:
    """Another process: its share."""
    console.silence()
    if not own.group:
        own.begin()
    sweep = _read(base, values, settings, own)
    own.agree(_shared(sweep))
    if own.group:
        own.begin()
        if not (folder / SETTINGS).exists():
            raise UserError(f"--workdir={folder}: all processes must see one folder")
    held = growth.known(folder)
    sweep = sweep._replace(programs=growth.numbered(sweep.programs, held)[0])
    sweep = sweep._replace(own=own_sets.of_json(held.settings.get("own_sets", ())))
    done = {line["member"] for line in sweep.results(folder).lines}
    training.train_share(sweep, own.share, done, None, folder)
    own.finish()


def _read(base: RunConfig, values: dict, settings: list[dict], own: Team) -> Sweep:
    """The text, the trials and the plan."""
    devices = _devices(len(settings) * design.trials_of_a_setting())
    if base.evaluate:
        console.missing_sets()
    with own.reading():
        base, source, corpus = reading.read_corpus(base)
    held = heldout_text.read(base, source, corpus)
    drawn = bool(flags.FLAGS.bootstrap)
    trials = plan.trials_of(
        base, settings, design.trials_of_a_setting(), flags.FLAGS.common_random_numbers, drawn
    )
    if held:
        statics = [trial.config.static() for trial in trials]
        heldout_text.say_what_is_not_measured(statics, base.early_stopping)
    programs = _plan(trials, corpus, _planned_for(devices, len(trials), own.share.processes))
    for config in {m.config for p in programs for m in p.trials}:
        beginning.check(config, corpus)
        checks.check_alone(config.static(), "a sweep's trial")
    shared = _settings(base, corpus, held, values, settings)
    return Sweep(base, corpus, held, trials, programs, devices, shared)


def _with_own_sets(sweep: Sweep, held: dict) -> Sweep:
    """With the sets of a folder's settings beside those that are given."""
    own = _own_sets(sweep.base, held)
    settings = {**sweep.settings, "own_sets": own_sets.in_json(own), **halving_rule.shared(own)}
    return sweep._replace(own=own, settings=settings)


def _own_sets(base: RunConfig, held: dict) -> tuple[ItemSet, ...]:
    """Those of a folder's settings, and those that are given."""
    there = own_sets.of_json(held.get("own_sets", ()))
    return own_sets.together(there, own_sets.of(base)) if base.evaluate else there


def _shared(sweep: Sweep) -> dict:
    """What must be the same in all processes: flags by name, the rest as JSON."""
    rest = {n: json.dumps(v) for n, v in sweep.settings.items() if n not in ("flags", "base")}
    apart = {n: rest.pop(n) for n in ("corpus_sha256",)}
    return {"flags": earlier_flags.of(sweep.base), **apart, **rest}


def _check_measure(folder: Path) -> None:
    """Raises UserError where further trials would not compare with those of an older version."""
    if json.loads((folder / SETTINGS).read_text()).get("heldout_loss") != HELDOUT_LOSS:
        raise UserError(
            f"--workdir={folder}: begun by an older version, whose held-out loss is another "
            "measure; give another folder"
        )


def _devices(trials: int) -> list[jax.Device]:
    """On CPU a device a core, so that trials are trained side by side; else what there is."""
    count = flags.FLAGS.cpu_devices or min(cpus(), trials)
    with contextlib.suppress(RuntimeError):  # JAX has started already: with the devices it has
        jax.config.update("jax_num_cpu_devices", count)
    devices = jax.local_devices()
    return devices[:count] if devices[0].platform == "cpu" else devices


def _planned_for(devices: list[jax.Device], trials: int, processes: int) -> list[jax.Device]:
    """Devices that a plan counts with: on CPUs the same, however many processes there are."""
    if devices[0].platform == "cpu":
        return devices[:1] * (flags.FLAGS.cpu_devices or min(CPUS, trials))
    return devices * processes


def report(results: Results, pictures: Sequence[str]) -> None:
    """The table as .md, .csv, .tex and .json, and plots of a folder's lines; prints the table.

    pictures: the plots' formats; none: no plots.
    """
    settings, lines = results.settings, growth.in_order(results)
    own = own_sets.of_json(settings.get("own_sets", ()))
    items = item_files.of_folder(results.folder, [line["member"] for line in lines], own)
    table = sweep_table.write(lines, items, settings)
    results.write(TABLE, table)
    print(table)
    found = table_files.rows(lines, items, settings)
    others = {
        "table.csv": table_files.as_csv(found),
        "table.json": table_files.as_json(found, settings),
        "table.tex": table_files.as_latex(lines, items, settings),
    }
    for name, text in others.items():
        results.write(name, text)
    written = [results.folder / name for name in (TABLE, *others)]
    if pictures and settings["axes"]:
        path = results.folder / "ablation.png"
        written += sweep_plot.plot(path, lines, settings, pictures)
        path = results.folder / "curves.png"
        written += plot_curves.plot(path, lines, settings, pictures)
        path = results.folder / "differences.png"
        written += plot_differences.plot(path, lines, items, settings, pictures)
    print("\n".join(f"written to {path}" for path in written))


def _plan(trials, corpus: Corpus, devices) -> list[plan.Program]:
    for name in flags.FLAGS.static_axes:
        if name not in plan.TRACED:
            raise UserError(f"--static_axes={name}: one of {', '.join(plan.TRACED)}")
    share = 0.5 if devices[0].platform == "cpu" else 0.8
    room = memory.room(flags.FLAGS.memory_gb, devices, share)

    def fits(config, count):
        return _needed(config, count, corpus, devices) <= room

    static_axes, seeds = tuple(flags.FLAGS.static_axes), design.trials_of_a_setting()
    given = trials, static_axes, fits, devices, flags.FLAGS.vmap_width
    if halving_rule.is_asked():
        return plan.queued(*given, lambda n: halving_rule.most_at_once(n // seeds) * seeds)
    return plan.plan(*given)


def _needed(config: RunConfig, count: int, corpus: Corpus, devices) -> int:
    chunks = len(corpus.bounds) - 1
    size = corpus.chunk_size
    bytes_ = plan.needed(config, count, corpus.vocab, size, chunks, devices, flags.FLAGS.vmap_width)
    types, vmap_width = (
        len(corpus.vocab.words),
        flags.FLAGS.vmap_width or sweeping.default_vmap_width(count, devices),
    )
    tables = count * 8 * types * config.dim  # once more to be measured, twice to keep the best
    scores = len(devices) * vmap_width * 8 * heldout.ROWS * min(heldout.WORDS, types)
    texts = count * 4 * len(corpus.ids) if flags.FLAGS.bootstrap else 0
    return bytes_ + scores + texts + tables * (3 if config.early_stopping else 1)


def _described(sweep: Sweep, left: list[plan.Program], processes: int) -> str:
    """The plan: what is trained together, and what memory it takes."""
    trials, programs, devices = sweep.trials, sweep.programs, sweep.devices
    planned_for = _planned_for(devices, len(trials), processes)
    settings = len({tuple(m.setting.items()) for m in trials})
    compilations = len({p.configuration for p in programs})
    lines = [
        f"plan: {counted(len(trials), 'trial')} ({counted(settings, 'setting')}), "
        f"{counted(len(programs), 'program')}, {counted(compilations, 'compilation')}, "
        + (f"{processes} processes of " if processes > 1 else "")
        + counted(len(devices), f"{devices[0].platform} device")
    ]
    for program in programs:
        config = program.trials[0].config
        need = _needed(config, program.size, sweep.corpus, planned_for) / 1e9
        state = "" if program in left else ", done before"
        lines.append(
            f"  program {program.number}: {counted(len(program.trials), 'trial')} of "
            f"{config.model}, {config.engine}, D {config.dim}, {config.optimizer}, "
            f"{counted(config.epochs, 'epoch')}; "
            f"about {need:.1f} GB{state}"
        )
    return "\n".join(lines)


def _settings(base: RunConfig, corpus: Corpus, held, values: dict, settings: list[dict]) -> dict:
    """What the results of a folder share."""
    given = flags.FLAGS
    way = given.design if given.sweep else "list"
    return {
        "flags": to_flagfile(resolved(dataclasses.replace(base, early_stopping=0))),
        "corpus_sha256": corpus.sha256,
        "heldout_sha256": held.sha256 if held else None,
        "heldout_loss": HELDOUT_LOSS if held else None,
        "axes": values,
        "base": {name: getattr(base, name) for name in values},
        "settings": settings,
        "design": way,
        "seeds": design.trials_of_a_setting(),
        "bootstrap": given.bootstrap,
        "own_sets": own_sets.in_json(own_sets.of(base)),
        **{n: given[n].value for n in ("common_random_numbers", "static_axes")},
        **{n: getattr(base, n) for n in training.MEASURED},
    }
