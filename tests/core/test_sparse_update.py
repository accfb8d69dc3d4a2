"""The touched rows against dense optax, and what stays as it was."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from w2v_jax import sparse_update

V, D = 11, 3
IDS = [4, 1, 4, 4, 9, 1, V, V + 3]  # repeated ids; the last two stand outside the table
TRANSFORMATIONS = {
    "sgd": optax.sgd(0.3),
    "adagrad": optax.adagrad(0.3, initial_accumulator_value=0.0, eps=1e-3),
    "row_adagrad": optax.chain(
        sparse_update.scale_by_row_adagrad(1e-3), optax.scale_by_learning_rate(0.3)
    ),
    "adam": optax.adam(0.3),
    "adamw": optax.adamw(0.3, weight_decay=0.1),
}


def table(seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(V, D)), jnp.float32)


@cache
def step_of(name):
    transformation = TRANSFORMATIONS[name]

    @jax.jit
    def step(values, state, ids, grads):
        with jax.numpy_dtype_promotion("standard"):  # optax's Adam
            representative, indices = sparse_update.deduplicate(state.representative, ids)
            summed = jnp.zeros_like(grads).at[indices].add(grads, mode="drop")
            state = state.replace(representative=representative)
            return sparse_update.update(values, state, ids, indices, summed, transformation)

    return step


@given(st.lists(st.integers(0, V + 4), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_rows_are_written_at_ids_of_which_none_repeats(ids):
    ids = jnp.array(ids, jnp.int32)
    _, indices = sparse_update.deduplicate(jnp.zeros(V, jnp.int32), ids)
    written = np.asarray(sparse_update._once(ids, indices, V))
    assert len(np.unique(written)) == len(ids) and written.max() < V + len(ids)
    assert set(written[written < V]) == {i for i in ids.tolist() if i < V}


def dense_step(name, values, state, ids, grads):
    whole = np.zeros((V, D), np.float32)
    inside = ids < V
    np.add.at(whole, ids[inside], grads[inside])
    with jax.numpy_dtype_promotion("standard"):
        updates, state = TRANSFORMATIONS[name].update(jnp.asarray(whole), state, values)
    return optax.apply_updates(values, updates), state


def draws(steps, seed=0, ids=IDS):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        grads = rng.normal(size=(len(ids), D)).astype(np.float32)
        grads[np.array(ids) >= V] = 0  # what weighs nothing has no gradient
        yield rng.permutation(np.array(ids, np.int32)), grads


@pytest.mark.parametrize("name", ["sgd", "adagrad", "row_adagrad"])
def test_equals_dense_optax_where_a_zero_gradient_moves_nothing(name):
    values, state = table(), sparse_update.init(table(), TRANSFORMATIONS[name])
    dense, dense_state = table(), TRANSFORMATIONS[name].init(table())
    for ids, grads in draws(6):
        grads[ids >= V] = 0
        values, state = step_of(name)(values, state, ids, grads)
        dense, dense_state = dense_step(name, dense, dense_state, ids, grads)
        np.testing.assert_allclose(values, dense, rtol=1e-5, atol=1e-6)
    for own, other in zip(jax.tree.leaves(state.inner), jax.tree.leaves(dense_state), strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_is_dense_optax_for_rows_that_every_step_touches_and_leaves_the_others(name):
    values, state = table(), sparse_update.init(table(), TRANSFORMATIONS[name])
    dense, dense_state = table(), TRANSFORMATIONS[name].init(table())
    for ids, grads in draws(6):
        values, state = step_of(name)(values, state, ids, grads)
        dense, dense_state = dense_step(name, dense, dense_state, ids, grads)
    touched = np.isin(np.arange(V), IDS)
    np.testing.assert_allclose(values[touched], dense[touched], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(values[~touched], table()[~touched])


def test_adam_differs_from_dense_by_the_momentum_of_untouched_rows():
    values, state = table(), sparse_update.init(table(), TRANSFORMATIONS["adam"])
    dense, dense_state = table(), TRANSFORMATIONS["adam"].init(table())
    for ids in ([4, 4, 1], [1, 1, 1]):
        ids, grads = np.array(ids, np.int32), np.ones((3, D), np.float32)
        values, state = step_of("adam")(values, state, ids, grads)
        dense, dense_state = dense_step("adam", dense, dense_state, ids, grads)
    np.testing.assert_allclose(values[1], dense[1], rtol=1e-6)
    assert (np.abs(np.asarray(values[4] - dense[4])) > 0.05).all()


@given(ids=st.lists(st.integers(0, V + 2), min_size=7, max_size=7), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_each_row_sees_its_summed_gradient_once(ids, seed):
    grads = np.random.default_rng(seed).integers(-4, 5, (7, D)).astype(np.float32)
    ids = np.array(ids, np.int32)
    grads[ids >= V] = 0
    state = sparse_update.init(table(), TRANSFORMATIONS["sgd"])
    state = state.replace(
        representative=jnp.asarray(np.random.default_rng(seed).integers(0, 7, V), jnp.int32)
    )
    values, state = step_of("sgd")(table(), state, ids, grads)
    wanted = np.asarray(table()).copy()
    for i, g in zip(ids, grads, strict=True):
        if i < V:
            wanted[i] -= np.float32(0.3) * g
    np.testing.assert_allclose(values, wanted, rtol=1e-5, atol=1e-5)
    untouched = ~np.isin(np.arange(V), ids)
    np.testing.assert_array_equal(values[untouched], table()[untouched])


def test_row_adagrad_is_its_equation():
    transformation = sparse_update.scale_by_row_adagrad(0.5)
    state, total = transformation.init(table()), np.zeros((V, 1))
    for seed in (1, 2, 3):
        g = np.asarray(table(seed), np.float64)
        g[5] = 0
        updates, state = transformation.update(jnp.asarray(g, jnp.float32), state)
        total += np.mean(g**2, axis=1, keepdims=True)
        np.testing.assert_allclose(updates, g / np.sqrt(total + 0.5), rtol=1e-5)


def test_row_adagrad_without_epsilon_leaves_rows_without_gradient():
    transformation = sparse_update.scale_by_row_adagrad(0.0)
    updates, _ = transformation.update(jnp.zeros((V, D)), transformation.init(table()))
    assert not np.asarray(updates).any()


@pytest.mark.parametrize("name", sorted(TRANSFORMATIONS))
def test_nothing_of_the_tables_size_is_made_or_read_whole(name):
    size, n = 5003, 16
    values = jnp.zeros((size, D))
    args = (
        values,
        sparse_update.init(values, TRANSFORMATIONS[name]),
        jnp.zeros(n, jnp.int32),
        jnp.zeros((n, D)),
    )
    jaxpr = jax.make_jaxpr(step_of(name))(*args)
    whole = {"scatter", "scatter-add", "scatter_add", "gather", "pjit", "jit"}
    found = set()

    def visit(jaxpr):
        for equation in jaxpr.eqns:
            inner = [p.jaxpr for p in equation.params.values() if hasattr(p, "jaxpr")]
            for one in inner:
                visit(one)
            big = any(
                size in getattr(v.aval, "shape", ()) for v in (*equation.invars, *equation.outvars)
            )
            if big and not inner:
                found.add(equation.primitive.name)

    visit(jaxpr.jaxpr)
    assert found and found <= whole
