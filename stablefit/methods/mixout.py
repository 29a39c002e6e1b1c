"""Mixout: each step, a random part of the weights takes its pre-trained value."""

import re
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stablefit.errors import InputError
from stablefit.methods.conventions import has_outputs_first, is_float, leaf_kinds
from stablefit.methods.masks import is_placeholder
from stablefit.methods.noise import draw_leaves
from stablefit.methods.numeric import Scalar, check_range, depth_axis, is_constant, widen
from stablefit.methods.param_transform import ParamTransform, identity
from stablefit.paths import Key, find_stack, map_named, names, select

KERNELS = (r"(?:.*/)?kernel",)
_OTHER_KERNELS = re.compile(r"(?:.*[/.])?(?:w|weight|\w+_weight)")  # Haiku; Equinox and torch
_EMBEDDINGS = re.compile(r"embed|wte|wpe", re.IGNORECASE)


class MixoutState(NamedTuple):
    """State of mixout."""

    anchor: Any  # the tree of params at init; `optax.MaskedNode()` in place of a leaf that is not mixed


def mixout(
    rate: Scalar,
    *,
    where: Sequence[str] | None = None,
    unit: Literal["input", "weight"] = "input",
    gradient: Literal["true", "official"] = "true",
    stack: str | None = None,
    axis: int | None = None,
) -> ParamTransform:
    """Mix the weights with their values at `init`: inverted dropout on the difference.

        w' = u + M (w - u) / (1 - p),   M ~ Bernoulli(1 - p),   so that E[w'] = w

    The anchor u is a copy of the parameters given to `init`, kept in the state and never closed over. Evaluation uses
    w itself. The arithmetic is in float32 also for bfloat16 weights.

    Trap: the default, whole input units and the gradient of the formula, is neither the paper's mixout nor that of the
    released code: both are below. And u is whatever `init` gets: give it the pre-trained weights when a run resumes.

    Args:
        rate: p in [0, 1], a Python number or a scalar that may be traced. 0 is the identity and leaves the bits alone;
            1 gives u.
        where: patterns of the leaves to mix; each must match at least one. Default: every leaf called `kernel`; where
            there is none, the matrices that Haiku calls `w` and Equinox and torch call `weight`, embeddings aside.
            Beside the adapters of LoRA there is no default.
        unit: what shares a draw. `input`: one draw for each input feature of a kernel [in, out], mask [in, 1]; in a
            kernel of more axes all but the last count as input; a vector is drawn by element. A `weight` is
            [out, in], as in Equinox and torch, and its mask [1, in]. `weight`: one draw for each weight.
        gradient: `true` is the gradient of the formula, dw'/dw = M / (1 - p). `official` is M alone.
        stack, axis: where scan-over-layers keeps all blocks in one leaf: what holds such leaves, and the axis of depth.
            Needed for a `weight` alone: a kernel's axis of depth counts as input anyway.

    Returns:
        A `ParamTransform`. The key of leaf `name` is `key_for(key, "mixout/" + name)`.

    Raises:
        InputError: a rate outside [0, 1], an unknown unit or gradient; at `init`, a pattern that matches nothing.

    >>> params = {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}
    >>> half = mixout(0.5)
    >>> state = half.init(jax.tree.map(jnp.zeros_like, params))
    >>> half.apply(jax.random.key(0), params, state)["kernel"].tolist()
    [[2.0, 2.0, 2.0], [0.0, 0.0, 0.0]]

    Reference: Lee, Cho, Kang, "Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models",
    ICLR 2020, draws each weight on its own: `unit="weight"`. The released code, with which Zhang et al., "Revisiting
    Few-sample BERT Fine-tuning", ICLR 2021, made their numbers, draws whole input units and leaves 1 / (1 - p) out of
    its gradient: `unit="input", gradient="official"`. It also mixes the head, and sets every dropout to 0.
    """
    check_range("mixout rate", rate, 0, 1)
    if unit not in ("input", "weight"):
        raise InputError(f"mixout unit is {unit!r}; it must be 'input' or 'weight'")
    if gradient not in ("true", "official"):
        raise InputError(f"mixout gradient is {gradient!r}; it must be 'true' or 'official'")
    if is_constant(rate, 0):
        return identity()

    def init(params: Any) -> MixoutState:
        if is_placeholder(params):
            return MixoutState(params)
        chosen = _kernels(params) if where is None else select(params, where)
        chosen = jax.tree.map(lambda w, on: on and is_float(w), params, chosen)  # no counts, no random keys
        # A copy: the params may be donated to the step, and the anchor must outlive them.
        return MixoutState(
            jax.tree.map(lambda w, mixed: jnp.array(w, copy=True) if mixed else optax.MaskedNode(), params, chosen)
        )

    def apply(key: Key, params: Any, state: MixoutState) -> Any:
        shapes: dict[str, tuple[int, ...]] = {}
        found = None if axis is None else find_stack(params, stack=stack, axis=axis)

        def note(name: str, w: jax.Array, u: Any) -> None:
            if not isinstance(u, optax.MaskedNode):
                shapes[name] = _unit_shape(name, w.shape, depth_axis(found, name)) if unit == "input" else w.shape

        map_named(note, params, state.anchor)
        # uniform lies in [0, 1): every unit is kept at rate 0, none at rate 1. float32 also in a program with x64, so
        # that the masks do not depend on the precision.
        draws = draw_leaves(key, "mixout", shapes, lambda k, shape: jax.random.uniform(k, shape, jnp.float32))

        def leaf(name: str, w: jax.Array, u: Any) -> jax.Array:
            return _mix(w, u, draws[name] >= rate, rate, gradient) if name in draws else w

        return map_named(leaf, params, state.anchor)

    return ParamTransform(init, apply)


