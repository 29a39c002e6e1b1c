"""Dropout whose random bits are a hash of the element's index: equal masks for equal keys, on any number of devices.

JAX's own bits are a visible part of a training step on a CPU, because XLA does not fuse threefry with its use.
Here 64 bits are drawn from the key with JAX's own generator, once a mask; an element's 32 bits are then a function of
them and of its index that XLA fuses, and that the backward pass computes again instead of keeping a mask:

    x = mix(index * 0x9E3779B9 + seed_0);  bits = mix(x + seed_1);  keep = bits >= rate * 2^32

`mix` is a bijection of 32 bits, "lowbias32" of C. Wellons, https://nullprogram.com/blog/2018/07/31/. Adding the second
seed between two rounds keeps the masks of two keys from being one mask in another order. It is no cryptographic
generator; `tests/models/test_dropout.py` holds what is required of it: rate, independence between positions, between
layers, between steps and between seeds.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from stablefit.errors import InputError
from stablefit.paths import Key


class Dropout(nn.Module):
    """`y = x * keep / (1 - rate)`, keep ~ Bernoulli(1 - rate) for each element; its key is linen's stream "dropout".

    Args:
        rate: the probability that an element becomes 0, in [0, 1).
    """

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, *, deterministic: bool) -> jax.Array:
        if not 0.0 <= self.rate < 1.0:
            raise InputError(f"dropout={self.rate} is outside 0 <= dropout < 1")
        if deterministic or self.rate == 0.0:
            return x
        return drop(x, seeds(self.make_rng("dropout")), self.rate)


def seeds(key: Key) -> jax.Array:
    """The two 32-bit words of a mask, from a JAX key."""
    return jax.random.bits(key, (2,), jnp.uint32)


def keep_mask(seeds_2: jax.Array, shape: tuple[int, ...], rate: float) -> jax.Array:
    """True where an element is kept; a function of the seeds and the element's index alone.

    Args:
        seeds_2: uint32, shape (2,).
        shape: of the mask; at most 2^32 elements, after which indices would repeat.
        rate: the probability of False, rounded to a multiple of 2^-32.
    """
    if math.prod(shape) > 2**32:
        raise InputError(f"dropout over shape {shape} has more than 2^32 elements; use a smaller batch")
    index = jnp.zeros(shape, jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape))):
        index += lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride % 2**32)
        stride *= shape[axis]
    bits = _mix(_mix(index * jnp.uint32(0x9E3779B9) + seeds_2[0]) + seeds_2[1])
    return bits >= jnp.uint32(min(round(rate * 2**32), 2**32 - 1))


def _mix(x: jax.Array) -> jax.Array:
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def _apply(x: jax.Array, seeds_2: jax.Array, rate: float) -> jax.Array:
    return jnp.where(keep_mask(seeds_2, x.shape, rate), x * (1.0 / (1.0 - rate)), 0.0)


def _drop_forward(x: jax.Array, seeds_2: jax.Array, rate: float) -> tuple[jax.Array, jax.Array]:
    return _apply(x, seeds_2, rate), seeds_2


def _drop_backward(rate: float, seeds_2: jax.Array, g: jax.Array) -> tuple[jax.Array, None]:
    return _apply(g, seeds_2, rate), None


drop: Any = jax.custom_vjp(_apply, nondiff_argnums=(2,))
drop.defvjp(_drop_forward, _drop_backward)
