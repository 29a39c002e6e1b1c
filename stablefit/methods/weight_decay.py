"""Weight decay toward zero, of everything but biases and LayerNorm scales."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from stablefit.errors import InputError
from stablefit.methods.conventions import UNKNOWN, Kinds, is_float, leaf_kinds, unknown
from stablefit.methods.masks import PerLeaf, per_leaf
from stablefit.methods.numeric import Scalar, check_range, is_constant, widen
from stablefit.methods.scheduled import scheduled
from stablefit.paths import depths, find_stack, map_named

_NOT_DECAYED = ("bias", "scale", "scores", "fixed")


def decay_mask(
    params: Any,
    *,
    kinds: Kinds = None,
    exempt_top: bool = False,
    stack: str | None = None,
    block: str | None = None,
    axis: int | None = None,
) -> Any:
    """Which leaves decay: all but biases, the scales of norms, batch statistics, and those of a `crf`. Embeddings do.

    Args:
        params: any pytree of named leaves. Their names say what they are: `stablefit.methods.conventions` has the
            table, for Flax, Equinox, Haiku, torch and Keras.
        kinds: what a leaf is, by pattern, where its name does not say it: `{".*/gate": "scale"}`.
        exempt_top: leave out what is above the blocks too, the pooler and the head: the grouping of the released code
            when layer-wise learning rates are on, see `scale_by_layer_decay`.
        stack, block, axis: which leaves are blocks, as in `layer_multipliers`.

    Returns:
        A tree of Python booleans.

    Raises:
        InputError: a leaf of one axis whose name says nothing.

    >>> decay_mask({"LayerNorm": {"bias": 0, "scale": 0}, "kernel": 0})
    {'LayerNorm': {'bias': False, 'scale': False}, 'kernel': True}

    The released code of BERT excludes names that contain `LayerNorm` or `bias`: the same leaves, in Flax's names. The
    scores of a CRF are added to logits as biases are, and have no pre-trained values to be pulled to.
    """
    check_params(params, "mask")
    found = find_stack(params, stack=stack, block=block, axis=axis) if exempt_top or axis is not None else None
    if exempt_top and found is None:
        raise InputError("exempt_top leaves out what is above the blocks, and finds none; block= says how one is named")
    top = depths(params, found) if exempt_top else jax.tree.map(lambda _: 0, params)

    def decays(name: str, kind: str, depth: Any) -> bool:
        if kind == UNKNOWN:
            raise unknown(name, "decay_mask cannot tell whether it decays")
        above = found is not None and exempt_top and isinstance(depth, int) and depth > found.size
        return kind not in _NOT_DECAYED and not above

    return map_named(decays, leaf_kinds(params, kinds, found), top)


def check_params(params: Any, argument: str) -> None:
    """Raise for a count of steps, which `optax.inject_hyperparams` gives to every function that it is not told of."""
    if isinstance(params, jax.Array) and params.ndim == 0 and jnp.issubdtype(params.dtype, jnp.integer):
        raise InputError(
            f"a function for {argument}= got a count of steps in place of the parameters; "
            f"tell optax.inject_hyperparams that it is no schedule: static_args={argument!r}"
        )


def add_weight_decay(rate: optax.ScalarOrSchedule, mask: PerLeaf | None = "default") -> optax.GradientTransformation:
    """Add `rate` times the parameters to the updates.

        u = u + rate w

    Put it after Adam and before the layer multipliers and the learning rate: then the decay of a leaf is scaled by the
    leaf's own scheduled rate, as torch does with parameter groups.

    Trap: before Adam it would be L2 regularisation, which Adam divides by the size of the gradient: weights with large
    gradients would hardly decay.

    Args:
        rate: at least 0; a Python number, a scalar that may be traced, or a schedule. 0 is the identity.
        mask: a tree of booleans, which may be traced, or the upper part of one, or a function from the parameters to
            either; None decays all. "default" is `decay_mask`: a word, so that `optax.inject_hyperparams` takes it
            for no schedule.

    Returns:
        An `optax.GradientTransformation`; its `update` needs `params`.

    Raises:
        InputError: a negative rate, or a mask that does not fit; at `update`, missing `params`.

    >>> decay = add_weight_decay(0.1)
    >>> w = {"kernel": jax.numpy.ones(1), "bias": jax.numpy.ones(1)}
    >>> updates, _ = decay.update(jax.tree.map(jax.numpy.zeros_like, w), decay.init(w), w)
    >>> {name: round(float(u[0]), 6) for name, u in updates.items()}
    {'bias': 0.0, 'kernel': 0.1}

    Reference: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019. The released code of Zhang et
    al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021, sets this rate to 0 by accident, so its row of weight
    decay equals its baseline; this one does decay.
    """
    if isinstance(mask, str) and mask != "default":
        raise InputError(f"mask is {mask!r}; it must be 'default', a tree of booleans, a function to one, or None")
    if callable(rate):
        return scheduled(rate, lambda now: add_weight_decay(now, mask))
    check_range("weight decay rate", rate, 0)
    if is_constant(rate, 0):
        return optax.identity()
    return _add(rate, decay_mask if isinstance(mask, str) else mask)


def _add(rate: Scalar, mask: PerLeaf | None) -> optax.GradientTransformation:
    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.EmptyState]:
        if params is None:
            raise InputError("weight decay needs the parameters; call update(updates, state, params)")
        decayed = jax.tree.map(lambda _: True, params) if mask is None else per_leaf("mask", mask, params)

        def leaf(g: jax.Array, w: jax.Array, on: Any) -> jax.Array:
            if is_constant(on, False) or not is_float(w):
                return g
            return (widen(g) + rate * on * widen(w)).astype(g.dtype)

        return jax.tree.map(leaf, updates, params, decayed), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
