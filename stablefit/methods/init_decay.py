"""Decay toward the pre-trained weights, in its three placements, and its selective form."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stablefit.errors import InputError
from stablefit.methods.conventions import is_float
from stablefit.methods.masks import PerLeaf, per_leaf
from stablefit.methods.numeric import Scalar, check_range, depth_axis, is_constant, norm, widen
from stablefit.methods.scheduled import scheduled
from stablefit.methods.weight_decay import check_params, decay_mask
from stablefit.paths import find_stack, map_named, select

Weights = PerLeaf | None  # multipliers; None is 1

HEAD = r"(?:.*/)?head/.*"


class AddDecayToInitState(NamedTuple):
    """State of the decay toward the initial parameters."""

    anchor: Any  # the tree of params at init; `optax.MaskedNode()` in place of a leaf that is not anchored


class SelectiveProjectionDecayState(NamedTuple):
    """State of selective projection decay."""

    inner: Any  # the state of the wrapped optimizer
    anchor: Any  # as in `AddDecayToInitState`


def add_decay_to_init(rate: optax.ScalarOrSchedule, *, weights: Weights = None) -> optax.GradientTransformation:
    """Add a pull toward the parameters at `init`.

        g = g + rate k (w - u)

    Its place in the chain decides what it is:

    - after Adam, before the learning rate: decoupled, scaled by the scheduled rate (the paper's "Pre-trained WD");
    - before Adam: coupled, the gradient of (rate / 2) |w - u|^2, that is L2-SP;
    - after the learning rate the sign of an update is the other one: use `pull_to_init` there.

    Trap: scaled by a learning rate of 2e-5 over a few hundred steps, a rate of 1 takes back less than 1 % of the way.

    Args:
        rate: at least 0; a Python number, a scalar that may be traced, or a schedule. 0 is the identity.
        weights: k, a tree of multipliers (booleans or numbers, Python or traced scalars), or the upper part of one, or
            a function from the parameters to either, such as `anchor_weights`; None is 1 everywhere. A leaf whose k is
            a Python zero keeps no anchor and costs no memory.

    Returns:
        An `optax.GradientTransformation` whose state holds u, a copy of the parameters given to `init`. Call `init`
        with the pre-trained parameters, also when a run resumes; its `update` needs `params`.

    Raises:
        InputError: a negative rate; at `update`, missing `params`.

    >>> decay = add_decay_to_init(0.5)
    >>> state = decay.init(jnp.float32(1))
    >>> float(decay.update(jnp.float32(0), state, jnp.float32(3))[0])
    1.0

    Reference: Zhang et al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021, subtract rate (w - u); their code
    multiplies it by the learning rate, applies it before the Adam step (the same sum), and by an off-by-one also pulls
    the head toward its random values: `weights=functools.partial(anchor_weights, exclude=())`. Coupled: Li et al.,
    "Explicit Inductive Bias for Transfer Learning with Convolutional Networks", ICML 2018.
    """
    if callable(rate):
        return scheduled(rate, functools.partial(add_decay_to_init, weights=weights))
    check_range("rate of decay to init", rate, 0)
    return optax.identity() if is_constant(rate, 0) else _decay(rate, weights)


def pull_to_init(rate: optax.ScalarOrSchedule, *, weights: Weights = None) -> optax.GradientTransformation:
    """Take a share of the way back to the parameters at `init`, each step, whatever the learning rate is.

        u = u - rate k (w - u_0)        u the update that is added to w, u_0 the parameters at init

    Put it last in the chain, after the learning rate.

    Trap: it goes on where the learning rate has fallen to 0: without a gradient a rate of 0.01 leaves 5 % of the way
    after 300 steps.

    Args:
        rate: the share, at least 0, sensibly at most 1; a Python number, a traced scalar or a schedule. 0 is the
            identity.
        weights: k, as in `add_decay_to_init`.

    Returns:
        An `optax.GradientTransformation`, as `add_decay_to_init`.

    Raises:
        InputError: a negative rate; at `update`, missing `params`.

    >>> pull = pull_to_init(0.5)
    >>> state = pull.init(jnp.float32(1))
    >>> float(pull.update(jnp.float32(0), state, jnp.float32(3))[0])
    -1.0

    Reference: the unscaled form of `add_decay_to_init`; the paper's text can be read so, its code cannot.
    """
    if callable(rate):
        return scheduled(rate, functools.partial(pull_to_init, weights=weights))
    check_range("rate of the pull to init", rate, 0)
    return optax.identity() if is_constant(rate, 0) else _decay(-rate, weights)


def anchor_weights(
    params: Any,
    *,
    exclude: Sequence[str] = (HEAD,),
    fresh: Any = None,
    group: Callable[[Any], Any] | None = decay_mask,
) -> Any:
    """Which leaves are pulled to their initial values: the pre-trained ones.

    Args:
        params: any pytree of named leaves.
        exclude: patterns of leaves without pre-trained values; each must match. Default: everything under `head`.
        fresh: the tree of `reinit_mask`: re-initialised leaves, Python booleans or traced ones; None for none.
        group: a function from the parameters to a tree of Python booleans, the leaves that decay at all. Default: all
            but biases and LayerNorm scales; None for all.

    Returns:
        A tree of multipliers for `weights=`: Python booleans, or traced ones where `fresh` is traced.

    Raises:
        PatternError: a pattern matches nothing.

    >>> anchor_weights({"head": {"kernel": 0}, "layer_0": {"kernel": 0, "bias": 0}})
    {'head': {'kernel': False}, 'layer_0': {'bias': False, 'kernel': True}}

    The released code excludes neither the head nor re-initialised blocks: `exclude=(), fresh=None`.
    """
    check_params(params, "weights")
    excluded = select(params, exclude)
    grouped = jax.tree.map(lambda _: True, params) if group is None else per_leaf("group", group, params)
    fresh = jax.tree.map(lambda _: False, params) if fresh is None else per_leaf("fresh", fresh, params)

    def leaf(out: bool, member: bool, new: Any) -> Any:
        if out or not member:
            return False
        if isinstance(new, np.ndarray):
            return np.logical_not(new)
        return not new if isinstance(new, bool) else jnp.logical_not(new)

    return jax.tree.map(leaf, excluded, grouped, fresh)


def selective_projection_decay(
    inner: optax.GradientTransformation,
    rate: optax.ScalarOrSchedule,
    *,
    weights: Weights = None,
    stack: str | None = None,
    axis: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Wrap an optimizer: take back its step away from the initial values, where the gradient asks to return.

        w' = w + inner(g)
        if <g, w - u> > 0:   w' = w' - rate k ratio (w' - u),   ratio = clip((|w' - u| - |w - u|) / |w' - u|, 0, 1)

    for each tensor on its own. <g, w - u> > 0 says that descent points back to u; ratio > 0 says that the step, led by
    momentum, goes further away all the same. Not scaled by the learning rate.

    Trap: plain gradient descent hardly ever does both, so that without momentum nothing happens at any rate.

    Args:
        inner: a whole optimizer, learning rate included.
        rate: at least 0; a Python number, a scalar that may be traced, or a schedule. 0 is `inner` itself; at 1 the
            step ends no further from u than it began.
        weights: k, as in `add_decay_to_init`.
        stack, axis: where scan-over-layers keeps all blocks in one leaf, as in `clip_by_component_norm`.

    Returns:
        An `optax.GradientTransformationExtraArgs`; extra arguments are passed to `inner`; `update` needs `params`.
        What is given to `update` is taken as g: put clipping inside `inner` or before, its direction is the same.

    Raises:
        InputError: a negative rate; at `update`, missing `params`.

    >>> optimizer = selective_projection_decay(optax.scale(+1.0), 1.0)
    >>> state = optimizer.init(jnp.float32(0))
    >>> float(optimizer.update(jnp.float32(1), state, jnp.float32(2))[0])
    0.0

    Reference: Tian et al., "Rethinking Weight Decay for Robust Fine-Tuning of Foundation Models", NeurIPS 2024.
    """
    if callable(rate):
        options = {"weights": weights, "stack": stack, "axis": axis}
        return scheduled(rate, lambda now: selective_projection_decay(inner, now, **options))
    check_range("rate of selective projection decay", rate, 0)
    inner = optax.with_extra_args_support(inner)
    if is_constant(rate, 0):
        return inner

    def init(params: Any) -> SelectiveProjectionDecayState:
        return SelectiveProjectionDecayState(inner.init(params), _anchor(params, weights))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, SelectiveProjectionDecayState]:
        if params is None:
            raise InputError("selective projection decay needs the parameters; call update(updates, state, params)")
        steps, inner_state = inner.update(updates, state.inner, params, **extra)

        found = None if axis is None else find_stack(params, stack=stack, axis=axis)

        def leaf(name: str, step: jax.Array, g: jax.Array, w: jax.Array, u: Any, k: Any) -> jax.Array:
            if isinstance(u, optax.MaskedNode):
                return step
            depth = depth_axis(found, name)
            was = widen(w) - widen(u)
            now = was + widen(step)
            away = norm(now, depth)
            ratio = jnp.where(away > 0, jnp.clip((away - norm(was, depth)) / jnp.where(away > 0, away, 1), 0, 1), 0)
            share = jnp.where(_sum(widen(g) * was, depth) > 0, rate * k * ratio, 0)
            return (widen(step) - share * now).astype(step.dtype)

        steps = map_named(leaf, steps, updates, params, state.anchor, _resolve(weights, params))
        return steps, SelectiveProjectionDecayState(inner_state, state.anchor)

    return optax.GradientTransformationExtraArgs(init, update)


