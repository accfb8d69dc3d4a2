"""A program of a sweep -> a line for each of its members."""

import copy
import dataclasses
import time
from collections.abc import Collection, Iterator, Mapping
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
from experiments.runs.newest import exported
from experiments.runs.signals import at_once, watched
from experiments.sweeps import checkpointing as sweep_checkpointing
from experiments.sweeps.plan import Member, Program
from w2v_jax import beginning, heldout, sweeping
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import Params, StaticConfig, UserError
from w2v_jax.vectors import evaluation
from w2v_jax.vectors.word_vectors import WordVectors
from w2v_jax.visits import nothing_trained

HEADLINES = ("wordsim353_spearman", "simlex999_spearman", "google_analogies_accuracy")


class Heldout(NamedTuple):
    """Text that is not trained on."""

    windows: heldout.Windows
    perplexity: bool  # whether it is asked for, beside the loss
    sha256: str


class Trained(NamedTuple):
    """What training a program's members gave; arrays [S]."""

    members: sweeping.Dealt
    loss: np.ndarray  # the last epoch's, a positive; NaN where no step was measured
    frozen: np.ndarray  # bool: diverged, and put back to its last good state
    stopped: np.ndarray  # epoch after which it was stopped early, 0 where it was not
    best_epoch: np.ndarray  # whose tables and loss these are, 0: the last's
    compile_sec: float
    train_sec: float


class Compiled:
    """What a sweep has compiled last: programs of one kind come one after the other."""

    def __init__(self, devices, corpus: Corpus, held: Heldout | None):
        self.devices, self.corpus, self.held = devices, corpus, held
        self.texts = sweeping.text_of(corpus, devices)
        self.kind = None

    def prepare(self, program: Program, members: sweeping.Dealt) -> float:
        """Compiles what this kind needs, unless the last one was of it; seconds that it took."""
        started = time.perf_counter()
        if self.kind == (program.kind, program.size):
            return 0.0
        static = program.members[0].config.static()
        lanes = program.lanes
        self.advance = sweeping.compile_advance(members, self.texts, static, lanes)
        if self.held:
            self._measures(static, members, lanes)
        self.kind = program.kind, program.size
        return time.perf_counter() - started

    def _measures(self, static: StaticConfig, members: sweeping.Dealt, lanes: int) -> None:
        """Of all members: held-out loss and perplexity by line, heldout.ByLine [S, lines, 2]."""

        def measure(member, windows):
            params, perplexity = member.state.params, self.held.perplexity
            return heldout.measure(params, member.hyper, windows, static, perplexity)

        texts = [jax.device_put(self.held.windows, device) for device in self.devices]
        work = list(zip(members, texts, strict=True))
        compiled = sweeping.compile_over(measure, work, lanes)
        self.heldout = lambda dealt: sweeping.joined(compiled(list(zip(dealt, texts, strict=True))))


@dataclasses.dataclass
class Progress:
    """A program's members between two epochs; arrays [S]."""

    epoch: int  # epochs done
    members: sweeping.Dealt
    frozen: np.ndarray
    stopped: np.ndarray
    loss: np.ndarray
    best: "_Best | None"
    seconds: float  # of training so far

    def trained(self, compile_sec: float) -> Trained:
        """What there is at the end."""
        members, loss = self.members, self.loss
        if self.best:
            members, loss = self.best.restored(members, loss)
        epochs = self.best.epoch if self.best else np.zeros(len(loss), np.int64)
        members = jax.block_until_ready(members)
        return Trained(members, loss, self.frozen, self.stopped, epochs, compile_sec, self.seconds)


