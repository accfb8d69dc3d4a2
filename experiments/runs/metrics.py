"""Reports of training -> lines of metrics.jsonl and the figures of summary.json."""

import math

import numpy as np
from scipy.special import stdtrit

from experiments.cli.errors import Diverged
from w2v_jax.training import Report
from w2v_jax.types import Metrics

_NONE = [0.0] * len(Metrics._fields)
_NOTHING = {"elapsed_sec": 0.0, "words": 0, "epoch": 0, "epoch_sums": _NONE, "run_sums": _NONE}


class Ledger:
    """Sums in float64 since the last line, the start of the epoch and the start of the run."""

    def __init__(self, objective: str, now: float, saved: dict | None = None):
        """saved: what `saved` gave, to go on from there; now: seconds, of any one clock."""
        self.accounting = objective  # none | interval | running
        saved = saved or _NOTHING
        self.began, self.last_time = now - saved["elapsed_sec"], now
        self.last_words, self.epoch = saved["words"], saved["epoch"]
        self.epoch_sums = _all_fields(saved["epoch_sums"])
        self.run_sums = _all_fields(saved["run_sums"])

    def saved(self, now: float) -> dict:
        """All that the lines to come depend on, as JSON (floats come back to the bit)."""
        return {
            "elapsed_sec": now - self.began,
            "words": self.last_words,
            "epoch": self.epoch,
            "epoch_sums": self.epoch_sums.tolist(),
            "run_sums": self.run_sums.tolist(),
        }

    def check(self, report: Report) -> None:
        """Raises Diverged where the loss is not finite."""
        if not np.isfinite(report.metrics).all():
            raise Diverged(
                f"the loss is not finite at step {report.step}, learning rate "
                f"{report.learning_rate:g}: try a smaller --learning_rate"
            )

    def line(self, report: Report, now: float) -> dict:
        """The line of one dispatch. Raises Diverged where the loss is not finite."""
        self.check(report)
        sums = np.array(report.metrics)
        if report.epoch != self.epoch:
            self.epoch, self.epoch_sums = report.epoch, np.array(_NONE)
        self.epoch_sums += sums
        self.run_sums += sums
        line = {
            "step": report.step,
            "epoch": report.epoch,
            "words": report.words,
            "loss": mean_loss(sums),
            "loss_error": loss_error(sums),
            "objective": self._objective(sums),
            "learning_rate": report.learning_rate,
            "words_per_sec": (report.words - self.last_words) / max(now - self.last_time, 1e-9),
            "elapsed_sec": now - self.began,
        }
        self.last_words, self.last_time = report.words, now
        return line

    def final_loss(self) -> float | None:
        """The last epoch's mean loss a positive."""
        return mean_loss(self.epoch_sums)

    def final_loss_error(self) -> float | None:
        """Half the 95% interval of `final_loss`."""
        return loss_error(self.epoch_sums)

    def final_objective(self) -> float | None:
        """The accounting asked for, over the last epoch (interval) or the run (running)."""
        return self._objective(self.epoch_sums)

    def _objective(self, sums: np.ndarray) -> float | None:
        if self.accounting == "none":
            return None
        m = Metrics(*(self.run_sums if self.accounting == "running" else sums))
        return float(m.objective / m.rows) if m.rows else None


def mean_loss(sums: np.ndarray) -> float | None:
    """Mean loss a positive of the sums of Metrics; None where no step was measured."""
    m = Metrics(*sums)
    return float(m.loss / m.positives) if m.positives else None


def loss_error(sums: np.ndarray) -> float | None:
    """Half the 95% interval of `mean_loss` as of all positives; 0 of all; None: unknown.

    Of a ratio r = sum l / sum p over n steps, of each of which a share f was measured at random:
    t_{.975, n-1} sqrt((1 - f) n / (n - 1) sum (l - r p)^2) / sum p (Cochran, Sampling Techniques,
    1977, 6.4). What the loss falls meanwhile counts as chance: the interval is rather too wide.
    """
    m, r = Metrics(*sums), mean_loss(sums)
    if r is None or not np.isfinite(sums).all():
        return None
    if not m.positive_squares:
        return 0.0
    if m.steps < 2:
        return None
    squares = m.loss_squares - 2 * r * m.products + r * r * m.positive_squares
    error = math.sqrt(max(squares, 0) * m.steps / (m.steps - 1)) / m.positives
    return float(stdtrit(m.steps - 1, 0.975) * error)


def _all_fields(sums: list[float]) -> np.ndarray:
    """Sums of Metrics; of an older version's, what is unknown is NaN."""
    return np.array([*sums, *[math.nan] * (len(_NONE) - len(sums))])
