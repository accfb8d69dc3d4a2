"""Tables, gather, hidden layer and dot score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from scipy import stats

from w2v_jax import model

TABLE = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
IDS = np.array([1, 0, 3, 0])
UP = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 20, 30]], np.float32)


# Gather


def test_gather_gives_the_rows_of_the_ids():
    np.testing.assert_array_equal(model.gather(jnp.asarray(TABLE), jnp.asarray(IDS)), TABLE[IDS])


def test_gradients_of_a_repeated_id_add_up():
    gradient = jax.vjp(lambda t: model.gather(t, jnp.asarray(IDS)), jnp.asarray(TABLE))[1]
    (found,) = gradient(jnp.asarray(UP))
    np.testing.assert_array_equal(found[0], [14, 25, 36])
    np.testing.assert_array_equal(found, reference.embedding_backward(TABLE, IDS, UP))


def test_gather_is_one_hot_times_the_table():
    one_hot = np.eye(4)[IDS]
    np.testing.assert_array_equal(reference.embedding(TABLE, IDS), one_hot @ TABLE)
    np.testing.assert_array_equal(reference.embedding_backward(TABLE, IDS, UP), one_hot.T @ UP)


# The hidden layer

ROWS = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
WEIGHTS = np.array([0.25, 0.25, 0, 0.25, 0.25], np.float32)


def hidden_and_gradient(legacy):
    def scaled(rows):
        h = model.hidden(rows, jnp.asarray(WEIGHTS), legacy_gradient=legacy)
        return jnp.sum(h * jnp.asarray(UP[1])), h

    (_, h), gradient = jax.value_and_grad(scaled, has_aux=True)(jnp.asarray(ROWS))
    return np.asarray(h), np.asarray(gradient)


@pytest.mark.parametrize("legacy", [False, True])
def test_hidden_is_the_mean_of_the_inputs_that_exist(legacy):
    h, _ = hidden_and_gradient(legacy)
    np.testing.assert_allclose(h, ROWS[[0, 1, 3, 4]].mean(axis=0), rtol=1e-6)


def test_hidden_gradient_is_divided_by_the_number_of_inputs():
    _, gradient = hidden_and_gradient(False)
    np.testing.assert_allclose(gradient, WEIGHTS[:, None] * UP[1], rtol=1e-6)


def test_legacy_gradient_is_not_divided_and_leaves_empty_slots_alone():
    _, gradient = hidden_and_gradient(True)
    np.testing.assert_allclose(gradient, (WEIGHTS > 0)[:, None] * UP[1], rtol=1e-6)


def test_hidden_of_a_row_without_inputs_is_zero():
    assert not model.hidden(jnp.asarray(ROWS), jnp.zeros(5), legacy_gradient=True).any()


# The score


def test_dot_score_and_its_gradient_are_the_books_embedding_dot():
    targets, h = np.array([2, 0, 2, 1]), UP
    with jax.enable_x64(True):
        table = jnp.asarray(TABLE, jnp.float64)

        def scores(table, h):
            rows = model.gather(table, jnp.asarray(targets))[:, None, :]
            return jax.vmap(model.dot_scores)(h, rows)[:, 0]

        found, gradient = jax.vjp(scores, table, jnp.asarray(h, jnp.float64))
        d_table, d_h = gradient(jnp.arange(1.0, 5.0, dtype=jnp.float64))
    np.testing.assert_allclose(found, reference.embedding_dot(TABLE, h, targets), rtol=1e-12)
    wanted = reference.embedding_dot_backward(TABLE, h, targets, np.arange(1.0, 5.0))
    np.testing.assert_allclose(d_table, wanted[0], rtol=1e-12)
    np.testing.assert_allclose(d_h, wanted[1], rtol=1e-12)


# Initial tables: Kolmogorov-Smirnov with a fixed seed; a right law fails for 1 seed in 1,000

V, D = 300, 40
LAWS = {
    "book": (stats.norm(0, 0.01), stats.norm(0, 0.01)),
    "xavier": (stats.uniform(-((6 / 340) ** 0.5), 2 * (6 / 340) ** 0.5),) * 2,
    "word2vec_c": (stats.uniform(-0.5 / D, 1 / D), None),
    "gensim": (stats.uniform(-1 / D, 2 / D), None),
}


@pytest.mark.parametrize("init", LAWS)
def test_initial_tables_follow_their_law(init):
    tables = model.init_params(jax.random.key(0), V, D, init)
    for table, law in zip(tables, LAWS[init], strict=True):
        assert table.shape == (V, D) and table.dtype == jnp.float32
        values = np.asarray(table, np.float64).ravel()
        if law is None:
            assert not values.any()
            continue
        low, high = law.support()
        assert low <= values.min() and values.max() <= high
        assert stats.kstest(values, law.cdf).pvalue > 1e-3
        assert abs(values.std() / law.std() - 1) < 4 / np.sqrt(2 * values.size)  # 4 standard errors


@pytest.mark.parametrize("init", ["book", "xavier"])
def test_the_two_initial_tables_are_independent(init):
    tables = model.init_params(jax.random.key(0), V, D, init)
    correlation = np.corrcoef(np.ravel(tables.input), np.ravel(tables.output))[0, 1]
    assert abs(correlation) < 4 / np.sqrt(V * D)  # 4 standard errors


def test_initial_tables_are_a_function_of_the_key():
    one, same, other = (
        np.asarray(model.init_params(jax.random.key(seed), V, D, "gensim").input)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.99
