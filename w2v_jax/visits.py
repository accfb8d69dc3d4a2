"""The chunks that a training visits: in which order, and what it sees of each."""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import sampling
from w2v_jax.counting import counted
from w2v_jax.data.corpus import Corpus
from w2v_jax.types import HyperParams, SampledChunk, StaticConfig, UserError


class Program(NamedTuple):
    """A training run, compiled."""

    draw: Callable  # (key, epoch, chunk, tokens, line, hyper) -> SampledChunk
    shuffle: Callable  # (key, epoch, chunk, stream) -> order
    train_steps: Callable  # (state, stream, begin, progress, hyper) -> state, Metrics, rate
    steps: int  # S, steps a dispatch
    compile_sec: float
    temp_bytes: int | None = None  # beside arguments and results, where XLA tells
    put: Callable = jax.device_put  # puts arguments but the state where they are to lie


class Training(NamedTuple):
    """What a training is made of, from its first step to its last."""

    key: jax.Array  # of the seed
    corpus: Corpus
    program: Program
    hyper: HyperParams
    static: StaticConfig
    epochs: int
    sync_every: int = 0  # steps of a replica after which all are combined, where there are several
    words_before: int = 0  # of an earlier training whose schedule goes on
    # Chunks whose text stays on the device; the others' is put there for each use:
    resident: int = 0


class Position(NamedTuple):
    """Where a training stands between two dispatches: what its state doesn't tell."""

    epoch: int = 0  # from 0
    slot: int = 0  # of the chunk in the epoch's order
    begin: int = 0  # tokens of the epoch done before the chunk's first step
    done: int = 0  # steps of the chunk done; of replicas, each one's own
    step: int = 0  # updates made before the chunk


class Visit(NamedTuple):
    """One chunk in one epoch."""

    epoch: int  # from 0
    slot: int  # of the chunk in the epoch's order
    sampled: SampledChunk
    steps: int  # at least 1
    begin: int  # tokens of the epoch done before it
    end: int  # and after it


class Drawn(NamedTuple):
    """One chunk's view in one epoch."""

    epoch: int
    slot: int
    sampled: SampledChunk
    end: int  # tokens of the epoch through this chunk


def visits(
    training: Training,
    start: Position = Position(),  # noqa: B008 (immutable)
) -> Iterator[Visit]:
    """The chunks of each epoch, in the order of `chunk_order`, drawn; from `start` on.

    A chunk without a step counts with the one before, so that no word is lost from the count; an
    epoch without one is passed over. Raises UserError where the whole run holds no step.
    """
    static = training.static
    sampled_chunks = _ahead(_sampled_chunks(training, start))
    trained = start.step + start.done > 0
    for epoch, of_epoch in itertools.groupby(sampled_chunks, key=lambda drawn: drawn.epoch):
        waiting, begin = None, start.begin if epoch == start.epoch else 0
        for drawn in of_epoch:
            steps = int(sampling.steps_of(int(drawn.sampled.centres), static))
            if not steps:
                waiting = waiting and waiting._replace(end=drawn.end)
                continue
            if waiting:
                yield waiting
                begin = waiting.end
            waiting = Visit(epoch, drawn.slot, drawn.sampled, steps, begin, drawn.end)
        if waiting:
            trained = True
            yield waiting
    if not trained:
        raise UserError(nothing_trained(static, training.epochs))


def nothing_trained(static: StaticConfig, epochs: int) -> str:
    """What is said of a run whose epochs, all drawn, held no step."""
    passed = counted(epochs, "epoch")
    full = f" full batch of `batch_size={static.batch_size}`" if static.drop_last else ""
    return f"nothing to train on: {passed} drew no{full or ' pair of centre and context'}: " + (
        "no `drop_last`, or a smaller batch" if full else "try a larger `subsample`, or 0"
    )


def _sampled_chunks(training: Training, start: Position) -> Iterator[Drawn]:
    """Each chunk's view in each epoch. The device draws while the host goes on.

    The view of a text of a single chunk where all is drawn once is kept: later epochs only
    shuffle it.
    """
    key, corpus, program, hyper = training[:4]
    bounds, size = corpus.bounds, corpus.chunk_size
    kept, texts = None, {}
    for epoch in range(start.epoch, training.epochs):
        order = np.asarray(chunk_order(key, epoch, len(bounds) - 1, training.static.order))
        done = 0
        for slot, chunk in enumerate(order):
            begin, end = int(bounds[chunk]), int(bounds[chunk + 1])
            done += end - begin
            if epoch == start.epoch and slot < start.slot:
                continue
            address = program.put((key, jnp.int32(epoch), jnp.int32(chunk)))
            if kept:
                sampled = kept._replace(centre_order=program.shuffle(*address, kept))
            else:
                text = texts.get(chunk) or program.put(corpus.arrays(begin, end, size))
                if len(texts) < training.resident:
                    texts[chunk] = text
                sampled = program.draw(*address, *text, hyper)
            if training.static.redraw == "once" and len(bounds) == 2:
                kept = sampled
            yield Drawn(epoch, slot, sampled, done)


def chunk_order(key: jax.Array, epoch: int, chunks: int, order: str) -> jax.Array:
    """The permutation [chunks] in which an epoch visits the chunks, by (seed, epoch).

    With order = text they come as the text has them.
    """
    if order == "text":
        return jnp.arange(chunks)
    return jax.random.permutation(jax.random.fold_in(jax.random.fold_in(key, 2), epoch), chunks)


def _ahead(items: Iterator) -> Iterator:
    """The same items, each asked for before the one before it is used."""
    items = iter(items)
    one = next(items, None)
    while one is not None:
        upcoming = next(items, None)
        yield one
        one = upcoming


def progress_of(training: Training, visit: Visit) -> jax.Array:
    """The fractions of the run's words done where a chunk begins and ends, [2]."""
    tokens = len(training.corpus.ids)
    before = training.words_before * tokens // training.corpus.words
    done = before + visit.epoch * tokens + np.array([visit.begin, visit.end])
    return jnp.float32(done / (before + training.epochs * tokens))


def words_through(training: Training, visit: Visit, steps: int) -> int:
    """Corpus words consumed through so many steps of a chunk."""
    tokens = len(training.corpus.ids)
    part = visit.begin + (visit.end - visit.begin) * steps // visit.steps
    return training.corpus.words * (visit.epoch * tokens + part) // tokens
