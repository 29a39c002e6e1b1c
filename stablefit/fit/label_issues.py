"""Rows whose label is probably wrong, found by models that never saw the row.

Confident learning (Northcutt, Jiang and Chuang 2021, J. Artif. Intell. Res. 70, section 3.1): a row counts as of class
j if its probability of j reaches what rows labelled j have on average; a row that so counts as of another class than
its label's, and whose likeliest class is not its label, is suspect. Rows are ranked by the probability of their label.

Where models are often wrong that is a quarter of all rows and more, and few of them are wrong. Of those whose label
another answer is five times as likely as, three to six in ten were, of labels of which one in twenty had been made
wrong; and where models know next to nothing there are none (experiments/results/README.md, label_flips).
"""

import dataclasses

import numpy as np

LIKELIER = 5.0  # than the label: what makes it probably wrong, where probabilities are calibrated
OUTLYING = 3.0  # of a number's error in scales: about 3 of 1,000 rows of a normal distribution
_SLACK = 1e-6  # a probability that is the average itself reaches it, whatever the rounding
_LOWEST = 0.01  # no class is reached by less
_NORMAL = 1.4826  # the median absolute deviation of a normal distribution, to its standard deviation


@dataclasses.dataclass(frozen=True)
class Suspect:
    """A row whose label is probably wrong.

    row: its index. label, predicted: class ids, or numbers, or of several labels 0 and 1.
    confidence: the probability of `predicted`; of numbers how many scales the label lies away.
    support: the probability of `label`; NaN of numbers.
    which: of several labels, the one in doubt; -1 otherwise.
    """

    row: int
    label: float
    predicted: float
    confidence: float
    support: float
    which: int = -1


def probable(suspect: Suspect) -> bool:
    """Whether another answer is so much likelier that the label is probably wrong; of numbers all suspects are."""
    return not suspect.confidence < LIKELIER * suspect.support


def of_classes(probabilities_NxC: np.ndarray, targets_N: np.ndarray) -> list[Suspect]:
    """The suspects among rows of one class each, the least supported label first."""
    p, targets = np.asarray(probabilities_NxC, np.float64), np.asarray(targets_N)
    n, n_classes = p.shape
    totals = np.bincount(targets, p[np.arange(n), targets], n_classes)
    counts = np.bincount(targets, minlength=n_classes)
    # A class that no row has is reached by nothing.
    reached_at = np.where(counts > 0, np.maximum(totals / np.maximum(counts, 1), _LOWEST), np.inf)
    reached = p >= reached_at - _SLACK
    likeliest = p.argmax(-1)
    # Of several classes that are reached the likeliest of all counts, reached or not, as in the authors' code.
    counted = np.where(reached.sum(-1) > 1, likeliest, reached.argmax(-1))
    own = p[np.arange(n), targets]
    suspect = reached.any(-1) & (counted != targets) & (p.max(-1) > own)
    rows = np.flatnonzero(suspect)
    rows = rows[np.argsort(own[rows], kind="stable")]
    return [
        Suspect(int(i), float(targets[i]), float(likeliest[i]), float(p[i, likeliest[i]]), float(own[i])) for i in rows
    ]


def of_labels(probabilities_NxL: np.ndarray, targets_NxL: np.ndarray) -> list[Suspect]:
    """The suspects among rows of several labels: each label is two classes, given or not."""
    found: list[Suspect] = []
    for which in range(probabilities_NxL.shape[1]):
        yes = np.asarray(probabilities_NxL[:, which], np.float64)
        ids = np.asarray(targets_NxL[:, which]).astype(int)
        some = of_classes(np.stack([1 - yes, yes], axis=-1), ids)
        found += [dataclasses.replace(suspect, which=which) for suspect in some]
    return sorted(found, key=lambda suspect: suspect.support)


def of_numbers(numbers_N: np.ndarray, targets_N: np.ndarray, spread_N: np.ndarray | None = None) -> list[Suspect]:
    """The rows whose number is further from the prediction than the errors and the repeats' spread explain.

    The scale of a row is sqrt(s^2 + spread^2) with s the errors' standard deviation, from their median absolute
    deviation, so that a few wrong labels do not hide themselves.

    Args:
        spread_N: the standard deviation of the repeats' numbers; None: one repeat.
    """
    error = np.asarray(targets_N, np.float64) - np.asarray(numbers_N, np.float64)
    error = error - np.median(error)
    scale = _NORMAL * float(np.median(np.abs(error)))
    scales = np.sqrt(scale**2 + (0.0 if spread_N is None else np.asarray(spread_N, np.float64) ** 2))
    away = np.abs(error) / np.where(scales > 0, scales, np.inf)
    rows = np.flatnonzero(away > OUTLYING)
    rows = rows[np.argsort(-away[rows], kind="stable")]
    return [Suspect(int(i), float(targets_N[i]), float(numbers_N[i]), float(away[i]), float("nan")) for i in rows]
