"""Sharpness-aware minimisation: the loss where it is worst nearby."""

from typing import Any

import jax
import jax.numpy as jnp

from stablefit.methods.loss_transform import Forward, LossTransform, Params, Pass, same_loss
from stablefit.methods.numeric import Scalar, check_range, is_constant, joint_norm, widen
from stablefit.paths import Key


def sam(rho: Scalar) -> LossTransform:
    """The loss at a step of length rho up the gradient.

        loss(w + e),   e = rho g / |g|,   g = grad loss(w),   |g| over all parameters

    e is a constant: no derivative is taken through it. Both passes have the same batch and the same noise. A step costs
    two gradients.

    Trap: the loss that a run records is that at w + e, as a rule above the one at w: two curves with and without SAM
    are no comparison. And |g| is over all parameters, so that one rho means less for each weight of a larger model.

    Args:
        rho: at least 0; a Python number or a scalar that may be traced. 0 is the identity, and as a Python number costs
            no second gradient.

    Returns:
        A `LossTransform`. Where g is 0, so is e.

    Raises:
        InputError: rho is negative.

    With the loss w^2 / 2 at w = 3 and rho = 0.5 the gradient is taken at 3.5:

    >>> def forward(w, key):
    ...     return Pass(0.5 * w * w * jnp.ones(1), jnp.ones(1), jnp.ones(1), jnp.ones(1))
    >>> float(jax.grad(lambda w: sam(0.5).apply(forward, w, jax.random.key(0)).loss)(3.0))
    3.5

    Reference: Foret, Kleiner, Mobahi, Neyshabur, "Sharpness-Aware Minimization for Efficiently Improving
    Generalization", ICLR 2021, with p = 2. `optax.contrib.sam` in opaque mode takes the same gradient; it wraps a whole
    optimizer, where this is a loss, so that clipping, Adam and the decays see one gradient and stay where they are.
    """
    check_range("rho of SAM", rho, 0)
    if is_constant(rho, 0):
        return same_loss()

    def apply(forward: Forward, params: Params, key: Key) -> Pass:
        here = jax.lax.stop_gradient(params)
        g = jax.grad(lambda p: forward(p, key).loss)(here)
        norm = joint_norm(g)
        scale = jnp.where(norm > 0, rho / jnp.where(norm > 0, norm, 1), 0)

        def leaf(w: Any, slope: Any) -> jax.Array:
            return (widen(w) + scale * widen(slope)).astype(w.dtype)

        return forward(jax.tree.map(leaf, params, g), key)

    return LossTransform(apply)
