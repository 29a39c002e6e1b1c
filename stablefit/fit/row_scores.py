"""Scores of predictions under weights of the rows, and what the bootstrap over rows says of them.

A resample of the rows is how often each row is drawn. A score is a function of such counts, so that one drawing serves
every score of every model, and a difference of two models is paired. Whole groups are drawn where rows belong together.
The intervals say what other rows, drawn as these were, would have given the same models; what other seeds would have
given is another question, which `Spread` answers.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from scipy import stats

from stablefit.study.statistics import share_interval

Kind = Literal["classification", "regression", "multilabel"]
Verdict = Literal["better", "no difference found", "worse"]
Scorer = Callable[[np.ndarray], dict[str, np.ndarray]]  # counts [B, N] -> scores, each [B]

MAIN: dict[str, str] = {"classification": "accuracy", "regression": "r2", "multilabel": "f1_micro"}
LOWER_IS_BETTER = frozenset({"log_loss", "mae", "rmse"})
N_RESAMPLES = 2000
_CHUNK = 4_000_000  # counts held at once
_SMALLEST = float(np.finfo(np.float64).eps)  # a probability of 0 would make the log loss infinite


@dataclasses.dataclass(frozen=True)
class Measured:
    """A score with its 95 % interval over rows; limits are NaN where rows are too few for any."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Spread:
    """A score of each repeat alone; sd has n - 1 in the denominator and is NaN for one repeat."""

    values: tuple[float, ...]
    mean: float
    sd: float
    minimum: float
    maximum: float


@dataclasses.dataclass(frozen=True)
class Entrant:
    """A baseline: its scores, what ours have more than it, and the verdict on ours by the main score."""

    name: str
    scores: dict[str, Measured]
    difference: dict[str, Measured]  # ours minus the baseline's, paired by rows
    verdict: Verdict
    seeds_above: int  # repeats that alone have a better main score


def spread(values: np.ndarray) -> Spread:
    """The spread of the scores [R] of single repeats."""
    values = np.asarray(values, np.float64)
    sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return Spread(tuple(map(float, values)), float(values.mean()), sd, float(values.min()), float(values.max()))


