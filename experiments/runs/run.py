"""RunConfig -> run directory: the wiring that the training scripts share."""

import dataclasses
import importlib.metadata
import itertools
import os
import platform
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import jax
from absl import flags

from experiments.cli import console, defaults
from experiments.cli.config import RunConfig, resolved, to_flagfile
from experiments.report import chance
from experiments.runs import (
    checkpointing,
    devices,
    distributed,
    epochs,
    fingerprint,
    group,
    heldout_text,
    loop,
    memory,
    other_processes,
    outputs,
    own_sets,
    pretrained,
    processes,
    reading,
    rundir,
    signals,
)
from experiments.runs.checkpointing import Start
from experiments.runs.epochs import Epochs
from experiments.runs.heldout_text import Heldout
from experiments.runs.metrics import MetricAccumulator
from experiments.runs.newest import word_vectors
from experiments.runs.open_run import OpenRun, open_run
from w2v_jax import beginning, columns, replicas, training, visits, warm_start
from w2v_jax import processes as all_processes
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import SIZED, resolve
from w2v_jax.replicas import Partners
from w2v_jax.types import HyperParams, Params, TrainState, UserError


def run(config: RunConfig, script: str) -> None:
    """Trains as configured, or goes on with a run; leaves a run directory, prints the screen.

    What is None in the config is resolved once the text is known.
    """
    if config.continue_from:  # the text adds to another, and its size says nothing
        config = resolve(config)
    sized = [name for name in SIZED if getattr(config, name) is None]
    now = time.strftime("%Y%m%d-%H%M%S")
    workdir = Path(config.workdir or f"runs/{script}-{now}-{os.getpid()}").expanduser()
    config = pretrained.absolute(without_missing_extras(config))
    config = heldout_text.checked(config)
    own_sets.of(config)  # what can't be read is told before the text is read
    devices.make(config)
    if config.processes > 1 and config.replicas == 1:
        console.log("note: --processes has no effect with --replicas=1")
    if distributed.is_started():
        other_processes.follow(config)
        return
    with group.together(config) as joined:
        if joined and joined.given.number:
            other_processes.follow_in(joined, config)
            return
        with open_run(config, workdir, sized) as opened:
            trains = not (opened.there and rundir.is_trained(workdir))
            if joined:
                joined.trains(trains)
            if not trains:
                _end(config, opened, joined)
                return
            with processes.started(config, script, str(workdir), joined) as others:
                _open(config, opened, others)


def _end(config: RunConfig, opened: OpenRun, joined: group.Group | None) -> None:
    """Makes what a run that is trained lacks, by this process alone."""
    if joined:
        joined.part()
    _open(config, opened, processes.Others())


def _open(config: RunConfig, opened: OpenRun, others: processes.Others) -> None:
    """Reads the text, and trains, or makes what a run at its end lacks."""
    workdir = opened.workdir
    earlier = pretrained.earlier(config)
    with others.reading():
        config, source, corpus = reading.read_corpus(config, earlier.vocab.words if earlier else ())
    config = resolve(config, corpus)
    this = fingerprint.of(config, corpus, earlier.sha256 if earlier else "")
    if others.group:
        others.group.agree(this)  # who alone measures the held-out text
    held = _heldout(config, source, corpus)
    if held and config.early_stopping:
        this["heldout_sha256"] = held.sha256
    resumes = opened.goes_on(this)
    if resumes and rundir.is_trained(workdir):
        epochs.tell_of_lost(config, workdir, rundir.read_summary(workdir), held)
        outputs.make_missing(config, workdir)
        return
    _run(config, workdir, source, corpus, held, earlier, this, resumes, others)


def _heldout(config: RunConfig, source, corpus: Corpus) -> Heldout | None:
    """The held-out text, where one is asked for."""
    heldout_text.tell_of_idle(config)
    if not heldout_text.is_asked(config):
        return None
    held = heldout_text.read(config, source, corpus)
    if held:
        heldout_text.say_what_is_not_measured([config.static()], config.early_stopping)
    return held


