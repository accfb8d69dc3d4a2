"""A training made ready on one device, and the time that its steps take."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import beginning, subsampling, training
from w2v_jax.config import Config
from w2v_jax.data.corpus import Corpus
from w2v_jax.defaults import resolve
from w2v_jax.types import HyperParams, SampledChunk, StaticConfig, TrainState, Vocab, no_metrics
from w2v_jax.visits import Program

WHOLE = 2**30  # steps a dispatch: all of a chunk
MB = 2**20


class Ready(NamedTuple):
    """A training whose first chunk is drawn; all arrays lie on the device."""

    device: jax.Device
    corpus: Corpus
    config: Config
    static: StaticConfig
    key: jax.Array
    hyper: HyperParams
    state: TrainState
    program: Program
    sampled: SampledChunk
    progress: jax.Array  # [2] as of `training.train_steps`

    def train(self, state: TrainState) -> TrainState:
        """The state after a dispatch from the chunk's first step; the one given is gone."""
        zero = jax.device_put(np.int32(0), self.device)
        return self.program.train_steps(state, self.sampled, zero, self.progress, self.hyper)[0]

    def copied(self) -> TrainState:
        """The first state, to be given away."""
        return jax.tree.map(jnp.copy, self.state)

    @property
    def steps(self) -> int:
        """Steps of a dispatch of this chunk."""
        return min(steps_of(self), self.program.steps)


def steps_of(ready: Ready) -> int:
    """Steps of the whole chunk."""
    return -(-int(ready.sampled.centres) // ready.static.batch_size)


def config_of(**fields) -> Config:
    """A config as of a large text."""
    return resolve(Config(**fields))


def prepare(config: Config, corpus: Corpus, device: jax.Device, steps: int = WHOLE) -> Ready:
    """Compiles a training and draws its first chunk. Raises UserError as `compile_program`."""
    static = config.static()._replace(platform=device.platform)
    with jax.default_device(device):
        key, hyper = jax.random.key(1), beginning.make_hyper(config, corpus.vocab)
        state = beginning.initial_state(config, len(corpus.vocab.words), key, hyper)
        key, hyper, state = jax.device_put((key, hyper, state), device)
        program = training.compile_program(state, key, corpus.chunk_size, hyper, static, steps)
        zero = jax.device_put(np.int32(0), device)
        text = corpus.arrays(0, int(corpus.bounds[1]), corpus.chunk_size)
        sampled = program.draw(key, zero, zero, *jax.device_put(text, device), hyper)
        progress = jax.device_put(np.array([0, 0.1], np.float32), device)
    return Ready(device, corpus, config, static, key, hyper, state, program, sampled, progress)


def seconds_a_step(ready: Ready, repeats: int) -> float:
    """The median over dispatches, after one that is not counted."""
    state, found = ready.train(ready.copied()), []
    jax.block_until_ready(state)
    for _ in range(repeats):
        began = time.perf_counter()
        state = jax.block_until_ready(ready.train(state))
        found.append(time.perf_counter() - began)
    return float(np.median(found)) / ready.steps


def row_of(ready: Ready, repeats: int) -> dict:
    """What all engines tell of their steps."""
    seconds = seconds_a_step(ready, repeats)
    words_a_step = int(ready.corpus.bounds[1]) / steps_of(ready)
    return {
        "batch_size": ready.static.batch_size,
        "ms": 1000 * seconds,
        "steps": ready.steps,
        "steps_words_per_sec": words_a_step / seconds,
        "compile_sec": ready.program.compile_sec,
        "temp_mb": ready.program.temp_bytes and ready.program.temp_bytes / MB,
        "peak_mb": peak(ready.device),
    }


def peak(device: jax.Device) -> float | None:
    """The most MB that this process has held on a device, where it tells."""
    held = (device.memory_stats() or {}).get("peak_bytes_in_use")
    return held / MB if held else None


def words_per_sec_of_an_epoch(ready: Ready) -> float:
    """Of the second epoch of a training: drawing and the host's work included."""
    whole = training.Training(
        *(ready.key, ready.corpus, ready.program, ready.hyper, ready.static), epochs=2
    )
    reports = training.train(ready.copied(), whole)
    ends = {}
    for state, report in reports:
        jax.block_until_ready(state)
        ends[report.epoch] = time.perf_counter()
    return ready.corpus.words / (ends[2] - ends[1])


def parts(
    config: Config, vocabulary: Vocab, size: int, platform: str, steps: int = WHOLE
) -> Iterator[tuple[str, Any, tuple]]:
    """What `prepare` compiles: (name, function, shapes of its arguments); nothing is computed."""
    static = config.static()._replace(platform=platform)
    key = jax.eval_shape(lambda: jax.random.key(1))
    hyper = jax.eval_shape(partial(beginning.make_hyper, config, vocabulary))
    make = partial(beginning.initial_state, config, len(vocabulary.words))
    state = jax.eval_shape(make, key, hyper)
    index, ids = jax.ShapeDtypeStruct((), jnp.int32), jax.ShapeDtypeStruct((size,), jnp.int32)
    draw = partial(subsampling.sample_chunk, static=static)
    given = key, index, index, ids, ids, hyper
    yield "draw", draw, given
    sampled = jax.eval_shape(draw, *given)
    progress = jax.ShapeDtypeStruct((2,), jnp.float32)
    train = partial(training.train_steps, static=static, steps=steps)
    given = state, sampled, index, progress, hyper
    if training.in_runs(static):  # what runs there
        length = training.run_length(steps, size, static)
        train = partial(training.train_run, static=static, length=length)
        sums = jax.eval_shape(no_metrics)
        given = state, sums, sampled, index, index, progress, hyper
    yield "train_steps", train, given


def compiled_with(ready: Ready, options: dict) -> Ready:
    """The same with its steps compiled by other options of XLA."""
    program = training.compile_program(
        *(ready.state, ready.key, ready.corpus.chunk_size, ready.hyper, ready.static),
        *(ready.program.steps, options),
    )
    return ready._replace(program=program)
