"""What a leaf is, from its name: the conventions of Flax, Equinox, Haiku, torch and Keras in one table.

| | Flax linen, nnx | Equinox | Haiku | torch | Keras | fresh | decays |
|---|---|---|---|---|---|---|---|
| kernel | kernel, embedding | weight | w, embeddings | weight | kernel | N(0, std^2) | yes |
| scale | scale | weight of one axis | scale | weight of one axis | gamma | 1 | no |
| bias | bias | bias | b, offset | bias | beta, bias | 0 | no |
| zero | lora_b | | | lora_B | | 0 | yes |
| fixed | mean, var | | average, hidden, counter | running_mean, ... | moving_mean, ... | left alone | no |

What is no floating number, as the key and the count of a dropout, is fixed too. Under a `crf` are scores: they start
from N(0, std^2) and do not decay. A `weight` whose parent is named as a norm (`LayerNorm`, `ln_1`, `norm2`) is a scale
whatever its axes. Everything else of two and more axes is a kernel; of fewer axes it is unknown, and a method that
would have to know raises.

Sources: flax.linen and flax.nnx `Dense`/`Linear`, `LayerNorm`, `Embed`, `BatchNorm`, `LoRA`; equinox.nn `Linear` and
`LayerNorm`, whose weight is [out, in]; haiku `Linear`, `LayerNorm`, `Embed`, `ExponentialMovingAverage`; torch.nn
`Linear` ([out, in]), `LayerNorm`, `BatchNorm1d`, `MultiheadAttention`; peft `LoraLayer`; keras.layers
`LayerNormalization`, `BatchNormalization`. tests/methods/test_conventions.py has a module of each that is installed.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np

from stablefit.errors import InputError
from stablefit.paths import Stack, map_named, select

Kind = Literal["kernel", "scale", "bias", "zero", "scores", "fixed"]
Kinds = Mapping[str, Kind] | None  # what leaves are, by pattern, where their names do not say it

UNKNOWN = "unknown"

_KERNELS = {"kernel", "embedding", "embeddings", "w"}
_SCALES = {"scale", "gamma"}
_BIASES = {"bias", "b", "offset", "beta"}
_ZEROS = {"lora_b", "lora_B"}
_STATISTICS = {"mean", "var", "running_mean", "running_var", "num_batches_tracked", "moving_mean", "moving_variance"}
_AVERAGES = {"average", "hidden", "counter"}  # of a parent named mean_ema or var_ema
_LONG_BIAS = re.compile(r"\w+_bias|bias_[ih]h_l\d+(?:_reverse)?")  # in_proj_bias, q_bias; of recurrent layers
_NORM = re.compile(r"norm|(?:^|_)(?:ln|bn)(?=_|\d|$)", re.IGNORECASE)
_LAYER_SCALE = re.compile(r"ls\d*|layer_?scale\d*", re.IGNORECASE)
_EMBEDDING = re.compile(r"embed|wte|wpe", re.IGNORECASE)


def leaf_kinds(params: Any, kinds: Kinds = None, stack: Stack | None = None) -> Any:
    """What every leaf is: a tree of the words of the table above, or "unknown".

    Args:
        params: any pytree of named leaves.
        kinds: what leaves are, by pattern; goes before the table. Each pattern must match.
        stack: a stack whose blocks are an axis of its leaves, which then does not count as one of a leaf's own.

    Raises:
        InputError: a kind that there is not.
        PatternError: a pattern matches nothing.

    >>> import jax
    >>> leaf_kinds({"norm": {"weight": jnp.ones(2), "alpha": jnp.ones(2)}, "key": jax.random.key(0)})
    {'key': 'fixed', 'norm': {'alpha': 'unknown', 'weight': 'scale'}}
    """
    found = map_named(lambda name, leaf: _kind(name, leaf, _axes(name, leaf, stack)), params)
    for pattern, kind in reversed(list((kinds or {}).items())):
        if kind not in get_args(Kind):
            raise InputError(f"kinds= says that {pattern!r} is {kind!r}; it must be one of {', '.join(get_args(Kind))}")
        chosen = select(params, [pattern])
        found = map_named(lambda _, old, on, kind=kind: kind if on else old, found, chosen)
    return found


def unknown(name: str, what: str) -> InputError:
    """The error for a leaf whose name says nothing."""
    say = f"kinds={{'.*{re.escape(_last(name)[1])}': 'scale'}}"
    return InputError(
        f"{name!r} has one axis or none and a name that does not say what it is, so {what}; say it: {say}, or "
        "'bias', 'kernel', 'zero' (starts at 0, decays), 'fixed' (left alone)"
    )


def is_float(leaf: Any) -> bool:
    """Can a leaf be drawn, decayed, mixed? Not a random key, a count, or the activation function of a module."""
    dtype = getattr(leaf, "dtype", None)
    return isinstance(leaf, float | int) if dtype is None else jnp.issubdtype(dtype, jnp.inexact)


def has_outputs_first(name: str) -> bool:
    """Is a matrix of this name [out, in], as those of torch and Equinox are, and not [in, out]?"""
    parent, last = _last(name)
    return (last == "weight" or last.endswith("_weight")) and not _EMBEDDING.search(parent)


def _kind(name: str, leaf: Any, axes: int | None) -> str:
    parents = re.split("[/.]", name)[:-1]
    parent, last = _last(name)
    if last in _STATISTICS or "batch_stats" in parents or (last in _AVERAGES and parent.endswith("_ema")):
        return "fixed"
    if not is_float(leaf):
        return "fixed"
    if "crf" in parents:
        return "scores"
    if _LAYER_SCALE.fullmatch(parent):
        return UNKNOWN
    if last in _SCALES:
        return "scale"
    if last in _BIASES or (_LONG_BIAS.fullmatch(last) and (axes or 0) <= 1):
        return "bias"
    if last in _ZEROS or parent in _ZEROS or (last == "weight" and "lora_B" in parents):
        return "zero"
    if last == "weight" and ((axes or 0) <= 1 or _NORM.search(parent)):
        return "scale"
    return UNKNOWN if last not in _KERNELS and axes is not None and axes <= 1 else "kernel"


def _last(name: str) -> tuple[str, str]:
    """The last two parts of a name."""
    parts = ["", *re.split("[/.]", name)]
    return parts[-2], parts[-1]


def _axes(name: str, leaf: Any, stack: Stack | None) -> int | None:
    """How many axes a leaf has of its own; None for a Python number, which stands for a leaf in a tree of names."""
    if not hasattr(leaf, "shape"):
        return None
    return max(0, np.ndim(leaf) - (1 if stack and stack.holds(name) else 0))
