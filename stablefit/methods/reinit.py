"""Re-initialisation: some pre-trained leaves start from fresh random values."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

from stablefit.errors import InputError
from stablefit.methods.noise import draw_leaves
from stablefit.methods.numeric import Scalar, check_range, is_constant
from stablefit.paths import Key, PatternError, block_index, map_named, names, num_blocks, select

_CONSTANTS = {"bias": 0, "scale": 1}


def reinit(
    key: Key,
    params: Any,
    *,
    layers: Scalar = 0,
    indices: Sequence[int] = (),
    patterns: Sequence[str] = (),
    pooler: bool | None = None,
    std: Scalar = 0.02,
) -> Any:
    """Give the top blocks, or chosen leaves, fresh values; all others are returned as they are.

        kernels, embeddings, anything else ~ N(0, std^2), not truncated;   LayerNorm scale = 1;   bias = 0

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

    Returns:
        Parameters of the same structure, shapes and dtypes.

    Raises:
        InputError: `layers` or `indices` out of range.
        PatternError: a pattern matches nothing, or `pooler=True` without a pooler.

    >>> params = {"layer_0": {"bias": jnp.ones(2)}, "layer_1": {"bias": jnp.ones(2)}}
    >>> {name: leaf["bias"].tolist() for name, leaf in reinit(jax.random.key(0), params, layers=1).items()}
    {'layer_0': [1.0, 1.0], 'layer_1': [0.0, 0.0]}

    Reference: Zhang et al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021; their text and their code agree:
    "Re-init L" includes the pooler, and `layers=0, pooler=True` is their "pooler only". N(0, std^2) is plain, where
    BERT's own initialisation is truncated.
    """
    check_range("std of re-initialisation", std, 0)
    chosen = reinit_mask(params, layers=layers, indices=indices, patterns=patterns, pooler=pooler)

    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, old: Any, new: Any) -> None:
        if not is_constant(new, False) and _kind(name) not in _CONSTANTS:
            shapes[name] = old.shape

    map_named(note, params, chosen)
    # float32 whatever the dtype, so that a seed means the same values in every precision. The barrier keeps XLA from
    # merging std into the normal's own factor: jitted or not, a seed gives the same bits.
    draws = draw_leaves(key, "reinit", shapes, lambda k, shape: jax.random.normal(k, shape, jnp.float32))
    draws = jax.lax.optimization_barrier(draws)

    def leaf(name: str, old: Any, new: Any) -> Any:
        if is_constant(new, False):
            return old
        fresh = std * draws[name] if name in draws else jnp.full_like(old, _CONSTANTS[_kind(name)])
        fresh = _placed_like(fresh.astype(old.dtype), old)
        return fresh if is_constant(new, True) else jnp.where(new, fresh, old)

    return map_named(leaf, params, chosen)


def reinit_mask(
    params: Any,
    *,
    layers: Scalar = 0,
    indices: Sequence[int] = (),
    patterns: Sequence[str] = (),
    pooler: bool | None = None,
) -> Any:
    """Which leaves `reinit` changes, with the same arguments.

    Args: as in `reinit`.

    Returns:
        A tree of booleans: Python ones, or traced scalars for blocks (and the pooler) when `layers` is traced.

    Raises: as `reinit`.

    >>> reinit_mask({"layer_1": {"k": 0}, "layer_10": {"k": 0}, "head": {"k": 0}}, indices=[1])
    {'head': {'k': False}, 'layer_1': {'k': True}, 'layer_10': {'k': False}}
    """
    blocks = num_blocks(params)
    if isinstance(layers, int | float) and not (0 <= layers <= blocks and layers == int(layers)):
        raise InputError(f"re-init of {layers} layers; it must be an integer from 0 to {blocks}, the number of blocks")
    for index in indices:
        if not 0 <= index < blocks:
            raise InputError(f"re-init of block {index}; an index must lie from 0 to {blocks - 1}, there are {blocks}")
    if pooler and not any(_is_pooler(name) for name in names(params)):
        raise PatternError("pooler=True, but no parameter has `pooler` in its name; drop it or set it to None")
    matched = select(params, patterns)
    with_blocks = True if indices else layers > 0
    with_pooler = with_blocks if pooler is None else pooler

    def leaf(name: str, _: Any, match: bool) -> Any:
        if match:
            return True
        if _is_pooler(name):
            return with_pooler
        index = block_index(name)
        if index is None:
            return False
        return True if index in indices else blocks - index <= layers

    return map_named(leaf, params, matched)


def _is_pooler(name: str) -> bool:
    return "pooler" in name.split("/")


def _kind(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _placed_like(fresh: jax.Array, old: Any) -> jax.Array:
    if isinstance(old, jax.Array) and not isinstance(old, Tracer):
        return jax.device_put(fresh, old.sharding)
    return fresh
