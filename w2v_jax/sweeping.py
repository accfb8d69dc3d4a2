"""S training runs as one program: the same steps as `train`'s, over a trial axis.

Trials share the text on the device and draw subsampling, windows and noise each from its own
key; equal keys draw equal random numbers. The trials are sharded over the devices, which run one
program side by side. Each takes `vmap_width` trials at a time, vmapped, their tables as the rows of
one (`table_ops`), one group after the other. On a CPU the width is one, unbatched, and a device is
a core: a trial's tables stay in its cache, and it runs the very code of a run alone.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.custom_batching import sequential_vmap
from jax.sharding import Mesh

from w2v_jax import checks, sampling, subsampling, table_ops, training, visits
from w2v_jax.data.corpus import Corpus
from w2v_jax.over_trials import compile_over, lower_over, taken_apart
from w2v_jax.types import HyperParams, Metrics, StaticConfig, TrainState, no_metrics


@struct.dataclass
class Trials:
    """S trials of a sweep, the leaves of all fields with a leading [S]."""

    key: jax.Array  # [S] keys, of each run's seed
    hyper: HyperParams
    state: TrainState
    active: jax.Array  # [S] bool; false: stays as it is (diverged, stopped early, or padding)


Sharded = tuple[Trials, ...]  # one for each device, of equal size


class Text(NamedTuple):
    """The corpus on the device."""

    tokens: jax.Array  # [chunks, C] int32
    line: jax.Array  # [chunks, C] int32, -1 in the padding


def default_vmap_width(count: int, devices: Sequence[jax.Device]) -> int:
    """Trials a device takes at a time: a GPU all that it has, others one.

    A TPU would turn the tables round at each step: rows of one trial's end within its tiles.
    """
    return -(-count // len(devices)) if devices[0].platform == "gpu" else 1


def padded(count: int, devices: Sequence[jax.Device], vmap_width: int) -> int:
    """The next number of trials that devices and the vmap width divide."""
    step = len(devices) * vmap_width
    return -(-count // step) * step


def shard(
    first: Callable[[int], tuple[jax.Array, HyperParams, TrainState]],
    count: int,
    size: int,
    devices: Sequence[jax.Device],
) -> Sharded:
    """`size` trials, a run of them on each device, made there one by one.

    first: number of a trial, below `count` -> its key, hyper and state. Those past the end repeat
    the last, and are not active.
    """
    share, sharded = size // len(devices), []
    for d, device in enumerate(devices):
        numbers = range(d * share, (d + 1) * share)
        with jax.default_device(device):
            made = [first(min(number, count - 1)) for number in numbers]
            key, hyper, state = jax.tree.map(lambda *leaves: jnp.stack(leaves), *made)
            active = jnp.array([number < count for number in numbers])
        sharded.append(jax.device_put(Trials(key, hyper, state, active), device))
        del made
    return tuple(sharded)


def renewed(
    trials: Sharded,
    firsts: Mapping[int, Callable[[], tuple[jax.Array, HyperParams, TrainState]]],
    idle: Collection[int] = (),
) -> Sharded:
    """With new trials in some rows: row -> what gives its key, hyper and state.

    Rows of `idle` stay as they are, and are not active any more.
    """
    share, found = len(trials[0].active), list(trials)
    for row, make in firsts.items():
        old = found[row // share]
        with jax.default_device(old.active.device):
            new = Trials(*make(), jnp.array(True))
        own = row % share
        found[row // share] = jax.tree.map(lambda x, one: x.at[own].set(one), old, new)  # noqa: B023
    for row in idle:
        old = found[row // share]
        found[row // share] = old.replace(active=old.active.at[row % share].set(False))
    return tuple(found)


def split(leaves: Any, devices: Sequence[jax.Device]) -> tuple:
    """Any pytree of leaves [S, ..] -> one of [S / devices, ..] on each device."""
    each = jax.tree.leaves(leaves)[0].shape[0] // len(devices)
    return tuple(
        jax.device_put(jax.tree.map(lambda x: x[i * each : (i + 1) * each], leaves), device)  # noqa: B023
        for i, device in enumerate(devices)
    )


def joined(parts: Sequence) -> Any:
    """What `split` took apart, on the host: leaves [S, ..]."""
    parts = jax.device_get(list(parts))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


def text_of(corpus: Corpus, devices: Sequence[jax.Device]) -> tuple[Text, ...]:
    """The corpus, in train's chunks, on each device."""
    bounds, size = corpus.bounds, corpus.chunk_size
    spans = zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
    arrays = [corpus.arrays(begin, end, size) for begin, end in spans]
    text = Text(*(np.stack(parts) for parts in zip(*arrays, strict=True)))
    return tuple(jax.device_put(text, device) for device in devices)


