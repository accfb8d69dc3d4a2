"""A program of a sweep -> a line for each of its trials."""

import copy
import dataclasses
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cli import console
from experiments.cli.config import to_flagfile
from experiments.cli.errors import Stopped
from experiments.report import chance
from experiments.runs import metrics
from experiments.runs.heldout_text import Heldout
from experiments.runs.newest import exported
from experiments.runs.signals import at_once, watched
from experiments.sweeps import checkpointing as sweep_checkpointing
from experiments.sweeps.plan import Program, Trial
from w2v_jax import beginning, heldout, sweeping
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import Params, StaticConfig, UserError
from w2v_jax.vectors import evaluation, item_sets
from w2v_jax.vectors.item_sets import ItemSet
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.visits import nothing_trained


class Trained(NamedTuple):
    """What training a program's trials gave; arrays [S]."""

    trials: sweeping.Sharded
    loss: np.ndarray  # the last epoch's, a positive; NaN where no step was measured
    diverged: np.ndarray  # bool: diverged, and put back to its last good state
    stopped: np.ndarray  # epoch after which it was stopped early, 0 where it was not
    best_epoch: np.ndarray  # whose tables and loss these are, 0: the last's
    curve: np.ndarray  # [S, epochs, 2], training and held-out loss; NaN: not measured
    compile_sec: float
    train_sec: float


class Compiled:
    """What a sweep has compiled last: programs of one configuration follow each other."""

    def __init__(self, devices, corpus: Corpus, held: Heldout | None):
        self.devices, self.corpus, self.held = devices, corpus, held
        self.configuration, self.drawn, self._texts = None, None, None

    def prepare(self, program: Program, trials: sweeping.Sharded) -> float:
        """Compiles what this program needs, unless the last one was alike; seconds it took."""
        started = time.perf_counter()
        seeds = [trial.config.resample for trial in program.trials]
        if any(seeds):
            seeds += seeds[-1:] * (program.size - len(seeds))
            self.drawn = [self.corpus.resampled(seed) for seed in seeds]
        if self.configuration == (program.configuration, program.size):
            return 0.0
        static, size = program.trials[0].config.static(), 0
        if self.drawn:
            size = self.drawn[0].chunk_size
        vmap_width = program.vmap_width
        self.train_chunk = sweeping.compile_train_chunk(
            trials, self.texts, static, vmap_width, size
        )
        if self.held:
            self._measures(static, trials, vmap_width)
        self.configuration = program.configuration, program.size
        return time.perf_counter() - started

    @property
    def text(self) -> Corpus | list[Corpus]:
        """What the trials are trained on, or each of them."""
        return self.drawn or self.corpus

    @property
    def texts(self) -> Sequence[sweeping.Text | None]:
        """The text that all share, on each device; None where each has its own."""
        if self.drawn:
            return [None] * len(self.devices)
        if self._texts is None:
            self._texts = sweeping.text_of(self.corpus, self.devices)
        return self._texts

    def _measures(self, static: StaticConfig, trials: sweeping.Sharded, vmap_width: int) -> None:
        """Of all trials: held-out loss and perplexity by line, heldout.ByLine [S, lines, 2]."""

        def measure(trial, windows):
            params, perplexity = trial.state.params, self.held.perplexity
            return heldout.measure(params, trial.hyper, windows, static, perplexity)

        texts = [jax.device_put(self.held.windows, device) for device in self.devices]
        work = list(zip(trials, texts, strict=True))
        compiled = sweeping.compile_over(measure, work, vmap_width)
        self.heldout = lambda sharded: sweeping.joined(
            compiled(list(zip(sharded, texts, strict=True)))
        )


@dataclasses.dataclass(slots=True)  # no field by another name
class Progress:
    """A program's trials between two epochs; arrays [S]."""

    epoch: int  # epochs done
    trials: sweeping.Sharded
    diverged: np.ndarray
    stopped: np.ndarray
    loss: np.ndarray
    best: "_Best | None"
    seconds: float  # of training so far
    curve: np.ndarray  # [S, epochs, 2], training and held-out loss

    def trained(self, compile_sec: float) -> Trained:
        """What there is at the end."""
        trials, loss = self.trials, self.loss
        if self.best:
            trials, loss = self.best.restored(trials, loss)
        epochs = self.best.epoch if self.best else np.zeros(len(loss), np.int64)
        trials = jax.block_until_ready(trials)
        return Trained(
            *(trials, loss, self.diverged, self.stopped, epochs, self.curve),
            *(compile_sec, self.seconds),
        )