def train(
    program: Program, compiled: Compiled, early_stopping: int, saves: sweep_checkpointing.Saves
) -> Trained:
    """Trains a program's members to their ends; early_stopping: the patience in epochs, or 0.

    Goes on with what `saves` holds of it. Raises Stopped where a signal asks to end.
    """
    corpus, size = compiled.corpus, program.size
    members = _first(program, corpus, compiled.devices)
    with console.compiling(), at_once():
        compile_sec = compiled.prepare(program, members)
    config, count = program.members[0].config, len(program.members)
    best = _Best(members, early_stopping) if early_stopping else None
    none, at = np.zeros(size, bool), np.zeros(size, np.int64)
    now = Progress(0, members, none, at, np.full(size, np.nan), best, 0.0)
    saves.restore(now)
    words = corpus.words * count
    with console.progress_bar(words * config.epochs, words * now.epoch) as bar, watched() as asked:
        while now.epoch < config.epochs and _alive(now.members).any():
            began = time.perf_counter()
            new = asked.while_doing(partial(_epoch, now, program, compiled))
            if asked.number:
                saves.save(now if new is None else new)
                saves.wait()
                raise Stopped(asked.number, saves.told(), at_once=new is None)
            now = new
            now.seconds += time.perf_counter() - began
            going = int(_alive(now.members).sum())
            bar.set_postfix_str(f"epoch {now.epoch}, {going} of {count} go on", False)
            bar.update(words)
            saves.after(now)
    saves.end(now)
    return now.trained(compile_sec)


def _epoch(old: Progress, program: Program, compiled: Compiled) -> Progress:
    """An epoch more of all members."""
    epochs, epoch = program.members[0].config.epochs, old.epoch
    before, best = _alive(old.members), old.best
    members, sums = sweeping.train_epoch(
        old.members, compiled.corpus, compiled.texts, compiled.advance, epoch, epochs
    )
    alive, stopped = _alive(members), old.stopped
    new = [metrics.mean_loss(m) for m in np.array(sums, float).T]
    new = np.array(new, float)  # NaN of an epoch without a positive, which is no training
    loss = np.where(alive & ~np.isnan(new), new, old.loss)
    if epoch + 1 == epochs:
        _check_steps(program, members)
    if best:
        of_heldout = heldout.mean(compiled.heldout(members).loss)
        members, best = best.update(members, of_heldout, loss, epoch + 1)
        if epoch + 1 < epochs:
            stopped = np.where(alive & ~_alive(members), epoch + 1, stopped)
    frozen = old.frozen | (before & ~alive)
    return Progress(epoch + 1, members, frozen, stopped, loss, best, old.seconds)


def _check_steps(program: Program, members: sweeping.Dealt) -> None:
    """Raises UserError for a member that has nothing to train on, as a run alone does."""
    idle = _alive(members) & (sweeping.joined([m.state.step for m in members]) == 0)
    if idle.any():
        member = program.members[int(np.argmax(idle))]
        shown = to_flagfile(member.setting.items()).split()
        told = nothing_trained(member.config.static(), member.config.epochs)
        raise UserError(f"the setting {' '.join(shown)}: {told}")


def _first(program: Program, corpus: Corpus, devices) -> sweeping.Dealt:
    """Keys, distributions and first states of a program's members, on the devices."""

    def first(number):
        config = program.members[number].config
        key, hyper = jax.random.key(config.seed), beginning.make_hyper(config, corpus.vocab)
        return key, hyper, beginning.initial_state(config, len(corpus.vocab.words), key, hyper)

    return sweeping.deal(first, len(program.members), program.size, devices)


def _alive(members: sweeping.Dealt) -> np.ndarray:
    return sweeping.joined([m.alive for m in members])


