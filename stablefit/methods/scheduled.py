"""A rate that is a schedule, where a transform takes a number."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax


class ScheduledState(NamedTuple):
    """State of a transform whose rate is a schedule."""

    count: Any  # shape (), int32: steps taken
    inner: Any  # the state of the transform


def scheduled(
    rate: optax.Schedule, make: Callable[[Any], optax.GradientTransformation]
) -> optax.GradientTransformationExtraArgs:
    """The transform `make(rate(t))` at step t = 0, 1, ...

    >>> growing = scheduled(lambda t: 1.0 + t, optax.scale)
    >>> state = growing.init(jnp.float32(0))
    >>> for _ in range(2):
    ...     update, state = growing.update(jnp.float32(1), state)
    >>> float(update)
    2.0
    """

    def init(params: Any) -> ScheduledState:
        return ScheduledState(jnp.zeros((), jnp.int32), make(jnp.zeros(())).init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, ScheduledState]:
        inner = optax.with_extra_args_support(make(jnp.asarray(rate(state.count))))
        updates, inner_state = inner.update(updates, state.inner, params, **extra)
        return updates, ScheduledState(optax.safe_increment(state.count), inner_state)

    return optax.GradientTransformationExtraArgs(init, update)
