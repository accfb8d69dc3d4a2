"""Where an epoch of a library's training ends: held-out measures, early stopping by them."""

import time
from functools import partial

import jax
import numpy as np

from w2v_jax import columns, heldout
from w2v_jax.config import Config
from w2v_jax.early_stopping import EarlyStopping
from w2v_jax.heldout_text import Windows
from w2v_jax.types import HyperParams, Params, UserError


class EpochEnds:
    """The held-out figures of a training's epochs, and the best one's tables."""

    def __init__(
        self,
        config: Config,
        hyper: HyperParams,
        first: Params,
        windows: Windows | None,
        early_stopping: int,
    ):
        """windows: of a text that is not trained on; None: nothing is measured.

        first: the tables at the beginning; early_stopping: the patience in epochs, 0: never. Raises
        UserError where the config has no held-out loss to stop by.
        """
        self.stopped: int | None = None  # the epoch after which the training was stopped early
        self.best: dict = {}  # the figures of the epoch whose tables are kept
        self.seconds = 0.0
        static = config.static()
        if early_stopping and (cause := heldout.without_loss(static)):
            raise UserError(f"`early_stopping={early_stopping}`: no held-out loss with {cause}")
        self._epochs, self._windows, self._hyper = config.epochs, windows, hyper
        self._measure = jax.jit(partial(heldout.measure, static=static))
        self._stopping = EarlyStopping(early_stopping, _host(first)) if early_stopping else None

    def after(self, epoch: int, params: Params, sums: np.ndarray) -> dict[str, float]:
        """An epoch's held-out loss and perplexity, those that there are; sums: its Metrics."""
        if self._windows is None:
            return {}
        began = time.perf_counter()
        found = jax.device_get(self._measure(params, self._hyper, self._windows))
        figures = {}
        if found.loss is not None:
            figures["heldout_loss"] = float(heldout.mean(found.loss))
        if found.nats is not None:
            with np.errstate(over="ignore"):  # of tables that are nearly infinite
                figures["perplexity"] = float(np.exp(heldout.mean(found.nats)))
        stopping = self._stopping
        better = stopping is None or stopping.is_better(figures["heldout_loss"])
        if better:
            self.best = {"epoch": epoch, "sums": sums, **figures}
        if stopping:
            best = _host(params) if better else stopping.params
            if stopping.update(epoch, figures["heldout_loss"], best):
                self.stopped = epoch if epoch < self._epochs else None
        self.seconds += time.perf_counter() - began
        return figures

    def chosen(self, params: Params, sums: np.ndarray) -> tuple[Params, np.ndarray]:
        """The tables at the end and their epoch's sums: the best epoch's, where one is kept."""
        if self._stopping is None or not self._stopping.epoch:
            return params, sums
        return self._stopping.params, self.best["sums"]


def _host(params: Params) -> Params:
    return jax.tree.map(np.array, columns.gathered(params))
