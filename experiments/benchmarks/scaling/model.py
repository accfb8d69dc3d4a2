"""The seconds of a step, of a meeting and of an epoch, by their parts.

A step: latency + operations / rate + bytes of rows / bandwidth + scores * seconds a score. An epoch
of R replicas: drawing, the same for all; steps / R; and the meetings: passes over the tables, and
twice each level's half of the rows over the link.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

PASSES = 12  # times that a meeting reads or writes the tables: changes, combination, next start
PARTS = ("latency", "products", "rows", "scores")


class Shape(NamedTuple):
    """A step of skip-gram in blocks."""

    batch_size: int  # T centres
    dim: int  # D
    block: int = 16  # centres that share a window of contexts
    window: int = 5
    group_size: int = 128  # centres that share noise
    negatives: int = 48  # noise words of a group


class Step(NamedTuple):
    """What a step's parts cost, in seconds."""

    latency: float  # a step
    products: float  # a floating-point operation
    rows: float  # a byte of rows, gathered or added
    scores: float  # a score: sigmoid, loss, masks


class Link(NamedTuple):
    """How two partners exchange."""

    name: str
    latency: float  # seconds an exchange
    bandwidth: float  # bytes/s each way


class Device(NamedTuple):
    """What carries a replica."""

    name: str
    step: float  # seconds of a step
    draw: float  # seconds an epoch of what every replica does: drawing, the host's work
    memory: float  # bytes/s of a pass over the tables


class Text(NamedTuple):
    """What is trained."""

    words: int
    steps: int  # an epoch
    types: int  # V
    dim: int  # D

    @property
    def bytes_of_tables(self) -> int:
        """Both tables, and an accumulator a row."""
        return 2 * self.types * (self.dim + 1) * 4


def counts(shape: Shape) -> np.ndarray:
    """[4]: a step's latencies (1), operations, bytes of rows and scores."""
    contexts = shape.block + 2 * shape.window  # of a block
    scores = shape.batch_size * (contexts + shape.negatives)
    rows = shape.batch_size * (1 + contexts / shape.block + shape.negatives / shape.group_size)
    forward_and_backward = 3 * 2 * shape.dim * scores
    return np.array([1, forward_and_backward, 2 * 4 * shape.dim * rows, scores])


def fit(shapes: Sequence[Shape], seconds: Sequence[float]) -> tuple[Step, np.ndarray]:
    """The non-negative parts with the least squares of relative errors; predicted / measured."""
    table = np.array([counts(shape) for shape in shapes]) / np.array(seconds)[:, None]
    scale = table.max(axis=0)
    found, _ = nnls(table / scale, np.ones(len(seconds)))
    step = Step(*(found / scale))
    return step, table @ np.array(step)


def fit_link(name: str, sizes: Sequence[int], seconds: Sequence[float]) -> Link:
    """Latency and bandwidth of exchanges of so many bytes, by relative errors."""
    table = np.stack([np.ones(len(sizes)), np.array(sizes, float)], axis=1)
    table /= np.array(seconds)[:, None]
    scale = table.max(axis=0)
    found, _ = nnls(table / scale, np.ones(len(seconds)))
    latency, inverse = found / scale
    return Link(name, float(latency), float(1 / inverse) if inverse else np.inf)


def meeting_seconds(text: Text, replicas: int, device: Device, link: Link) -> float:
    """Of R replicas, a device each: a half of the rows, then a quarter .., there and back."""
    levels = replicas.bit_length() - 1
    exchanged = 2 * text.bytes_of_tables * (1 - 1 / replicas)  # 1/2 + 1/4 .., twice
    passes = PASSES * text.bytes_of_tables / device.memory
    return passes + exchanged / link.bandwidth + 2 * levels * link.latency


def epoch_seconds(text: Text, replicas: int, sync_every: int, device: Device, link: Link) -> float:
    """One epoch of R replicas that meet every n steps of their own."""
    own = text.steps / replicas
    if replicas == 1:
        return device.draw + own * device.step
    meetings = max(own / sync_every, 1)
    meeting = meeting_seconds(text, replicas, device, link)
    return device.draw + own * device.step + meetings * meeting
