"""Learning-rate multipliers by depth and by path, applied to updates after Adam."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stablefit.errors import InputError
from stablefit.methods.masks import is_placeholder, per_leaf
from stablefit.methods.numeric import Scalar, check_range, is_constant, widen
from stablefit.paths import depths, find_stack, names, select, some

Rules = Sequence[tuple[str, Scalar]]


def layer_multipliers(
    params: Any,
    decay: Scalar,
    *,
    convention: Literal["paper", "electra"] = "paper",
    stack: str | None = None,
    block: str | None = None,
    axis: int | None = None,
) -> Any:
    r"""The multiplier of every leaf under layer-wise learning-rate decay.

        paper:    head, pooler 1;   block i of L  decay^(L - i)        embeddings decay^(L + 1)
        electra:  head, pooler 1;   block i of L  decay^(L + 1 - i)    embeddings decay^(L + 2)

    with blocks counted from 0 at the bottom: the top block has decay^1 in the paper's convention.

    Args:
        params: any pytree with named blocks (`layer_0`, ...); also used with its updates.
        decay: d, at least 0, usually 0.9 to 0.95; a Python number or a scalar that may be traced.
        convention: see above.
        stack: which blocks count where there are several stacks, as the message names them: `text/layer_*`, or `text`.
            Leaves of the other stacks, and embeddings that are nearer to those, get 1.
        block: how a block is named, a regular expression with one group, the index: `r"EncoderBlock_(\d+)"`. None knows
            layer_0, layers/0, h/0, block0, encoder_layer_0, EncoderBlock_0, TransformerLayer_0, resblocks/0.
        axis: the axis of depth of the leaves below `stack`, where scan-over-layers keeps all blocks in one leaf.

    Returns:
        A tree of multipliers, of the type of `decay`; arrays [L, 1, ...] for the leaves with an axis of depth.

    Raises:
        InputError: a negative decay, an unknown convention, a tree without blocks, or with blocks of two stacks.

    >>> params = {"embeddings": {"e": 0}, "layer_0": {"k": 0}, "layer_1": {"k": 0}, "head": {"k": 0}}
    >>> layer_multipliers(params, 0.5)
    {'embeddings': {'e': 0.125}, 'head': {'k': 1.0}, 'layer_0': {'k': 0.25}, 'layer_1': {'k': 0.5}}

    Reference: Howard, Ruder, ACL 2018. The paper's convention is that of the code of Zhang et al., "Revisiting
    Few-sample BERT Fine-tuning", ICLR 2021; the other is that of the code of Clark et al., "ELECTRA", ICLR 2020.
    """
    check_range("layer decay", decay, 0)
    if convention not in ("paper", "electra"):
        raise InputError(f"convention of layer decay is {convention!r}; it must be 'paper' or 'electra'")
    found = find_stack(params, stack=stack, block=block, axis=axis)
    if found is None or not found.size:
        raise InputError(
            "layer decay finds no blocks; block= says how a block is named, stack= and axis=0 where the blocks are an "
            f"axis of their leaves, whole= what a part was taken from; names are: {some(names(params)) or 'none'}"
        )
    top = found.size + 1
    below = 0 if convention == "paper" else 1

    def power(depth: Any) -> Any:
        if isinstance(depth, np.ndarray):
            powers = [power(int(one)) for one in depth.ravel()]
            stacked = jnp.stack(powers) if any(isinstance(one, jax.Array) for one in powers) else np.asarray(powers)
            return stacked.reshape(depth.shape)
        return decay ** (0 if depth == top else top - depth + below)

    return jax.tree.map(power, depths(params, found))


def scale_by_layer_decay(
    decay: Scalar,
    *,
    convention: Literal["paper", "electra"] = "paper",
    stack: str | None = None,
    block: str | None = None,
    axis: int | None = None,
    whole: Any = None,
) -> optax.GradientTransformation:
    """Multiply the updates of each layer by its own power of `decay`.

        u = decay^k u,   k the layers above

    One Adam and one tree of factors: the same numbers as one optimizer for each layer, compiled once.

    Trap: put it after Adam. Adam divides by the size of the gradient, so a factor before it cancels and does nothing,
    as in XLNet's code. Put it after the weight decay too, if the decay should be scaled with it as torch's parameter
    groups do.

    Args:
        decay: as in `layer_multipliers`; 1 is the identity.
        convention, stack, block, axis: as in `layer_multipliers`.
        whole: the whole tree of parameters (or its shapes), for depths; for a transform that gets a part of it, as
            `nnx.Optimizer(wrt=...)` may give. None counts in the tree that it is given. `optax.masked` and
            `multi_transform` say where a leaf is left out, so their parts need no `whole` if the labels are of leaves.

    Returns:
        An `optax.GradientTransformation` without state.

    Raises:
        InputError: as `layer_multipliers`; a tree without blocks at `init`, or with leaves that `whole` has not.

    >>> import jax.numpy as jnp
    >>> llrd = scale_by_layer_decay(0.5)
    >>> updates = {"layer_0": jnp.ones(1), "layer_1": jnp.ones(1), "head": jnp.ones(1)}
    >>> {name: float(u[0]) for name, u in llrd.update(updates, llrd.init(updates))[0].items()}
    {'head': 1.0, 'layer_0': 0.25, 'layer_1': 0.5}

    Reference: as `layer_multipliers`. The released code groups the parameters anew when layer decay is on, and its
    groups of pooler and classifier have no weight decay and no decay to the pre-trained weights at all, where every
    other leaf keeps its own. Its grouping is
    `mask=functools.partial(decay_mask, exempt_top=True)`, and for the decay to the pre-trained weights
    `anchor_weights(params, group=functools.partial(decay_mask, exempt_top=True))`.
    """
    check_range("layer decay", decay, 0)
    if is_constant(decay, 1):
        return optax.identity()

    def multipliers(params: Any) -> Any:
        return layer_multipliers(params, decay, convention=convention, stack=stack, block=block, axis=axis)

    if whole is None:
        return _scale_by(multipliers)
    factors = multipliers(whole)
    return _scale_by(lambda params: per_leaf("whole", factors, params, of_whole=True))


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

    Trap: put it after Adam, for the reason given in `scale_by_layer_decay`: recipes that multiply the gradients of a
    CRF by 100 in front of Adam report no effect, and have none.

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


def _scale_by(multipliers: Callable[[Any], Any]) -> optax.GradientTransformation:
    def init(params: Any) -> optax.EmptyState:
        if not is_placeholder(params):
            multipliers(params)  # raises here, before the first step, if a name is wrong
        return optax.EmptyState()

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, optax.EmptyState]:
        del params

        def leaf(u: jax.Array, multiplier: Any) -> jax.Array:
            return u if is_constant(multiplier, 1) else (multiplier * widen(u)).astype(u.dtype)

        return jax.tree.map(leaf, updates, multipliers(updates)), state

    return optax.GradientTransformation(init, update)