def _decay(rate: Scalar, weights: Weights) -> optax.GradientTransformation:
    def init(params: Any) -> AddDecayToInitState:
        return AddDecayToInitState(_anchor(params, weights))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, AddDecayToInitState]:
        if params is None:
            raise InputError("decay to init needs the parameters; call update(updates, state, params)")

        def leaf(g: jax.Array, w: jax.Array, u: Any, k: Any) -> jax.Array:
            if isinstance(u, optax.MaskedNode):
                return g
            return (widen(g) + rate * k * (widen(w) - widen(u))).astype(g.dtype)

        return jax.tree.map(leaf, updates, params, state.anchor, _resolve(weights, params)), state

    return optax.GradientTransformation(init, update)


def _resolve(weights: Weights, params: Any) -> Any:
    return jax.tree.map(lambda _: 1, params) if weights is None else per_leaf("weights", weights, params)


def _sum(x: jax.Array, axis: int | None) -> jax.Array:
    others = None if axis is None else tuple(i for i in range(x.ndim) if i != axis % x.ndim)
    return jnp.sum(x, axis=others, keepdims=axis is not None)


def _anchor(params: Any, weights: Weights) -> Any:
    def leaf(w: jax.Array, k: Any) -> Any:
        # A copy: the params may be donated to the step, and the anchor must outlive them.
        return optax.MaskedNode() if is_constant(k, 0) or not is_float(w) else jnp.array(w, copy=True)

    return jax.tree.map(leaf, params, _resolve(weights, params))
