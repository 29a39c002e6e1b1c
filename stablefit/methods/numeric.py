"""Numbers that may be Python constants or traced, and the dtype that arithmetic is done in."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from stablefit.errors import InputError

Scalar = float | jax.Array  # a Python number, or an array of shape () that may be traced


def is_constant(x: Any, value: float) -> bool:
    """Is `x` the Python number `value`? A traced scalar never is, whatever it will hold.

    >>> is_constant(0.0, 0), is_constant(jnp.zeros(()), 0)
    (True, False)
    """
    return isinstance(x, int | float) and x == value


def check_range(name: str, x: Any, low: float, high: float = math.inf) -> None:
    """Raise InputError for a Python number outside [low, high]; a traced one cannot be looked at.

    >>> check_range("mixout rate", 1.5, 0, 1)
    Traceback (most recent call last):
    ...
    stablefit.errors.InputError: mixout rate is 1.5; it must lie in [0, 1]
    """
    if isinstance(x, int | float) and not low <= x <= high:
        allowed = f"lie in [{low:g}, {high:g}]" if high < math.inf else f"be at least {low:g}"
        raise InputError(f"{name} is {x}; it must {allowed}")


def widen(x: Any) -> jax.Array:
    """`x` in float32, or in its own dtype if that is wider.

    Updates of 2e-5 vanish beside weights of 0.04 in bfloat16, so every sum here is taken in float32 and cast back.

    >>> widen(jnp.zeros((), jnp.bfloat16)).dtype
    dtype('float32')
    """
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