def train(
    program: Program, compiled: Compiled, early_stopping: int, saves: sweep_checkpointing.Saves
) -> Trained:
    """Trains a program's trials to their ends; early_stopping: the patience in epochs, or 0.

    Goes on with what `saves` holds of it. Raises Stopped where a signal asks to end.
    """
    corpus, size = compiled.corpus, program.size
    trials = _first(program, corpus, compiled.devices)
    with console.compiling(), at_once():
        compile_sec = compiled.prepare(program, trials)
    config, count = program.trials[0].config, len(program.trials)
    best = _Best(trials, early_stopping) if early_stopping else None
    none, stopped = np.zeros(size, bool), np.zeros(size, np.int64)
    unknown, curve = np.full(size, np.nan), np.full((size, config.epochs, 2), np.nan)
    now = Progress(0, trials, none, stopped, unknown, best, 0.0, curve)
    saves.restore(now)
    words = corpus.words * count
    with console.progress_bar(words * config.epochs, words * now.epoch) as bar, watched() as asked:
        while now.epoch < config.epochs and _active(now.trials).any():
            began = time.perf_counter()
            new = asked.while_doing(partial(_epoch, now, program, compiled))
            if asked.number:
                saves.save(now if new is None else new)
                saves.wait()
                raise Stopped(asked.number, saves.told(), at_once=new is None)
            now = new
            now.seconds += time.perf_counter() - began
            going = int(_active(now.trials).sum())
            bar.set_postfix_str(f"epoch {now.epoch}, {going} of {count} go on", False)
            bar.update(words)
            saves.after(now)
    saves.end(now)
    return now.trained(compile_sec)


def _epoch(old: Progress, program: Program, compiled: Compiled) -> Progress:
    """An epoch more of all trials."""
    epochs, epoch = program.trials[0].config.epochs, old.epoch
    before, best = _active(old.trials), old.best
    trials, sums = sweeping.train_epoch(
        old.trials, compiled.text, compiled.texts, compiled.train_chunk, epoch, epochs
    )
    active, stopped = _active(trials), old.stopped
    new = [metrics.mean_loss(m) for m in np.array(sums, float).T]
    new = np.array(new, float)  # NaN of an epoch without a positive, which is no training
    loss = np.where(active & ~np.isnan(new), new, old.loss)
    curve = old.curve.copy()
    curve[:, epoch, 0] = np.where(active, new, np.nan)
    if epoch + 1 == epochs:
        _check_steps(program, trials)
    if best:
        of_heldout = heldout.mean(compiled.heldout(trials).loss)
        curve[:, epoch, 1] = np.where(active, of_heldout, np.nan)
        trials, best = best.update(trials, of_heldout, loss, epoch + 1)
        if epoch + 1 < epochs:
            stopped = np.where(active & ~_active(trials), epoch + 1, stopped)
    diverged = old.diverged | (before & ~active)
    return Progress(epoch + 1, trials, diverged, stopped, loss, best, old.seconds, curve)


def _check_steps(program: Program, trials: sweeping.Sharded) -> None:
    """Raises UserError for a trial that has nothing to train on, as a run alone does."""
    idle = _active(trials) & (sweeping.joined([m.state.step for m in trials]) == 0)
    if idle.any():
        trial = program.trials[int(np.argmax(idle))]
        shown = to_flagfile(trial.setting.items()).split()
        told = nothing_trained(trial.config.static(), trial.config.epochs)
        raise UserError(f"the setting {' '.join(shown)}: {told}")


def _first(program: Program, corpus: Corpus, devices) -> sweeping.Sharded:
    """Keys, distributions and first states of a program's trials, on the devices."""

    def first(number):
        config = program.trials[number].config
        key, hyper = jax.random.key(config.seed), beginning.make_hyper(config, corpus.vocab)
        return key, hyper, beginning.initial_state(config, len(corpus.vocab.words), key, hyper)

    return sweeping.shard(first, len(program.trials), program.size, devices)


def _active(trials: sweeping.Sharded) -> np.ndarray:
    return sweeping.joined([m.active for m in trials])


class _Best:
    """Each trial's tables where its held-out loss was lowest, and the training loss there."""

    def __init__(self, trials: sweeping.Sharded, patience: int):
        self.params, self.patience = [m.state.params for m in trials], patience
        size = _active(trials).shape
        self.loss, self.training_loss = np.full(size, np.inf), np.full(size, np.nan)
        self.worse, self.epoch = np.zeros(size, int), np.zeros(size, int)  # 0: never measured

    def update(
        self, trials: sweeping.Sharded, loss: np.ndarray, training_loss: np.ndarray, epoch: int
    ) -> "tuple[sweeping.Sharded, _Best]":
        """With what is better; trials that were worse `patience` times on end don't go on."""
        active, new = _active(trials), copy.copy(self)
        better = active & (loss < self.loss)
        new.loss = np.where(better, loss, self.loss)
        new.training_loss = np.where(better, training_loss, self.training_loss)
        new.epoch = np.where(better, epoch, self.epoch)
        new.worse = np.where(better, 0, self.worse + active)
        goes_on = active & (new.worse < self.patience)
        parts = sweeping.split((better, goes_on), [m.active.device for m in trials])
        new.params = [
            _where(is_better, m.state.params, old)
            for (is_better, _), m, old in zip(parts, trials, self.params, strict=True)
        ]
        going = tuple(m.replace(active=on) for m, (_, on) in zip(trials, parts, strict=True))
        return going, new

    def restored(
        self, trials: sweeping.Sharded, loss: np.ndarray
    ) -> tuple[sweeping.Sharded, np.ndarray]:
        """The trials with their best tables, those that were ever measured; their losses."""
        found = self.epoch > 0
        parts = sweeping.split(found, [m.active.device for m in trials])
        tables = [
            _where(is_found, best, m.state.params)
            for is_found, best, m in zip(parts, self.params, trials, strict=True)
        ]
        restored = tuple(
            m.replace(state=m.state.replace(params=params))
            for m, params in zip(trials, tables, strict=True)
        )
        return restored, np.where(found, self.training_loss, loss)