def train_chunk(
    work: tuple[TrainState, Trials, jax.Array, jax.Array, Text | None],
    text: Text | None,
    *,
    static: StaticConfig,
    vmap_width: int,
) -> tuple[TrainState, jax.Array, Metrics]:
    """One chunk of one trial: (state, trial, visit [2], progress [2], own) -> state, active, sums.

    The trial's own state is None: the state stands first, to be donated. visit: its epoch, and
    which chunk of the text. own: the chunk, tokens and line [C], where the trial has a text of its
    own; None: it is one of `text`.

    A trial whose loss or rows are not finite at the end of the chunk returns to its state at the
    beginning, and is not active any more.
    """
    state, trial, (epoch, chunk), progress, own = work
    # Under vmap one trial's after the other: an axis of trials at the end of a chunk's arrays
    # would be padded to the width of a TPU's registers.
    draw = sequential_vmap(partial(subsampling.sample_chunk, static=static))
    run = lone_chunk if vmap_width == 1 else vmapped_chunk

    def go(state):
        tokens, line = own or (text.tokens[chunk], text.line[chunk])
        sampled = draw(trial.key, epoch, chunk, tokens, line, trial.hyper)
        new, sums = run(state, sampled, progress, trial.hyper, trial.active, static)
        finite = _all_finite((new.params, sums))
        return jax.tree.map(partial(jnp.where, finite), new, state), finite, sums

    def stay(state):
        return state, jnp.array(False), no_metrics()

    return jax.lax.cond(trial.active, go, stay, state)


def lone_chunk(state, sampled, progress, hyper, active, static):
    """All steps of the chunk, as a run outside a sweep takes them."""
    del active
    begin, all_of_them = jnp.int32(0), 2**30
    state, sums, _ = training.train_steps(
        state, sampled, begin, progress, hyper, static=static, steps=all_of_them
    )
    return state, sums


def vmapped_chunk(state, sampled, progress, hyper, active, static):
    """The same under vmap: all run to the end of the longest; trials past their own end stay."""
    total = jnp.where(active, sampling.steps_of(sampled.centres, static), 0)
    if training.in_runs(static):
        length = training.run_length(training.RUN, sampled.tokens.shape[0], static)
        begin = jnp.int32(0)
        return training.train_steps_in_runs(
            state, sampled, begin, total, progress, hyper, static, length
        )

    def one(step, carry):
        state, sums = carry
        going = step < total
        new, metrics = training.train_step(state, sampled, step, progress, hyper, static, going)
        state = jax.tree.map(partial(_moved, going, static), new, state)
        return state, jax.tree.map(jnp.add, sums, metrics)

    start = state, no_metrics()
    return jax.lax.fori_loop(0, table_ops.most(total), one, start)


def _moved(going: jax.Array, static: StaticConfig, new: jax.Array, old: jax.Array) -> jax.Array:
    """The new leaf, or the old one where the trial has ended its chunk."""
    # Sparse: a batch without ids has left all rows as they are, and no table is selected.
    if static.update == "sparse" and new.ndim:
        return new
    return jnp.where(going, new, old)


def _all_finite(tree: Any) -> jax.Array:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]))


def compile_train_chunk(
    trials: Sharded,
    texts: Sequence[Text | None],
    static: StaticConfig,
    vmap_width: int,
    chunk_size: int = 0,
) -> Callable:
    """`train_chunk`, compiled for as many trials as these; `train_epoch` calls it.

    chunk_size: C, of trials that have texts of their own; 0: they share `texts`. Raises UserError
    as `checks.check` and `checks.check_noise`.
    """
    checks.check(static)
    checks.check_alone(static, "a sweep's trial")
    for of_device in trials:
        checks.check_noise(static, of_device.hyper)
    count = trials[0].active.shape[0]
    tokens = np.zeros((count, chunk_size), np.int32)
    own = Text(tokens, tokens) if chunk_size else None
    empty = np.zeros((count, 2), np.int32), np.zeros((count, 2), np.float32), own
    arguments = [
        ((*_apart(m), *jax.device_put(empty, m.active.device)), text)
        for m, text in zip(trials, texts, strict=True)
    ]
    static = static._replace(platform=trials[0].active.device.platform)
    function = partial(train_chunk, static=static, vmap_width=vmap_width)
    return compile_over(function, arguments, vmap_width, donates=True)


