"""R-Drop: two passes with their own noise, which are to say the same."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from stablefit.methods.loss_transform import Forward, LossTransform, Params, Pass, same_loss
from stablefit.methods.numeric import Scalar, check_range, is_constant
from stablefit.paths import Key, key_for


def symmetric_kl(logits: jax.Array, others: jax.Array) -> jax.Array:
    """(KL(p || q) + KL(q || p)) / 2 of the softmax of each over the last axis; float32 or wider.

        sum_c (p_c - q_c) (log p_c - log q_c) / 2

    Args:
        logits, others: [..., C].

    Returns:
        [...], at least 0.

    >>> round(float(symmetric_kl(jnp.array([0.0, 0.0]), jnp.array([jnp.log(3.0), 0.0]))), 4)
    0.1373
    """
    log_p, log_q = jax.nn.log_softmax(logits), jax.nn.log_softmax(others)
    return 0.5 * jnp.sum((jnp.exp(log_p) - jnp.exp(log_q)) * (log_p - log_q), axis=-1)


def symmetric_binary_kl(logits: jax.Array, others: jax.Array) -> jax.Array:
    """The same of the sigmoid of each logit, of shape [...] as they are.

    >>> float(symmetric_binary_kl(jnp.float32(2.0), jnp.float32(2.0)))
    0.0
    """
    return 0.5 * (jax.nn.sigmoid(logits) - jax.nn.sigmoid(others)) * (logits - others)


def r_drop(alpha: Scalar, divergences: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]) -> LossTransform:
    """Add what two passes with different noise disagree about.

        loss = (l(z_1) + l(z_2)) / 2 + alpha D(z_1, z_2)

    z_1 is the pass with the step's own key, z_2 that with `key_for(key, "r_drop")`: each has its own dropout and its
    own mixout. A step costs two passes.

    Trap: without dropout and mixout the passes are the same, D is 0, and the second is paid for nothing. An alpha of
    the paper is to be halved, see below.

    Args:
        alpha: at least 0; a Python number or a scalar that may be traced. 0 is the loss of the first pass alone, and as
            a Python number costs no second one.
        divergences: D, from the outputs of both passes, [E, ...], and the targets to a number for each example, [E]:
            of classes `symmetric_kl`, of several labels the mean of `symmetric_binary_kl`, of a number the square of
            the difference.

    Returns:
        A `LossTransform`.

    Raises:
        InputError: alpha is negative.

    >>> def forward(params, key):
    ...     z = params * jax.random.normal(key, (1, 2))
    ...     return Pass(z[:, 0], z, jnp.zeros(1), jnp.ones(1))
    >>> square = lambda one, other, targets: jnp.square(one - other).sum(-1)
    >>> apart = [r_drop(a, square).apply(forward, 1.0, jax.random.key(0)).loss for a in (1.0, 2.0, 3.0)]
    >>> bool(jnp.allclose(apart[2] - apart[1], apart[1] - apart[0])), bool(apart[1] > apart[0])
    (True, True)

    Reference: Liang et al., "R-Drop: Regularized Dropout for Neural Networks", NeurIPS 2021 (arXiv 2106.14448). The
    formula is that of the released README. The paper adds the two losses where this takes their mean, so its alpha is
    twice this one. Its divergence of a number is the squared difference too (STS-B).
    """
    check_range("weight of R-Drop", alpha, 0)
    if is_constant(alpha, 0):
        return same_loss()

    def apply(forward: Forward, params: Params, key: Key) -> Pass:
        one, other = forward(params, key), forward(params, key_for(key, "r_drop"))
        apart = divergences(one.outputs, other.outputs, one.targets)
        both = 0.5 * (one.losses + other.losses) + alpha * apart
        # A traced 0 is the identity too: the second pass must then not count.
        return one._replace(losses=jnp.where(jnp.asarray(alpha) == 0, one.losses, both))

    return LossTransform(apply, by_example=True)
