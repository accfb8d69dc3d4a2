"""Sweeps of the library: many trainings of one corpus, compared."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np
from scipy.special import stdtrit

from w2v_jax import beginning, subword_rows, sweeping
from w2v_jax.config import Config, make
from w2v_jax.counting import counted
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import resolve
from w2v_jax.functional import check_corpus, make_train, stack
from w2v_jax.metrics import mean_loss
from w2v_jax.runs import checked_seed
from w2v_jax.types import UserError
from w2v_jax.vectors.evaluation import HEADLINES
from w2v_jax.vectors.measures import Measures, measures
from w2v_jax.vectors.word_vectors import WordVectors

LOSS = "loss"


@dataclasses.dataclass(frozen=True, eq=False)
class Trial:
    """One training of a sweep."""

    values: dict[str, Any]  # the swept fields'
    seed: int
    config: Config
    loss: float  # the last epoch's mean loss a positive
    vectors: WordVectors

    @cached_property
    def measures(self) -> Measures:
        """WordSim-353, SimLex-999 and Google's analogies; computed once."""
        return measures(self.vectors)

    def figure(self, name: str) -> float | None:
        """Its loss, or a measure by its name, wordsim353 for short; None where it has no value.

        A training that left the finite numbers has none.
        """
        if name == LOSS:
            return self.loss if math.isfinite(self.loss) else None
        if not math.isfinite(self.loss):
            return None
        whole = next((h for h in HEADLINES if h.startswith(name)), name)
        return next((m.value for m in self.measures if m.name == whole), None)


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """Trainings at each setting of a grid, with each seed."""

    trials: list[Trial]

    @cached_property
    def settings(self) -> list[dict[str, Any]]:
        """The swept fields' values of each setting, in the grid's order."""
        return list({tuple(t.values.items()): t.values for t in self.trials}.values())

    def figures(self, setting: dict[str, Any], name: str) -> list[float]:
        """A figure of each of a setting's trials that has it."""
        found = [t.figure(name) for t in self.trials if t.values == setting]
        return [value for value in found if value is not None]

    def best(self, measure: str = "wordsim353") -> dict[str, Any]:
        """The setting with the greatest mean of a measure over seeds, or the smallest "loss".

        Raises UserError for a measure that no trial has.
        """
        means = [
            (np.mean(found), i)
            for i, setting in enumerate(self.settings)
            if (found := self.figures(setting, measure))
        ]
        if not means:
            raise UserError(f"`measure={measure}`: no trial has it")
        return self.settings[(min if measure == LOSS else max)(means)[1]]

    def table(self) -> str:
        """A line a setting: mean and 95% interval over seeds (t of the seeds) of each figure."""
        names = [LOSS, *(m.name for m in self.trials[0].measures if m.name in HEADLINES)]
        head = [*self.settings[0], *names]
        rows = [
            [*map(str, setting.values()), *(_interval(self.figures(setting, n)) for n in names)]
            for setting in self.settings
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in (head, *rows)
        )

    def __repr__(self) -> str:
        return (
            f"Sweep({counted(len(self.settings), 'setting')}, {counted(len(self.trials), 'trial')})"
        )


