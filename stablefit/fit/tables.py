"""Counts of answers against labels: confusion, and one line a class or label."""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class PerClass:
    """A class: precision, recall and F1 (0.0 where undefined), rows that have it and rows predicted to."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: int


@dataclasses.dataclass(frozen=True)
class PerLabel:
    """One of several labels, by thresholds that did not see the row; `threshold` is the one tuned on all rows."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int
    predicted: float  # a mean over ways to set the threshold
    threshold: float


@dataclasses.dataclass(frozen=True)
class Confused:
    """So many rows of class `given` are taken for `predicted`."""

    given: str
    predicted: str
    n: int


def confusion(predicted_N: np.ndarray, targets_N: np.ndarray, n_classes: int) -> np.ndarray:
    """[C, C]: how many rows of each class (first axis) are predicted as each."""
    return np.bincount(targets_N * n_classes + predicted_N, minlength=n_classes**2).reshape(n_classes, n_classes)


def confused(counts_CxC: np.ndarray, labels: Sequence[str]) -> tuple[Confused, ...]:
    """The pairs of classes that are taken for each other, most often first."""
    pairs = [(int(i), int(j)) for i, j in np.argwhere(counts_CxC > 0) if i != j]
    pairs.sort(key=lambda pair: -counts_CxC[pair])
    return tuple(Confused(labels[i], labels[j], int(counts_CxC[i, j])) for i, j in pairs)


def per_class(counts_CxC: np.ndarray, labels: Sequence[str]) -> tuple[PerClass, ...]:
    """One line a class, in the order of the labels."""
    hits, support, predicted = np.diag(counts_CxC), counts_CxC.sum(1), counts_CxC.sum(0)
    return tuple(
        PerClass(name, *_rates(hits[i], predicted[i], support[i]), int(support[i]), int(predicted[i]))
        for i, name in enumerate(labels)
    )


def per_label(
    given_NxL: np.ndarray, targets_NxL: np.ndarray, labels: Sequence[str], thresholds_L: np.ndarray
) -> tuple[PerLabel, ...]:
    """One line a label, in the order of the labels."""
    hits, support, predicted = (given_NxL * targets_NxL).sum(0), targets_NxL.sum(0), given_NxL.sum(0)
    return tuple(
        PerLabel(
            name,
            *_rates(hits[i], predicted[i], support[i]),
            int(support[i]),
            float(predicted[i]),
            float(thresholds_L[i]),
        )
        for i, name in enumerate(labels)
    )


def _rates(hits: float, predicted: float, support: float) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    pairs = ((hits, predicted), (hits, support), (2 * hits, predicted + support))
    return tuple(float(above / below) if below else 0.0 for above, below in pairs)  # pyright: ignore[reportReturnType]
