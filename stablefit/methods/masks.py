"""Values for leaves, given as a tree, as a part from the top of one, or as a function of the parameters."""

import functools
from collections.abc import Callable, Collection
from typing import Any

import jax
import optax

from stablefit.errors import InputError
from stablefit.paths import holes, map_named, names, some

PerLeaf = Callable[[Any], Any] | Any  # a tree of values, a prefix of one, or a function from the parameters to either


def per_leaf(what: str, given: PerLeaf, params: Any, *, of_whole: bool = False) -> Any:
    """A tree like the parameters, with the value for each leaf.

    Args:
        what: what the values are, for a message.
        given: a tree; a value in it that stands where the parameters have a subtree counts for all of it. Or a function
            from the parameters to such a tree. A tree that can be called, as a module of Equinox, is a tree.
        params: any pytree of named leaves; what it leaves out (`optax.MaskedNode()`) stays out.
        of_whole: `given` may have values for leaves that the parameters lack.

    Raises:
        InputError: a leaf without a value, or a value without a leaf; the message names it.

    >>> per_leaf("mask", {"layer_0": False, "head": True}, {"layer_0": {"k": 1, "b": 2}, "head": 3})
    {'head': True, 'layer_0': {'b': False, 'k': False}}
    """
    if is_placeholder(params):
        return params
    if _is_function(given):
        given = given(params)
    if jax.tree.structure(given) == jax.tree.structure(params):
        return given
    values = dict(zip(names(given), jax.tree.leaves(given), strict=True))
    used = {name: _above(name, values) for name in names(params)}
    missing = [name for name, above in used.items() if above not in values]
    if missing:
        raise InputError(
            f"{what} has no value for {missing[0]!r}; it must be a tree like the parameters, or the top of one"
        )
    idle = [] if of_whole else sorted(values.keys() - set(used.values()))
    out = holes(params)
    for name in idle:
        if not any(_lies_in(name, hole) or _lies_in(hole, name) for hole in out):
            raise InputError(f"{what} has a value for {name!r}, which is no parameter; names are: {some(list(used))}")
    return map_named(lambda name, _: values[used[name]], params)


def is_placeholder(params: Any) -> bool:
    """Is this what `optax.tree.map_params` hands to `init` in place of the parameters, to see where they go?

    It has no leaves and so no names: a transform puts it wherever it would put a tree like the parameters, and checks
    nothing.

    >>> is_placeholder({}), is_placeholder({"layer_0": 1.0})
    (False, False)
    """
    return type(params) is _placeholder()


@functools.cache
def _placeholder() -> type:
    """Its type, which optax keeps to itself: found by looking on."""
    seen: list[type] = []

    def init(params: Any) -> tuple[()]:
        seen.append(type(params))
        return ()

    optax.tree.map_params(init, lambda leaf: leaf, ())
    return seen[0]


def _is_function(given: Any) -> bool:
    leaves = jax.tree.leaves(given)
    return callable(given) and all(callable(leaf) for leaf in leaves)


def _above(name: str, values: Collection[str]) -> str:
    """The longest name of a value that counts for a leaf; the leaf's own if there is none."""
    return max((other for other in values if _lies_in(name, other)), key=len, default=name)


def _lies_in(name: str, other: str) -> bool:
    return not other or name == other or name.startswith(other + "/")
