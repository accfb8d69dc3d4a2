"""Early stopping: when a training has waited long enough for a better held-out loss."""

import dataclasses
import math

from w2v_jax.types import Params


@dataclasses.dataclass(slots=True)
class EarlyStopping:
    """The tables of the epoch whose held-out loss was lowest, and how long ago that was.

    Source: Prechelt 1998, Early Stopping - But When?, the criterion UP_s with strips of one epoch,
    counted from the best.
    """

    patience: int  # epochs on end without a better loss after which a training stops
    params: Params  # of the best epoch, on the host; before the first, those of the beginning
    loss: float = math.inf  # the lowest
    epoch: int = 0  # the best, from 1; 0: none was measured
    worse: int = 0  # epochs since then

    def is_better(self, loss: float) -> bool:
        """Whether a held-out loss is the lowest so far; what isn't a number never is."""
        return loss < self.loss

    def update(self, epoch: int, loss: float, params: Params) -> bool:
        """Takes in an epoch's loss and tables; whether the training stops here."""
        if self.is_better(loss):
            self.loss, self.epoch, self.params, self.worse = loss, epoch, params, 0
        else:
            self.worse += 1
        return self.worse >= self.patience

    def saved(self) -> dict:
        """All but the tables, as JSON."""
        loss = self.loss if math.isfinite(self.loss) else None
        return {"loss": loss, "epoch": self.epoch, "worse": self.worse}

    def restore(self, saved: dict, params: Params) -> None:
        """Takes up what `saved` gave, and its tables."""
        self.loss = math.inf if saved["loss"] is None else saved["loss"]
        self.epoch, self.worse, self.params = saved["epoch"], saved["worse"], params
