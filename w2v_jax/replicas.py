"""R replicas of one training: each takes every R-th step, and rows are combined now and then.

Replica r takes steps r, r + R, r + 2 R .. of a chunk. After about `sync_every` steps each, and
where an epoch ends, they meet: what they have added to a row is combined two by two, and all go on
from there. The order depends on R alone, and so does the result: one process may carry all of
them, one after the other, or each may be a process of its own.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from w2v_jax import training
from w2v_jax.combination import meet
from w2v_jax.partners import ALONE, Partners
from w2v_jax.training import Report, own_steps
from w2v_jax.types import Metrics, TrainState, no_metrics
from w2v_jax.visits import Position, Training, Visit, progress_of, visits, words_through

DISPATCH = 250  # the most steps that a replica takes as one program's


def dispatch_steps(most: int, replicas: int, sync_every: int) -> int:
    """Steps of a dispatch: `most`; of replicas, which meet behind whole ones, by n alone."""
    if replicas == 1:
        return most
    return -(-sync_every // -(-sync_every // DISPATCH))


class Dispatch(NamedTuple):
    """Each replica's own steps first .. last - 1 of a chunk."""

    visit: Visit
    first: int
    last: int
    before: int  # updates made before the chunk, all replicas together
    done: int  # of the chunk's, through this dispatch
    since: int  # steps of replica 0 since they last met
    taken: int  # of all replicas since then
    meets: bool  # whether they do behind it


def train(
    state: TrainState,
    whole: Training,
    start: Position = Position(),  # noqa: B008 (immutable)
    partners: Partners = ALONE,
) -> Iterator[tuple[TrainState, Report]]:
    """As `training.train`, by `static.replicas` replicas; yields where they have met.

    `start.done` counts a replica's own steps of its chunk.
    """
    static = whole.static
    if static.replicas == 1:
        yield from training.train(state, whole, start)
        return
    share, own, spare, sums = partners.share(static.replicas), [], [], []
    for dispatch in dispatches(whole, start):
        if not own:
            own = [_copy(state), *(_copy_into(x, state) for x in spare)]
            own += [_copy(state) for _ in share[len(own) :]]
            sums = [no_metrics() for _ in share]
        rates = []
        for i, replica in enumerate(share):
            own[i], sums[i], rate = _train_dispatch(own[i], sums[i], replica, dispatch, whole)
            rates.append(rate)
        if dispatch.meets:
            total = jax.device_get(_tree_sum(sums, partners))
            state = meet(state, own, dispatch.since, dispatch.taken, static, partners)
            own, spare = [], own[1:]
            yield state, _report(dispatch, whole, Metrics(*map(float, total)), float(rates[0]))


def dispatches(whole: Training, start: Position) -> Iterator[Dispatch]:
    """What the replicas do, up to the end of the training."""
    count, size = whole.static.replicas, whole.program.steps
    before, begun, since, taken = start.step, start.done, 0, 0
    for visit, upcoming in _with_the_next(visits(whole, start)):
        ends_epoch = upcoming is None or upcoming.epoch != visit.epoch
        own = [own_steps(visit.steps, replica, count) for replica in range(count)]
        for first in range(begun, own[0], size):
            last = min(first + size, own[0])
            done = [sum(min(steps, n) for n in own) for steps in (first, last)]
            since, taken = since + last - first, taken + done[1] - done[0]
            meets = since >= whole.sync_every or (ends_epoch and last == own[0])
            yield Dispatch(visit, first, last, before, done[1], since, taken, meets)
            if meets:
                since = taken = 0
        before, begun = before + visit.steps, 0


def _with_the_next(items: Iterator) -> Iterator[tuple[Any, Any]]:
    """Each item and the one behind it, or None."""
    items = iter(items)
    one = next(items, None)
    while one is not None:
        upcoming = next(items, None)
        yield one, upcoming
        one = upcoming


def _train_dispatch(state, sums, replica: int, dispatch: Dispatch, whole: Training):
    """A replica's steps of a dispatch: its state, its sums, its last rate."""
    progress = progress_of(whole, dispatch.visit)
    state, metrics, rate = whole.program.train_steps(
        *(state, dispatch.visit.sampled, jnp.int32(dispatch.first), progress, whole.hyper),
        jnp.int32(replica),
    )
    return state, jax.tree.map(jnp.add, sums, metrics), rate


def _report(dispatch: Dispatch, whole: Training, sums: Metrics, rate: float) -> Report:
    visit, done = dispatch.visit, dispatch.done
    return Report(
        step=dispatch.before + done,
        epoch=visit.epoch + 1,
        words=words_through(whole, visit, done),
        metrics=sums,
        learning_rate=rate,
        position=Position(visit.epoch, visit.slot, visit.begin, dispatch.last, dispatch.before),
    )


def _tree_sum(sums: list[Metrics], partners: Partners) -> Metrics:
    """The sum of all replicas' sums, two by two."""
    while len(sums) > 1:
        sums = [_sum(*two) for two in zip(sums[::2], sums[1::2], strict=True)]
    total = sums[0]
    for level in partners.levels():
        total = _sum(*partners.pair(level, total))
    return total


@jax.jit
def _copy(state: TrainState) -> TrainState:
    return jax.tree.map(jnp.copy, state)


@partial(jax.jit, donate_argnums=0, keep_unused=True)
def _copy_into(spare: TrainState, state: TrainState) -> TrainState:
    """A copy in the memory of `spare`: new memory would cost as much again."""
    return jax.tree.map(jnp.copy, state)


@jax.jit
def _sum(a: Any, b: Any) -> Any:
    return jax.tree.map(jnp.add, a, b)