class Trained(NamedTuple):
    """A run at its end."""

    state: TrainState
    accumulator: MetricAccumulator
    epochs: Epochs
    train_sec: float  # of all processes together
    compile_sec: float
    unsaved: str = ""  # why the end is in no checkpoint, if it isn't


def _run(
    config: RunConfig,
    workdir: Path,
    source,
    corpus: Corpus,
    held: Heldout | None,
    earlier,
    this: dict,
    resumes: bool,
    others: processes.Others,
) -> None:
    """Trains and leaves the run's files; this: its fingerprint."""
    untrained = _untrained(config, corpus, earlier)
    corpus, index = warm_start.merge_vocabs(corpus, earlier) if earlier else (corpus, None)
    beginning.check(config, corpus)
    defaults.tell(config, corpus)
    with processes.joined(others) as partners:
        hyper, key = beginning.make_hyper(config, corpus.vocab), jax.random.key(config.seed)
        resident = memory.check(config, corpus, hyper, partners, others.sharing())
        begin = partial(_beginning, config, corpus, key, hyper, earlier, index, this)
        if resumes:
            total = corpus.words * config.epochs
            start = checkpointing.resumed(config, workdir, begin, key, total)
        else:
            start = begin()
        start = other_processes.lead(start, partners)
        of_epochs = Epochs(
            *(config, workdir, corpus, hyper, held, start.state.params, start.epochs, start.best)
        )
        if start.ended:  # and the process with it, before the vectors were written
            accumulator = MetricAccumulator(config.objective, 0.0, start.accumulator)
            took = start.accumulator["elapsed_sec"]
            end = Trained(start.state, accumulator, of_epochs, took, 0.0)
        else:
            end = _trained(
                *(config, workdir, corpus, hyper, key, resident, start, of_epochs, resumes),
                *(untrained, partners),
            )
    summary = _summary(config, source, corpus, end, start.resumes, len(untrained))
    wv = word_vectors(columns.gathered(end.state.params), config, corpus.vocab)
    outputs.finish(config, workdir, summary, rundir.with_untrained(workdir, wv), end.unsaved)


def _summary(
    config: RunConfig, source, corpus: Corpus, end: Trained, resumes: int, untrained: int
) -> dict:
    """What summary.json says of a training; untrained: types without a context."""
    return {
        "dataset": source.name,
        "note": source.note,
        "corpus_sha256": corpus.sha256,
        "vocab_sha256": fingerprint.of_vocab(corpus.vocab),
        "vocab_size": len(corpus.vocab.words),
        "untrained_types": untrained,
        "words_per_epoch": corpus.words,
        "epochs": config.epochs,
        "train_sec": end.train_sec,
        "compile_sec": end.compile_sec,
        "words_per_sec": corpus.words * (end.epochs.stopped or config.epochs) / end.train_sec,
        "final_loss": end.accumulator.final_loss(),
        "final_loss_error": end.accumulator.final_loss_error(),
        "chance_loss": chance.of(config.loss, config.negatives, len(corpus.vocab.words)),
        "objective": end.accumulator.final_objective(),
        "resumes": resumes,
        "devices": [d.device_kind for d in jax.devices()],
        "versions": versions(),
        "seed": config.seed,
        **end.epochs.in_summary(end.state.params, end.accumulator.last_words),
    }


