"""Reading and writing rows under vmap: the same as each trial alone, by plain scatters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from w2v_jax import table_ops

S, V, D = 3, 5, 4
RNG = np.random.default_rng(0)
TABLES = RNG.normal(size=(S, V, D)).astype(np.float32)
IDS = np.array([[0, 4, 4, 5, 2], [5, 5, 1, 0, 1], [3, 3, 3, 3, 9]], np.int32)  # 5 and 9: no row
ROWS = RNG.normal(size=(*IDS.shape, D)).astype(np.float32)


def added(table, ids, rows):
    table = table.copy()
    for i, row in zip(ids, rows, strict=True):
        if i < len(table):
            table[i] += row
    return table


def test_rows_are_added_in_their_own_trial():
    expected = [added(*one) for one in zip(TABLES, IDS, ROWS, strict=True)]
    found = jax.vmap(table_ops.scatter_add)(TABLES, IDS, ROWS)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_rows_are_added_at_ids_of_any_shape():
    ids, rows = IDS.reshape(S, 5, 1), ROWS.reshape(S, 5, 1, D)
    np.testing.assert_array_equal(
        jax.vmap(table_ops.scatter_add)(TABLES, ids, rows),
        jax.vmap(table_ops.scatter_add)(TABLES, IDS, ROWS),
    )


def test_numbers_are_set_in_their_own_trial():
    tables = np.full((S, V), -1, np.int32)
    ids = np.array([[0, 2, 5], [1, 9, 0], [4, 3, 2]], np.int32)
    values = np.arange(9, dtype=np.int32).reshape(3, 3)
    found = jax.vmap(table_ops.scatter_set)(tables, ids, values)
    assert found.tolist() == [[0, -1, 1, -1, -1], [5, 3, -1, -1, -1], [-1, -1, 8, 7, 6]]


def test_ids_without_a_repetition_have_none_where_trials_are_folded():
    rng = np.random.default_rng(1)
    for n in (1, 4, 9):
        ids = np.stack([rng.permutation(V + n)[:n] for _ in range(S)]).astype(np.int32)
        _, folded = table_ops._fold_ids(jnp.asarray(ids), V)
        assert len(np.unique(folded)) == S * n
        np.testing.assert_array_equal(np.asarray(folded) < S * V, ids < V)
        rows = rng.normal(size=(S, n, D)).astype(np.float32)
        np.testing.assert_array_equal(
            jax.vmap(table_ops.scatter_add_unique)(TABLES, ids, rows),
            jax.vmap(table_ops.scatter_add)(TABLES, ids, rows),
        )


def test_rows_are_read_from_their_own_trial():
    found = np.asarray(jax.vmap(table_ops.gather)(TABLES, IDS))
    for s in range(S):
        np.testing.assert_array_equal(found[s], TABLES[s][np.minimum(IDS[s], V - 1)])


def test_a_table_that_all_share_is_read_and_written():
    found = jax.vmap(table_ops.gather, (None, 0))(TABLES[0], IDS)
    np.testing.assert_array_equal(found, TABLES[0][np.minimum(IDS, V - 1)])
    found = jax.vmap(table_ops.scatter_add, (None, 0, None))(TABLES[0], IDS, ROWS[0])
    expected = [added(TABLES[0], ids, ROWS[0]) for ids in IDS]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_gradient_adds_up_within_a_trial():
    def loss(table, ids):
        return jnp.sum(table_ops.gather(table, ids) * jnp.arange(1.0, 5.0)[:, None])

    ids = np.array([[1, 0, 3, 0], [2, 2, 2, 2], [4, 3, 2, 1]], np.int32)
    found = jax.vmap(jax.grad(loss))(TABLES, ids)
    expected = [[6, 1, 0, 3, 0], [0, 0, 10, 0, 0], [0, 4, 3, 2, 1]]
    np.testing.assert_array_equal(found, np.broadcast_to(np.array(expected)[..., None], (S, V, D)))


@pytest.mark.parametrize(
    "operation", [table_ops.scatter_add, table_ops.scatter_add_unique, table_ops.scatter_set]
)
def test_no_scatter_has_a_batch_axis(operation):
    jaxpr = jax.make_jaxpr(jax.vmap(operation))(TABLES, IDS, ROWS)
    scatters = [e for e in jaxpr.jaxpr.eqns if "scatter" in e.primitive.name]
    inner = [e for e in jaxpr.jaxpr.eqns if "custom_vmap" in e.primitive.name]
    scatters += [
        e for c in inner for e in c.params["call"].jaxpr.eqns if "scatter" in e.primitive.name
    ]
    assert [s.invars[0].aval.shape for s in scatters] == [(S * V, D)]


def test_a_loop_runs_to_the_longest_trials_end():
    def count(number):
        return jax.lax.fori_loop(0, table_ops.most(number), lambda i, c: c + 1, 0)

    assert jax.vmap(count, out_axes=None)(jnp.array([3, 7, 5])) == 7
    assert count(jnp.array(4)) == 4
