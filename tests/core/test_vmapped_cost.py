"""Trials that are vmapped cost what they cost one by one: operations and bytes of a step."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest

from w2v_jax import subsampling, training, update
from w2v_jax.types import HyperParams, Params, StaticConfig

S, V, D, SIZE = 4, 2000, 100, 4096
MOST = 1.1  # times as much as S steps of a trial alone
STATIC = StaticConfig(
    noise="with_replacement",
    expected_window=True,
    batch_size=512,
    negatives_per_group=48,
    update="sparse",
    optimizer="row_adagrad",
    schedule="linear",
    platform="gpu",  # its form of the program; compiled for a CPU, what it costs is counted alike
)


def scalar(dtype=jnp.float32):
    return jax.ShapeDtypeStruct((), dtype)


def shapes(static):
    """What a step is given: state, chunk, number, progress, hyper, whether it trains."""
    row, ids = jax.ShapeDtypeStruct((V,), jnp.float32), jax.ShapeDtypeStruct((SIZE,), jnp.int32)
    cdf, number = jax.ShapeDtypeStruct((V,), jnp.uint32), scalar(jnp.int32)
    hyper = HyperParams(scalar(), row, row, cdf, number, number, *[scalar()] * 4)
    table = jax.ShapeDtypeStruct((V, D), jnp.float32)
    state = jax.eval_shape(partial(update.init_state, static=static), Params(table, table), hyper)
    key = jax.eval_shape(lambda: jax.random.key(0))
    draw = partial(subsampling.sample_chunk, static=static)
    sampled = jax.eval_shape(draw, key, number, number, ids, ids, hyper)
    progress = jax.ShapeDtypeStruct((2,), jnp.float32)
    return state, sampled, number, progress, hyper, scalar(bool)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["skipgram", "cbow"])
@pytest.mark.parametrize("engine", ["blocks", "pairs"])
def test_a_step_of_vmapped_trials_costs_no_more_than_their_own(engine, model):
    static = STATIC._replace(engine=engine, model=model)

    def step(state, sampled, number, progress, hyper, trains):
        return training.train_step(state, sampled, number, progress, hyper, static, trains)

    state, sampled, number, *others = shapes(static)

    def every(tree):
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((S, *x.shape), x.dtype), tree)

    together = jax.vmap(step, (0, 0, None, 0, 0, 0))
    costs = [
        jax.jit(f, donate_argnums=0).lower(*given).compile().cost_analysis()
        for f, given in (
            (step, (state, sampled, number, *others)),
            (together, (every(state), every(sampled), number, *every(others))),
        )
    ]
    for name in ("flops", "bytes accessed"):
        one, all_of_them = (cost[name] for cost in costs)
        assert 0 < all_of_them <= MOST * S * one, name