class Resamples:
    """The bootstrap's drawings of N rows, or of whole groups of them.

    Args:
        n: how many rows there are.
        groups: [N] int, rows with the same number are drawn together; None: each row on its own.
        seed: the same seed draws the same rows.
    """

    def __init__(self, n: int, groups: np.ndarray | None = None, seed: int = 0, n_resamples: int = N_RESAMPLES):
        self.n = n
        self.unit = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1].reshape(-1)
        self.n_units = int(self.unit.max()) + 1
        self.seed, self.n_resamples = seed, n_resamples

    def scores(self, scorers: Mapping[str, Scorer]) -> dict[str, dict[str, np.ndarray]]:
        """For each scorer its scores, [n_resamples] each; all scorers see the same drawings."""
        rng = np.random.default_rng(self.seed)
        at_once = max(1, _CHUNK // self.n)
        parts: dict[str, list[dict[str, np.ndarray]]] = {name: [] for name in scorers}
        for start in range(0, self.n_resamples, at_once):
            counts = self._counts(rng, min(at_once, self.n_resamples - start))
            for name, scorer in scorers.items():
                parts[name].append(scorer(counts))
        return {name: {key: np.concatenate([p[key] for p in some]) for key in some[0]} for name, some in parts.items()}

    def interval(self, values: np.ndarray) -> tuple[float, float]:
        """The 95 % percentile interval of resampled scores, widened for few rows.

        Plain percentiles are too narrow by sqrt((n - 1) / n) and by the normal's quantile where Student's belongs;
        the tails are moved out by both (Hesterberg 2015, "expanded percentile").
        """
        values = values[np.isfinite(values)]
        if self.n_units < 2 or not len(values):
            return float("nan"), float("nan")
        freedom = self.n_units - 1
        tail = float(stats.norm.cdf(np.sqrt(self.n_units / freedom) * stats.t.ppf(0.025, freedom)))
        low, high = np.quantile(values, [tail, 1 - tail])
        return float(low), float(high)

    def measure(self, value: float, values: np.ndarray, share_of: int | None = None) -> Measured:
        """A score with its interval.

        Args:
            value: of the rows as they are.
            values: [n_resamples].
            share_of: the score is a share of so many rows; where it is 0 or 1 no resample differs, and the interval
                is Clopper and Pearson's (of as many rows as there are groups, if those are fewer).
        """
        low, high = self.interval(values)
        if share_of and value in (0.0, 1.0):
            n = min(share_of, self.n_units)
            low, high = share_interval(round(value * n), n)
        return Measured(float(value), low, high)

    def _counts(self, rng: np.random.Generator, b: int) -> np.ndarray:
        drawn = rng.integers(0, self.n_units, (b, self.n_units)) + np.arange(b)[:, None] * self.n_units
        counts = np.bincount(drawn.reshape(-1), minlength=b * self.n_units).reshape(b, self.n_units)
        return counts[:, self.unit].astype(np.float64)


def plain(scorer: Scorer, n: int) -> dict[str, float]:
    """The scores of the rows as they are, each counted once."""
    return {name: float(values[0]) for name, values in scorer(np.ones((1, n))).items()}


def verdict(metric: str, difference: Measured) -> Verdict:
    """What an interval of a difference (ours minus another's) says of ours."""
    low, high = difference.low, difference.high
    if metric in LOWER_IS_BETTER:
        low, high = -high, -low
    return "better" if low > 0 else "worse" if high < 0 else "no difference found"


def class_scorer(probabilities_NxC: np.ndarray, targets_N: np.ndarray) -> Scorer:
    """Accuracy, macro F1 (over the classes that are given or predicted in the rows drawn) and log loss in nats."""
    n, n_classes = probabilities_NxC.shape
    predicted = probabilities_NxC.argmax(-1)
    hit = (predicted == targets_N).astype(np.float64)
    loss = -np.log(np.clip(probabilities_NxC[np.arange(n), targets_N], _SMALLEST, 1.0))
    ours, given = np.eye(n_classes)[predicted], np.eye(n_classes)[targets_N]

    def score(counts: np.ndarray) -> dict[str, np.ndarray]:
        total = counts.sum(-1)
        f1 = _f1(counts @ (ours * given), counts @ ours + counts @ given)
        return {
            "accuracy": counts @ hit / total,
            "f1_macro": np.nanmean(f1, axis=-1),
            "log_loss": counts @ loss / total,
        }

    return score


def number_scorer(numbers_N: np.ndarray, targets_N: np.ndarray) -> Scorer:
    """R2, mean absolute error, root mean squared error, Spearman's correlation; the last two in the targets' unit.

    R2 of rows that all have the same target is 0.0, or 1.0 if all are met, as in scikit-learn; so is a correlation
    with a constant 0.0.
    """
    centre = targets_N.mean()  # squares of numbers far from zero would cancel
    y, x = targets_N - centre, numbers_N - centre
    error = y - x
    rank_x, rank_y = _ranker(numbers_N), _ranker(targets_N)

    def score(counts: np.ndarray) -> dict[str, np.ndarray]:
        total = counts.sum(-1)
        squared = counts @ error**2
        around = counts @ y**2 - (counts @ y) ** 2 / total
        constant = around <= 1e-12 * (counts @ y**2)
        r2 = np.where(constant, squared == 0, 1 - squared / np.where(constant, 1.0, around))
        return {
            "r2": r2.astype(np.float64),
            "mae": counts @ np.abs(error) / total,
            "rmse": np.sqrt(squared / total),
            "spearman": _correlation(rank_x(counts), rank_y(counts), counts),
        }

    return score


def label_scorer(given_share_NxL: np.ndarray, targets_NxL: np.ndarray) -> Scorer:
    """F1 over all labels of all rows together (micro), the mean of the labels' F1 (macro), precision and recall.

    Args:
        given_share_NxL: whether a label is given to a row; between 0 and 1 the share of several ways to set the
            thresholds that give it, which count that much.
    """
    ours, given = np.asarray(given_share_NxL, np.float64), np.asarray(targets_NxL, np.float64)

    def score(counts: np.ndarray) -> dict[str, np.ndarray]:
        hits, marked, wanted = counts @ (ours * given), counts @ ours, counts @ given
        hits_all, marked_all, wanted_all = hits.sum(-1), marked.sum(-1), wanted.sum(-1)
        macro = np.nan_to_num(_f1(hits, marked + wanted))  # a label that nobody gives counts 0, as in scikit-learn
        return {
            "f1_micro": np.nan_to_num(_f1(hits_all, marked_all + wanted_all)),
            "f1_macro": macro.mean(-1),
            "precision": np.nan_to_num(_ratio(hits_all, marked_all)),
            "recall": np.nan_to_num(_ratio(hits_all, wanted_all)),
        }

    return score


def share_scorer(hits_N: np.ndarray, masks: Mapping[str, np.ndarray]) -> Scorer:
    """The mean of `hits_N` over the rows of each mask [N]; NaN where none of them is drawn."""
    inside = np.stack([np.asarray(mask, np.float64) for mask in masks.values()], axis=-1)
    hits = np.asarray(hits_N, np.float64)[:, None] * inside

    def score(counts: np.ndarray) -> dict[str, np.ndarray]:
        shares = _ratio(counts @ hits, counts @ inside)
        return {name: shares[:, i] for i, name in enumerate(masks)}

    return score


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN for 0 / 0."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)


def _f1(hits: np.ndarray, marked_and_wanted: np.ndarray) -> np.ndarray:
    return _ratio(2 * hits, marked_and_wanted)


def _ranker(values_N: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """counts [B, N] -> the rank of each row among those drawn, ties sharing the average, [B, N]."""
    distinct, group = np.unique(values_N, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.searchsorted(group[order], np.arange(len(distinct)))

    def ranks(counts: np.ndarray) -> np.ndarray:
        sizes = np.add.reduceat(counts[:, order], starts, axis=1)
        return (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, group]

    return ranks


def _correlation(x: np.ndarray, y: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each row of x [B, N] with y under counts [B, N]; 0.0 with a constant."""
    total = counts.sum(-1, keepdims=True)
    x = x - (counts * x).sum(-1, keepdims=True) / total
    y = y - (counts * y).sum(-1, keepdims=True) / total
    norm = np.sqrt((counts * x**2).sum(-1) * (counts * y**2).sum(-1))
    fine = norm > 1e-9 * total[:, 0]
    return np.where(fine, (counts * x * y).sum(-1) / np.where(fine, norm, 1.0), 0.0)
