"""Learning-rate schedules: warm-up and linear decay, as the paper and as TF BERT have it."""

import math

import jax
import jax.numpy as jnp
import optax

from stablefit.methods.numeric import Scalar, check_range, known_number


def warmup_linear(peak: Scalar, total_steps: Scalar, warmup_steps: Scalar = 0) -> optax.Schedule:
    """Linear warm-up from 0 to the peak, then linear decay to 0.

        lr(s) = peak s / w                    s < w
        lr(s) = peak (T - s) / (T - w)        w <= s <= T, and 0 after

    Trap: T is in updates. Counted in micro-batches it ends a run at a high rate; a run that goes on after T stands
    still. The first update, s = 0, has a rate of 0 if w > 0, but moves Adam's moments and count.

    Args:
        peak: the largest rate, at least 0; a Python number or a scalar that may be traced, as all three.
        total_steps: T, in updates. Longer training is a larger T.
        warmup_steps: w, in updates; the paper takes int(0.1 T). A constant rate is no value of this schedule: pass the
            number itself to `optax.scale_by_learning_rate`.

    Returns:
        A schedule: step, an integer of any shape, to the rate.

    Raises:
        InputError: a negative number, or more warm-up than steps.

    >>> lr = warmup_linear(1.0, 10, 2)
    >>> [round(float(lr(s)), 3) for s in (0, 1, 2, 6, 10, 11)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]

    Reference: Zhang et al., "Revisiting Few-sample BERT Fine-tuning", ICLR 2021, with transformers'
    `get_linear_schedule_with_warmup`.
    """
    _check(peak, total_steps, warmup_steps)

    def schedule(step: jax.typing.ArrayLike) -> jax.Array:
        s = jnp.asarray(step).astype(jnp.result_type(float))
        rise = s / jnp.maximum(warmup_steps, 1)
        fall = jnp.maximum((total_steps - s) / jnp.maximum(total_steps - warmup_steps, 1), 0)
        return peak * jnp.where(s < warmup_steps, rise, fall)

    return schedule


def bert_schedule(peak: Scalar, total_steps: Scalar, warmup_steps: Scalar = 0) -> optax.Schedule:
    """TF BERT's schedule: the decay runs from step 0, and the warm-up replaces its beginning.

        lr(s) = peak s / w              s < w
        lr(s) = peak (1 - s / T)        w <= s <= T, and 0 after

    Trap: the rate jumps down at the end of the warm-up, by the factor 1 - w / T, and with one `peak`
    itself is never reached.

    Args: as in `warmup_linear`.

    Returns:
        A schedule: step, an integer of any shape, to the rate.

    Raises:
        InputError: a negative number, or more warm-up than steps.

    >>> lr = bert_schedule(1.0, 10, 2)
    >>> [round(float(lr(s)), 3) for s in (0, 1, 2, 6, 10, 11)]
    [0.0, 0.5, 0.8, 0.4, 0.0, 0.0]

    Reference: Devlin et al., "BERT", 2019; the text says "linear decay after warm-up", the code
    (google-research/bert `optimization.py`) is this.
    """
    _check(peak, total_steps, warmup_steps)

    def schedule(step: jax.typing.ArrayLike) -> jax.Array:
        s = jnp.asarray(step).astype(jnp.result_type(float))
        rise = s / jnp.maximum(warmup_steps, 1)
        fall = jnp.maximum(1 - s / jnp.maximum(total_steps, 1), 0)
        return peak * jnp.where(s < warmup_steps, rise, fall)

    return schedule


def _check(peak: Scalar, total_steps: Scalar, warmup_steps: Scalar) -> None:
    check_range("peak learning rate", peak, 0)
    check_range("total_steps", total_steps, 0)
    known = known_number("total_steps", total_steps)
    check_range("warmup_steps", warmup_steps, 0, math.inf if known is None else known)