def _trained(
    config: RunConfig,
    workdir: Path,
    corpus: Corpus,
    hyper,
    key,
    resident: int,
    start: Start,
    of_epochs: Epochs,
    resumes: bool,
    untrained: list[str],
    partners: Partners,
) -> Trained:
    """From `start` to the end."""
    static, size = config.static(), corpus.chunk_size
    steps = replicas.dispatch_steps(config.log_every_steps, config.replicas, config.sync_every)
    with console.compiling(), signals.at_once():
        began = time.perf_counter()
        program = training.compile_program(start.state, key, size, hyper, static, steps)
        all_processes.total(0, partners)  # all of them have it
        compile_sec = time.perf_counter() - began
    accumulator = MetricAccumulator(config.objective, time.perf_counter(), start.accumulator)
    whole = training.Training(
        *(key, corpus, program, hyper, static, config.epochs, config.sync_every),
        *(start.words_before, resident),
    )
    reports = replicas.train(start.state, whole, start.position, partners)
    if start.accumulator is None:
        first = next(reports)  # what cannot be trained leaves the run that it was to replace
        accumulator.check(first[1])
        reports = itertools.chain([first], reports)
        flagfile = to_flagfile(resolved(config))
        replace = config.overwrite or resumes
        rundir.create(workdir, replace, flagfile, start.fingerprint, corpus.vocab, untrained)
    state, train_sec, unsaved = loop.train_loop(
        config, workdir, corpus, reports, key, accumulator, start, of_epochs, partners
    )
    return Trained(state, accumulator, of_epochs, train_sec, compile_sec, unsaved)


def _untrained(config: RunConfig, corpus: Corpus, earlier) -> list[str]:
    """Words without a context: of this text, and in what it goes on from."""
    never = beginning.untrained(config, corpus).tolist()
    here = [word for word, alone in zip(corpus.vocab.words, never, strict=True) if alone]
    if not earlier:
        return here
    folder = Path(config.continue_from).expanduser()
    before = rundir.untrained(folder) if folder.is_dir() else set()
    words = set(earlier.vocab.words) - before  # these have a context already
    known = set(corpus.vocab.words) - set(here)
    return [w for w in here if w not in words] + sorted(before - known - set(here))


def _beginning(
    config: RunConfig,
    corpus: Corpus,
    key: jax.Array,
    hyper: HyperParams,
    earlier,
    index,
    this: dict,
    blank: bool = False,
) -> Start:
    """Where a new run starts; earlier, index: what it goes on from (warm_start), or None.

    blank: for its shapes alone, without the tables that the text would make.
    """
    size = len(corpus.vocab.words)
    tables = beginning.blank(config, size) if blank else _tables(config, corpus)
    state = beginning.initial_state(config, size, key, hyper, tables)
    before = 0
    if earlier:
        lying = jax.tree.map(lambda leaf: leaf.sharding, state)
        state = warm_start.transfer_rows(state, earlier, index, config.continue_schedule)
        state = columns.like(state, lying) if config.mesh else state
        earlier.arrays.clear()  # they may be as large as the state
        before = earlier.words if config.continue_schedule else 0
    return Start(state, visits.Position(), None, None, 0, before, this)


def _tables(config: RunConfig, corpus: Corpus) -> Params | None:
    """`beginning.tables`; what they take is told, as it counts to no other figure."""
    began = time.perf_counter()
    tables = beginning.tables(config, corpus)
    if tables:
        took = time.perf_counter() - began
        console.log(f"first tables of the text (--init={config.init}): {took:.1f} s")
    return tables


def without_missing_extras(config: RunConfig) -> RunConfig:
    """Says at the start what a run without the [eval] extra will leave out.

    Raises UserError where that was asked for.
    """
    needs = (("plots", "matplotlib"), ("plots", "sklearn"))
    if config.tensorboard and find_spec("tensorboardX") is None:
        raise UserError("--tensorboard needs tensorboardX: pip install 'w2v_jax[eval]'")
    for flag, package in needs:
        if getattr(config, flag) and find_spec(package) is None:
            missing = f"{package} is missing (pip install 'w2v_jax[eval]')"
            if flag in flags.FLAGS and flags.FLAGS[flag].present:
                raise UserError(f"--{flag}: {missing}")
            console.log(f"note: no --{flag}: {missing}")
            config = dataclasses.replace(config, **{flag: False})
    if config.evaluate:
        console.missing_sets()
    return config


def versions() -> dict[str, str]:
    """What the result was computed with."""
    names = ("w2v_jax", "jax", "jaxlib", "optax", "flax", "numpy")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout, not installed
            continue
    return found
