"""Reports of training -> lines of metrics.jsonl and the figures of summary.json."""

import math

import numpy as np

from experiments.cli.errors import Diverged
from w2v_jax.metrics import loss_error, mean_loss
from w2v_jax.training import Report
from w2v_jax.types import Metrics

_NONE = [0.0] * len(Metrics._fields)
_NOTHING = {"elapsed_sec": 0.0, "words": 0, "epoch": 0, "epoch_sums": _NONE, "run_sums": _NONE}


class MetricAccumulator:
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

    def elapsed(self, now: float) -> float:
        """Seconds of training until now."""
        return now - self.began

    def pause(self, seconds: float) -> None:
        """Leaves out of all times what wasn't training."""
        self.began += seconds
        self.last_time += seconds

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


def _all_fields(sums: list[float]) -> np.ndarray:
    """Sums of Metrics; of an older version's, what is unknown is NaN."""
    return np.array([*sums, *[math.nan] * (len(_NONE) - len(sums))])
