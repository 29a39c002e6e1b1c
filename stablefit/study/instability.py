"""How much runs differ beyond their score: in their predictions, and in the way there."""

import numpy as np


def pairwise_disagreement(predictions_RxN: np.ndarray) -> float:
    """The share of examples on which two runs differ, averaged over all pairs of runs; NaN for one run.

    Args:
        predictions_RxN: class ids of R runs on the same N examples.
    """
    return 1.0 - float(_agreement(_votes(predictions_RxN)).mean())


def fleiss_kappa(predictions_RxN: np.ndarray) -> float:
    """Fleiss' kappa of the runs as raters: agreement above chance; 1.0 if all agree on one class throughout.

    Args:
        predictions_RxN: class ids of R runs on the same N examples.
    """
    votes = _votes(predictions_RxN)
    shares = votes.sum(0) / votes.sum()
    by_chance = float((shares**2).sum())
    return (float(_agreement(votes).mean()) - by_chance) / (1 - by_chance) if by_chance < 1 else 1.0


def steps_to_reach(steps: np.ndarray, losses: np.ndarray, target: float) -> int | None:
    """The first step from which on the loss is at or below the target; None if it never gets and stays there.

    Args:
        steps: [S], ascending.
        losses: [S], the loss after so many steps; smooth it first if it is of single batches.
        target: such as the baseline's last training loss.
    """
    above = np.flatnonzero(~(np.asarray(losses) <= target))
    first = int(above[-1]) + 1 if len(above) else 0
    return int(steps[first]) if first < len(losses) else None


def loss_band(losses_RxS: np.ndarray, share: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median loss over runs, and the limits between which the middle `share` of the runs lies; each [S]."""
    low, median, high = np.quantile(losses_RxS, [(1 - share) / 2, 0.5, (1 + share) / 2], axis=0)
    return median, low, high


def _votes(predictions_RxN: np.ndarray) -> np.ndarray:
    """[N, C]: how many runs give an example a class."""
    classes = np.unique(predictions_RxN)
    return (np.asarray(predictions_RxN)[:, :, None] == classes).sum(0)


def _agreement(votes_NxC: np.ndarray) -> np.ndarray:
    """[N]: the share of pairs of runs that agree on an example."""
    runs = int(votes_NxC[0].sum())
    if runs < 2:
        return np.full(len(votes_NxC), np.nan)
    return (votes_NxC * (votes_NxC - 1)).sum(1) / (runs * (runs - 1))
