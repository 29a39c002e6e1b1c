"""Random values for many named leaves."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from stablefit.paths import Key, keys_for

Shape = tuple[int, ...]


def draw_leaves(
    key: Key, purpose: str, shapes: Mapping[str, Shape], draw: Callable[[Key, Shape], jax.Array]
) -> dict[str, jax.Array]:
    """One draw for each name, from the key of `purpose/name`; the same bits as one call for each.

    Leaves of one shape share a call: every separate call is compiled anew, and an encoder has hundreds of leaves of a
    handful of shapes.

    Args:
        key: a typed JAX key, shape ().
        purpose: what the noise is for, the name of the method.
        shapes: the shape to draw for each name.
        draw: (key, shape) -> array of that shape.

    Returns:
        The arrays by name.

    >>> drawn = draw_leaves(jax.random.key(0), "mixout", {"a": (2,), "b": (2,), "c": (3,)}, jax.random.normal)
    >>> {name: array.shape for name, array in drawn.items()}
    {'a': (2,), 'b': (2,), 'c': (3,)}
    """
    if not shapes:
        return {}
    names = list(shapes)
    keys = keys_for(key, [f"{purpose}/{name}" for name in names])
    drawn: dict[str, jax.Array] = {}
    for shape in dict.fromkeys(shapes.values()):
        where = np.asarray([i for i, name in enumerate(names) if shapes[name] == shape])
        together = jax.vmap(lambda k, shape=shape: draw(k, shape))(keys[where])
        drawn |= dict(zip((names[i] for i in where), jnp.unstack(together), strict=True))
    return {name: drawn[name] for name in names}
