"""Gradient clipping by the norm of all gradients, or of each tensor."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stablefit.methods.numeric import Scalar, check_range, depth_axis, is_constant, joint_norm, norm, widen
from stablefit.paths import find_stack, map_named


def clip_by_global_norm(max_norm: Scalar) -> optax.GradientTransformation:
    """Scale all updates down together, so that their joint norm is at most `max_norm`.

        g = g min(1, max_norm / |g|),   |g| over all leaves

    Trap: inside `optax.masked` or `multi_transform` each group is clipped by its own norm, and after Adam it is steps
    that are clipped. Put it first, outside.

    Args:
        max_norm: above 0; a Python number or a scalar that may be traced. `math.inf` is the identity.

    Returns:
        An `optax.GradientTransformation` without state. The norm is taken in float32 for bfloat16 updates.

    Raises:
        InputError: a negative norm.

    >>> clip = clip_by_global_norm(1.0)
    >>> updates, _ = clip.update([jnp.float32(3), jnp.float32(4)], clip.init(None))
    >>> [round(float(u), 6) for u in updates]
    [0.6, 0.8]

    Reference: Pascanu et al., ICML 2013. torch adds 1e-6 to the norm it divides by, this one does not. optax's own
    function is the same but for a traced `max_norm`, with which it cannot clip bfloat16.
    """

    def factors(updates: Any) -> Any:
        factor = _factor(joint_norm(updates), max_norm)
        return jax.tree.map(lambda _: factor, updates)

    return _clip(max_norm, factors)


def clip_by_component_norm(
    max_norm: Scalar, *, stack: str | None = None, axis: int | None = None
) -> optax.GradientTransformation:
    """Scale each tensor's update down on its own, so that its norm is at most `max_norm`.

        g_i = g_i min(1, max_norm / |g_i|)   for each leaf i

    Trap: a limit that was found for the global norm clips less here: n tensors may still have a joint norm of
    sqrt(n) max_norm. And the gradient as a whole changes its direction.

    Args:
        max_norm: above 0; a Python number or a scalar that may be traced. `math.inf` is the identity.
        stack, axis: where scan-over-layers keeps all blocks in one leaf: what holds such leaves, and the axis of depth.
            Each block is a tensor of its own then.

    Returns:
        An `optax.GradientTransformation` without state.

    Raises:
        InputError: a negative norm.

    >>> clip = clip_by_component_norm(1.0)
    >>> updates, _ = clip.update([jnp.float32(3), jnp.float32(0.5)], clip.init(None))
    >>> [round(float(u), 6) for u in updates]
    [1.0, 0.5]

    Reference: Yang, Ma, "Improving Stability of Fine-Tuning Pretrained Language Models via Component-Wise Gradient
    Norm Clipping", EMNLP 2022. Each tensor is a component here; their components are the same, by parameter.
    """

    def factors(updates: Any) -> Any:
        found = None if axis is None else find_stack(updates, stack=stack, axis=axis)
        return map_named(lambda name, u: _factor(norm(widen(u), depth_axis(found, name)), max_norm), updates)

    return _clip(max_norm, factors)


def _clip(max_norm: Scalar, factors: Callable[[Any], Any]) -> optax.GradientTransformation:
    check_range("norm to clip to", max_norm, 0)
    if is_constant(max_norm, math.inf):
        return optax.identity()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.EmptyState]:
        del params
        return jax.tree.map(lambda u, k: (k * widen(u)).astype(u.dtype), updates, factors(updates)), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def _factor(length: jax.Array, max_norm: Scalar) -> jax.Array:
    # The factor is exactly 1 within the limit, and the division is safe at a norm of 0.
    return jnp.where(length > max_norm, max_norm / jnp.where(length > max_norm, length, 1), 1)
