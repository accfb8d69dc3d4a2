"""What a run does at an epoch's end: held-out measures, early stopping, neighbours of words."""

import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from experiments.cli import console
from experiments.cli.config import RunConfig
from experiments.report import over_items
from experiments.runs import rundir
from experiments.runs.heldout_text import Heldout
from experiments.runs.metrics import MetricAccumulator
from experiments.runs.newest import word_vectors
from w2v_jax import columns, heldout
from w2v_jax import processes as all_processes
from w2v_jax.data.corpus import Corpus
from w2v_jax.early_stopping import EarlyStopping
from w2v_jax.partners import Partners
from w2v_jax.training import Report
from w2v_jax.types import HyperParams, Params, TrainState
from w2v_jax.vectors import similarity

NEIGHBOURS = 5  # of a word


def ends(report: Report, corpus: Corpus) -> bool:
    """Whether an epoch ends with this dispatch."""
    return report.words == corpus.words * report.epoch


class Epochs:
    """The epochs of a run so far, as epochs.jsonl has them, and the best one's tables."""

    def __init__(
        self,
        config: RunConfig,
        workdir: Path,
        corpus: Corpus,
        hyper: HyperParams,
        held: Heldout | None,
        first: Params,
        saved: dict | None = None,
        best: Params | None = None,
    ):
        """held: what is measured; None: nothing. first: the tables with which this process begins.

        saved, best: what a checkpoint has of `saved` and `best`, to go on from there.
        """
        self._config, self._workdir, self._corpus = config, workdir, corpus
        self._hyper, self._held, self._file = hyper, held, None
        saved = saved or {}
        self._how, self._measure, self._windows = _how(config, held), None, None
        if held and saved.get("how") not in (None, self._how):
            console.note(f"{rundir.EPOCHS}: begins anew: the held-out text, or how, is another")
            saved = {**saved, "bytes": 0, "last": None}
        self._bytes = saved.get("bytes")
        self.last, self._best = saved.get("last"), saved.get("best")
        self.stopped, self._seconds = saved.get("stopped"), saved.get("seconds", 0.0)
        self._stopping = None
        if config.early_stopping:
            self._stopping = EarlyStopping(config.early_stopping, best or _on_the_host(first))
            if best:
                self._stopping.restore(saved["early_stopping"], best)

    def _is_asked(self) -> bool:
        return self._held is not None or self._config.show_similar_each_epoch

    def open(self) -> None:
        """Opens epochs.jsonl, once the run's folder is there. Raises UserError."""
        if self._is_asked():
            path = self._workdir / rundir.EPOCHS
            before = 0 if path.exists() else None  # the checkpoint knows nothing of the file
            self._file = rundir.LinesFile(path, before if self._bytes is None else self._bytes)

    def close(self) -> None:
        """Closes it."""
        if self._file:
            self._file.close()

    def after(self, state: TrainState, report: Report, accumulator: MetricAccumulator) -> dict:
        """Measures an epoch that has ended; its line, {} where nothing is asked for."""
        if not self._file:
            return {}
        began = time.perf_counter()
        line = {
            "epoch": report.epoch,
            "step": report.step,
            "words": report.words,
            "loss": accumulator.final_loss(),
            "loss_error": accumulator.final_loss_error(),
            "objective": accumulator.final_objective(),
            "elapsed_sec": accumulator.elapsed(began),
        }
        told = ""
        if self._held:
            measured = self._measured(state.params)
            line |= {name: _finite(value) for name, value in measured.items()}
            told = self._update(line, measured, state.params)
        shown = self._similar(state.params, line) if self._config.show_similar_each_epoch else ""
        self._file.write(line)
        self.last = line
        seconds = time.perf_counter() - began
        self._seconds += seconds
        accumulator.pause(seconds)
        of_all = f"epoch {report.epoch} of {self._config.epochs}"
        console.between(f"{of_all}: {_described(line)}{told}{shown}")
        return line

    def _measured(self, params: Params) -> dict[str, float]:
        """Held-out loss and perplexity, those that there are, and half their 95% intervals."""
        if self._measure is None:
            static, perplexity = self._config.static(), self._held.perplexity
            self._windows = jax.device_put(self._held.windows)
            self._measure = jax.jit(partial(heldout.measure, static=static, perplexity=perplexity))
        found = jax.device_get(self._measure(params, self._hyper, self._windows))
        values = {}
        for name, sums in (("heldout_loss", found.loss), ("perplexity", found.nats)):
            if sums is not None:
                values[name], values[f"{name}_error"] = _value_and_half(sums, name)
        return values

    def _update(self, line: dict, measured: dict, params: Params) -> str:
        """Takes an epoch into account for early stopping; what is to be told of it."""
        stopping = self._stopping
        if not stopping:
            return ""
        loss = measured["heldout_loss"]
        best = stopping.params
        if stopping.is_better(loss):
            self._best, best = line, _on_the_host(params)
        stops = stopping.update(line["epoch"], loss, best)
        if stops and line["epoch"] < self._config.epochs:
            self.stopped = line["epoch"]
            best = f"; stopped: epoch {stopping.epoch} was the best"
            return best if stopping.epoch else "; stopped: no epoch could be measured"
        return f"; {stopping.worse} without a better one" if stopping.worse else ""

    def _similar(self, params: Params, line: dict) -> str:
        """Puts the neighbours of --show_similar's words into the line; as they are shown."""
        vocab = self._corpus.vocab
        wv = word_vectors(_on_the_host(params), self._config, vocab)
        wv = rundir.with_untrained(self._workdir, wv)
        ids, _ = similarity.find_all(wv.words, list(self._config.show_similar))
        near, cosines = similarity.most_similar(wv.vectors, ids, NEIGHBOURS, wv.untrained)
        line["similar"] = {
            wv.words[i]: [[wv.words[j], float(c)] for j, c in zip(row, values, strict=True)]
            for i, row, values in zip(ids, near, cosines, strict=True)
        }
        return "\n" + console.similar(wv, self._config.show_similar, NEIGHBOURS)[0] if ids else ""

    def chosen(self, state: TrainState) -> TrainState:
        """The state at the run's end: with the best epoch's tables, where one was measured."""
        if not self._stopping or not self._stopping.epoch:
            return state
        best = self._stopping.params
        if self._config.mesh:
            lying = jax.tree.map(lambda leaf: leaf.sharding, state.params)
            return state.replace(params=columns.like(best, lying))
        return state.replace(params=jax.tree.map(jnp.array, best))

    @property
    def best(self) -> Params | None:
        """The best epoch's tables, which a checkpoint keeps beside the state."""
        return self._stopping.params if self._stopping else None

    def saved(self) -> dict:
        """All else that the epochs to come depend on, as JSON."""
        return {
            "bytes": self._file.end() if self._file else self._bytes,
            "how": self._how if self._held else None,
            "last": self.last,
            "best": self._best,
            "stopped": self.stopped,
            "seconds": self._seconds,
            "early_stopping": self._stopping.saved() if self._stopping else None,
        }

    def in_summary(self, params: Params, words: int) -> dict:
        """What summary.json has of them: figures of the epoch whose tables are the run's.

        params, words: the run's tables, and how many words it trained. They are measured where no
        epoch's line is of them.
        """
        if not self._held:
            return {}
        line = (self._best if self._stopping else None) or self.last
        if line is None or not (self._best or line["words"] == words):
            line = {name: _finite(value) for name, value in self._measured(params).items()}
        names = ("heldout_loss", "heldout_loss_error", "perplexity", "perplexity_error")
        found = {name: line.get(name) for name in names}
        found |= {**self._how, "heldout_sec": self._seconds}
        if self._stopping and self._best:
            found |= {"best_epoch": self._stopping.epoch or None, "stopped_epoch": self.stopped}
            found |= {f"final_{name}": line[name] for name in ("loss", "loss_error")}
            found["objective"] = line["objective"]
        return found


