"""The table of methods: one row each, with one scalar hyper-parameter, its identity and another value."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from stablefit import methods


class Method(NamedTuple):
    """One row. `make(x)` is an optax transform, a ParamTransform, a LossTransform, or (key, params) -> params."""

    name: str
    kind: str  # "update", "forward", "loss" or "init"
    make: Callable[[Any], Any]
    identity: Any  # a Python number, or None for a method that has no identity
    value: float  # exact in bfloat16, so that Python and traced scalars hold the same number


TABLE = [
    Method("adam_eps", "update", lambda x: methods.scale_by_adam(eps=x), None, 2.0**-10),
    Method("adam_eps_hat", "update", lambda x: methods.scale_by_adam(eps=x, eps_hat=True), None, 2.0**-10),
    Method("adam_b1", "update", lambda x: methods.scale_by_adam(b1=x, b2=0.5), None, 0.75),
    Method("adam_correction", "update", lambda x: methods.scale_by_adam(bias_correction=x), None, 1.0),
    Method("adam_correct_second", "update", lambda x: methods.scale_by_adam(bias_correction=(False, x)), None, 1.0),
    Method("adamw", "update", lambda x: methods.adamw(x, weight_decay=0.5), None, 0.125),
    Method("bert_adam", "update", lambda x: methods.bert_adam(x), None, 0.125),
    Method("weight_decay", "update", methods.add_weight_decay, 0, 0.125),
    Method("decay_to_init", "update", methods.add_decay_to_init, 0, 0.125),
    Method(
        "decay_to_init_anchored",
        "update",
        lambda x: methods.add_decay_to_init(x, weights=functools.partial(methods.anchor_weights, exclude=["head/.*"])),
        0,
        0.125,
    ),
    Method("pull_to_init", "update", methods.pull_to_init, 0, 0.125),
    Method(
        "projection_decay", "update", lambda x: methods.selective_projection_decay(optax.trace(0.5), x), None, 0.125
    ),
    Method("layer_decay", "update", methods.scale_by_layer_decay, 1, 0.75),
    Method("layer_decay_electra", "update", lambda x: methods.scale_by_layer_decay(x, convention="electra"), 1.0, 0.75),
    Method("by_path", "update", lambda x: methods.scale_by_path([("head/.*", x)]), 1, 4.0),
    Method("clip_global", "update", methods.clip_by_global_norm, math.inf, 0.5),
    Method("clip_component", "update", methods.clip_by_component_norm, math.inf, 0.5),
    Method("mixout", "forward", methods.mixout, 0, 0.5),
    Method("mixout_weight", "forward", lambda x: methods.mixout(x, unit="weight"), 0.0, 0.5),
    Method("mixout_official", "forward", lambda x: methods.mixout(x, gradient="official"), 0, 0.25),
    Method("r_drop", "loss", lambda x: methods.r_drop(x, lambda z, others, _: methods.symmetric_kl(z, others)), 0, 0.5),
    Method("sam", "loss", methods.sam, 0.0, 0.125),
    Method("reinit_layers", "init", lambda x: functools.partial(methods.reinit, layers=x), 0, 1),
    Method("reinit_std", "init", lambda x: functools.partial(methods.reinit, indices=[1], std=x), None, 0.125),
]


def tree(dtype: Any = jnp.float32) -> Any:
    """Every kind of leaf once: embedding, two blocks, LayerNorm, pooler, head."""

    def array(seed: int, *shape: int) -> jax.Array:
        return jax.random.normal(jax.random.key(seed), shape, jnp.float32).astype(dtype)

    # Two shapes only: each costs a compilation of every operation.
    return {
        "embeddings": {"embedding": array(0, 3, 2)},
        "layer_0": {"kernel": array(1, 3, 2), "bias": array(2, 2)},
        "layer_1": {"kernel": array(3, 3, 2), "LayerNorm": {"scale": array(4, 2)}},
        "pooler": {"kernel": array(5, 3, 2)},
        "head": {"kernel": array(6, 3, 2)},
    }


def gradient(params: Any, step: Any) -> Any:
    """A gradient that depends on the parameters and the step, of their dtype."""
    return jax.tree.map(lambda w: jnp.cos(3 * w.astype(jnp.float32) + step).astype(w.dtype), params)


def adapted(method: Method, value: Any, key: jax.Array) -> optax.GradientTransformationExtraArgs:
    """The method as one optax transform with `grad_fn`; not for "init"."""
    made = method.make(value)
    if method.kind == "loss":
        return what_it_adds(made, key)
    return (
        methods.as_gradient_transformation(made, key)
        if method.kind == "forward"
        else optax.with_extra_args_support(made)
    )


def noisy(params: Any, key: jax.Array) -> methods.Pass:
    """A forward pass over four examples, of which one is a filler, with noise; every leaf has a part in it."""
    parts = [
        jax.vmap(lambda angle, w=w: jnp.cos(w.astype(jnp.float32) + angle).mean())(jnp.arange(12.0)).reshape(4, 3)
        for w in jax.tree.leaves(params)
    ]
    logits = sum(parts) * (1 + 0.5 * jax.random.normal(key, (4, 3)))
    labels = jnp.arange(4) % 3
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return methods.Pass(losses, logits, labels, jnp.array([1.0, 0.5, 2.0, 0.0]))


def what_it_adds(made: methods.LossTransform, key: jax.Array) -> optax.GradientTransformationExtraArgs:
    """A transform of losses as an optax transform: its gradient of `noisy`, less that of `noisy` itself, is added."""
    if made == methods.same_loss():
        return optax.with_extra_args_support(optax.identity())

    def update(updates: Any, count: jax.Array, params: Any, **_: Any) -> tuple[Any, jax.Array]:
        step_key = jax.random.fold_in(key, count)
        with_it, without = (
            jax.grad(lambda p, t=t: t.apply(noisy, p, step_key).loss)(params) for t in (made, methods.same_loss())
        )
        added = jax.tree.map(lambda u, a, b: (u + (a - b)).astype(u.dtype), updates, with_it, without)
        return added, count + 1

    return optax.GradientTransformationExtraArgs(lambda params: jnp.zeros((), jnp.int32), update)


def start(method: Method, value: Any, key: jax.Array, params: Any) -> tuple[Any, Any]:
    """The carried values before the first step: parameters and state."""
    if method.kind == "init":
        return method.make(value)(key, params), ()
    return params, adapted(method, value, key).init(params)


def step(method: Method, value: Any, key: jax.Array, carried: tuple[Any, Any], i: Any) -> tuple[Any, Any]:
    """One step of gradient descent through the method."""
    params, state = carried
    if method.kind == "init":
        return carried
    updates, state = adapted(method, value, key).update(
        gradient(params, i), state, params, grad_fn=lambda p, _: gradient(p, i)
    )
    params = jax.tree.map(lambda w, u: (w - 0.25 * u).astype(w.dtype), params, updates)
    return params, state


def run(method: Method, value: Any, key: jax.Array, params: Any, steps: int = 3) -> Any:
    """Parameters after a few steps of the method from `params`."""
    carried = start(method, value, key, params)
    for i in range(steps):
        carried = step(method, value, key, carried, i)
    return carried[0]


def scanned(method: Method, value: Any, key: jax.Array, params: Any, steps: int = 3) -> Any:
    """`run` with its steps in one loop, which compiles faster under jit."""
    return jax.lax.fori_loop(
        0, steps, lambda i, carried: step(method, value, key, carried, i), start(method, value, key, params)
    )[0]


def plain(params: Any, steps: int = 3) -> Any:
    """The same steps without any method."""
    for i in range(steps):
        params = jax.tree.map(lambda w, u: (w - 0.25 * u).astype(w.dtype), params, gradient(params, i))
    return params
