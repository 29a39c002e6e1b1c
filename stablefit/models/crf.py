"""A linear-chain conditional random field: likelihood, best path, marginals. JAX alone, on a plain dict of parameters.

    score(x, y) = start[y_1] + sum_t emission_t[y_t] + sum_t transitions[y_(t-1), y_t] + end[y_n]
    p(y | x)    = exp(score(x, y)) / sum_y' exp(score(x, y'))

The positions 1..n are those whose mask is True, wherever they are: the others are skipped as if they were not there,
so a mask may have holes and need not begin with True. Everything is float32, whatever the emissions' type: the
log-likelihood of a sentence is a small difference of two large numbers.

J. Lafferty, A. McCallum, F. Pereira: Conditional Random Fields, ICML 2001.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from stablefit.paths import Key, keys_for

CrfParams = Mapping[str, Any]  # 'transitions' [K, K] (from, to), 'start' [K], 'end' [K]


def init(key: Key, n_tags: int, std: float = 0.0) -> dict[str, jax.Array]:
    """New parameters ~ N(0, std^2); at 0, the default, the model starts as a softmax at every position.

    Zeros are no trap here: the gradient of a transition depends on the data, not on another parameter. PyTorch's
    packages draw from U(-0.1, 0.1), whose standard deviation is 0.058.

    Args:
        key: the run's initialisation key; the keys of the leaves are folded from it by name.
        n_tags: K, at least 1.
        std: from 0 up.

    >>> {name: x.shape for name, x in sorted(init(jax.random.key(0), 3).items())}
    {'end': (3,), 'start': (3,), 'transitions': (3, 3)}
    """
    shapes = {"transitions": (n_tags, n_tags), "start": (n_tags,), "end": (n_tags,)}
    keys = keys_for(key, [f"crf/{name}" for name in shapes])
    return {
        name: std * jax.random.normal(keys[i], shape, jnp.float32) for i, (name, shape) in enumerate(shapes.items())
    }


def log_likelihood(
    params: CrfParams, emissions_BxTxK: jax.Array, tags_BxT: jax.Array, mask_BxT: jax.Array
) -> jax.Array:
    """`log p(tags | emissions)` of each row, float32 [B]; 0 for a row without a position.

    Args:
        params: the scores of `init`'s shapes.
        emissions_BxTxK: of any float type; what stands where the mask is False has no influence, even NaN.
        tags_BxT: integers in 0 <= tag < K; anything where the mask is False. A tag out of range under the mask makes
            its row NaN: inside `jit` there is no other way to say so.
        mask_BxT: True, or not 0, at the positions that count.

    Raises:
        ValueError: the shapes do not belong together.

    >>> zeros = jnp.zeros((1, 2, 3))
    >>> log_p = log_likelihood(init(jax.random.key(0), 3), zeros, jnp.array([[0, 2]]), jnp.ones((1, 2), bool))
    >>> round(float(log_p[0] / jnp.log(3)), 4)
    -2.0
    """
    emissions_BxTxK, mask_BxT = _prepared(params, emissions_BxTxK, mask_BxT)
    gains_BxT = _path_gains(params, emissions_BxTxK, tags_BxT, mask_BxT)
    # All paths are scored relative to the given one. The shift cancels in the difference, but without it two sums of
    # hundreds of terms would be rounded before they are subtracted.
    shift_BxT = lax.stop_gradient(gains_BxT)
    relative_B = _log_partition(params, emissions_BxTxK - shift_BxT[:, :, None], mask_BxT)
    known_B = jnp.all(~mask_BxT | ((tags_BxT >= 0) & (tags_BxT < emissions_BxTxK.shape[2])), axis=1)
    return jnp.where(known_B, (gains_BxT - shift_BxT).sum(1) - relative_B, jnp.nan)


def log_partition(params: CrfParams, emissions_BxTxK: jax.Array, mask_BxT: jax.Array) -> jax.Array:
    """`log sum_y exp(score(x, y))` of each row, float32 [B]; 0 for a row without a position.

    >>> zeros = jnp.zeros((1, 2, 3))  # nine paths of score 0
    >>> round(float(jnp.exp(log_partition(init(jax.random.key(0), 3), zeros, jnp.ones((1, 2), bool))[0])), 4)
    9.0
    """
    return _log_partition(params, *_prepared(params, emissions_BxTxK, mask_BxT))


def marginals(params: CrfParams, emissions_BxTxK: jax.Array, mask_BxT: jax.Array) -> jax.Array:
    """`p(y_t = k | x)`, float32 [B, T, K]; 0 where the mask is False.

    It is the gradient of the log-partition with respect to the emissions. Reverse mode through the forward recursion is
    the backward recursion, at its cost, and leaves no second recursion that could disagree with the first.

    >>> zeros = jnp.zeros((1, 1, 4))
    >>> marginals(init(jax.random.key(0), 4), zeros, jnp.ones((1, 1), bool)).tolist()
    [[[0.25, 0.25, 0.25, 0.25]]]
    """
    # Prepared first: the gradient is then taken in float32, whatever the emissions' type.
    emissions_BxTxK, mask_BxT = _prepared(params, emissions_BxTxK, mask_BxT)
    return jax.grad(lambda emissions: _log_partition(params, emissions, mask_BxT).sum())(emissions_BxTxK)


def log_probability_within(
    params: CrfParams, emissions_BxTxK: jax.Array, mask_BxT: jax.Array, within_BxTxK: jax.Array, path_BxT: jax.Array
) -> jax.Array:
    """`log p(y_t in within_t at every t | x)`, float32 [B]: that an entity is there, and no other thing.

    It is exact: the log-partition over the paths that stay within, minus that over all. What an entity of the words
    i..j is in IOB2 is a set of tags at each word: B-X at i, I-X at i+1..j, everything but I-X at j+1, and all tags
    elsewhere (see `stablefit.data.tagging.span_tags`).

    Args:
        params: as for `log_likelihood`.
        emissions_BxTxK: as for `log_likelihood`.
        mask_BxT: as for `log_likelihood`.
        within_BxTxK: booleans; anything where the mask is False. -inf is the result if no path stays within.
        path_BxT: tags of any path, such as the best one. Both sums are taken relative to it; the nearer it is to what
            has the weight, the less is rounded.

    >>> zeros = jnp.zeros((1, 2, 2))  # four paths, of which one is (0, 1)
    >>> within = jnp.array([[[True, False], [False, True]]])
    >>> path = jnp.zeros((1, 2), jnp.int32)
    >>> log_p = log_probability_within(init(jax.random.key(0), 2), zeros, jnp.ones((1, 2), bool), within, path)
    >>> round(float(jnp.exp(log_p[0])), 4)
    0.25
    """
    emissions_BxTxK, mask_BxT = _prepared(params, emissions_BxTxK, mask_BxT)
    gains_BxT = _path_gains(params, emissions_BxTxK, path_BxT, mask_BxT)
    relative_BxTxK = emissions_BxTxK - gains_BxT[:, :, None]
    barred_BxTxK = mask_BxT[:, :, None] & ~jnp.asarray(within_BxTxK, bool)
    kept_B = _log_partition(params, jnp.where(barred_BxTxK, -jnp.inf, relative_BxTxK), mask_BxT)
    return jnp.minimum(kept_B - _log_partition(params, relative_BxTxK, mask_BxT), 0.0)


def viterbi(
    params: CrfParams, emissions_BxTxK: jax.Array, mask_BxT: jax.Array, allowed: CrfParams | None = None
) -> tuple[jax.Array, jax.Array]:
    """The tags of the highest score, int32 [B, T] with 0 where the mask is False, and that score, float32 [B].

    Args:
        params: as for `log_likelihood`.
        emissions_BxTxK: as for `log_likelihood`.
        mask_BxT: as for `log_likelihood`.
        allowed: booleans with the names and shapes of `params`; a path never takes a start, transition or end that is
            False. They are barred here alone, not in training, where a window may begin within an entity. If every path
            is barred, the score is -inf and the tags mean nothing.

    >>> emissions = jnp.array([[[0.0, 1.0], [0.0, 1.0]]])
    >>> tags, score = viterbi(init(jax.random.key(0), 2), emissions, jnp.ones((1, 2), bool))
    >>> tags.tolist(), score.tolist()
    ([[1, 1]], [2.0])
    """
    emissions_BxTxK, mask_BxT = _prepared(params, emissions_BxTxK, mask_BxT)
    transitions_KxK, start_K, end_K = _scores(params)
    if allowed is not None:
        barred = -jnp.inf
        transitions_KxK = jnp.where(allowed["transitions"], transitions_KxK, barred)
        start_K = jnp.where(allowed["start"], start_K, barred)
        end_K = jnp.where(allowed["end"], end_K, barred)
    n_rows, _, n_tags = emissions_BxTxK.shape
    stay_BxK = jnp.broadcast_to(jnp.arange(n_tags, dtype=jnp.int32)[None], (n_rows, n_tags))

    def forward(best_BxK: jax.Array, step: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        emission_BxK, here_Bx1, inside_Bx1 = step
        paths_BxKxK = best_BxK[:, :, None] + transitions_KxK[None]
        moved_BxK = jnp.where(inside_Bx1, paths_BxKxK.max(1), start_K[None]) + emission_BxK
        # A skipped position points back to the same tag, so that the way back passes through it unchanged.
        from_BxK = jnp.where(here_Bx1, paths_BxKxK.argmax(1).astype(jnp.int32), stay_BxK)
        return jnp.where(here_Bx1, moved_BxK, best_BxK), from_BxK

    best_BxK = jnp.zeros((n_rows, n_tags), jnp.float32)
    best_BxK, from_TxBxK = lax.scan(forward, best_BxK, _steps(emissions_BxTxK, mask_BxT))
    any_B = mask_BxT.any(1)
    final_BxK = best_BxK + end_K[None]

    def backward(tag_B: jax.Array, from_BxK: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jnp.take_along_axis(from_BxK, tag_B[:, None], 1)[:, 0], tag_B

    last_B = final_BxK.argmax(1).astype(jnp.int32)
    _, tags_TxB = lax.scan(backward, last_B, from_TxBxK, reverse=True)
    return jnp.where(mask_BxT, tags_TxB.T, 0), jnp.where(any_B, final_BxK.max(1), 0.0)


def _log_partition(params: CrfParams, emissions_BxTxK: jax.Array, mask_BxT: jax.Array) -> jax.Array:
    transitions_KxK, start_K, end_K = _scores(params)

    def forward(alpha_BxK: jax.Array, step: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        emission_BxK, here_Bx1, inside_Bx1 = step
        moved_BxK = jax.nn.logsumexp(alpha_BxK[:, :, None] + transitions_KxK[None], axis=1)
        moved_BxK = jnp.where(inside_Bx1, moved_BxK, start_K[None]) + emission_BxK
        return jnp.where(here_Bx1, moved_BxK, alpha_BxK), None

    n_rows, _, n_tags = emissions_BxTxK.shape
    alpha_BxK = jnp.zeros((n_rows, n_tags), jnp.float32)
    alpha_BxK, _ = lax.scan(forward, alpha_BxK, _steps(emissions_BxTxK, mask_BxT))
    return jnp.where(mask_BxT.any(1), jax.nn.logsumexp(alpha_BxK + end_K[None], axis=1), 0.0)


def _path_gains(params: CrfParams, emissions_BxTxK: jax.Array, tags_BxT: jax.Array, mask_BxT: jax.Array) -> jax.Array:
    """What each position adds to the given path's score; one-hot, as gradients of gathers add in no fixed order."""
    transitions_KxK, start_K, end_K = _scores(params)
    n_positions, n_tags = emissions_BxTxK.shape[1:]
    index_BxT = jnp.where(mask_BxT, jnp.arange(n_positions)[None], -1)
    latest_BxT = lax.cummax(index_BxT, axis=1)
    previous_BxT = jnp.pad(latest_BxT[:, :-1], ((0, 0), (1, 0)), constant_values=-1)  # -1 before the first
    tag_BxTxK = jax.nn.one_hot(jnp.where(mask_BxT, tags_BxT, -1), n_tags, dtype=jnp.float32)
    before_BxT = jnp.take_along_axis(tags_BxT, jnp.maximum(previous_BxT, 0), 1)
    before_BxTxK = jax.nn.one_hot(jnp.where(previous_BxT >= 0, before_BxT, -1), n_tags, dtype=jnp.float32)
    # The highest precision picks rows exactly; the default one would round the transitions on GPUs and TPUs.
    moved_BxTxK = jnp.einsum("btj,jk->btk", before_BxTxK, transitions_KxK, precision=lax.Precision.HIGHEST)
    first_BxTx1 = (mask_BxT & (previous_BxT < 0))[:, :, None]
    last_BxTx1 = (mask_BxT & (index_BxT == latest_BxT[:, -1:]))[:, :, None]
    gains_BxTxK = emissions_BxTxK + moved_BxTxK
    gains_BxTxK += jnp.where(first_BxTx1, start_K[None, None], 0.0) + jnp.where(last_BxTx1, end_K[None, None], 0.0)
    return (tag_BxTxK * gains_BxTxK).sum(2)