def _how(config: RunConfig, held: Heldout | None) -> dict:
    """What is measured, and how."""
    if held is None:
        return {}
    return {
        "heldout_sha256": held.sha256,
        "perplexity_window": config.perplexity_window,
        "perplexity_asked": held.perplexity,
    }


def tell_of_lost(config: RunConfig, workdir: Path, summary: dict, held: Heldout | None) -> None:
    """Notes what is asked of a complete run's epochs, which are gone."""
    how = _how(config, held)
    if any(summary.get(name) != value for name, value in how.items()):
        console.note("--heldout: this run's epochs were not measured so, and are gone")
    told = any("similar" in line for line in rundir.epochs(workdir))
    if config.show_similar_each_epoch and not told:
        console.note("--show_similar_each_epoch: this run's epochs are gone")


def agreed(stops: bool, report: Report, config: RunConfig, corpus: Corpus, partners: Partners):
    """Whether the run stops early here, as the first process says; all processes call it."""
    if partners.processes == 1 or not config.early_stopping or not ends(report, corpus):
        return stops
    return bool(all_processes.total(int(stops), partners))


def _on_the_host(params: Params) -> Params:
    return jax.tree.map(np.array, columns.gathered(params))


def _value_and_half(sums: np.ndarray, name: str) -> tuple[float, float | None]:
    """A measure of all lines, and half its 95% interval over other lines of such a text."""
    exp = name == "perplexity"
    influences = over_items.loss_influences(sums.astype(np.float64), exp)
    half, _ = over_items.spread(influences, over_items.line_blocks(sums[:, 1]))
    value = heldout.mean(sums)
    with np.errstate(over="ignore"):  # of tables that are nearly infinite
        return float(np.exp(value) if exp else value), half


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value


def _described(line: dict) -> str:
    """An epoch's figures."""
    told = [f"loss {console.estimate(line['loss'], line['loss_error'])}"]
    for name, title in (("heldout_loss", "held-out loss"), ("perplexity", "perplexity")):
        if name in line:
            told.append(f"{title} {console.estimate(line[name], line[f'{name}_error'])}")
    return ", ".join(told)
