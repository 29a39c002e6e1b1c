"""Whether a probability can be taken at its word, and how much better the surest rows are.

No temperature is fitted: on a few hundred rows it makes as much worse as better.
"""

import dataclasses

import numpy as np

from stablefit.fit.row_scores import Measured, Resamples, plain, share_scorer

N_BINS = 15
N_COVERAGES = 20
_N_SIMULATED = 500


@dataclasses.dataclass(frozen=True)
class Bin:
    """The rows whose probability lies in (low, high]; confidence and accuracy are means, NaN if there is no row."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How far probabilities are from what happens.

    ece: mean distance of confidence and accuracy over 15 bins of equal width, weighted by their rows.
    ece_if_calibrated, ece_if_calibrated_high: mean and 95 % quantile of what perfectly calibrated probabilities would
        show on so many rows; few rows make every model look off.
    brier: mean squared distance of the probabilities to what happened; for two classes and for several labels from 0 to
        1, for more classes summed over them, so from 0 to 2 (as scikit-learn's).
    brier_of_shares: the same for always answering with the shares of the classes.
    """

    ece: float
    ece_if_calibrated: float
    ece_if_calibrated_high: float
    brier: float
    brier_of_shares: float
    bins: tuple[Bin, ...]


@dataclasses.dataclass(frozen=True)
class Covered:
    """The surest share of the rows, and the score on them: of hits, or the mean absolute error of numbers."""

    coverage: float
    n: int
    score: Measured
    sureness: float  # of the least sure row among them


def reliability(probabilities: np.ndarray, targets: np.ndarray, seed: int = 0) -> Reliability:
    """Reliability of the likeliest class's probability, or, of several labels, of every label's.

    Args:
        probabilities: [N, C] summing to 1, or [N, L] each on its own.
        targets: [N] class ids, or [N, L] of 0 and 1.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if targets.ndim == 2:
        confidence, hit = probabilities.reshape(-1), np.asarray(targets, np.float64).reshape(-1)
        given = np.asarray(targets, np.float64)
        scale = 1 / given.shape[1]
    else:
        confidence = probabilities.max(-1)
        hit = (probabilities.argmax(-1) == targets).astype(np.float64)
        given = np.eye(probabilities.shape[1])[targets]
        scale = 0.5 if probabilities.shape[1] == 2 else 1.0
    n, sum_confidence, sum_hit = _binned(confidence, hit)
    edges = np.linspace(0, 1, N_BINS + 1)
    bins = tuple(
        Bin(float(edges[i]), float(edges[i + 1]), int(n[i]), *(_mean(s[i], n[i]) for s in (sum_confidence, sum_hit)))
        for i in range(N_BINS)
    )
    rng = np.random.default_rng(seed)
    simulated = [_ece(confidence, rng.random(len(confidence)) < confidence) for _ in range(_draws(len(confidence)))]
    return Reliability(
        ece=_ece(confidence, hit),
        ece_if_calibrated=float(np.mean(simulated)),
        ece_if_calibrated_high=float(np.quantile(simulated, 0.95)),
        brier=float(((probabilities - given) ** 2).sum(-1).mean() * scale),
        brier_of_shares=float(((given.mean(0) - given) ** 2).sum(-1).mean() * scale),
        bins=bins,
    )


def coverage_curve(sureness_N: np.ndarray, hits_N: np.ndarray, resamples: Resamples, shares: bool) -> list[Covered]:
    """The score of the surest 5 %, 10 % ... 100 % of the rows.

    Args:
        sureness_N: the larger the surer; of equally sure rows the earlier are taken first.
        hits_N: 0 or 1, or the absolute error.
        shares: `hits_N` are 0 or 1.
    """
    n = len(sureness_N)
    order = np.argsort(-np.asarray(sureness_N, np.float64), kind="stable")
    counts = sorted({max(1, round(n * k / N_COVERAGES)) for k in range(1, N_COVERAGES + 1)})
    place = np.empty(n, int)
    place[order] = np.arange(n)
    scorer = share_scorer(hits_N, {str(k): place < k for k in counts})
    values, drawn = plain(scorer, n), resamples.scores({"": scorer})[""]
    return [
        Covered(
            k / n,
            k,
            resamples.measure(values[str(k)], drawn[str(k)], k if shares else None),
            float(sureness_N[order[k - 1]]),
        )
        for k in counts
    ]


def _binned(confidence: np.ndarray, hit: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, sums of confidence and sums of hits of each bin (low, high]."""
    place = np.clip(np.ceil(confidence * N_BINS).astype(int) - 1, 0, N_BINS - 1)
    return (
        np.bincount(place, minlength=N_BINS),
        np.bincount(place, confidence, N_BINS),
        np.bincount(place, hit.astype(np.float64), N_BINS),
    )


def _ece(confidence: np.ndarray, hit: np.ndarray) -> float:
    _, sum_confidence, sum_hit = _binned(confidence, hit)
    return float(np.abs(sum_confidence - sum_hit).sum() / len(confidence))


def _draws(n: int) -> int:
    return int(np.clip(20_000_000 // max(n, 1), 20, _N_SIMULATED))


def _mean(total: float, n: int) -> float:
    return float(total / n) if n else float("nan")
