"""A temperature for probabilities: all logits are divided by one number, so that they are as sure as they are right.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. It is fitted to predictions of rows that the models
never saw, all of them, and what is shown of a row is by a temperature that its fold had no part in.
experiments/results/README.md (recipe) has what it does on five sets.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import optimize, special

from stablefit.fit import calibration
from stablefit.fit.row_scores import Kind

_FURTHEST = np.log(50)  # of log T from 0


@dataclasses.dataclass(frozen=True)
class Temperature:
    """What was fitted, and what it changes on rows it was not fitted to.

    value: fitted to all rows; for new ones.
    low, high: the smallest and largest of those fitted without one fold.
    ece, log_loss: (without it, with it); expected calibration error and mean log loss in nats of the mean prediction.
    """

    value: float
    low: float
    high: float
    ece: tuple[float, float]
    log_loss: tuple[float, float]


def probabilities(logits: np.ndarray, kind: Kind) -> np.ndarray:
    """A softmax over the last axis, or of several labels a sigmoid of each."""
    return special.expit(logits) if kind == "multilabel" else special.softmax(logits, axis=-1)


def log_loss(probabilities_NxC: np.ndarray, targets: np.ndarray) -> float:
    """The mean of -log of what was true; of several labels over rows and labels."""
    if targets.ndim == 2:
        of_truth = np.where(targets > 0, probabilities_NxC, 1 - probabilities_NxC)
    else:
        of_truth = probabilities_NxC[np.arange(len(targets)), targets]
    return float(-np.log(np.maximum(of_truth, 1e-12)).mean())


def fitted(logits_RxNxC: np.ndarray, targets: np.ndarray, kind: Kind) -> float:
    """The T for which the mean over R models of `probabilities(logits / T)` has the least log loss.

    log T has a standard normal prior, which counts as one row would: a few rows that are all right do not make T 0.

    Args:
        logits_RxNxC: of R models, all finite.
        targets: [N] class ids, or [N, C] of 0 and 1.
    """

    def loss(log_t: float) -> float:
        mean_NxC = probabilities(logits_RxNxC / np.exp(log_t), kind).mean(0)
        return log_loss(mean_NxC, targets) + log_t**2 / 2 / len(targets)

    found = optimize.minimize_scalar(loss, bounds=(-_FURTHEST, _FURTHEST), method="bounded")
    return float(np.exp(found.x))  # pyright: ignore[reportAttributeAccessIssue]


def cross_fitted(
    logits_RxNxC: np.ndarray, targets: np.ndarray, kind: Kind, held_out: Sequence[np.ndarray]
) -> tuple[np.ndarray, Temperature | None]:
    """Probabilities of all rows, each by the temperature that was fitted to the other folds' rows.

    Args:
        logits_RxNxC: of R models; of those that diverged not finite, they have no part in the fit.
        targets: [N] class ids, or [N, C] of 0 and 1.
        held_out: the rows of each fold; together every row once.

    Returns:
        Probabilities [R, N, C], and the temperature; None if every model diverged.
    """
    finite = np.isfinite(logits_RxNxC).all((1, 2))
    if not finite.any():
        return logits_RxNxC, None
    sound, every = np.asarray(logits_RxNxC, np.float64)[finite], np.arange(len(targets))
    tempered = np.array(logits_RxNxC, np.float64)
    each: list[float] = []
    for rows in held_out:
        rest = np.setdiff1d(every, rows)
        each.append(fitted(sound[:, rest], targets[rest], kind))
        tempered[:, rows] /= each[-1]
    with np.errstate(invalid="ignore"):
        found = probabilities(tempered, kind)
    both = (probabilities(sound, kind).mean(0), found[finite].mean(0))
    ece = tuple(calibration.reliability(one, targets).ece for one in both)
    losses = tuple(log_loss(one, targets) for one in both)
    value = fitted(sound, targets, kind)
    return found, Temperature(value, min(each), max(each), (ece[0], ece[1]), (losses[0], losses[1]))
