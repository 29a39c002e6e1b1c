"""Re-initialisation: some pre-trained leaves start from fresh random values."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from stablefit.errors import InputError
from stablefit.methods.conventions import UNKNOWN, Kinds, leaf_kinds, unknown
from stablefit.methods.noise import draw_leaves
from stablefit.methods.numeric import Scalar, check_range, is_constant, known_number
from stablefit.methods.placement import placed_like
from stablefit.paths import Key, PatternError, Stack, find_stack, map_named, names, select

Tree = TypeVar("Tree")  # a pytree of arrays
_CONSTANTS = {"bias": 0, "scale": 1}  # of the kinds of leaves
_CONSTANTS["zero"] = 0


def reinit(
    key: Key,
    params: Tree,
    *,
    layers: Scalar = 0,
    indices: Sequence[int] = (),
    patterns: Sequence[str] = (),
    pooler: bool | None = None,
    std: Scalar = 0.02,
    stack: str | None = None,
    block: str | None = None,
    axis: int | None = None,
    kinds: Kinds = None,
) -> Tree:
    r"""Give the top blocks, or chosen leaves, fresh values; all others are returned as they are.

        kernels, embeddings, anything else ~ N(0, std^2), not truncated;   LayerNorm scale = 1;   bias = 0

    What a leaf is, is said by its name: `stablefit.methods.conventions` has the table, for Flax, Equinox, Haiku, torch
    and Keras. Batch statistics, random keys and counts are left alone.

    Trap: `layers` counts from the top, `indices` from the bottom, and either takes the pooler along. What pulls weights
    to their start afterwards would pull these to noise: give `reinit_mask` to `anchor_weights` as `fresh=`.

    Args:
        key: a typed JAX key, shape (); leaf `name` uses `key_for(key, "reinit/" + name)`.
        params: the pre-trained parameters, any pytree of named leaves.
        layers: how many blocks from the top, in [0, number of blocks]; a Python integer, or a scalar that may be
            traced, for which every leaf of every block is drawn and then chosen.
        indices: blocks by index, counted from 0 at the bottom.
        patterns: leaves by name; each pattern must match.
        pooler: None re-initialises the pooler, if there is one, together with any block; True always; False never. The
            pooler's leaves have `pooler` as a part of their name.
        std: standard deviation of the normal, at least 0.
        stack, block, axis: which blocks count, as in `layer_multipliers`: of two stacks `stack="text"`, of blocks of
            another name `block=r"EncoderBlock_(\d+)"`, of blocks along an axis of their leaves
            `stack="encoder/layers", axis=0`.
        kinds: what a leaf is, by pattern, where its name does not say it: `{".*/gate": "scale"}`.

    Returns:
        Parameters of the same structure, shapes, dtypes and shardings.

    Raises:
        InputError: `layers` or `indices` out of range; blocks of two stacks; a leaf of one axis that would start anew
            and whose name does not say what it is.
        PatternError: a pattern matches nothing, or nothing but what is left alone; `pooler=True` without a pooler.

    >>> params = {"layer_0": {"bias": jnp.ones(2)}, "layer_1": {"bias": jnp.ones(2)}}
    >>> {name: leaf["bias"].tolist() for name, leaf in reinit(jax.random.key(0), params, layers=1).items()}
    {'layer_0': [1.0, 1.0], 'layer_1': [0.0, 0.0]}

    Reference: Zhang et al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021; their text and their code agree:
    "Re-init L" includes the pooler, and `layers=0, pooler=True` is their "pooler only". N(0, std^2) is plain, where
    BERT's own initialisation is truncated.
    """
    check_range("std of re-initialisation", std, 0)
    where = {"stack": stack, "block": block, "axis": axis, "kinds": kinds}
    chosen = reinit_mask(params, layers=layers, indices=indices, patterns=patterns, pooler=pooler, **where)
    kind = dict(zip(names(params), jax.tree.leaves(_leaf_kinds(params, stack, axis, kinds)), strict=True))

    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, old: Any, new: Any) -> None:
        if not is_constant(new, False) and kind[name] not in _CONSTANTS and hasattr(old, "shape"):
            shapes[name] = old.shape

    map_named(note, params, chosen)
    # float32 whatever the dtype, so that a seed means the same values in every precision. The barrier keeps XLA from
    # merging std into the normal's own factor: jitted or not, a seed gives the same bits.
    draws = draw_leaves(key, "reinit", shapes, lambda k, shape: jax.random.normal(k, shape, jnp.float32))
    draws = jax.lax.optimization_barrier(draws)

    def leaf(name: str, old: Any, new: Any) -> Any:
        if is_constant(new, False) or not hasattr(old, "shape"):  # a number in an unfiltered module: a dropout's rate
            return old
        fresh = std * draws[name] if name in draws else jnp.full_like(old, _CONSTANTS[kind[name]])
        fresh = placed_like(fresh.astype(old.dtype), old)
        return fresh if is_constant(new, True) else jnp.where(new, fresh, old)

    return map_named(leaf, params, chosen)


def reinit_mask(
    params: Any,
    *,
    layers: Scalar = 0,
    indices: Sequence[int] = (),
    patterns: Sequence[str] = (),
    pooler: bool | None = None,
    stack: str | None = None,
    block: str | None = None,
    axis: int | None = None,
    kinds: Kinds = None,
) -> Any:
    """Which leaves `reinit` changes, with the same arguments.

    Args: as in `reinit`.

    Returns:
        A tree of booleans: Python ones, or traced scalars for blocks (and the pooler) when `layers` is traced; arrays
        [L, 1, ...] for leaves with an axis of depth of which some blocks change.

    Raises: as `reinit`.

    >>> reinit_mask({"layer_1": {"k": 0}, "layer_10": {"k": 0}, "head": {"k": 0}}, indices=[1])
    {'head': {'k': False}, 'layer_1': {'k': True}, 'layer_10': {'k': False}}
    """
    found = None
    if not is_constant(layers, 0) or indices or stack is not None or block is not None:  # else no blocks are needed
        found = find_stack(params, stack=stack, block=block, axis=axis)
    blocks = found.size if found else 0
    _check(params, layers, indices, pooler, blocks, bool(found))
    kind = _leaf_kinds(params, stack, axis, kinds)
    matched = select(params, patterns)
    for pattern in patterns:
        if all(k == "fixed" for k, on in _pairs(kind, select(params, [pattern])) if on):
            raise PatternError(f"pattern {pattern!r} matches statistics, keys or counts alone, which are left alone")
    with_blocks = True if indices else layers > 0
    with_pooler = with_blocks if pooler is None else pooler

    def wanted(name: str, old: Any) -> Any:
        if "pooler" in re.split("[/.]", name) and (found is None or found.is_near(name)):
            return with_pooler
        index = found.block_of(name, old) if found else None
        if index is None:
            return False
        if isinstance(index, np.ndarray):
            return _of_slices(np.isin(index, list(indices)) | (index >= blocks - layers))
        return True if index in indices else blocks - index <= layers

    def leaf(name: str, old: Any, match: bool, what: str) -> Any:
        new = what != "fixed" and (True if match else wanted(name, old))
        if what == UNKNOWN and not is_constant(new, False):
            raise unknown(name, "re-init cannot tell what it starts from")
        return new

    return map_named(leaf, params, matched, kind)


def _check(params: Any, layers: Scalar, indices: Sequence[int], pooler: bool | None, blocks: int, found: bool) -> None:
    known = known_number("layers of re-init", layers)
    how = (
        "" if found else "; block= says how a block is named, stack= and axis=0 where they are an axis of their leaves"
    )
    if known is not None and not (0 <= known <= blocks and known == int(known)):
        raise InputError(
            f"re-init of {layers} layers; it must be an integer from 0 to {blocks}, the number of blocks{how}"
        )
    for index in indices:
        if not 0 <= index < blocks:
            raise InputError(
                f"re-init of block {index}; an index must lie from 0 to {blocks - 1}, there are {blocks}{how}"
            )
    if pooler and not any("pooler" in re.split("[/.]", name) for name in names(params)):
        raise PatternError("pooler=True, but no parameter has `pooler` in its name; drop it or set it to None")


def _leaf_kinds(params: Any, stack: str | None, axis: int | None, kinds: Kinds) -> Any:
    stacked: Stack | None = None if axis is None else find_stack(params, stack=stack, axis=axis)
    return leaf_kinds(params, kinds, stacked)


def _pairs(kind: Any, on: Any) -> Any:
    return zip(jax.tree.leaves(kind), jax.tree.leaves(on), strict=True)


def _of_slices(chosen: Any) -> Any:
    """One Python boolean where it is the same for all blocks and known."""
    if isinstance(chosen, np.ndarray) and (chosen.all() or not chosen.any()):
        return bool(chosen.all())
    return chosen
