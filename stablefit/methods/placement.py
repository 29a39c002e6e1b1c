"""Where a leaf lies that a method makes: as the one that it is made for."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.sharding import AxisType


def placed_like(fresh: jax.Array, old: Any) -> jax.Array:
    """The fresh leaf, placed as the old one: by device, in a program by mesh.

    What holds values that depend on the old ones lies as they do without this; constants and draws do not. A leaf that
    is free to move, as `jnp.ones` gives it, leaves the fresh one free too.

    Args:
        fresh: of the old leaf's shape.
        old: an array or a tracer; beside anything else, a NumPy array or a shape, the fresh leaf is left as it is.

    >>> device = jax.devices()[0]
    >>> placed_like(jax.numpy.zeros(2), jax.device_put(jax.numpy.ones(2), device)).devices() == {device}
    True
    """
    if not isinstance(old, jax.Array):
        return fresh
    if not isinstance(old, Tracer):
        return jax.device_put(fresh, old.sharding) if old.committed else fresh
    sharding = jax.typeof(old).sharding
    kinds = set(getattr(sharding.mesh, "axis_types", ()))
    if AxisType.Explicit in kinds:
        return jax.sharding.reshard(fresh, sharding)
    # What is computed from two arrays element by element lies as they do. No number is larger than infinity.
    return jnp.where(old > jnp.inf, old, fresh).astype(fresh.dtype) if kinds == {AxisType.Auto} else fresh