def _steps(emissions_BxTxK: jax.Array, mask_BxT: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """What a scan over time takes: emissions, whether the position counts, and whether one before it did."""
    inside_BxT = jnp.cumsum(mask_BxT, axis=1, dtype=jnp.int32) > mask_BxT
    return jnp.moveaxis(emissions_BxTxK, 1, 0), mask_BxT.T[:, :, None], inside_BxT.T[:, :, None]


def _scores(params: CrfParams) -> tuple[jax.Array, jax.Array, jax.Array]:
    transitions_KxK, start_K, end_K = (
        jnp.asarray(params[name], jnp.float32) for name in ("transitions", "start", "end")
    )
    return transitions_KxK, start_K, end_K


def _prepared(params: CrfParams, emissions_BxTxK: jax.Array, mask_BxT: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Emissions in float32, 0 where they do not count, and the mask as booleans."""
    n_tags = jnp.shape(params["start"])[0]
    if jnp.ndim(emissions_BxTxK) != 3 or jnp.shape(emissions_BxTxK) != (*jnp.shape(mask_BxT), n_tags):
        raise ValueError(
            f"emissions {jnp.shape(emissions_BxTxK)}, mask {jnp.shape(mask_BxT)} and {n_tags} tags: expected emissions "
            "[B, T, K] and a mask [B, T]"
        )
    mask_BxT = jnp.asarray(mask_BxT).astype(bool)
    emissions_BxTxK = jnp.asarray(emissions_BxTxK, jnp.float32)
    return jnp.where(mask_BxT[:, :, None], emissions_BxTxK, 0.0), mask_BxT