def _kernels(params: Any) -> Any:
    adapter = next((name for name in names(params) if re.search(r"lora_[abAB](?:[/.]|$)", name)), None)
    if adapter is not None:
        raise InputError(f"mixout does not guess between {adapter!r} and what it adapts; where= says what is mixed")
    if any(re.fullmatch(KERNELS[0], name) for name in names(params)):
        return select(params, KERNELS)

    def is_kernel(name: str, w: Any, kind: str) -> bool:
        matrix = kind == "kernel" and np.ndim(w) > 1
        return matrix and _OTHER_KERNELS.fullmatch(name) is not None and not _EMBEDDINGS.search(name)

    chosen = map_named(is_kernel, params, leaf_kinds(params))
    # without any, the error is that of the pattern: it names some leaves
    return chosen if any(jax.tree.leaves(chosen)) else select(params, KERNELS)


def _unit_shape(name: str, shape: tuple[int, ...], depth: int | None) -> tuple[int, ...]:
    """The shape of the draws of a leaf, one for each input feature."""
    own = [i for i in range(len(shape)) if depth is None or i != depth % len(shape)]
    if len(own) < 2:
        return shape
    if not has_outputs_first(name):
        return tuple(1 if i == own[-1] else n for i, n in enumerate(shape))
    if len(own) > 2 and depth is None:
        raise InputError(
            f"mixout cannot tell the outputs of {name!r}, of shape {shape}: all blocks in one leaf need stack= and "
            "axis=; a convolution, unit='weight'"
        )
    return tuple(1 if i == own[0] else n for i, n in enumerate(shape))


def _mix(w: jax.Array, u: jax.Array, kept: jax.Array, rate: Scalar, gradient: str) -> jax.Array:
    w_wide, u_wide = widen(w), widen(jax.lax.stop_gradient(u))
    keep_rate = jnp.where(jnp.asarray(rate) < 1, 1 - rate, 1)  # at rate 1 nothing is kept: any divisor will do
    mixed = u_wide + jnp.where(kept, (w_wide - u_wide) / keep_rate, 0)
    if gradient == "official":
        # The second term is zero; only its gradient counts.
        mixed = jax.lax.stop_gradient(mixed) + jnp.where(kept, w_wide - jax.lax.stop_gradient(w_wide), 0)
    # u + (w - u) rounds; at a traced rate of 0 the weights must come back as they were.
    return jnp.where(jnp.asarray(rate) == 0, w, mixed.astype(w.dtype))
