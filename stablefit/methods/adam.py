"""Adam with its bias correction as an option, and the two optimizers of the paper's comparison."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from stablefit.errors import InputError
from stablefit.methods.masks import PerLeaf
from stablefit.methods.numeric import Scalar, check_range, known_number, widen
from stablefit.methods.placement import placed_like
from stablefit.methods.weight_decay import add_weight_decay

_NAMED_CORRECTIONS = {"both": (True, True), "none": (False, False), "first": (True, False), "second": (False, True)}


class ScaleByAdamState(NamedTuple):
    """State of Adam."""

    count: Any  # shape (), int32: steps taken
    mu: Any  # like the updates; float32 for updates of lower precision
    nu: Any  # like mu


def scale_by_adam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    *,
    bias_correction: Any = "both",
    eps_hat: bool = False,
) -> optax.GradientTransformation:
    """Adam's direction, with or without the correction of the moments' bias toward zero.

        m = b1 m + (1 - b1) g,   v = b2 v + (1 - b2) g^2,   c1 = 1 - b1^t,   c2 = 1 - b2^t,   t = 1, 2, ...

        u = (m / c1) / (sqrt(v / c2) + eps)             eps_hat=False: Algorithm 1 of the paper, torch, optax
        u = sqrt(c2) / c1 * m / (sqrt(v) + eps)         eps_hat=True: old transformers; with "none", TF BERT

    A moment that is not corrected has c = 1. At eps = 0 leaving the correction out is the same as multiplying the
    learning rate by `bias_correction_ratio(t)`: up to 6.57 for the usual betas.

    Trap: a learning rate that was found with the correction is too large without it: step 12 is 6.57 times as long, and
    step 1000 still 1.26 times.

    Args:
        b1: decay of the first moment, in [0, 1); a Python number or a scalar that may be traced.
        b2: decay of the second moment, in [0, 1); likewise.
        eps: at least 0; likewise. Without correction 1e-6 is not small: state eps and its place with every result.
        bias_correction: "both" (or True), "none" (or False), "first" or "second" (AdamD) for one moment alone; or a
            boolean scalar, or a pair of them (first, second), which may be traced.
        eps_hat: where eps stands, see above; a Python boolean.

    Returns:
        An `optax.GradientTransformation`. Moments are float32 for bfloat16 updates; updates keep their dtype.

    Raises:
        InputError: a Python number outside its range, or an unknown `bias_correction`.

    At the first step the correction makes the update the sign of the gradient; without it the update is 3.16 times it:

    >>> for correction in ("both", "none"):
    ...     adam = scale_by_adam(bias_correction=correction)
    ...     update, _ = adam.update(jnp.float32(-0.5), adam.init(jnp.float32(0)))
    ...     print(f"{float(update):.3f}")
    -1.000
    -3.162

    Reference: Kingma, Ba, "Adam", ICLR 2015. TF BERT leaves the correction out, which Zhang et al., "Revisiting
    Few-sample BERT Fine-tuning", ICLR 2021, find to fail on small data. Their flag changed the place of eps and the
    order of the decay too; here each is its own choice. "second" alone: St John, "AdamD", 2021.
    """
    for name, value in {"b1": b1, "b2": b2}.items():
        known = known_number(f"Adam's {name}", value)
        if known is not None and not 0 <= known < 1:
            raise InputError(f"Adam's {name} is {value}; it must lie in [0, 1)")
    check_range("Adam's eps", eps, 0)
    correct_first, correct_second = _corrections(bias_correction)

    def init(params: Any) -> ScaleByAdamState:
        def zeros(x: jax.Array) -> jax.Array:
            return placed_like(jnp.zeros_like(x, dtype=jnp.promote_types(x.dtype, jnp.float32)), x)

        return ScaleByAdamState(jnp.zeros((), jnp.int32), jax.tree.map(zeros, params), jax.tree.map(zeros, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, ScaleByAdamState]:
        del params
        count = jnp.asarray(optax.safe_increment(state.count))
        c1 = _bias(b1, count) if correct_first is True else jnp.where(correct_first, _bias(b1, count), 1)
        c2 = _bias(b2, count) if correct_second is True else jnp.where(correct_second, _bias(b2, count), 1)

        def direction(g: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
            if eps_hat:
                return (jnp.sqrt(c2) / c1 * m / (jnp.sqrt(v) + eps)).astype(g.dtype)
            return ((m / c1) / (jnp.sqrt(v / c2) + eps)).astype(g.dtype)

        mu = jax.tree.map(lambda g, m: (b1 * m + (1 - b1) * widen(g)).astype(m.dtype), updates, state.mu)
        nu = jax.tree.map(lambda g, v: (b2 * v + (1 - b2) * widen(g) ** 2).astype(v.dtype), updates, state.nu)
        return jax.tree.map(direction, updates, mu, nu), ScaleByAdamState(count, mu, nu)

    return optax.GradientTransformation(init, update)


def bias_correction_ratio(t: Scalar, b1: Scalar = 0.9, b2: Scalar = 0.999) -> jax.Array:
    """How much longer Adam's step t is without correction, at eps = 0.

        r(t) = (1 - b1^t) / sqrt(1 - b2^t)

    Args:
        t: the step, from 1; any shape.
        b1: decay of the first moment, in [0, 1).
        b2: decay of the second moment, in [0, 1).

    Returns:
        r, of the shape of t.

    >>> [round(float(bias_correction_ratio(t)), 3) for t in (1, 12, 1000)]
    [3.162, 6.569, 1.258]
    """
    return _bias(b1, t) / jnp.sqrt(_bias(b2, t))


def adamw(
    learning_rate: optax.ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: optax.ScalarOrSchedule = 0.0,
    *,
    bias_correction: Any = "both",
    mask: PerLeaf | None = "default",
) -> optax.GradientTransformation:
    """AdamW as in torch: the decay is decoupled from the moments and scaled by the learning rate.

        w = w - lr (adam(g) + weight_decay w)

    Trap: what is taken a step is lr weight_decay of a weight: at lr = 2e-5 and a rate of 0.01 that is 0.02 % in 1000
    steps. Biases and LayerNorm scales do not decay by default, where optax's and torch's `adamw` decay them.

    Args:
        learning_rate: a number or a schedule.
        b1, b2, eps, bias_correction: as in `scale_by_adam`.
        weight_decay: at least 0, a number or a schedule; 0 is the identity.
        mask: which leaves decay, as in `add_weight_decay`; by default all but biases and LayerNorm scales.

    Returns:
        An `optax.GradientTransformation`.

    >>> optimizer = adamw(0.1, weight_decay=0.5)
    >>> w = {"kernel": jnp.ones(1)}
    >>> updates, _ = optimizer.update({"kernel": jnp.zeros(1)}, optimizer.init(w), w)
    >>> round(float(updates["kernel"][0]), 6)
    -0.05

    Reference: Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, whose decay is not multiplied by
    the learning rate; torch, optax and this one do multiply it. Torch's default of `weight_decay` is 0.01.
    """
    return optax.chain(
        scale_by_adam(b1, b2, eps, bias_correction=bias_correction),
        add_weight_decay(weight_decay, mask),
        optax.scale_by_learning_rate(learning_rate),
    )


def bert_adam(
    learning_rate: optax.ScalarOrSchedule,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    weight_decay: optax.ScalarOrSchedule = 0.01,
    *,
    mask: PerLeaf | None = "default",
) -> optax.GradientTransformation:
    """The optimizer of TF BERT: Adam without bias correction, and decoupled weight decay.

        w = w - lr (m / (sqrt(v) + eps) + weight_decay w)

    Trap: at first sqrt(v) is 0.03 |g|, so that eps = 1e-6 halves the first step of a gradient of 3e-5: say which eps
    gave a result. The steps of larger gradients are too long, see `scale_by_adam`.

    Args: as in `adamw`. TF BERT also clips the global norm to 1 before: put `clip_by_global_norm(1.0)` first.

    Returns:
        An `optax.GradientTransformation`.

    >>> optimizer = bert_adam(0.1, weight_decay=0.0)
    >>> w = jnp.ones(1)
    >>> updates, _ = optimizer.update(jnp.ones(1), optimizer.init(w), w)
    >>> round(float(updates[0]), 3)
    -0.316

    Reference: Devlin et al., "BERT", 2019, and its code, google-research/bert `optimization.py`. The paper that calls
    this BERTAdam used the form of old transformers, with eps 1e-8 and the decay after the step.
    """
    return optax.chain(
        scale_by_adam(b1, b2, eps, bias_correction="none"),
        add_weight_decay(weight_decay, mask),
        optax.scale_by_learning_rate(learning_rate),
    )


def _bias(decay: Scalar, t: Scalar) -> jax.Array:
    """1 - decay^t. The plain form leaves five digits in float32 (1 - 0.999 at t = 1); log1p and expm1 leave all."""
    if isinstance(decay, int | float):
        log_decay = math.log(decay) if decay > 0 else -math.inf
    else:
        log_decay = jnp.log1p(decay - 1.0)
    return -jnp.expm1(log_decay * jnp.asarray(t).astype(jnp.result_type(float)))


def _corrections(bias_correction: Any) -> tuple[Any, Any]:
    if isinstance(bias_correction, str):
        if bias_correction not in _NAMED_CORRECTIONS:
            raise InputError(f"bias_correction is {bias_correction!r}; it must be one of {sorted(_NAMED_CORRECTIONS)}")
        return _NAMED_CORRECTIONS[bias_correction]
    if isinstance(bias_correction, tuple | list):
        if len(bias_correction) != 2:
            raise InputError(f"bias_correction has {len(bias_correction)} parts; it must be a pair (first, second)")
        first, second = bias_correction
    else:
        first = second = bias_correction
    return _flag(first), _flag(second)


def _flag(x: Any) -> Any:
    return bool(x) if isinstance(x, int | float) else jnp.asarray(x).astype(bool)
