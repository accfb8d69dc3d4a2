"""Epochs as loops on the device: a generator that yields (state, report).

Knows nothing of files, flags, evaluation or plots: whoever iterates decides what to do between
two dispatches. A dispatch is one loop over `steps` steps; the host only starts it.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from w2v_jax import checks, columns, layouts, sampling, subsampling, table_ops, update, xla_flags
from w2v_jax.engines import ENGINES
from w2v_jax.types import HyperParams, Metrics, SampledChunk, StaticConfig, TrainState, no_metrics
from w2v_jax.visits import Position, Program, Training, progress_of, visits, words_through

RUN = 64  # the most steps that an accelerator takes as one graph


class Report(NamedTuple):
    """What one dispatch did, on the host: sums.

    Words are counted in Python integers: exact where a chunk ends, in proportion to its steps
    between.
    """

    step: int  # updates made since the start
    epoch: int  # of these steps, from 1
    words: int  # corpus words consumed since the start, before subsampling
    metrics: Metrics  # float sums over the dispatch (blocks engine: of a sample)
    learning_rate: float  # of the last step
    position: Position  # behind it: `train` goes on from there


def train_step(
    state: TrainState,
    sampled: SampledChunk,
    step: jax.Array,
    progress: jax.Array,
    hyper: HyperParams,
    static: StaticConfig,
    trains: jax.Array | bool = True,
) -> tuple[TrainState, Metrics]:
    """Step number `step` of a chunk: its batch, its rate, its update.

    trains: where it is false the batch is emptied, so that it touches no row.
    """
    batch = ENGINES[static.engine].make_batch(sampled, step, hyper, static)
    if trains is not True:
        batch = batch.where(trains, hyper.noise.shape[0])
    rate = rate_at(step, sampled, progress, hyper, static)
    return update.update_step(state, batch, rate, hyper, static)


def rate_at(
    step: jax.Array,
    sampled: SampledChunk,
    progress: jax.Array,
    hyper: HyperParams,
    static: StaticConfig,
) -> jax.Array:
    """The learning rate of a chunk's step; progress [2] as in `train_steps`."""
    done = step / jnp.maximum(sampling.steps_of(sampled.centres, static), 1)
    return update.rate(hyper, static, progress[0] + (progress[1] - progress[0]) * done)


def train_steps(
    state: TrainState,
    sampled: SampledChunk,
    begin: jax.Array,
    progress: jax.Array,
    hyper: HyperParams,
    replica: jax.Array | int = 0,
    *,
    static: StaticConfig,
    steps: int,
) -> tuple[TrainState, Metrics, jax.Array]:
    """Steps begin .. begin + steps - 1 of a chunk, or up to its end; sums over them, last rate.

    Of several replicas `replica` trains these of its own: r, r + R, r + 2 R ..

    progress [2]: the fractions of the run's words done where the chunk begins and ends, which
    the schedule follows. The number of steps is traced: a tail is the same program.
    """

    def one(own, carry):
        state, sums = carry
        step = step_number(own, replica, static)
        state, metrics = train_step(state, sampled, step, progress, hyper, static)
        return state, jax.tree.map(jnp.add, sums, metrics)

    total = own_steps(sampling.steps_of(sampled.centres, static), replica, static.replicas)
    end = jnp.minimum(begin + steps, total)
    if in_runs(static):
        length = run_length(steps, sampled.tokens.shape[0], static)
        state, sums = train_steps_in_runs(
            state, sampled, begin, end, progress, hyper, static, length, replica
        )
    else:
        state, sums = jax.lax.fori_loop(begin, end, one, (state, no_metrics()))
    last = step_number(end - 1, replica, static)
    return state, sums, rate_at(last, sampled, progress, hyper, static)


def step_number(own, replica, static: StaticConfig):
    """The number in its chunk of a replica's own step."""
    return own if static.replicas == 1 else own * static.replicas + replica


def own_steps(steps, replica, replicas: int):
    """How many of a chunk's steps a replica trains; the first has the most."""
    return steps if replicas == 1 else (steps - replica + replicas - 1) // replicas


def in_runs(static: StaticConfig) -> bool:
    """Whether `train_steps_in_runs` takes the steps: on accelerators, where an empty batch is none.

    A dense optimiser moves rows without a gradient too.
    """
    return static.platform != "cpu" and static.update == "sparse"


