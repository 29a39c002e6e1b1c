"""Transforms of parameters: what `optax.GradientTransformation` is to updates, for the forward pass.

    loss(apply(key, params, state), batch)

A transform keeps the structure, shapes and dtypes of the parameters. It can be used inside any loss, or adapted to an
optax chain by `as_gradient_transformation`; both give the same gradient, bit for bit.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from stablefit.errors import InputError
from stablefit.paths import Key, holes

Params = Any  # a pytree of arrays
State = Any  # a pytree; () for a transform without state


class ParamTransform(NamedTuple):
    """A pair of pure functions: `init(params) -> state`, once; `apply(key, params, state) -> params`, each step."""

    init: Callable[[Params], State]
    apply: Callable[[Key, Params, State], Params]


def _init_nothing(params: Params) -> State:
    del params
    return ()


def _apply_nothing(key: Key, params: Params, state: State) -> Params:
    del key, state
    return params


_IDENTITY = ParamTransform(_init_nothing, _apply_nothing)  # one object, so that it can be recognised and skipped


def identity() -> ParamTransform:
    """The transform that returns the parameters themselves.

    >>> identity().apply(jax.random.key(0), {"w": 1.0}, ())
    {'w': 1.0}
    """
    return _IDENTITY


def chain(*transforms: ParamTransform) -> ParamTransform:
    """Apply transforms one after the other; identities are dropped.

        apply(key, params, (s_1, ..., s_n)) = apply_n(key, ... apply_1(key, params, s_1) ..., s_n)

    Every part gets the same key and folds its own name and the leaf's name into it. So adding a part to the chain does
    not change the noise of the others; two copies of one method on the same leaf would share their noise.

    Args:
        *transforms: any number of transforms, the first applied first.

    Returns:
        A transform whose state is the tuple of the parts' states; the part itself if there is only one.

    >>> chain(identity(), identity()) == identity()
    True
    """
    parts = [part for part in transforms if part != _IDENTITY]
    if len(parts) <= 1:
        return parts[0] if parts else _IDENTITY

    def init(params: Params) -> State:
        return tuple(part.init(params) for part in parts)

    def apply(key: Key, params: Params, state: State) -> Params:
        for part, part_state in zip(parts, state, strict=True):
            params = part.apply(key, params, part_state)
        return params

    return ParamTransform(init, apply)


class AsGradientTransformationState(NamedTuple):
    """State of the adapter."""

    count: Any  # shape (), int32: steps taken
    inner: State  # the state of the transform


def as_gradient_transformation(transform: ParamTransform, key: Key) -> optax.GradientTransformationExtraArgs:
    """A parameter transform as the first link of an optax chain.

        w' = apply(fold_in(key, t), w)          the transformed parameters of step t = 0, 1, ...
        g  = (dw'/dw)^T grad_fn(w', t)          pulled back with `jax.vjp`

    The incoming updates are not used: the gradient is taken anew at w'. The caller passes `grad_fn(params, step)`, the
    convention of `optax.contrib.sam`, and may pass zeros for the updates. Clipping and Adam follow in the chain.

    So it must stand outside of what looks at the updates, or at a part of them, before it: it refuses to be in them.
    With the rest of the chain as `rest`:

        optax.chain(link, optax.MultiSteps(rest, k).gradient_transformation())     each micro-batch has its own noise
        optax.chain(link, optax.apply_if_finite(rest, n))
        optax.chain(link, optax.multi_transform({"encoder": rest, ...}, labels))   `where=` says which leaves are mixed

    Args:
        transform: any `ParamTransform`.
        key: a typed JAX key, shape (); step t uses `jax.random.fold_in(key, t)`.

    Returns:
        An `optax.GradientTransformationExtraArgs`; the identity, which calls nothing, if the transform is the identity.

    Raises:
        InputError: at `update`, when `params` or `grad_fn` is not passed; inside `optax.MultiSteps`, `apply_if_finite`,
            `masked` or `multi_transform`.

    Example, with the transform w' = 2 w and the loss w'^2 / 2, whose gradient in w is 4 w:

    >>> double = ParamTransform(lambda params: (), lambda key, params, state: 2 * params)
    >>> link = as_gradient_transformation(double, jax.random.key(0))
    >>> w = jnp.float32(3.0)
    >>> g, _ = link.update(jnp.zeros_like(w), link.init(w), w, grad_fn=lambda w, step: w)
    >>> float(g)
    12.0
    """
    if transform == _IDENTITY:
        return optax.with_extra_args_support(optax.identity())

    def init(params: Params) -> AsGradientTransformationState:
        _check_whole(params)
        return AsGradientTransformationState(jnp.zeros((), jnp.int32), transform.init(params))

    def update(
        updates: Params,
        state: Any,
        params: Params = None,
        *,
        grad_fn: Callable[[Params, jax.Array], Params] | None = None,
        **extra: Any,
    ) -> tuple[Params, AsGradientTransformationState]:
        del updates, extra
        if params is None or grad_fn is None:
            raise InputError("a parameter transform needs update(updates, state, params, grad_fn=...); one is missing")
        _check_whole(params)
        _check_outermost()
        step_key = jax.random.fold_in(key, state.count)
        transformed, pull_back = jax.vjp(lambda p: transform.apply(step_key, p, state.inner), params)
        (gradient,) = pull_back(grad_fn(transformed, state.count))
        return gradient, AsGradientTransformationState(optax.safe_increment(state.count), state.inner)

    return optax.GradientTransformationExtraArgs(init, update)


_BEFORE = {"MultiSteps.update": "optax.MultiSteps(..., k).gradient_transformation()"}
_BEFORE |= {"apply_if_finite.<locals>.update": "optax.apply_if_finite(..., n)"}


def _check_outermost() -> None:
    """Raise if a wrapper of optax that looks at the updates first is what calls: it would look at what nobody uses.

    What it is handed tells nothing: the updates may be zeros. So the frames of the call are read, once a trace.
    """
    frame = sys._getframe(1)
    while frame is not None:
        remedy = _BEFORE.get(frame.f_code.co_qualname)
        if remedy and str(frame.f_globals.get("__name__")).startswith("optax."):
            what = frame.f_code.co_qualname.partition(".")[0]
            raise InputError(
                f"a parameter transform takes its own gradient, which optax.{what} around it would not see; "
                f"put it outside: optax.chain(as_gradient_transformation(...), {remedy})"
            )
        frame = frame.f_back


def _check_whole(params: Params) -> None:
    missing = holes(params, optax.MaskedNode)
    if missing:
        raise InputError(
            f"a parameter transform needs all parameters, and {missing[0]!r} is masked; put it outside: "
            "optax.chain(as_gradient_transformation(...), optax.multi_transform(...)); where= says what is mixed"
        )
