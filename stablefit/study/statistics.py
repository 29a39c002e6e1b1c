"""What the scores of many seeds say of one setting; `comparison.py` holds it against a baseline."""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

MIN_SEEDS = 5  # fewer cannot be told apart by any test worth the name


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Summary:
    """The scores of one setting; failed runs are among them."""

    n: int
    n_failed: int
    failed_interval: Interval  # of the share of failed runs, Clopper-Pearson
    mean: float
    sd: float  # n - 1 in the denominator; NaN for one run
    median: float
    iqm: float  # mean of the middle half
    iqm_interval: Interval
    minimum: float
    maximum: float


def summarise(scores: np.ndarray, failed: np.ndarray, confidence: float = 0.95) -> Summary:
    """Summary of one setting.

    Args:
        scores: [n], one a run, failed runs included.
        failed: [n], booleans.
    """
    scores = _scores(scores)
    return Summary(
        n=len(scores),
        n_failed=int(np.sum(failed)),
        failed_interval=share_interval(int(np.sum(failed)), len(scores), confidence),
        mean=float(scores.mean()),
        sd=float(scores.std(ddof=1)) if len(scores) > 1 else math.nan,
        median=float(np.median(scores)),
        iqm=interquartile_mean(scores),
        iqm_interval=iqm_interval(scores, confidence),
        minimum=float(scores.min()),
        maximum=float(scores.max()),
    )


def share_interval(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Clopper-Pearson interval of a share, k of n."""
    interval = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    return Interval(float(interval.low), float(interval.high))


def interquartile_mean(scores: np.ndarray) -> float:
    """The mean without the lowest and the highest quarter (each rounded down to whole runs)."""
    return float(stats.trim_mean(_scores(scores), 0.25))


def iqm_interval(scores: np.ndarray, confidence: float = 0.95) -> Interval:
    """Student's interval of the interquartile mean (Tukey and McLaughlin 1963).

    With g = floor(n / 4) runs cut on each side, h = n - 2 g left, and s_w the SD of the n numbers of which the cut ones
    are replaced by their neighbour: the mean of the middle +- t_{h - 1} s_w sqrt((n - 1) / (h (h - 1))).
    """
    scores = np.sort(_scores(scores))
    n = len(scores)
    cut = n // 4
    if n - 2 * cut < 2:
        return Interval(math.nan, math.nan)
    middle = scores[cut : n - cut]
    winsorised = np.concatenate([np.full(cut, middle[0]), middle, np.full(cut, middle[-1])])
    error = winsorised.std(ddof=1) * math.sqrt((n - 1) / (len(middle) * (len(middle) - 1)))
    half = float(stats.t.ppf((1 + confidence) / 2, len(middle) - 1)) * error
    return Interval(float(middle.mean()) - half, float(middle.mean()) + half)


def expected_maximum(scores: np.ndarray) -> np.ndarray:
    """The expected best of k of the n runs, drawn without replacement, for k = 1..n: an unbiased estimate.

    The i-th smallest is the best of C(i-1, k-1) of the C(n, k) draws (Tang et al. 2020, arXiv:2004.13705).

    Returns:
        [n].
    """
    return _best_weights(len(scores)) @ np.sort(_scores(scores))


def best_by_validation(validation: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD of the test score of the run that is best on validation among k, for k = 1..n (the paper's figure 4).

    Over all draws of k runs without replacement, computed exactly; of runs that tie on validation any may be taken.

    Args:
        validation, test: [n], scores of the same runs.

    Returns:
        mean [n] and SD [n].
    """
    validation, test = _scores(validation), _scores(test)
    order = np.argsort(validation, kind="stable")
    validation, test = validation[order], test[order]
    _, group = np.unique(validation, return_inverse=True)
    sizes = np.bincount(group)
    mean_of_ties = (np.bincount(group, test) / sizes)[group]
    square_of_ties = (np.bincount(group, test**2) / sizes)[group]
    weights = _best_weights(len(test))
    mean = weights @ mean_of_ties
    return mean, np.sqrt(np.maximum(weights @ square_of_ties - mean**2, 0.0))


def probability_of_improvement(a: np.ndarray, b: np.ndarray, confidence: float = 0.95) -> tuple[float, Interval]:
    """P(a run of A beats a run of B), ties counting half, with Newcombe's interval (2006, method 5).

    The interval solves (theta - estimate)^2 = z^2 V(theta) with Hanley and McNeil's variance; unlike the bootstrap's it
    does not shrink to a point where all runs of A beat all of B.
    """
    a, b = _scores(a), _scores(b)
    n, m = len(a), len(b)
    estimate = float(np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b)))
    z2 = stats.norm.ppf((1 + confidence) / 2) ** 2
    extra = (n + m) / 2 - 1

    def excess(theta: float) -> float:
        variance = theta * (1 - theta) * (1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (n * m)
        return float((theta - estimate) ** 2 - z2 * variance)

    # At an estimate of 0 or 1 the equation also holds there; the end looked for is the other root.
    inside = min(max(estimate, 1e-9), 1 - 1e-9)
    low = optimize.brentq(excess, 0.0, inside) if estimate > 0 else 0.0
    high = optimize.brentq(excess, inside, 1.0) if estimate < 1 else 1.0
    return estimate, Interval(float(low), float(high))  # pyright: ignore[reportArgumentType]


@dataclasses.dataclass(frozen=True)
class Runs:
    """The runs of a setting: scores [n], failed [n] booleans, seeds [n]."""

    scores: np.ndarray
    failed: np.ndarray
    seeds: Sequence[int]


def _scores(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores {scores!r} must be [n] finite numbers with n > 0; a diverged run's score is 0.0")
    return scores


def _best_weights(n: int) -> np.ndarray:
    """[n, n]: the probability that the i-th smallest of n is the largest of k, row k - 1, column i - 1."""
    return np.array([[math.comb(i, k) / math.comb(n, k + 1) for i in range(n)] for k in range(n)])