def lower_train_chunk(
    trials: Trials,
    address: tuple[jax.Array, jax.Array],
    text: Text,
    mesh: Mesh,
    static: StaticConfig,
    vmap_width: int,
) -> jax.stages.Lowered:
    """What `compile_train_chunk` compiles, of shapes that lie on a mesh, for static.platform."""
    function = partial(train_chunk, static=static, vmap_width=vmap_width)
    given = taken_apart((*_apart(trials), *address, None), text)
    return lower_over(function, given, mesh, vmap_width, donates=True)


def _apart(trials: Trials) -> tuple[TrainState, Trials]:
    return trials.state, trials.replace(state=None)


def train_epoch(
    trials: Sharded,
    corpus: Corpus | Sequence[Corpus],
    texts: Sequence[Text | None],
    program: Callable,
    epoch: int | np.ndarray,
    epochs: int,
    order: str = "random",
) -> tuple[Sharded, Metrics]:
    """One epoch of each trial, its chunks in its own order; the sums of its steps, leaves [S].

    corpus: whose text is in `texts`, or one for each trial, which are not there. epoch: of all, or
    each trial's own [S]. order: `static.order` of the trials.

    The same as `training.train` alone, but where a text of several chunks has one without a step:
    there `train` counts its words with the chunk before, for the schedule.
    """
    shared = isinstance(corpus, Corpus)
    count = sum(m.active.shape[0] for m in trials)
    corpora = [corpus] * count if shared else corpus
    epoch = np.broadcast_to(np.asarray(epoch, np.int32), count)
    orders = _orders(trials, corpora, epoch, order)
    tokens = np.array([len(one.ids) for one in corpora])
    bounds = [one.bounds for one in corpora]
    done, sums = epoch * tokens, []
    devices = [m.active.device for m in trials]
    # Copied once: the trials given stay as they are, and each chunk takes the state of the last.
    trials = tuple(m.replace(state=jax.tree.map(jnp.copy, m.state)) for m in trials)
    for chunk in orders.T:
        size = [b[c + 1] - b[c] if c >= 0 else 0 for b, c in zip(bounds, chunk, strict=True)]
        after = done + np.array(size)
        progress = np.stack([done, after], axis=1) / (epochs * tokens[:, None])
        own = None if shared else _chunks(corpora, bounds, chunk)
        visit = np.stack([epoch, np.maximum(chunk, 0)], axis=1)
        address = visit, progress.astype(np.float32), own
        work = [
            ((*_apart(m), *part), text)
            for m, part, text in zip(trials, split(address, devices), texts, strict=True)
        ]
        after_it = program(work)
        trials = tuple(
            m.replace(state=state, active=active)
            for m, (state, active, _) in zip(trials, after_it, strict=True)
        )
        sums.append(joined([metrics for _, _, metrics in after_it]))
        done = after
    return trials, jax.tree.map(lambda *chunks: np.sum(chunks, axis=0), *sums)


def _orders(
    trials: Sharded, corpora: Sequence[Corpus], epoch: np.ndarray, order: str
) -> np.ndarray:
    """In which order each trial visits its text's chunks [S, most chunks] int32; -1: no more."""
    counts = np.array([len(one.bounds) - 1 for one in corpora])
    found = np.full((len(counts), counts.max()), -1, np.int32)
    for chunks in np.unique(counts).tolist():
        visited = jax.vmap(partial(visits.chunk_order, chunks=chunks, order=order))
        parts = np.split(epoch, len(trials))
        each = zip(trials, parts, strict=True)
        of_all = np.concatenate([np.asarray(visited(m.key, own)) for m, own in each])
        found[counts == chunks, :chunks] = of_all[counts == chunks]
    return found


def _chunks(corpora: Sequence[Corpus], bounds: Sequence[np.ndarray], chunk: np.ndarray) -> Text:
    """A chunk of each trial's own text; of a text that has no more, one that holds nothing."""
    size = corpora[0].chunk_size
    none = np.zeros(size, np.int32), np.full(size, -1, np.int32)
    arrays = [
        one.arrays(int(b[c]), int(b[c + 1]), size) if c >= 0 else none
        for one, b, c in zip(corpora, bounds, chunk, strict=True)
    ]
    return Text(*(np.stack(parts) for parts in zip(*arrays, strict=True)))