def _interval(values: list[float]) -> str:
    """mean ± t s / sqrt(n), the mean alone of one value, a dash of none."""
    if not values:
        return "–"
    n, mean = len(values), float(np.mean(values))
    if n == 1:
        return f"{mean:.3f}"
    half = stdtrit(n - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(n)
    return f"{mean:.3f} ± {half:.3f}"


def sweep(
    corpus: Corpus,
    config: Config | None = None,
    *,
    seeds: int | Sequence[int] = 3,
    vmap_width: int = 0,
    **axes: Sequence[Any] | Any,
) -> Sweep:
    """Trains every setting of a grid with every seed.

    axes: fields of Config, a list of values each, or one value: noise_power=[0, 0.75], dim=50.
    seeds: how many (1, 2, ..), or which. Settings that differ in traced fields alone (rates, noise
    power, subsampling, window, negatives ..) are one compiled program. vmap_width: trainings of it
    at a time (0: one on a CPU, all on an accelerator). Each training is that of `make_train`.
    Raises UserError for values that Config does not have, and for nothing to train on.
    """
    check_corpus(corpus)
    if isinstance(vmap_width, bool) or not isinstance(vmap_width, int) or vmap_width < 0:
        raise UserError(f"`vmap_width={vmap_width}`: must be a whole number, at least 0")
    values = {name: _values(name, x) for name, x in axes.items()}
    chosen = _seeds(seeds)
    grid = [dict(zip(values, point, strict=True)) for point in itertools.product(*values.values())]
    every = [resolve(make(config, setting), corpus) for setting in grid]
    for own in every:
        beginning.check(own, corpus)
    programs: dict[Config, list[int]] = {}
    for i, own in enumerate(every):
        programs.setdefault(_shared(own), []).append(i)
    swept = [name for name, x in axes.items() if _is_list(x)]
    done = {}
    for numbers in programs.values():
        room = {
            f"{name}_limit": max(getattr(every[i], name) for i in numbers)
            for name in ("window", "negatives")
        }
        jobs = [
            (i, seed, dataclasses.replace(every[i], **room)) for i in numbers for seed in chosen
        ]
        for (i, seed, own), loss, params in _trained(jobs, corpus, vmap_width):
            tables, made_up = subword_rows.word_tables(params, own, corpus.vocab)
            never = tuple(np.flatnonzero(beginning.untrained(own, corpus)).tolist())
            known = never, corpus.vocab.counts, made_up
            wv = WordVectors(corpus.vocab.words, np.asarray(tables.input), *known)
            done[i, seed] = Trial({n: grid[i][n] for n in swept}, seed, own, loss, wv)
    return Sweep([done[i, seed] for i in range(len(grid)) for seed in chosen])


def _values(name: str, given: Any) -> list[Any]:
    """An axis's values. Raises UserError where there is none, or one twice."""
    if not _is_list(given):
        return [given]
    values = given.tolist() if isinstance(given, np.ndarray) else list(given)
    if not values:
        raise UserError(f"`{name}`: holds no value")
    if len(set(values)) < len(values):
        raise UserError(f"`{name}`: a value occurs twice")
    return values


def _seeds(given: int | Sequence[int]) -> list[int]:
    """The seeds, as many or as given. Raises UserError where one is none, or occurs twice."""
    if isinstance(given, bool) or (isinstance(given, int | np.integer) and given < 1):
        raise UserError(f"`seeds={given}`: how many (at least 1), or a list of seeds")
    if isinstance(given, int | np.integer):
        return list(range(1, int(given) + 1))
    if not _is_list(given):
        raise UserError(f"`seeds={given}`: how many (at least 1), or a list of seeds")
    return [checked_seed(seed) for seed in _values("seeds", given)]


def _is_list(values: Any) -> bool:
    return isinstance(values, Sequence | np.ndarray | set) and not isinstance(values, str)


def _shared(config: Config) -> Config:
    """What trainings of one program have in common: the config, its traced fields aside.

    Not aside are those by which the text makes first tables, which are a part of the program.
    """
    plain = Config.__dataclass_fields__
    fields: dict[str, Any] = {
        name: plain[name].default for name in ("noise_power", "beta1", "beta2")
    }
    fields |= {"learning_rate": 1.0, "subsample": 0.0, "epsilon": 1.0, "weight_decay": 0.0}
    fields |= {"final_rate": 0.0, "window": 1, "negatives": 1, "subsample_rule": "paper"}
    if config.init in beginning.OF_TEXT:
        fields = {n: x for n, x in fields.items() if n not in beginning.OF_TEXT[config.init].USES}
    return dataclasses.replace(config, **fields)


def _trained(jobs: list[tuple[int, int, Config]], corpus: Corpus, width: int):
    """Each job, (number, seed, config), of one program, its last loss and its tables."""
    train = make_train(corpus, jobs[0][2])
    width = width or sweeping.default_vmap_width(len(jobs), jax.devices()[:1])
    program = jax.jit(train if width == 1 else jax.vmap(train))
    for first in range(0, len(jobs), width):
        part = jobs[first : first + width]
        whole = part + part[-1:] * (width - len(part))  # one shape, one compilation
        keys = [jax.random.key(seed) for _, seed, _ in whole]
        hypers = [beginning.make_hyper(own, corpus.vocab) for *_, own in whole]
        if width == 1:
            params, metrics = jax.tree.map(lambda x: x[None], program(keys[0], hypers[0]))
        else:
            params, metrics = program(jax.numpy.stack(keys), stack(hypers))
        tables, sums = jax.tree.map(np.asarray, params), jax.device_get(metrics)
        for i, job in enumerate(part):
            loss = mean_loss(np.array([field[i, -1] for field in sums], np.float64))
            own = jax.tree.map(lambda table: table[i], tables)  # noqa: B023 (used at once)
            finite = loss is not None and all(np.isfinite(x).all() for x in jax.tree.leaves(own))
            yield job, loss if finite else math.nan, own
