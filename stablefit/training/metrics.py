"""Scores of predictions: defined on every input, never NaN, and never a warning.

What has no value by its formula (a correlation with a constant, F1 without positives) is 0.0, as in scikit-learn.
"""

import math
from typing import Literal

import numpy as np

MINIMUM_GAIN = 1e-9  # far below one example's share of any score; above the rounding of a stored score


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    """The share of predictions that are the label.

    Args:
        predictions, labels: [N], class ids.
    """
    _check(predictions, labels)
    return float(np.mean(predictions == labels))


def f1(predictions: np.ndarray, labels: np.ndarray) -> float:
    """F1 of class 1: 2 TP / (2 TP + FP + FN).

    Args:
        predictions, labels: [N], class ids 0 and 1.
    """
    _check(predictions, labels)
    hits = int(np.sum((predictions == 1) & (labels == 1)))
    marked = int(np.sum(predictions == 1)) + int(np.sum(labels == 1))
    return 2 * hits / marked if marked else 0.0


def matthews(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Matthews' correlation, for any number of classes (Gorodkin 2004).

    Args:
        predictions, labels: [N], class ids.
    """
    _check(predictions, labels)
    classes = np.union1d(predictions, labels)
    predicted = (predictions[:, None] == classes).sum(0).astype(np.float64)
    actual = (labels[:, None] == classes).sum(0).astype(np.float64)
    n, hits = float(len(labels)), float(np.sum(predictions == labels))
    spread = (n**2 - float(predicted @ predicted)) * (n**2 - float(actual @ actual))
    return (hits * n - float(predicted @ actual)) / math.sqrt(spread) if spread > 0 else 0.0


def pearson(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Pearson's linear correlation.

    Args:
        predictions, labels: [N], real numbers.
    """
    _check(predictions, labels)
    x, y = _centred(predictions), _centred(labels)
    norm = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.clip(float(x @ y) / norm, -1.0, 1.0)) if norm > 0 else 0.0


def spearman(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Spearman's rank correlation; ties share the average of their ranks.

    Args:
        predictions, labels: [N], real numbers.
    """
    _check(predictions, labels)
    return pearson(_ranks(predictions), _ranks(labels))


_METRICS = {"accuracy": accuracy, "f1": f1, "matthews": matthews, "pearson": pearson, "spearman": spearman}


def compute(
    kind: Literal["classification", "regression"], logits_NxC: np.ndarray, labels_N: np.ndarray
) -> dict[str, float]:
    """The mean loss and every score that suits the task.

    Non-finite logits mean that the run has diverged: `diverged` is 1.0, every score 0.0 and the loss infinite. (Their
    argmax would be a class, and a diverged run would look like a majority-class run.)

    Args:
        kind: classification gives accuracy, and for two classes F1 and Matthews' correlation; regression gives the
            correlations of Pearson and Spearman.
        logits_NxC: the head's outputs; [N, 1] or [N] for regression.
        labels_N: class ids, or scores.

    Returns:
        `loss` (mean cross-entropy in nats, or mean squared error), the scores, and `diverged`.
    """
    logits = np.asarray(logits_NxC, dtype=np.float64)
    names = score_names(kind, logits.shape[-1])
    if not np.isfinite(logits).all():
        return {"loss": math.inf, **dict.fromkeys(names, 0.0), "diverged": 1.0}
    if kind == "regression":
        predictions = logits.reshape(-1)
        _check(predictions, labels_N)
        loss = float(np.mean((predictions - labels_N) ** 2))
    else:
        predictions = logits.argmax(-1)
        _check(predictions, labels_N)
        shifted = logits - logits.max(-1, keepdims=True)
        log_total = np.log(np.exp(shifted).sum(-1))
        loss = float(np.mean(log_total - shifted[np.arange(len(logits)), labels_N]))
    return {"loss": loss, **{name: _METRICS[name](predictions, labels_N) for name in names}, "diverged": 0.0}


def score_names(kind: Literal["classification", "regression"], n_classes: int) -> tuple[str, ...]:
    """The scores that `compute` gives."""
    if kind == "regression":
        return ("pearson", "spearman")
    return ("accuracy", "f1", "matthews") if n_classes == 2 else ("accuracy",)


def majority_score(metric: str, labels: np.ndarray) -> float:
    """The score of always answering with the most frequent class; 0.0 for correlations.

    Where classes are equally frequent, the one that scores best.
    """
    if metric in ("matthews", "pearson", "spearman"):
        return 0.0
    classes, counts = np.unique(labels, return_counts=True)
    return max(_METRICS[metric](np.full_like(labels, c), labels) for c in classes[counts == counts.max()])


def is_failed(score: float, majority: float) -> bool:
    """Whether a run has failed: its score is at or below the majority class's, or no number."""
    return not score > majority + MINIMUM_GAIN


def _check(predictions: np.ndarray, labels: np.ndarray) -> None:
    if predictions.shape != labels.shape or predictions.ndim != 1 or not len(labels):
        raise ValueError(f"predictions {predictions.shape} and labels {labels.shape} must both be [N] with N > 0")


def _centred(x: np.ndarray) -> np.ndarray:
    """The differences from the mean, scaled to at most 1 so that no square over- or underflows; 0 for a constant."""
    x = np.asarray(x, dtype=np.float64)
    if x.max() == x.min():  # the mean of equal numbers may differ from them by rounding
        return np.zeros_like(x)
    x = x / np.abs(x).max()
    x = x - x.mean()
    x = x / np.abs(x).max()
    return x - x.mean()  # once more: the first mean of numbers that are close together is only as exact as they are


def _ranks(x: np.ndarray) -> np.ndarray:
    _, group, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[group]