class _Best:
    """Each member's tables where its held-out loss was lowest, and the training loss there."""

    def __init__(self, members: sweeping.Dealt, patience: int):
        self.params, self.patience = [m.state.params for m in members], patience
        size = _alive(members).shape
        self.loss, self.training_loss = np.full(size, np.inf), np.full(size, np.nan)
        self.worse, self.epoch = np.zeros(size, int), np.zeros(size, int)  # 0: never measured

    def update(
        self, members: sweeping.Dealt, loss: np.ndarray, training_loss: np.ndarray, epoch: int
    ) -> "tuple[sweeping.Dealt, _Best]":
        """With what is better; members that were worse `patience` times on end don't go on."""
        alive, new = _alive(members), copy.copy(self)
        better = alive & (loss < self.loss)
        new.loss = np.where(better, loss, self.loss)
        new.training_loss = np.where(better, training_loss, self.training_loss)
        new.epoch = np.where(better, epoch, self.epoch)
        new.worse = np.where(better, 0, self.worse + alive)
        goes_on = alive & (new.worse < self.patience)
        parts = sweeping.split((better, goes_on), [m.alive.device for m in members])
        new.params = [
            _where(is_better, m.state.params, old)
            for (is_better, _), m, old in zip(parts, members, self.params, strict=True)
        ]
        going = tuple(m.replace(alive=on) for m, (_, on) in zip(members, parts, strict=True))
        return going, new

    def restored(
        self, members: sweeping.Dealt, loss: np.ndarray
    ) -> tuple[sweeping.Dealt, np.ndarray]:
        """The members with their best tables, those that were ever measured; their losses."""
        found = self.epoch > 0
        parts = sweeping.split(found, [m.alive.device for m in members])
        tables = [
            _where(is_found, best, m.state.params)
            for is_found, best, m in zip(parts, self.params, members, strict=True)
        ]
        restored = tuple(
            m.replace(state=m.state.replace(params=params))
            for m, params in zip(members, tables, strict=True)
        )
        return restored, np.where(found, self.training_loss, loss)


@jax.jit
def _where(chosen, new, old):
    return jax.tree.map(lambda n, o: jnp.where(chosen[:, None, None], n, o), new, old)


class Result(NamedTuple):
    """What is known of a member at its end."""

    member: Member
    line: dict  # its measures
    items: dict[str, np.ndarray]  # its results item by item
    wv: WordVectors


def results(
    program: Program,
    trained: Trained,
    compiled: Compiled,
    evaluate: bool,
    done: Collection[int] = (),
) -> Iterator[Result]:
    """Each member that isn't done measured: held-out loss, perplexity, word pairs, analogies."""
    corpus, held = compiled.corpus, compiled.held
    by_line = compiled.heldout(trained.members) if held else None
    steps = sweeping.joined([m.state.step for m in trained.members])
    params = sweeping.joined([m.state.params for m in trained.members])
    for i, member in enumerate(program.members):
        if member.index in done:
            continue
        measures, items, of_text = {}, {}, _sums(by_line, i)
        tables = Params(params.input[i], params.output[i])
        wv = WordVectors(corpus.vocab.words, exported(tables, member.config.export_vectors))
        if evaluate:
            items = evaluation.standard_items(wv)
            measures = {m.name: m for m in evaluation.standard(wv, items)}
        line = {
            "epochs": member.config.epochs,
            "steps": int(steps[i]),
            "frozen_step": int(steps[i]) if trained.frozen[i] else None,
            "stopped_epoch": int(trained.stopped[i]) or None,
            "best_epoch": int(trained.best_epoch[i]) or None,
            "loss": _finite(trained.loss[i]),
            "chance_loss": chance.of(
                member.config.loss, member.config.negatives, len(corpus.vocab.words)
            ),
            **_figures(of_text),
            **headlines(measures),
        }
        yield Result(member, line, items | of_text, wv)


def _sums(by_line: heldout.ByLine | None, member: int) -> dict[str, np.ndarray]:
    """A member's held-out measures, those that there are, by line: [lines, 2] float64 each."""
    found = {"heldout_loss": by_line.loss, "perplexity": by_line.nats} if by_line else {}
    return {name: x[member].astype(np.float64) for name, x in found.items() if x is not None}


def headlines(measures: Mapping[str, evaluation.Measure]) -> dict:
    """What a line tells of word pairs and analogies: the figures, and [covered, in all] of each."""
    found = {name: measures[name] for name in HEADLINES if name in measures}
    values = {name: found[name].value if name in found else None for name in HEADLINES}
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