@jax.jit
def _where(chosen, new, old):
    return jax.tree.map(lambda n, o: jnp.where(chosen[:, None, None], n, o), new, old)


class Result(NamedTuple):
    """What is known of a trial at its end."""

    trial: Trial
    line: dict  # its measures
    items: dict[str, np.ndarray]  # its results item by item
    wv: WordVectors


def results(
    program: Program,
    trained: Trained,
    compiled: Compiled,
    own: Sequence[ItemSet] | None,
    done: Collection[int] = (),
) -> Iterator[Result]:
    """Each trial that isn't done measured: held-out loss, perplexity, word pairs, analogies.

    own: sets beside the standard ones; None: no word pairs and no analogies at all.
    """
    corpus, held = compiled.corpus, compiled.held
    by_line = compiled.heldout(trained.trials) if held else None
    steps = sweeping.joined([m.state.step for m in trained.trials])
    params = sweeping.joined([m.state.params for m in trained.trials])
    for i, trial in enumerate(program.trials):
        if trial.index in done:
            continue
        measures, items, of_text = {}, {}, _sums(by_line, i)
        tables = Params(params.input[i], params.output[i])
        wv = WordVectors(corpus.vocab.words, exported(tables, trial.config.export_vectors))
        if own is not None:
            items = item_sets.items_of(wv, own)
            measures = {m.name: m for m in item_sets.measured(wv, own, items)}
        line = {
            "epochs": trial.config.epochs,
            "steps": int(steps[i]),
            "frozen_step": int(steps[i]) if trained.diverged[i] else None,
            "stopped_epoch": int(trained.stopped[i]) or None,
            "best_epoch": int(trained.best_epoch[i]) or None,
            "loss": _finite(trained.loss[i]),
            "chance_loss": chance.of(
                trial.config.loss, trial.config.negatives, len(corpus.vocab.words)
            ),
            **_curves(trained.curve[i]),
            **_figures(of_text),
            **headlines(measures, own or ()),
        }
        yield Result(trial, line, items | of_text, wv)


def _curves(curve: np.ndarray) -> dict[str, list]:
    """A trial's losses by epoch [epochs, 2], up to its last; those that were measured."""
    known = np.flatnonzero(np.isfinite(curve[:, 0]))
    length = known[-1] + 1 if len(known) else 0
    found = zip(("curve", "heldout_curve"), curve[:length].T, strict=True)
    return {name: [_finite(x) for x in of] for name, of in found if np.isfinite(of).any()}


def _sums(by_line: heldout.ByLine | None, trial: int) -> dict[str, np.ndarray]:
    """A trial's held-out measures, those that there are, by line: [lines, 2] float64 each."""
    found = {"heldout_loss": by_line.loss, "perplexity": by_line.nats} if by_line else {}
    return {name: x[trial].astype(np.float64) for name, x in found.items() if x is not None}


def headlines(measures: Mapping[str, evaluation.Measure], own: Sequence[ItemSet] = ()) -> dict:
    """What a line tells of word pairs and analogies: the figures, and [covered, in all] of each."""
    names = [*evaluation.HEADLINES, *(one.headline for one in own)]
    found = {name: measures[name] for name in names if name in measures}
    values = {name: found[name].value if name in found else None for name in names}
    return {**values, "coverage": {name: [m.covered, m.total] for name, m in found.items()}}


def _figures(sums: dict[str, np.ndarray]) -> dict[str, float | None]:
    """The same over all lines."""
    mean = {name: heldout.mean(of_lines) for name, of_lines in sums.items()}
    with np.errstate(over="ignore"):  # of tables that are nearly infinite
        perplexity = np.exp(mean.get("perplexity", np.nan))
    loss = mean.get("heldout_loss", np.nan)
    return {"heldout_loss": _finite(loss), "perplexity": _finite(perplexity)}


def _finite(value) -> float | None:
    return float(value) if np.isfinite(value) else None
