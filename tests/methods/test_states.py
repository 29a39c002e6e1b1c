"""`optax.tree.map_params` on the states: which parts are like the parameters is known, as their shardings need it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

from stablefit import methods, paths
from stablefit.errors import InputError
from tests.methods.battery import TABLE, Method, adapted, tree

KEY = jax.random.key(0)
KERNELS = jax.tree.map(lambda x: x.ndim == 2, tree())
MORE = {
    "by a schedule": lambda: methods.add_decay_to_init(lambda step: 0.1 * step, weights=KERNELS),
    "to the weights of a function": lambda: methods.pull_to_init(0.5, weights=methods.anchor_weights),
    "to the weights of a tree": lambda: methods.selective_projection_decay(optax.trace(0.5), 0.5, weights=KERNELS),
    "of a whole tree": lambda: methods.scale_by_layer_decay(0.5, whole=tree()),
    "masked decay": lambda: methods.adamw(0.1, weight_decay=optax.linear_schedule(0.0, 1.0, 4), mask=KERNELS),
    "chained": lambda: optax.chain(methods.scale_by_adam(), methods.scale_by_path([("head/.*", 2.0)])),
    "outside": lambda: optax.chain(
        methods.as_gradient_transformation(methods.mixout(0.5), KEY),
        optax.MultiSteps(methods.adamw(0.1), 2).gradient_transformation(),
    ),
}
WRAPPED: dict[str, Any] = {
    "alone": lambda make, value: make(value),
    "MultiSteps": lambda make, value: optax.MultiSteps(make(value), 2),
    "inject_hyperparams": lambda make, value: optax.inject_hyperparams(lambda x: make(x))(x=value),
    "multi_transform": lambda make, value: optax.multi_transform({True: make(value), False: make(value)}, KERNELS),
    "masked": lambda make, value: optax.masked(make(value), KERNELS),
    "apply_if_finite": lambda make, value: optax.apply_if_finite(make(value), 3),
}


def is_masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)


def check(transform: Any) -> int:
    """Each leaf of the state gets the name of its parameter, or is a number; how many got a name is returned."""
    params = tree()
    state = transform.init(params)
    named = optax.tree.map_params(
        transform,
        lambda leaf, name: leaf if is_masked(leaf) else name,
        state,
        paths.map_named(lambda name, _: name, params),
        transform_non_params=lambda _: "",
        is_leaf=is_masked,
    )
    assert jax.tree.structure(named) == jax.tree.structure(state)
    for path, leaf, name in zip(paths.names(state), jax.tree.leaves(state), jax.tree.leaves(named), strict=True):
        assert path.endswith(name) if name else jnp.ndim(leaf) == 0, (path, name)
    return sum(name != "" for name in jax.tree.leaves(named))


GRID = [(row, wrapper) for row in TABLE if row.kind == "update" for wrapper in WRAPPED]
GRID += [(row, wrapper) for row in TABLE if row.kind == "forward" for wrapper in ("alone", "inject_hyperparams")]


@pytest.mark.parametrize(("method", "wrapper"), GRID, ids=lambda x: getattr(x, "name", x))
def test_map_params_knows_every_state(method: Method, wrapper: str):
    check(WRAPPED[wrapper](lambda x: adapted(method, x, KEY), method.value))


@pytest.mark.parametrize("make", MORE.values(), ids=MORE)
def test_map_params_knows_the_state_of_what_is_made_with_more(make):
    check(make())


def test_what_is_like_the_parameters_is_counted():
    leaves = len(jax.tree.leaves(tree()))
    assert check(methods.scale_by_adam()) == 2 * leaves
    assert check(methods.add_decay_to_init(0.5, weights=KERNELS)) == sum(jax.tree.leaves(KERNELS))
    assert check(methods.as_gradient_transformation(methods.mixout(0.5), KEY)) == 4
    assert check(methods.scale_by_layer_decay(0.5)) == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: methods.scale_by_layer_decay(0.5),
        lambda: methods.scale_by_path([("head/.*", 2.0)]),
        lambda: methods.mixout(0.5),
        functools.partial(methods.add_decay_to_init, 0.5, weights=KERNELS),
    ],
)
def test_an_empty_tree_is_refused_all_the_same(make):
    with pytest.raises(InputError):
        make().init({})
