"""The products of the blocks engine, each with the gradient that is fastest on a CPU."""

import jax
import jax.numpy as jnp

from w2v_jax import model


@jax.custom_vjp
def product(left: jax.Array, right: jax.Array) -> jax.Array:
    """Scores of each row with each: [.., n, D] and [.., m, D] -> [.., n, m]."""
    return _plain_product(left, right)


def _plain_product(left, right):
    return jnp.einsum("...nd,...md->...nm", left, right, precision=model.PRECISION)


def _product_forward(left, right):
    return _plain_product(left, right), (left, right)  # plain: jax.jvp of a training passes here


def _product_backward(rows, slope):
    left, right = rows
    of_left = jnp.einsum("...nm,...md->...nd", slope, right, precision=model.PRECISION)
    # Turned over first, and multiplied plainly then. The barrier is gone from XLA's CPU program,
    # but until then keeps the turning out of the product, which goes to a slower library with
    # it: a skip-gram step then takes 4 to 8% more of the CPU, one of CBOW 1 to 2%.
    turned = jax.lax.optimization_barrier(jnp.swapaxes(slope, -1, -2))
    of_right = jnp.einsum("...mn,...nd->...md", turned, left, precision=model.PRECISION)
    return of_left, of_right


product.defvjp(_product_forward, _product_backward)


@jax.custom_vjp
def weighted_sums(shares: jax.Array, rows: jax.Array) -> jax.Array:
    """Sums of rows, each by its share: [.., n, m] and [.., m, D] -> [.., n, D].

    jnp.matmul, with a faster gradient of the rows.
    """
    return jnp.matmul(shares, rows, precision=model.PRECISION)


def _weighted_sums_forward(shares, rows):
    return jnp.matmul(shares, rows, precision=model.PRECISION), (shares, rows)


def _weighted_sums_backward(operands, slope):
    shares, rows = operands
    # As in `product`: 2 to 5% of a step.
    turned = jax.lax.optimization_barrier(jnp.swapaxes(shares, -1, -2))
    of_rows = jnp.matmul(turned, slope, precision=model.PRECISION)
    of_shares = jnp.einsum("...nd,...md->...nm", slope, rows, precision=model.PRECISION)
    return of_shares, of_rows


weighted_sums.defvjp(_weighted_sums_forward, _weighted_sums_backward)


def rowwise_scores(left: jax.Array, right: jax.Array) -> jax.Array:
    """Scores of each row with the one at its index: [.., D] twice -> [..]."""
    ones = jnp.ones((left.shape[-1],), left.dtype)
    # By a product, for XLA sums the rows of an array one number at a time.
    return jnp.matmul(left * right, ones, precision=model.PRECISION)
