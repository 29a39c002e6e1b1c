"""Methods x trees x wrappers: the same steps of every method, in every tree of `matrix_trees.py`.

The wrappers `auto mesh` and `explicit mesh` are in `meshes.py`, as four devices need a process of their own.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from stablefit import methods
from stablefit.errors import InputError
from stablefit.paths import map_named
from tests.methods.matrix_trees import PARTS, TREES, Case, arrays, base, plain

# Methods: of a number that may be traced, and of a tree's `where`, which those use that count or measure blocks.


def stacked(where: dict[str, Any]) -> dict[str, Any]:
    """What a method has to be told that only takes lengths of blocks apart."""
    return where if "axis" in where else {}


def projection(x: Any, **where: Any) -> optax.GradientTransformation:
    return methods.selective_projection_decay(optax.trace(0.5), x, **stacked(where))


METHODS: dict[str, tuple[Callable[..., Any], float]] = {
    "scale_by_adam": (lambda x, **_: methods.scale_by_adam(eps=x), 0.5),
    "adamw": (lambda x, **_: methods.adamw(x, weight_decay=0.5), 0.5),
    "bert_adam": (lambda x, **_: methods.bert_adam(x, weight_decay=0.5), 0.5),
    "add_weight_decay": (lambda x, **_: methods.add_weight_decay(x), 0.5),
    "add_decay_to_init": (lambda x, **_: methods.add_decay_to_init(x, weights=methods.decay_mask), 0.5),
    "pull_to_init": (lambda x, **_: methods.pull_to_init(x), 0.5),
    "selective_projection_decay": (projection, 0.5),
    "scale_by_layer_decay": (lambda x, **where: methods.scale_by_layer_decay(x, **where), 0.5),
    "scale_by_path": (lambda x, **_: methods.scale_by_path([(r".*(?:bias|b|lora_b)", x)]), 0.5),
    "clip_by_component_norm": (lambda x, **where: methods.clip_by_component_norm(x, **stacked(where)), 0.5),
    "clip_by_global_norm": (lambda x, **_: methods.clip_by_global_norm(x), 0.5),
    "mixout": (lambda x, **_: methods.as_gradient_transformation(methods.mixout(x), jax.random.key(0)), 1.0),
}


# Steps


def gradient(params: Any, i: int) -> Any:
    """A gradient of the parameters' own dtype, another at each step."""
    return jax.tree.map(lambda w: jnp.cos(3 * w.astype(jnp.float32) + i).astype(w.dtype), params)


def steps(optimizer: Any, anchor: Any, params: Any, gradients: list[Any]) -> tuple[Any, Any]:
    """The updates of the last of several steps, and the state after it; `anchor` is what `init` gets."""
    optimizer = optax.with_extra_args_support(optimizer)
    state, updates = optimizer.init(anchor), params
    for g in gradients:
        updates, state = optimizer.update(g, state, params, grad_fn=lambda p, _: gradient(p, 0))
        params = jax.tree.map(lambda w, u: (w - 0.1 * u).astype(w.dtype), params, updates)
    return updates, state


def by_block(params: Any, case: Case) -> Any:
    """Labels of two groups: the lower block, and everything else; where blocks are slices, those and the rest."""

    def low(name: str, _: Any) -> bool:
        role = base(case.roles[name])
        return role.endswith("0") or role in PARTS

    return map_named(low, params)


def run(wrapper: str, make: Callable[[Any], Any], value: float, case: Case, anchor: Any, params: Any) -> Any:
    """Three steps of a method inside a wrapper."""
    gradients = [gradient(params, i) for i in range(3)]
    if wrapper == "MultiSteps":  # each gradient in two halves, which are not alike
        halves = [jax.tree.map(lambda x, s=s: (1 + s) * x, g) for g in gradients for s in (0.5, -0.5)]
        return accumulated(make(value), anchor, params, halves)
    wrapped = {
        "alone": lambda: make(value),
        "donated": lambda: make(value),
        "bfloat16": lambda: make(value),
        "inject_hyperparams": lambda: optax.inject_hyperparams(lambda x: make(x), hyperparam_dtype=jnp.float32)(
            x=value
        ),
        "multi_transform": lambda: optax.multi_transform(
            {True: make(value), False: make(value)}, lambda _: by_block(params, case)
        ),
        "masked": lambda: optax.masked(make(value), by_block(params, case)),
        "apply_if_finite": lambda: optax.apply_if_finite(make(value), 3),
    }[wrapper]()
    return steps(wrapped, anchor, params, gradients)[0]


def accumulated(optimizer: Any, anchor: Any, params: Any, halves: list[Any]) -> Any:
    wrapped = optax.MultiSteps(optimizer, 2)
    state, updates = wrapped.init(anchor), params
    for g in halves:
        updates, state = wrapped.update(g, state, params, grad_fn=lambda p, _: gradient(p, 0))
        params = jax.tree.map(lambda w, u: w - 0.1 * u, params, updates)
    return updates


WRAPPERS = (
    "alone", "donated", "bfloat16", "MultiSteps", "inject_hyperparams", "multi_transform", "masked", "apply_if_finite",
)  # fmt: skip
MESHES = ("auto mesh", "explicit mesh")


COMPILED = ("donated", "MultiSteps", "apply_if_finite")  # those with a branch are compiled anyway, and slow


def values(case: Case, seed: int, dtype: Any = jnp.float32, more: float = 0.0) -> Any:
    """The parameters of a tree."""
    return jax.tree.map(lambda x: x.astype(dtype), case.build({role: x + more for role, x in arrays(seed).items()}))


def cells(tree: str, wrapper: str) -> dict[str, Any]:
    """For each method the updates by role, or the message of its refusal."""
    return results(TREES[tree](), wrapper, METHODS)


@functools.cache
def expected(wrapper: str, more: float) -> dict[str, Any]:
    """The same of every role once, in the names of our own encoder, which other tests compare with NumPy.

    Args:
        wrapper: "alone" or "bfloat16".
        more: what is added to every parameter: 1 for adapters, 2 for the other tower.
    """
    apart = {"nothing": (lambda x, **_: optax.identity(), 0.0)}
    return results(plain(), wrapper, METHODS | apart, more)


def results(case: Case, wrapper: str, table: Mapping[str, Any], more: float = 0.0) -> dict[str, Any]:
    dtype = jnp.bfloat16 if wrapper == "bfloat16" else jnp.float32
    refused: dict[str, Any] = {}

    def program(anchor: Any, params: Any) -> Any:
        done = {}
        for name, (make, value) in table.items():
            try:
                done[name] = run(wrapper, functools.partial(make, **case.where), value, case, anchor, params)
            except InputError as error:
                refused[name] = str(error)
        return done

    if wrapper in COMPILED:
        program = jax.jit(program, donate_argnums=(1,) if wrapper == "donated" else ())
    done = program(values(case, 0, dtype, more), values(case, 1, dtype, more))
    return {name: case.read(updates) for name, updates in done.items()} | refused
