"""What is read and written at ids past the end is said, never left to the default.

`table[ids]` lets JAX take for granted that ids are inside, and what lies outside reads or writes
something else on another backend. So every gather says "clip" or "fill", every scatter "drop" or
"clip": no program has one that promises.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from programs import equations

from w2v_jax import (
    heldout,
    heldout_text,
    hypergradients,
    subsampling,
    sweeping,
    table_ops,
    training,
    update,
)
from w2v_jax.engines import blocks
from w2v_jax.types import Batch, Params, StaticConfig

V, D, SIZE = 20, 4, 64
PROMISE = jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS
SMALL = StaticConfig(
    batch_size=16, block=4, group_size=8, negatives_per_group=3, window=2, negatives=2
)
STEPS = [
    SMALL._replace(engine="pairs", noise="exclude_target"),
    SMALL._replace(engine="pairs", model="cbow", update="sparse", optimizer="row_adagrad"),
    SMALL._replace(engine="pairs", redraw="once", loss="masked_mean", noise="exclude_contexts"),
    SMALL._replace(engine="pairs", noise="without_replacement", full_windows=True),
    SMALL._replace(engine="pairs", loss="softmax"),
    SMALL._replace(engine="pairs", loss="softmax", model="cbow"),
    SMALL._replace(engine="blocks", update="sparse", optimizer="row_adagrad"),
    SMALL._replace(engine="blocks", model="cbow", expected_window=True),
    SMALL._replace(engine="blocks", noise="with_replacement", reduction="mean"),
    SMALL._replace(engine="blocks", model="cbow", update="sparse", optimizer="adam"),
]


def promised(function, *args):
    """Gathers and scatters of a program, of which some promise: how many, and which."""
    found = [
        eqn
        for eqn in equations(jax.make_jaxpr(function)(*args).jaxpr)
        if "mode" in eqn.params and eqn.primitive.name.startswith(("gather", "scatter"))
    ]
    return len(found), [str(eqn) for eqn in found if eqn.params["mode"] == PROMISE]


def epoch(static, state, hyper, tokens, line):
    """A chunk from its text to the tables."""
    zero, progress = jnp.int32(0), jnp.zeros(2)
    sampled = subsampling.sample_chunk(jax.random.key(0), zero, zero, tokens, line, hyper, static)
    return training.train_steps(state, sampled, zero, progress, hyper, static=static, steps=3)


@pytest.fixture(scope="module")
def hyper(make_hyper):
    return make_hyper(np.ones(V))


def inputs(static, hyper):
    params = Params(jnp.zeros((V, D)), jnp.zeros((V, D)))
    tokens, line = jnp.zeros(SIZE, jnp.int32), jnp.zeros(SIZE, jnp.int32)
    return update.init_state(params, hyper, static), hyper, tokens, line


@pytest.mark.parametrize("static", STEPS, ids=lambda s: f"{s.engine}-{s.model}-{s.loss}-{s.update}")
def test_no_step_promises_that_ids_are_inside(hyper, static):
    count, found = promised(partial(epoch, static), *inputs(static, hyper))
    assert count > 5 and not found


@pytest.mark.parametrize("static", [STEPS[1], STEPS[6]], ids=lambda s: s.engine)
def test_nor_do_trials_of_a_sweep(hyper, static):
    state, hyper, tokens, line = inputs(static, hyper)
    two = jax.tree.map(lambda x: jnp.stack([x, x]), (state, hyper))
    trials = sweeping.Trials(jax.random.split(jax.random.key(0)), two[1], None, jnp.ones(2, bool))
    text = sweeping.Text(tokens[None], line[None])
    work = two[0], trials, jnp.zeros((2, 2), jnp.int32), jnp.zeros((2, 2)), None
    over = jax.vmap(partial(sweeping.train_chunk, static=static, vmap_width=2), (0, None))
    count, found = promised(over, work, text)
    assert count > 5 and not found


def test_nor_does_what_is_differentiated_or_read(hyper):
    ids = jnp.zeros((3, 2), jnp.int32)
    none = jnp.zeros((3, 2, 0))
    batch = Batch(ids[:, :1], jnp.ones((3, 1)), ids, jnp.ones((3, 2)), none.astype(int), none)
    batches = jax.tree.map(lambda x: x[None], batch)
    static, tables = SMALL._replace(optimizer="adam"), Params(jnp.zeros((V, D)), jnp.zeros((V, D)))

    def heldout(rate, power):
        run = hypergradients.Unrolled(tables, batches, batch, jnp.ones(V))
        return hypergradients.loss_after_training(rate, power, power, run, hyper, static)

    def expanded(tokens, line):
        zero = jnp.int32(0)
        sampled = subsampling.sample_chunk(
            jax.random.key(0), zero, zero, tokens, line, hyper, STEPS[9]
        )
        return blocks.expand(blocks.make_blocks(sampled, 0, hyper, STEPS[9]), V, hyper, STEPS[9])

    one = jnp.float32(0.5)
    for function, args in (
        (jax.grad(heldout), (one, one)),
        (expanded, inputs(STEPS[9], hyper)[2:]),
        (jax.grad(lambda table: jnp.sum(table_ops.gather(table, ids))), (tables.input,)),
    ):
        count, found = promised(function, *args)
        assert count and not found


@pytest.mark.parametrize("static", [STEPS[0], STEPS[7]], ids=lambda s: s.model)
def test_nor_does_what_is_held_out(make_corpus, hyper, static):
    text = make_corpus([[1, 2, 3, 4], [5, 6]], vocab_size=V)
    windows = jax.tree.map(jnp.asarray, heldout_text.windows(text, 2))
    tables = Params(jnp.zeros((V, D)), jnp.zeros((V, D)))
    count, found = promised(partial(heldout.measure, static=static), tables, hyper, windows)
    assert count > 2 and not found


def test_ids_past_the_end_read_the_last_row_and_have_its_derivative():
    table = np.random.default_rng(0).normal(size=(V, D)).astype(np.float32)
    ids, last = np.array([1, V, 3 * V, V - 1], np.int32), np.array([1, V - 1, V - 1, V - 1])
    slope = np.arange(4 * D, dtype=np.float32).reshape(4, D)
    for read in (table_ops.gather, table_ops.look_up):
        found, back = jax.vjp(lambda t: read(t, ids), table)  # noqa: B023
        np.testing.assert_array_equal(found, table[last])
        wanted = np.zeros_like(table)
        np.add.at(wanted, last, slope)
        np.testing.assert_array_equal(back(slope)[0], wanted)
