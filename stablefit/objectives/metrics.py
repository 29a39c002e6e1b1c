"""Scores of predictions: defined on every input, never NaN, and never a warning.

What has no value by its formula (a correlation with a constant, F1 without positives) is 0.0, as in scikit-learn.
"""

import math

import numpy as np

from stablefit.data.tasks import Kind

_ONE_IN_TWENTY = 1.6449  # the normal distribution is above it with probability .05
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


def r2(predictions: np.ndarray, labels: np.ndarray) -> float:
    """1 - sum (label - prediction)^2 / sum (label - mean label)^2: 0 for the mean itself, below for worse.

    Args:
        predictions, labels: [N], real numbers.
    """
    _check(predictions, labels)
    labels = np.asarray(labels, np.float64)
    spread = float(np.square(labels - labels.mean()).sum())
    return 1.0 - float(np.square(labels - predictions).sum()) / spread if spread > 0 else 0.0


def mae(predictions: np.ndarray, labels: np.ndarray) -> float:
    """The mean absolute error, in the labels' unit.

    Args:
        predictions, labels: [N], real numbers.
    """
    _check(predictions, labels)
    return float(np.abs(np.asarray(predictions, np.float64) - labels).mean())


def rmse(predictions: np.ndarray, labels: np.ndarray) -> float:
    """The root of the mean squared error, in the labels' unit.

    Args:
        predictions, labels: [N], real numbers.
    """
    _check(predictions, labels)
    return math.sqrt(float(np.square(np.asarray(predictions, np.float64) - labels).mean()))


def f1_micro(marked_NxL: np.ndarray, labels_NxL: np.ndarray) -> float:
    """F1 over all pairs of an example and a label: 2 TP / (2 TP + FP + FN).

    Args:
        marked_NxL, labels_NxL: booleans, or zeros and ones.
    """
    return _label_f1(np.asarray(marked_NxL, bool).reshape(-1, 1), np.asarray(labels_NxL, bool).reshape(-1, 1))


def f1_macro(marked_NxL: np.ndarray, labels_NxL: np.ndarray) -> float:
    """The mean over labels of each one's F1; 0 for a label that is neither there nor marked.

    Args:
        marked_NxL, labels_NxL: booleans, or zeros and ones.
    """
    return _label_f1(np.asarray(marked_NxL, bool), np.asarray(labels_NxL, bool))


def _label_f1(marked: np.ndarray, labels: np.ndarray) -> float:
    hits, either = (marked & labels).sum(0), marked.sum(0) + labels.sum(0)
    return float(np.mean(2 * hits / np.maximum(either, 1)))


_METRICS = {"accuracy": accuracy, "f1": f1, "matthews": matthews, "pearson": pearson, "spearman": spearman}
_METRICS |= {"r2": r2, "mae": mae, "rmse": rmse}
_MARKS = {"f1_micro": f1_micro, "f1_macro": f1_macro}


def compute(kind: Kind, logits_NxC: np.ndarray, labels: np.ndarray, *, more: bool = False) -> dict[str, float]:
    """The mean loss and every score that suits the task.

    Non-finite logits mean that the run has diverged: `diverged` is 1.0, every score 0.0 and the loss infinite. (Their
    argmax would be a class, and a diverged run would look like a majority-class run.)

    Args:
        kind: classification gives accuracy, and for two classes F1 and Matthews' correlation; regression gives the
            correlations of Pearson and Spearman; multilabel F1 with a threshold of one half, micro and macro.
        logits_NxC: the head's outputs; [N, 1] or [N] for regression.
        labels: [N] class ids or numbers; [N, C] zeros and ones for multilabel.
        more: of regression also R2 and the mean absolute and root mean squared errors.

    Returns:
        `loss` (mean cross-entropy in nats, or mean squared error), the scores, and `diverged`.
    """
    logits = np.asarray(logits_NxC, dtype=np.float64)
    names = score_names(kind, logits.shape[-1], more=more)
    if not np.isfinite(logits).all():
        return {"loss": math.inf, **dict.fromkeys(names, 0.0), "diverged": 1.0}
    if kind == "multilabel":
        loss = float(np.mean(np.logaddexp(0.0, logits) - logits * labels))
        return {"loss": loss, **{name: _MARKS[name](logits > 0, labels) for name in names}, "diverged": 0.0}
    if kind == "regression":
        predictions = logits.reshape(-1)
        _check(predictions, labels)
        loss = float(np.mean((predictions - labels) ** 2))
    else:
        predictions = logits.argmax(-1)
        _check(predictions, labels)
        shifted = logits - logits.max(-1, keepdims=True)
        log_total = np.log(np.exp(shifted).sum(-1))
        loss = float(np.mean(log_total - shifted[np.arange(len(logits)), labels]))
    return {"loss": loss, **{name: _METRICS[name](predictions, labels) for name in names}, "diverged": 0.0}


def score_names(kind: Kind, n_classes: int, *, more: bool = False) -> tuple[str, ...]:
    """The scores that `compute` gives."""
    if kind == "regression":
        return ("pearson", "spearman", "r2", "mae", "rmse") if more else ("pearson", "spearman")
    if kind == "multilabel":
        return tuple(_MARKS)
    return ("accuracy", "f1", "matthews") if n_classes == 2 else ("accuracy",)


def majority_score(metric: str, labels: np.ndarray) -> float:
    """The score that a run must be above to have learnt anything.

    Of classes, or sets of labels, what always answering with the most frequent gives; where classes are equally
    frequent, the one that scores best. Of several labels it is the best of: the k most frequent, for every k. Of R2
    0.0. Of a correlation what guessing reaches in one of twenty test sets of N rows, 1.645 / sqrt(N - 1): its standard
    error without any relation (Hotelling 1953).
    """
    if metric in ("matthews", "pearson", "spearman"):
        return min(1.0, _ONE_IN_TWENTY / math.sqrt(max(len(labels) - 1, 1)))
    if metric == "r2":
        return 0.0
    if metric in _MARKS:
        order = np.argsort(-labels.sum(0), kind="stable")
        marks = (np.isin(np.arange(labels.shape[1]), order[:k]) for k in range(1, labels.shape[1] + 1))
        return max(_MARKS[metric](np.broadcast_to(mark, labels.shape), labels) for mark in marks)
    classes, counts = np.unique(labels, return_counts=True)
    return max(_METRICS[metric](np.full_like(labels, c), labels) for c in classes[counts == counts.max()])


def without_reading(metric: str) -> str:
    """What gives `majority_score`, in words."""
    if metric in ("matthews", "pearson", "spearman"):
        return "guessing reaches in one of twenty test sets"
    if metric in ("r2", "mae", "rmse"):
        return "the same number for every text gives"
    if metric.startswith("entity"):
        return "finding no entity gives"
    if metric in ("f1_micro", "f1_macro"):
        return "the same labels for every text give"
    return "the majority class alone gives"


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
