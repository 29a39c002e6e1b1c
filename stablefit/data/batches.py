"""Which examples are in which step: a function of (seed, epoch) alone.

A batch is a row of indices with weights. The last, smaller batch of an epoch is kept and filled up with weight 0:
dropping it would change the number of steps, and with it the learning rate's schedule.
"""

import math

import numpy as np

from stablefit.errors import InputError


def steps_per_epoch(n: int, batch: int) -> int:
    """Batches in one pass over n examples, the last of which may be smaller.

    >>> steps_per_epoch(2490, 32)
    78
    """
    if n < 1 or batch < 1:
        raise InputError(f"{n} examples in batches of {batch}: both must be at least 1")
    return -(-n // batch)


def total_steps(n: int, batch: int, epochs: float) -> int:
    """Steps of a whole run; parts of an epoch are rounded to whole steps.

    >>> total_steps(2490, 32, 3)
    234
    """
    if not (math.isfinite(epochs) and epochs > 0):
        raise InputError(f"epochs {epochs} must be a number above 0")
    return max(1, round(steps_per_epoch(n, batch) * epochs))


def warmup_steps(total: int, fraction: float) -> int:
    """Steps of linear warm-up, rounded down.

    >>> warmup_steps(234, 0.1)
    23
    """
    return int(fraction * total)


def evaluation_steps(total: int, n_evaluations: int) -> tuple[int, ...]:
    """After how many steps to evaluate: every total // n_evaluations steps, and always after the last.

    >>> evaluation_steps(96, 10)
    (9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 96)
    """
    if total < 1 or n_evaluations < 1:
        raise InputError(f"{n_evaluations} evaluations in {total} steps: both must be at least 1")
    every = max(1, total // n_evaluations)
    return (*range(every, total, every), total)


def epoch_order(n: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the n examples in an epoch, int32 [n].

    Sorting raw generator words instead of calling `Generator.permutation`: NumPy keeps the words of PCG64 fixed between
    versions, but not what its generators make of them.
    """
    if seed < 0:
        raise InputError(f"seed {seed} is below 0; a seed is a whole number from 0 up")
    words = np.random.PCG64(np.random.SeedSequence([seed, epoch])).random_raw(n)
    return np.argsort(words, kind="stable").astype(np.int32)


def schedule(n: int, batch: int, n_steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights of every training batch.

    Args:
        n: number of training examples.
        batch: examples in a full batch.
        n_steps: steps in the run; the last epoch may be a part of one.
        seed: the run's data-order seed.

    Returns:
        indices int32 [n_steps, batch] and weights float32 [n_steps, batch]; padding has index 0 and weight 0.
    """
    per_epoch = steps_per_epoch(n, batch)
    epochs = [_rows(epoch_order(n, seed, epoch), batch) for epoch in range(-(-n_steps // per_epoch))]
    if not epochs:
        return np.zeros((0, batch), np.int32), np.zeros((0, batch), np.float32)
    indices = np.concatenate([rows for rows, _ in epochs])[:n_steps]
    weights = np.concatenate([rows for _, rows in epochs])[:n_steps]
    return indices, weights


def _rows(order: np.ndarray, batch: int) -> tuple[np.ndarray, np.ndarray]:
    n_rows = -(-len(order) // batch)
    indices = np.zeros(n_rows * batch, np.int32)
    weights = np.zeros(n_rows * batch, np.float32)
    indices[: len(order)] = order
    weights[: len(order)] = 1.0
    return indices.reshape(n_rows, batch), weights.reshape(n_rows, batch)
