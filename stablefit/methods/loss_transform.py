"""Transforms of losses: what a method is that looks at a batch more than once, or elsewhere than at the parameters.

    loss(params) = apply(forward, params, key).loss

A transform gets the forward pass as a function and may call it with other parameters, or with another key for the noise
of dropout and mixout, as often as it likes. It gives what a forward pass gives, so transforms can be put into each
other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from stablefit.paths import Key

Params = Any  # a pytree of arrays


class Pass(NamedTuple):
    """What a forward pass over a batch gives."""

    losses: jax.Array  # [E], of each example
    outputs: jax.Array  # [E, ...], of the network
    targets: jax.Array  # [E, ...], what the losses compare them with
    weights: jax.Array  # [E], what each example counts; 0 for a filler

    @property
    def loss(self) -> jax.Array:
        """sum(w l) / sum(w), of shape ()."""
        # where, not a product: a filler must not leak a NaN of its own into the sum
        return jnp.sum(jnp.where(self.weights > 0, self.losses * self.weights, 0.0)) / jnp.sum(self.weights)


Forward = Callable[[Params, Key], Pass]


class LossTransform(NamedTuple):
    """One pure function, `apply(forward, params, key) -> Pass`: the forward pass of the transformed loss.

    `by_example` says that an example's loss is a function of it and the parameters alone, so that the gradient of a
    batch is the sum of those of its parts.
    """

    apply: Callable[[Forward, Params, Key], Pass]
    by_example: bool = False


def _as_it_is(forward: Forward, params: Params, key: Key) -> Pass:
    return forward(params, key)


_IDENTITY = LossTransform(_as_it_is, by_example=True)  # one object, so that it can be recognised and skipped


def same_loss() -> LossTransform:
    """The transform that is the loss itself.

    >>> same_loss().apply(lambda params, key: params, 3.0, jax.random.key(0))
    3.0
    """
    return _IDENTITY


def chain_losses(*transforms: LossTransform) -> LossTransform:
    """Transforms put into each other, the first innermost; identities are dropped.

        apply(forward, params, key) = apply_n(... apply_1(forward, ...) ..., params, key)

    >>> chain_losses(same_loss(), same_loss()) == same_loss()
    True
    """
    parts = [part for part in transforms if part != _IDENTITY]
    if len(parts) <= 1:
        return parts[0] if parts else _IDENTITY
    inner, outer = chain_losses(*parts[:-1]), parts[-1]

    def apply(forward: Forward, params: Params, key: Key) -> Pass:
        return outer.apply(lambda p, k: inner.apply(forward, p, k), params, key)

    return LossTransform(apply, inner.by_example and outer.by_example)
