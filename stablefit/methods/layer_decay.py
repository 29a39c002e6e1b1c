"""Learning-rate multipliers by depth and by path, applied to updates after Adam."""

from collections.abc import Sequence
from typing import Any, Literal

import jax
import optax

from stablefit.errors import InputError
from stablefit.methods.numeric import Scalar, check_range, is_constant, widen
from stablefit.paths import depths, names, num_blocks, select

Rules = Sequence[tuple[str, Scalar]]


def layer_multipliers(params: Any, decay: Scalar, *, convention: Literal["paper", "electra"] = "paper") -> Any:
    """The multiplier of every leaf under layer-wise learning-rate decay.

        paper:    head, pooler 1;   block i of L  decay^(L - i)        embeddings decay^(L + 1)
        electra:  head, pooler 1;   block i of L  decay^(L + 1 - i)    embeddings decay^(L + 2)

    with blocks counted from 0 at the bottom: the top block has decay^1 in the paper's convention.

    Args:
        params: any pytree with named blocks (`layer_0`, ...); also used with its updates.
        decay: d, at least 0, usually 0.9 to 0.95; a Python number or a scalar that may be traced.
        convention: see above.

    Returns:
        A tree of multipliers, of the type of `decay`.

    Raises:
        InputError: a negative decay, an unknown convention, or a tree without blocks.

    >>> params = {"embeddings": {"e": 0}, "layer_0": {"k": 0}, "layer_1": {"k": 0}, "head": {"k": 0}}
    >>> layer_multipliers(params, 0.5)
    {'embeddings': {'e': 0.125}, 'head': {'k': 1.0}, 'layer_0': {'k': 0.25}, 'layer_1': {'k': 0.5}}

    Reference: Howard, Ruder, ACL 2018. The paper's convention is that of the code of Zhang et al., "Revisiting
    Few-sample BERT Fine-tuning", ICLR 2021; the other is that of the code of Clark et al., "ELECTRA", ICLR 2020.
    """
    check_range("layer decay", decay, 0)
    if convention not in ("paper", "electra"):
        raise InputError(f"convention of layer decay is {convention!r}; it must be 'paper' or 'electra'")
    blocks = num_blocks(params)
    if not blocks:
        raise InputError(f"layer decay finds no blocks; a block is named like layer_0, and leaves are: {_some(params)}")
    top = blocks + 1
    below = 0 if convention == "paper" else 1

    def power(depth: int) -> Any:
        return decay ** (0 if depth == top else top - depth + below)

    return jax.tree.map(power, depths(params))


def scale_by_layer_decay(
    decay: Scalar, *, convention: Literal["paper", "electra"] = "paper"
) -> optax.GradientTransformation:
    """Multiply the updates of each layer by its own power of `decay`.

        u = decay^k u,   k the layers above

    Put it after Adam. Adam divides by the size of the gradient, so a factor before it cancels and does nothing, as in
    XLNet's code. Put it after the weight decay too, if the decay should be scaled with it as torch's parameter groups
    do. One Adam and one tree of factors: the same numbers as one optimizer for each layer, compiled once.

    Args:
        decay: as in `layer_multipliers`; 1 is the identity.
        convention: as in `layer_multipliers`.

    Returns:
        An `optax.GradientTransformation` without state. Depth is counted in the tree it is given: it must see all
        blocks.

    Raises:
        InputError: as `layer_multipliers`; a tree without blocks at `init`.

    >>> import jax.numpy as jnp
    >>> llrd = scale_by_layer_decay(0.5)
    >>> updates = {"layer_0": jnp.ones(1), "layer_1": jnp.ones(1), "head": jnp.ones(1)}
    >>> {name: float(u[0]) for name, u in llrd.update(updates, llrd.init(updates))[0].items()}
    {'head': 1.0, 'layer_0': 0.25, 'layer_1': 0.5}

    Reference: as `layer_multipliers`.
    """
    check_range("layer decay", decay, 0)
    if is_constant(decay, 1):
        return optax.identity()

    def multipliers(params: Any) -> Any:
        return layer_multipliers(params, decay, convention=convention)

    return _scale_by(multipliers)


def path_multipliers(params: Any, rules: Rules) -> Any:
    """The multiplier of every leaf under rules by name: the first rule that matches counts, else 1.

    Args:
        params: any pytree of named leaves.
        rules: pairs (pattern, multiplier); a multiplier is a Python number or a scalar that may be traced.

    Returns:
        A tree of multipliers.

    Raises:
        PatternError: a pattern matches nothing.

    >>> path_multipliers({"crf": {"transitions": 0}, "layer_0": {"kernel": 0}}, [("crf/.*", 100.0)])
    {'crf': {'transitions': 100.0}, 'layer_0': {'kernel': 1.0}}
    """
    chosen = [(select(params, [pattern]), multiplier) for pattern, multiplier in rules]
    multipliers = jax.tree.map(lambda _: 1.0, params)
    for matches, multiplier in reversed(chosen):  # the first rule is written last, over the others

        def leaf(match: bool, old: Any, new: Any = multiplier) -> Any:
            return new if match else old

        multipliers = jax.tree.map(leaf, matches, multipliers)
    return multipliers


def scale_by_path(rules: Rules) -> optax.GradientTransformation:
    """Multiply the updates of named leaves: a head or a CRF that learns faster than the encoder.

        u = multiplier(name) u

    Put it after Adam, for the reason given in `scale_by_layer_decay`: recipes that multiply the gradients of a CRF by
    100 in front of Adam report no effect, and have none.

    Args:
        rules: as in `path_multipliers`; no rules are the identity, and a leaf with the Python multiplier 1 is skipped.

    Returns:
        An `optax.GradientTransformation` without state.

    Raises:
        PatternError: at `init`, a pattern matches nothing.

    >>> import jax.numpy as jnp
    >>> faster = scale_by_path([("head/.*", 100.0)])
    >>> updates = {"head": {"kernel": jnp.ones(1)}, "layer_0": {"kernel": jnp.ones(1)}}
    >>> float(faster.update(updates, faster.init(updates))[0]["head"]["kernel"][0])
    100.0
    """
    rules = tuple(rules)
    if not rules:
        return optax.identity()
    return _scale_by(lambda params: path_multipliers(params, rules))


def _scale_by(multipliers: Any) -> optax.GradientTransformation:
    def init(params: Any) -> optax.EmptyState:
        multipliers(params)  # raises here, before the first step, if a name is wrong
        return optax.EmptyState()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.EmptyState]:
        del params

        def leaf(u: jax.Array, multiplier: Any) -> jax.Array:
            return u if is_constant(multiplier, 1) else (multiplier * widen(u)).astype(u.dtype)

        return jax.tree.map(leaf, updates, multipliers(updates)), state

    return optax.GradientTransformation(init, update)


def _some(tree: Any) -> str:
    return ", ".join(names(tree)[:4])
