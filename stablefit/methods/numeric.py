"""Numbers that may be Python constants or traced, and the dtype that arithmetic is done in."""

import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stablefit.errors import InputError
from stablefit.paths import Stack

Scalar = float | jax.Array  # a Python number, or an array of shape () that may be traced


def is_constant(x: Any, value: float) -> bool:
    """Is `x` the Python or NumPy number `value`? A traced scalar never is, whatever it will hold.

    >>> is_constant(0.0, 0), is_constant(np.float32(0), 0), is_constant(jnp.zeros(()), 0)
    (True, True, False)
    """
    return isinstance(x, int | float | np.generic) and bool(x == value)


def known_number(name: str, x: Any) -> float | None:
    """The number that `x` is, None for one that is traced or lies on a device.

    Raises:
        InputError: no number, such as a schedule where none is taken, or an array of more than one.

    >>> known_number("mixout rate", np.float32(1.5)), known_number("mixout rate", jnp.zeros(()))
    (1.5, None)
    >>> known_number("mixout rate", lambda step: 0.1)
    Traceback (most recent call last):
    ...
    stablefit.errors.InputError: mixout rate is a function; it must be a number ...
    """
    if callable(x):
        raise InputError(f"{name} is a function; it must be a number (optax.inject_hyperparams takes any schedule)")
    if isinstance(x, jax.Array):
        if x.ndim or not (jnp.issubdtype(x.dtype, jnp.number) or x.dtype == bool):
            raise InputError(f"{name} is an array of shape {x.shape} and type {x.dtype}; it must be one number")
        return None
    if isinstance(x, int | float | np.generic | np.ndarray) and np.ndim(x) == 0 and np.asarray(x).dtype.kind in "biuf":
        return float(x)
    raise InputError(f"{name} is {x!r}; it must be a number")


def check_range(name: str, x: Any, low: float, high: float = math.inf) -> None:
    """Raise InputError for a number outside [low, high]; a traced one cannot be looked at.

    >>> check_range("mixout rate", 1.5, 0, 1)
    Traceback (most recent call last):
    ...
    stablefit.errors.InputError: mixout rate is 1.5; it must lie in [0, 1]
    """
    value = known_number(name, x)
    if value is not None and not low <= value <= high:
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


def norm(x: jax.Array, axis: int | None = None) -> jax.Array:
    """The length of a tensor, shape (); with an axis of depth that of each block, [1, ..., L, ..., 1].

    >>> norm(jnp.array([[3.0, 4.0], [0.0, 2.0]]), 0).tolist()
    [[5.0], [2.0]]
    """
    if axis is None:
        return jnp.linalg.norm(x)
    others = tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    return jnp.sqrt(jnp.sum(jnp.square(x), axis=others, keepdims=True))


def joint_norm(tree: Any) -> jax.Array:
    """The length of all leaves together, shape (); float32 for leaves of lower precision.

    The bits of `optax.tree.norm`, which looks for the imaginary part of a real leaf, and so raises on an explicit mesh.

    >>> float(joint_norm([jnp.array([1.0, 2.0]), jnp.float32(2)]))
    3.0
    """

    def squared(x: Any) -> jax.Array:
        x = widen(x)
        return jnp.sum(jnp.square(x.real) + jnp.square(x.imag) if jnp.iscomplexobj(x) else jnp.square(x))

    return jnp.sqrt(jax.tree.reduce(operator.add, jax.tree.map(squared, tree), 0))


def depth_axis(stack: Stack | None, name: str) -> int | None:
    """The axis along which a leaf holds the blocks of the stack, None if it does not."""
    return stack.axis if stack and stack.holds(name) else None
