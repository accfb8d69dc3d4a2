"""Random words of the noise distribution Pn."""

import jax
import jax.numpy as jnp

from w2v_jax.types import HyperParams

CHOICE = 2**14  # the largest vocabulary that jax.random.choice draws from


def independent(key: jax.Array, count: int, hyper: HyperParams) -> jax.Array:
    """Independent words of Pn: key -> [count] int32.

    Up to CHOICE words by jax.random.choice. That looks up one of 2^23 equally likely numbers in a
    float32 cumulative sum, which it makes in every call: a word's probability is off by up to
    about 2^-23, 1% of the rarest of 2^14 words, half of the rarest of 10^6 (Zipf's law, power 3/4).
    Larger vocabularies are looked up by 32 bits in a table made once (`vocab.cumulative`).
    """
    size = hyper.noise.shape[0]
    if size <= CHOICE:
        return jax.random.choice(key, size, (count,), p=hyper.noise).astype(jnp.int32)
    return of_bits(jax.random.bits(key, (count,), jnp.uint32), hyper)


def of_bits(bits: jax.Array, hyper: HyperParams) -> jax.Array:
    """The word that each number of 32 bits draws: [..] uint32 -> [..] int32.

    Every word owns as many of the 2^32 numbers as Pn says, to the nearest: one of a probability
    below 2^-33 may own none.
    """
    # Words after the last that owns any begin at 2^32 - 1, as does 2^32, which has no 32 bits.
    bits = jnp.minimum(bits, jnp.uint32(2**32 - 2))
    return jnp.searchsorted(hyper.noise_cdf, bits, side="right").astype(jnp.int32)