def run_length(steps: int, size: int, static: StaticConfig) -> int:
    """Steps of a run, for dispatches of so many steps of chunks of `size` tokens.

    Short enough that the steps left empty at the end of a chunk are few of its own.
    """
    longest = min(max(size // static.batch_size // 16, 1), RUN)
    return -(-steps // -(-steps // longest))


def train_steps_in_runs(
    state: TrainState,
    sampled: SampledChunk,
    begin: jax.Array,
    end: jax.Array,
    progress: jax.Array,
    hyper: HyperParams,
    static: StaticConfig,
    length: int,
    replica: jax.Array | int = 0,
) -> tuple[TrainState, Metrics]:
    """Steps begin .. end - 1, in runs of `length` steps; sums over them.

    Under vmap all trials go on to the longest one's end.
    """

    def run(number, carry):
        first = begin + number * length
        return _run(*carry, sampled, first, end, progress, hyper, static, length, replica)

    runs = table_ops.most(-(-jnp.maximum(end - begin, 0) // length))
    state, sums = jax.lax.fori_loop(0, runs, run, (state, jnp.stack(no_metrics())))
    return state, Metrics(*sums)


def _run(state, sums, sampled, first, end, progress, hyper, static, length, replica):
    """`length` steps from `first` on, those from `end` on empty; sums [8] with theirs.

    A loop of static length without a branch: a GPU takes it as one graph of kernels, and its host
    asks for nothing. The sums are one array, as eight would be eight kernels a step.
    """
    start, steps = state.step, first + jnp.arange(length)  # it counts behind the loop

    def batch(own):
        step = step_number(own, replica, static)
        made = ENGINES[static.engine].make_batch(sampled, step, hyper, static)
        rate = rate_at(step, sampled, progress, hyper, static)
        return made.where(own < end, hyper.noise.shape[0]), rate

    def one(carry, of_step):
        (state, sums), ((made, rate), count, trains) = carry, of_step
        new, metrics = update.update_step(state.replace(step=count), made, rate, hyper, static)
        # An empty batch leaves rows as they are, and would still count as one of Adam's steps.
        opt_state = jax.tree.map(
            lambda new, old: new if new.ndim else jnp.where(trains, new, old),
            *(new.opt_state, state.opt_state),
        )
        new = new.replace(step=start, opt_state=opt_state)
        return (new, sums + jnp.stack(metrics)), None

    # All batches at once: a chain of small operations a step costs more than what it computes.
    of_steps = jax.vmap(batch)(steps), start + jnp.arange(length), steps < end
    (state, sums), _ = jax.lax.scan(one, (state, sums), of_steps)
    return state.replace(step=start + jnp.clip(end - first, 0, length)), sums


def train_run(
    state: TrainState,
    sums: Metrics,
    sampled: SampledChunk,
    begin: jax.Array,
    end: jax.Array,
    progress: jax.Array,
    hyper: HyperParams,
    replica: jax.Array | int = 0,
    *,
    static: StaticConfig,
    length: int,
) -> tuple[TrainState, Metrics, jax.Array]:
    """The first run of `train_steps_in_runs`; sums with its own, its last step's rate."""
    state, total = _run(
        state, jnp.stack(sums), sampled, begin, end, progress, hyper, static, length, replica
    )
    last = step_number(jnp.minimum(begin + length, end) - 1, replica, static)
    return state, Metrics(*total), rate_at(last, sampled, progress, hyper, static)


def run_by_run(
    run: Callable, static: StaticConfig, steps: int, length: int, put: Callable = jax.device_put
) -> Callable:
    """`train_steps` made of a compiled `train_run`.

    The host starts a dispatch's runs without waiting: in one program it would have to ask the
    device how many there are, after each of them.
    """

    def train_steps(state, sampled, begin, progress, hyper, *replica):
        begin, sums, rate = int(begin), put(no_metrics()), np.float32(0)
        total = int(sampling.steps_of(int(sampled.centres), static))
        end = min(begin + steps, own_steps(total, *map(int, replica or (0,)), static.replicas))
        for first in range(begin, end, length):
            bounds = np.int32(first), np.int32(end)
            state, sums, rate = run(state, sums, sampled, *bounds, progress, hyper, *replica)
        return state, sums, rate

    return train_steps


class Lowered(NamedTuple):
    """The parts of a training's program, before they are compiled."""

    draw: jax.stages.Lowered
    shuffle: jax.stages.Lowered
    train_steps: jax.stages.Lowered  # on accelerators `train_run`


def compile_program(
    state: TrainState,
    key: jax.Array,
    size: int,
    hyper: HyperParams,
    static: StaticConfig,
    steps: int,
    options: dict | None = None,
) -> Program:
    """Compiles all parts ahead of time for chunks of `size` tokens.

    options: of XLA, for the steps.

    Raises UserError as `checks.check` and `checks.check_noise`.
    """
    checks.check(static)
    started = time.perf_counter()
    static, put = static._replace(platform=platform_of(state)), columns.putting(state, static)
    xla_flags.warn_of_slow_scatter(static.platform)
    checks.check_noise(static, hyper)
    lowered = lower(state, key, size, hyper, static, steps)
    run = lowered.train_steps.compile(compiler_options=options)
    memory = run.memory_analysis()
    if static.platform == "tpu":
        run = layouts.laid(run)
    if in_runs(static):
        run = run_by_run(run, static, steps, run_length(steps, size, static), put)
    return Program(
        draw=lowered.draw.compile(),
        shuffle=lowered.shuffle.compile(),
        train_steps=run,
        steps=steps,
        put=put,
        compile_sec=time.perf_counter() - started,
        temp_bytes=memory.temp_size_in_bytes if memory else None,
    )


def lower(
    state: TrainState,
    key: jax.Array,
    size: int,
    hyper: HyperParams,
    static: StaticConfig,
    steps: int,
) -> Lowered:
    """The parts of `compile_program`, for static.platform; shapes are enough, or arrays."""
    index = jax.ShapeDtypeStruct((), jnp.int32)
    ids = jax.ShapeDtypeStruct((size,), jnp.int32)
    whole = columns.of_draws(state, static)
    draw = jax.jit(partial(subsampling.sample_chunk, static=static), **whole)
    sampled = jax.eval_shape(draw, key, index, index, ids, ids, hyper)
    shuffle = jax.jit(partial(subsampling.shuffle, static=static), **whole)
    progress = jax.ShapeDtypeStruct((2,), jnp.float32)
    replica = [index] * (static.replicas > 1)
    if in_runs(static):
        length = run_length(steps, size, static)
        run = partial(train_run, static=static, length=length)
        given = jax.eval_shape(no_metrics), sampled, index, index, progress, hyper, *replica
    else:
        run = partial(train_steps, static=static, steps=steps)
        given = sampled, index, progress, hyper, *replica
    edges = columns.of_steps(state, len(given), static)
    return Lowered(
        draw=draw.lower(key, index, index, ids, ids, hyper),
        shuffle=shuffle.lower(key, index, index, sampled),
        train_steps=jax.jit(run, donate_argnums=0, **edges).lower(state, *given),
    )


def platform_of(tree) -> str:
    """The platform of the devices that hold a pytree's arrays; of shapes alone, the default's."""
    sharding = jax.tree.leaves(tree)[0].sharding
    devices = sharding.device_set if sharding else jax.devices()
    return next(iter(devices)).platform


def train(
    state: TrainState,
    training: Training,
    start: Position = Position(),  # noqa: B008 (immutable)
) -> Iterator[tuple[TrainState, Report]]:
    """Trains; yields after each dispatch. The state yielded is gone with the next one.

    start: with the state that was yielded with it, goes on to the same bits. Raises UserError
    where the whole run holds no step, or for several replicas.
    """
    checks.check_one_replica(training.static, "this training")
    program, step, begun = training.program, start.step, start.done
    training = training._replace(hyper=program.put(training.hyper))
    for visit in visits(training, start):
        progress = program.put(progress_of(training, visit))
        for first in range(begun, visit.steps, program.steps):
            state, metrics, rate = program.train_steps(
                state, visit.sampled, np.int32(first), progress, training.hyper
            )
            last = min(first + program.steps, visit.steps)
            metrics, rate = jax.device_get((metrics, rate))  # asked for at once, not one by one
            report = Report(
                step=step + last,
                epoch=visit.epoch + 1,
                words=words_through(training, visit, last),
                metrics=Metrics(*map(float, metrics)),
                learning_rate=float(rate),
                position=Position(visit.epoch, visit.slot, visit.begin, last, step),
            )
            yield state, report
        step, begun = step + visit.steps, 0
