"""A program of a sweep, trained: all of its trials, epoch by epoch."""

import copy
import dataclasses
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cli import console
from experiments.cli.config import to_flagfile
from experiments.cli.errors import Stopped
from experiments.runs import metrics
from experiments.runs.heldout_text import Heldout
from experiments.runs.signals import at_once, watched
from experiments.sweeps import checkpointing as sweep_checkpointing
from experiments.sweeps.plan import Program, Trial
from w2v_jax import beginning, heldout, sweeping
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import HyperParams, StaticConfig, TrainState, UserError
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

    epoch: int  # epochs that the program has done
    trials: sweeping.Sharded
    diverged: np.ndarray
    stopped: np.ndarray
    loss: np.ndarray
    best: "_Best | None"
    seconds: float  # of training so far
    curve: np.ndarray  # [S, epochs, 2], training and held-out loss
    begun: np.ndarray  # the program's epochs before a trial's first

    @property
    def epochs(self) -> np.ndarray:
        """Epochs that each trial has behind it, if it went on all the time."""
        return self.epoch - self.begun

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
    now, compile_sec = begin(program, compiled, early_stopping)
    saves.restore(now)
    config, count = program.trials[0].config, len(program.trials)
    words = compiled.corpus.words * count
    with console.progress_bar(words * config.epochs, words * now.epoch) as bar, watched() as asked:
        while now.epoch < config.epochs and active_of(now.trials).any():
            began = time.perf_counter()
            new = asked.while_doing(partial(epoch_more, now, program, compiled))
            if asked.number:
                saves.save(now if new is None else new)
                saves.wait()
                raise Stopped(asked.number, saves.told(), at_once=new is None)
            now = new
            now.seconds += time.perf_counter() - began
            going = int(active_of(now.trials).sum())
            bar.set_postfix_str(f"epoch {now.epoch}, {going} of {count} go on", False)
            bar.update(words)
            saves.after(now)
    saves.end(now)
    return now.trained(compile_sec)


def begin(program: Program, compiled: Compiled, early_stopping: int) -> tuple[Progress, float]:
    """A program's beginning, compiled; and the seconds that took."""
    size, epochs = program.size, program.trials[0].config.epochs
    trials = _first(program, compiled.corpus, compiled.devices)
    with console.compiling(), at_once():
        compile_sec = compiled.prepare(program, trials)
    best = _Best(trials, early_stopping) if early_stopping else None
    none, zeros = np.zeros(size, bool), np.zeros(size, np.int64)
    unknown, curve = np.full(size, np.nan), np.full((size, epochs, 2), np.nan)
    return Progress(0, trials, none, zeros, unknown, best, 0.0, curve, zeros.copy()), compile_sec


def epoch_more(old: Progress, program: Program, compiled: Compiled) -> Progress:
    """An epoch more of all trials."""
    config, epoch = program.trials[0].config, old.epochs
    epochs = config.epochs
    before, best = active_of(old.trials), old.best
    trials, sums = sweeping.train_epoch(
        old.trials, compiled.text, compiled.texts, compiled.train_chunk, epoch, epochs, config.order
    )
    active, stopped = active_of(trials), old.stopped
    new = [metrics.mean_loss(m) for m in np.array(sums, float).T]
    new = np.array(new, float)  # NaN of an epoch without a positive, which is no training
    loss = np.where(active & ~np.isnan(new), new, old.loss)
    curve, own = old.curve.copy(), epoch[active]
    curve[active, own, 0] = new[active]
    _check_steps(program, trials, epoch + 1 == epochs)
    if best:
        of_heldout = heldout.mean(compiled.heldout(trials).loss)
        curve[active, own, 1] = of_heldout[active]
        trials, best = best.update(trials, of_heldout, loss, epoch + 1)
        early = active & ~active_of(trials) & (epoch + 1 < epochs)
        stopped = np.where(early, epoch + 1, stopped)
    diverged = old.diverged | (before & ~active)
    rest = old.seconds, curve, old.begun
    return Progress(old.epoch + 1, trials, diverged, stopped, loss, best, *rest)


def _check_steps(program: Program, trials: sweeping.Sharded, at_end: np.ndarray) -> None:
    """Raises UserError for a trial that had nothing to train on, as a run alone does."""
    idle = at_end & active_of(trials)
    if not idle.any():
        return
    idle &= sweeping.joined([m.state.step for m in trials]) == 0
    if idle.any():
        trial = program.trials[int(np.argmax(idle))]
        shown = to_flagfile(trial.setting.items()).split()
        told = nothing_trained(trial.config.static(), trial.config.epochs)
        raise UserError(f"the setting {' '.join(shown)}: {told}")


def _first(program: Program, corpus: Corpus, devices) -> sweeping.Sharded:
    """Keys, distributions and first states of a program's trials, on the devices."""

    def of_row(number):
        return first(program.trials[number], corpus)

    return sweeping.shard(of_row, len(program.trials), program.size, devices)


def first(trial: Trial, corpus: Corpus) -> tuple[jax.Array, HyperParams, TrainState]:
    """A trial's key, distributions and first state."""
    config = trial.config
    key, hyper = jax.random.key(config.seed), beginning.make_hyper(config, corpus.vocab)
    own = corpus.resampled(config.resample) if config.init in beginning.OF_TEXT else corpus
    tables, size = beginning.tables(config, own), len(corpus.vocab.words)
    return key, hyper, beginning.initial_state(config, size, key, hyper, tables)


def active_of(trials: sweeping.Sharded) -> np.ndarray:
    """Which trials go on [S]."""
    return sweeping.joined([m.active for m in trials])


class _Best:
    """Each trial's tables where its held-out loss was lowest, and the training loss there."""

    def __init__(self, trials: sweeping.Sharded, patience: int):
        self.params, self.patience = [m.state.params for m in trials], patience
        size = active_of(trials).shape
        self.loss, self.training_loss = np.full(size, np.inf), np.full(size, np.nan)
        self.worse, self.epoch = np.zeros(size, int), np.zeros(size, int)  # 0: never measured

    def update(
        self,
        trials: sweeping.Sharded,
        loss: np.ndarray,
        training_loss: np.ndarray,
        epoch: np.ndarray,
    ) -> "tuple[sweeping.Sharded, _Best]":
        """With what is better; trials that were worse `patience` times on end don't go on."""
        active, new = active_of(trials), copy.copy(self)
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
