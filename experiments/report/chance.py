"""Whether a final loss is any better than that of vectors which know nothing."""

from experiments.report.tables import brief
from w2v_jax.losses import LOSSES

NEAR = 1e-3  # of chance: a loss that is nearer has learned nothing


def of(loss: str, negatives: int, vocab_size: int) -> float | None:
    """Loss a positive of scores that are all 0; None where the loss doesn't say it."""
    chance = LOSSES[loss].chance
    return chance and chance(negatives, vocab_size)


def no_better(loss: float | None, error: float | None, chance: float | None) -> bool:
    """Whether a final loss is at chance or above it, as far as its interval tells."""
    return None not in (loss, chance) and loss + (error or 0) >= (1 - NEAR) * chance


def warning(loss: float, chance: float) -> str:
    """What is said of a run that has learned nothing."""
    return (
        f"warning: a loss of {brief(loss)} is no better than chance, {chance:.4f}: nothing was "
        "learned; try another --learning_rate, or more updates (--epochs, a smaller --batch_size)"
    )
