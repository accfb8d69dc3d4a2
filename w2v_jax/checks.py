"""What the fields of a StaticConfig may be, and which go together: refused before compiling.

Each rule follows from what the entries of the registries say of themselves.
"""

import jax
import numpy as np

from w2v_jax import columns
from w2v_jax.counting import counted
from w2v_jax.engines import ENGINES
from w2v_jax.losses import LOSSES
from w2v_jax.noise import NOISE
from w2v_jax.optimizers import OPTIMIZERS, SCHEDULES
from w2v_jax.types import HyperParams, StaticConfig, UserError

SIZES = ("window", "negatives", "batch_size", "block", "group_size", "negatives_per_group")
REACHABLE = 1e-6  # a word's share of the noise below which float32 draws may never hit it

REGISTRIES = {r.field: r for r in (LOSSES, NOISE, OPTIMIZERS, SCHEDULES, ENGINES)}
NAMES = {  # fields whose values the code itself tells apart
    "model": ("skipgram", "cbow"),
    "reduction": ("sum", "mean"),
    "redraw": ("epoch", "once"),
    "order": ("random", "text"),
    "update": ("dense", "sparse"),
    "platform": ("cpu", "gpu", "tpu"),
}


def check_names(static: StaticConfig) -> None:
    """Raises UserError for a name that is none."""
    for field, names in {**NAMES, **REGISTRIES}.items():
        if getattr(static, field) not in names:
            raise UserError(f"`{field}={getattr(static, field)}`: not one of {', '.join(names)}")


def check(static: StaticConfig) -> None:
    """Raises UserError for a name that is none, and for values that don't go together."""
    check_names(static)
    for name in SIZES:
        value = getattr(static, name)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise UserError(f"`{name}={value}`: must be a whole number, at least 1")
    count = static.replicas
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
        raise UserError(f"`replicas={count}`: must be a whole number, at least 1")
    if count & (count - 1):
        raise UserError(f"`replicas={count}`: not a power of two; they are combined two by two")
    columns.count(static.mesh)
    if static.mesh and count > 1:
        raise UserError(f"`mesh={static.mesh}`: does not go with `replicas={count}`")
    loss, law, chosen = LOSSES[static.loss], NOISE[static.noise], OPTIMIZERS[static.optimizer]
    if static.cbow_legacy_gradient and static.model != "cbow":
        raise UserError(f"`cbow_legacy_gradient` is CBOW's; `model={static.model}`")
    if static.epsilon_hat and not chosen.epsilon_hat:
        raise UserError(f"`epsilon_hat` is Adam's; `optimizer={static.optimizer}`")
    if static.expected_window and static.dynamic_window:
        _check_expected_window(static)
    ENGINES[static.engine].check(static)
    if static.subwords:
        _check_subwords(static)
    if static.update == "sparse" and loss.vocabulary:
        raise UserError(f"`update=sparse`: every row is touched by `loss={static.loss}`")
    if static.update == "sparse" and not chosen.sparse:
        raise UserError(f"`update=sparse`: `optimizer={static.optimizer}` needs all rows")
    if law.by_row and static.model == "cbow" and loss.draws_negatives:
        raise UserError(f"`noise={static.noise}` is skip-gram's: CBOW's contexts are inputs")


def _check_subwords(static: StaticConfig) -> None:
    """What needs whole tables of words has none where these are made up."""
    if LOSSES[static.loss].vocabulary:
        raise UserError(f"`loss={static.loss}`: not with `subwords`: it moves all rows")
    if static.update != "sparse":
        raise UserError(f"`update={static.update}`: `subwords` needs `update=sparse`")
    if static.replicas > 1:
        raise UserError(f"`replicas={static.replicas}`: not with `subwords`")
    if static.mesh:
        raise UserError(f"`mesh={static.mesh}`: not with `subwords`")
    if not OPTIMIZERS[static.optimizer].keeps_unmoved_rows:
        able = " or ".join(name for name, one in OPTIMIZERS.items() if one.keeps_unmoved_rows)
        raise UserError(f"`optimizer={static.optimizer}`: `subwords` needs {able}")


def check_alone(static: StaticConfig, whose: str) -> None:
    """Raises UserError where what has a single replica, on one device, is given several."""
    check_one_replica(static, whose)
    if static.mesh:
        raise UserError(f"`mesh={static.mesh}`: {whose} has one device")


def check_one_replica(static: StaticConfig, whose: str) -> None:
    """Raises UserError where what has a single replica is given several."""
    if static.replicas > 1:
        raise UserError(f"`replicas={static.replicas}`: {whose} has one")


def _check_expected_window(static: StaticConfig) -> None:
    """What depends on which windows were drawn, and not in proportion, has no expectation here."""
    loss = LOSSES[static.loss]
    drawn = {
        "loss": not loss.in_proportion,
        "noise": loss.draws_negatives and NOISE[static.noise].by_row,
        "full_windows": static.full_windows,
        "cbow_legacy_gradient": static.cbow_legacy_gradient,
    }
    for name, needs_them in drawn.items():
        if needs_them:
            raise UserError(
                f"`expected_window`: `{name}={str(getattr(static, name)).lower()}` needs drawn "
                "windows (`expected_window=false`)"
            )


def reachable(noise: np.ndarray) -> int:
    """How many words draws of Pn [V] can be relied on to hit."""
    return int(np.sum(np.asarray(noise) > min(REACHABLE, 0.1 / len(noise))))


def check_paths(static: StaticConfig, hyper: HyperParams) -> None:
    """Raises UserError where the hyperparameters of another loss lack the words' paths."""
    if LOSSES[static.loss].paths and hyper.paths is None:
        raise UserError(f"`hyper`: was made for another loss than `loss={static.loss}`")


def check_ngrams(static: StaticConfig, hyper: HyperParams) -> None:
    """Raises UserError where the hyperparameters were made without, or with, subwords."""
    if static.subwords != (hyper.ngrams is not None):
        raise UserError(f"`hyper`: was not made for `subwords={str(static.subwords).lower()}`")


def check_noise(static: StaticConfig, hyper: HyperParams) -> None:
    """Raises UserError where negatives don't exist: the sampler would draw until it has them.

    hyper: of a run, or of trials with a leading [S]; of mere shapes nothing is known.
    """
    check_paths(static, hyper)
    check_ngrams(static, hyper)
    if "noise" not in LOSSES[static.loss].uses or not isinstance(hyper.noise, jax.Array):
        return
    windows = np.atleast_1d(hyper.window)
    for window, noise in zip(windows, np.atleast_2d(hyper.noise), strict=True):
        needed, there = NOISE[static.noise].needs(int(window), static.negatives), reachable(noise)
        if there < needed:
            raise UserError(
                f"`noise={static.noise}` needs {counted(needed, 'word')} that noise can hit, "
                f"there are {there}"
            )
