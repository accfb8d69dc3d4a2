"""The programs of a training and of a sweep, lowered for a device from shapes alone."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from experiments.benchmarks.ahead.hlo import Tables
from w2v_jax import memory, sweeping, training, update
from w2v_jax.config import Config
from w2v_jax.data.corpus import CHUNK
from w2v_jax.defaults import resolve
from w2v_jax.types import HyperParams, Params, StaticConfig, TrainState

TYPES = 69_893  # of the Wikipedia text that the results are of
CHUNKS = 17  # of that text
STEPS = 100  # a dispatch, `train_corpus`'s default
TRIALS = 8


class Spec(NamedTuple):
    """A program: which part of what kind of training."""

    part: str  # steps | draw | sweep
    model: str = "skipgram"
    engine: str = "blocks"
    vocab_size: int = TYPES
    trials: int = 1

    def config(self) -> Config:
        """Its training's settings: `train_corpus`'s defaults otherwise."""
        return resolve(Config(model=self.model, engine=self.engine))

    def tables(self) -> Tables:
        """By which shapes its tables are known."""
        return Tables(self.trials, self.vocab_size, self.config().dim)


def specs() -> dict[str, Spec]:
    """Name -> program, of all there are."""
    found = {}
    for engine in ("blocks", "pairs"):
        for model in ("skipgram", "cbow"):
            spec = Spec("steps", model, engine)
            found[f"steps {engine} {model}"] = spec
            if engine == "blocks":
                found[f"steps {engine} {model} V 10^6"] = spec._replace(vocab_size=10**6)
                sweep = spec._replace(part="sweep", trials=TRIALS)
                found[f"sweep of {TRIALS} {engine} {model}"] = sweep
        found[f"draw {engine}"] = Spec("draw", engine=engine)
    return found


def lowered(spec: Spec, device: jax.Device, platform: str) -> jax.stages.Lowered:
    """A program, ready to be compiled for a device that need not be there."""
    static = spec.config().static()._replace(platform=platform)
    if spec.part == "sweep":
        return _sweep(spec, static, device)
    one = SingleDeviceSharding(device)
    key, hyper, state = _placed(_start(spec, static), one)
    parts = training.lower(state, key, CHUNK, hyper, static, STEPS)
    return parts.draw if spec.part == "draw" else parts.train_steps


def needed(spec: Spec, device: jax.Device, platform: str) -> int:
    """Bytes that `memory.memory_needed` expects of it: of a training that draws ahead of its steps.

    Of a sweep without the copy of the state that an epoch begins with.
    """
    static = spec.config().static()._replace(platform=platform)
    hyper = _start(spec, static)[1]
    shape = spec.vocab_size, spec.config().dim, hyper, CHUNK
    width = sweeping.default_vmap_width(spec.trials, [device])
    chunks, states = (CHUNKS, 1) if spec.part == "sweep" else (0, 0)
    return memory.memory_needed(spec.trials, static, *shape, chunks, [device], width, states)


def state_bytes(spec: Spec) -> int:
    """Bytes of the states of all trials."""
    leaves = jax.tree.leaves(_start(spec, spec.config().static())[2])
    return spec.trials * sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)


def _start(spec: Spec, static: StaticConfig) -> tuple[jax.Array, HyperParams, TrainState]:
    """Shapes of the key, the hyperparameters and the state that one training starts from."""
    f32, i32 = (jax.ShapeDtypeStruct((), t) for t in (jnp.float32, jnp.int32))
    words = jax.ShapeDtypeStruct((spec.vocab_size,), jnp.float32)
    hyper = HyperParams(
        learning_rate=f32,
        keep_prob=words,
        noise=words,
        noise_cdf=jax.ShapeDtypeStruct(words.shape, jnp.uint32),
        window=i32,
        negatives=i32,
        beta1=f32,
        beta2=f32,
        epsilon=f32,
        weight_decay=f32,
        final_rate=f32,
    )
    table = jax.ShapeDtypeStruct((spec.vocab_size, spec.config().dim), jnp.float32)
    init = partial(update.init_state, static=static)
    state = jax.eval_shape(init, Params(table, table), hyper)
    return jax.eval_shape(lambda: jax.random.key(0)), hyper, state


def _placed(tree: Any, sharding) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree)


def _sweep(spec: Spec, static: StaticConfig, device: jax.Device) -> jax.stages.Lowered:
    """A chunk of all trials of a sweep, as many at a time as by default."""
    mesh, count = Mesh(np.array([device]), ("device",)), spec.trials
    trials = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype),
        (*_start(spec, static), jax.ShapeDtypeStruct((), bool)),
    )
    visit = jax.ShapeDtypeStruct((count, 2), jnp.int32)
    progress = jax.ShapeDtypeStruct((count, 2), jnp.float32)
    own = sweeping.Trials(*trials), (visit, progress)
    ids = jax.ShapeDtypeStruct((CHUNKS, CHUNK), jnp.int32)
    shared = sweeping.Text(ids, ids)
    given = (
        *_placed(own, NamedSharding(mesh, P("device"))),
        _placed(shared, NamedSharding(mesh, P())),
    )
    width = sweeping.default_vmap_width(count, [device])
    return sweeping.lower_train_chunk(*given, mesh, static, width)
