"""Weight decay toward zero, of everything but biases and LayerNorm scales."""

from collections.abc import Callable
from typing import Any

import jax
import optax

from stablefit.errors import InputError
from stablefit.methods.numeric import Scalar, check_range, is_constant, widen
from stablefit.paths import map_named

_NOT_DECAYED = ("bias", "scale")


def decay_mask(params: Any) -> Any:
    """Which leaves decay: all but those called `bias` or `scale`, and those of a `crf`. Embeddings do.

    Args:
        params: any pytree of named leaves.

    Returns:
        A tree of Python booleans.

    >>> decay_mask({"LayerNorm": {"bias": 0, "scale": 0}, "kernel": 0})
    {'LayerNorm': {'bias': False, 'scale': False}, 'kernel': True}

    The released code of BERT excludes names that contain `LayerNorm` or `bias`: the same leaves, in Flax's names. The
    scores of a CRF are added to logits as biases are, and have no pre-trained values to be pulled to.
    """

    def decays(name: str, _: Any) -> bool:
        *parents, last = name.split("/")
        return last not in _NOT_DECAYED and "crf" not in parents

    return map_named(decays, params)


def add_weight_decay(
    rate: Scalar, mask: Callable[[Any], Any] | Any | None = decay_mask
) -> optax.GradientTransformation:
    """Add `rate` times the parameters to the updates.

        u = u + rate w

    Put it after Adam and before the layer multipliers and the learning rate: then the decay of a leaf is scaled by the
    leaf's own scheduled rate, as torch does with parameter groups. Put before Adam it would be L2 regularisation.

    Args:
        rate: at least 0; a Python number or a scalar that may be traced. 0 is the identity.
        mask: a tree of booleans, which may be traced, or a function from the parameters to one; None decays all.

    Returns:
        An `optax.GradientTransformation`; its `update` needs `params`.

    Raises:
        InputError: a negative rate; at `update`, missing `params`.

    >>> decay = add_weight_decay(0.1)
    >>> w = {"kernel": jax.numpy.ones(1), "bias": jax.numpy.ones(1)}
    >>> updates, _ = decay.update(jax.tree.map(jax.numpy.zeros_like, w), decay.init(w), w)
    >>> {name: round(float(u[0]), 6) for name, u in updates.items()}
    {'bias': 0.0, 'kernel': 0.1}

    Reference: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. The released code of Zhang et
    al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021, sets this rate to 0 by accident, so its row of weight
    decay equals its baseline; this one does decay.
    """
    check_range("weight decay rate", rate, 0)
    if is_constant(rate, 0):
        return optax.identity()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.EmptyState]:
        if params is None:
            raise InputError("weight decay needs the parameters; call update(updates, state, params)")
        decayed = mask(params) if callable(mask) else mask
        if decayed is None:
            decayed = jax.tree.map(lambda _: True, params)

        def leaf(g: jax.Array, w: jax.Array, on: Any) -> jax.Array:
            if is_constant(on, False):
                return g
            return (widen(g) + rate * on * widen(w)).astype(g.dtype)

        return jax.tree.map(leaf, updates, params, decayed), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
