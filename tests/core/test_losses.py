"""The losses of one row of scores."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference
from jax.test_util import check_grads

from w2v_jax import losses

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(6, 5)) * 3
LABELS = (RNG.random((6, 5)) < 0.4).astype(float)
WEIGHTS = (RNG.random((6, 5)) < 0.7).astype(float)
WEIGHTS[:, 0] = 1
TARGETS = RNG.integers(0, 5, (6, 3))
MASKED = ("negative_sampling", "masked_mean")
DERIVED = (*MASKED, "softmax")  # any entry of LOSSES: test_registry_entries.py


jitted = cache(jax.jit)
with_gradient = cache(lambda function: jax.vmap(jax.value_and_grad(function)))


def in_float64(function, *args):
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, jitted(function)(*(jnp.asarray(a) for a in args)))


def rows_of(name, scores=SCORES):
    """Loss and gradient of each row, in float64."""
    if name == "softmax":
        function, args = losses.softmax, (scores, TARGETS, WEIGHTS[:, :3])
    else:
        function, args = getattr(losses, name), (scores, LABELS, WEIGHTS)
    return in_float64(with_gradient(function), *args)


def test_negative_sampling_and_its_gradient_are_the_derivations():
    value, gradient = rows_of("negative_sampling")
    signed = np.where(LABELS > 0, SCORES, -SCORES)
    np.testing.assert_allclose(
        value, np.sum(WEIGHTS * np.log1p(np.exp(-signed)), axis=1), rtol=1e-12
    )
    np.testing.assert_allclose(
        gradient, WEIGHTS * (reference.sigmoid(SCORES) - LABELS), rtol=1e-11, atol=1e-14
    )


def test_negative_sampling_over_a_batch_is_the_books_sigmoid_with_loss():
    scores, labels = SCORES[:, 0], LABELS[:, 0]

    def mean(scores, labels):
        return jnp.mean(losses.negative_sampling_terms(scores, labels))

    value, gradient = in_float64(jax.value_and_grad(mean), scores, labels)
    wanted, wanted_gradient = reference.sigmoid_with_loss(scores, labels)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    np.testing.assert_allclose(gradient, wanted_gradient, rtol=1e-11)


def test_masked_mean_is_d2ls():
    value, _ = rows_of("masked_mean")
    np.testing.assert_allclose(value, reference.masked_bce(SCORES, LABELS, WEIGHTS), rtol=1e-12)


def test_masked_mean_gives_the_chapters_numbers():
    scores = jnp.float32([[1.1, -2.2, 3.3, -4.4]] * 2)
    labels = jnp.float32([[1, 0, 0, 0], [0, 1, 0, 0]])
    masks = jnp.float32([[1, 1, 1, 1], [1, 1, 0, 0]])
    found = jax.vmap(losses.masked_mean)(scores, labels, masks)
    np.testing.assert_allclose(found, [0.9352, 1.8462], atol=5e-5)


def test_softmax_and_its_gradient_are_the_derivations():
    value, gradient = rows_of("softmax")
    for row in range(len(SCORES)):
        log_p = reference.log_softmax(SCORES[row])
        weights = WEIGHTS[row, :3]
        np.testing.assert_allclose(value[row], -np.sum(weights * log_p[TARGETS[row]]), rtol=1e-12)
        wanted = weights.sum() * np.exp(log_p)
        np.subtract.at(wanted, TARGETS[row], weights)
        np.testing.assert_allclose(gradient[row], wanted, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", DERIVED)
def test_gradient_is_the_slope(name):
    second = (TARGETS[0], WEIGHTS[0, :3]) if name == "softmax" else (LABELS[0], WEIGHTS[0])
    with jax.enable_x64(True):
        second = [jnp.asarray(a) for a in second]
        check_grads(
            jax.jit(lambda scores: getattr(losses, name)(scores, *second)),
            (jnp.asarray(SCORES[0]),),
            order=2,
            modes=["rev"],
        )


@pytest.mark.parametrize("name", DERIVED)
def test_a_batch_is_its_rows_one_by_one(name):
    value, _ = rows_of(name)
    args = (TARGETS, WEIGHTS[:, :3]) if name == "softmax" else (LABELS, WEIGHTS)
    alone = [in_float64(getattr(losses, name), *row) for row in zip(SCORES, *args, strict=True)]
    np.testing.assert_allclose(value, alone, rtol=1e-14)


@pytest.mark.parametrize("name", MASKED)
def test_empty_slots_have_no_gradient_and_no_say(name):
    value, gradient = rows_of(name)
    other, _ = rows_of(name, np.where(WEIGHTS > 0, SCORES, 77.0))
    assert not gradient[WEIGHTS == 0].any()
    assert gradient[WEIGHTS > 0].all()
    np.testing.assert_array_equal(value, other)


@pytest.mark.parametrize("name", DERIVED)
def test_an_empty_row_is_zero_with_zero_gradient(name):
    labels = jnp.asarray(TARGETS[0]) if name == "softmax" else jnp.float32(LABELS[0])
    function = partial(getattr(losses, name), weights=jnp.zeros(labels.shape))
    value, gradient = jax.jit(jax.value_and_grad(function))(jnp.float32(SCORES[0]), labels)
    assert value == 0 and not gradient.any()


@jax.jit
@jax.value_and_grad
def term(score, label):
    return losses.negative_sampling_terms(score[None], label[None])[0]


@pytest.mark.parametrize("label", [0.0, 1.0])
@pytest.mark.parametrize("score", [-1e4, -50.0, -6.5, 6.5, 50.0, 1e4])
def test_nothing_is_clipped_at_large_scores(score, label):
    value, gradient = term(jnp.float32(score), jnp.float32(label))
    wanted, _ = reference.sigmoid_with_loss(np.array([score]), np.array([label]))
    slope = -reference.sigmoid(-score) if label else reference.sigmoid(score)
    np.testing.assert_allclose(value, wanted, rtol=1e-6, atol=1e-38)
    np.testing.assert_allclose(gradient, slope, rtol=1e-6, atol=1e-38)
