"""Where the repeats (seeds) agree, how right they are there, and on which rows they differ most."""

import dataclasses

import numpy as np
from scipy import stats

from stablefit.fit.row_scores import Kind, Measured, Resamples, plain, share_scorer

N_PARTS = 4  # of the rows of numbers, by the repeats' spread


@dataclasses.dataclass(frozen=True)
class Agreement:
    """Rows on which all repeats give the same answer, and the others.

    share: of rows where all agree. where_all_agree, elsewhere: the share of rows that are right (of several labels: all
    of them right); None where there are no such rows.
    """

    n_repeats: int
    n_agreed: int
    share: Measured
    where_all_agree: Measured | None
    elsewhere: Measured | None


@dataclasses.dataclass(frozen=True)
class Part:
    """Rows with a spread from `low` to `high`, and the mean absolute error on them."""

    low: float
    high: float
    n: int
    mae: Measured


@dataclasses.dataclass(frozen=True)
class SpreadAndError:
    """Of numbers: whether a larger spread of the repeats means a larger error; rank correlation of the two."""

    n_repeats: int
    parts: tuple[Part, ...]
    correlation: float


@dataclasses.dataclass(frozen=True)
class Disputed:
    """A row on which the repeats differ: the entropy of their votes in bits, or the sd of their numbers."""

    row: int
    amount: float
    votes: tuple[float, ...]  # of each repeat a class id or number; of several labels how many give each


def agreement(answers: np.ndarray, hits_N: np.ndarray, resamples: Resamples) -> Agreement | None:
    """How right the ensemble is where all repeats agree, and elsewhere; None for one repeat.

    Args:
        answers: [R, N] class ids, or [R, N, L] labels given.
        hits_N: whether the ensemble is right.
    """
    repeats, n = answers.shape[:2]
    if repeats < 2:
        return None
    same = (answers == answers[:1]).reshape(repeats, n, -1).all(axis=(0, 2))
    scorers = {
        "share": share_scorer(same, {"share": np.ones(n)}),
        "hits": share_scorer(hits_N, {"agreed": same, "elsewhere": ~same}),
    }
    drawn = resamples.scores(scorers)
    share = resamples.measure(float(same.mean()), drawn["share"]["share"], n)
    values = plain(scorers["hits"], n)
    sizes = {"agreed": int(same.sum()), "elsewhere": int((~same).sum())}
    inside, outside = (
        resamples.measure(values[name], drawn["hits"][name], size) if size else None for name, size in sizes.items()
    )
    return Agreement(repeats, sizes["agreed"], share, inside, outside)


def spread_and_error(numbers_RxN: np.ndarray, targets_N: np.ndarray, resamples: Resamples) -> SpreadAndError | None:
    """Errors of the ensemble by the spread of the repeats, in four equal parts; None for one repeat."""
    repeats, n = numbers_RxN.shape
    if repeats < 2:
        return None
    sd = numbers_RxN.std(0, ddof=1)
    error = np.abs(numbers_RxN.mean(0) - targets_N)
    pieces = [rows for rows in np.array_split(np.argsort(sd, kind="stable"), N_PARTS) if len(rows)]
    masks = {str(i): np.isin(np.arange(n), rows) for i, rows in enumerate(pieces)}
    scorer = share_scorer(error, masks)
    values, drawn = plain(scorer, n), resamples.scores({"": scorer})[""]
    parts = tuple(
        Part(float(sd[rows].min()), float(sd[rows].max()), len(rows), resamples.measure(values[str(i)], drawn[str(i)]))
        for i, rows in enumerate(pieces)
    )
    varied = np.ptp(sd) > 0 and np.ptp(error) > 0
    correlation = float(stats.spearmanr(sd, error).statistic) if varied else 0.0  # pyright: ignore
    return SpreadAndError(repeats, parts, correlation)


def disputed(kind: Kind, answers: np.ndarray, sureness_N: np.ndarray) -> list[Disputed]:
    """The rows on which the repeats differ, most first; of equal ones the less sure first. None agree fully.

    Args:
        answers: [R, N] class ids or numbers, or [R, N, L] labels given.
        sureness_N: of the ensemble.
    """
    if len(answers) < 2:
        return []
    if kind == "regression":
        amount, votes = answers.std(0, ddof=1), answers
    elif kind == "multilabel":
        amount = _entropy(np.stack([answers.mean(0), 1 - answers.mean(0)], -1)).sum(-1)
        votes = answers.sum(0).T
    else:
        classes = np.unique(answers)
        amount = _entropy((answers[..., None] == classes).mean(0))
        votes = answers
    order = np.lexsort((sureness_N, -amount))
    return [Disputed(int(i), float(amount[i]), tuple(map(float, votes[:, i]))) for i in order if amount[i] > 0]


def _entropy(shares: np.ndarray) -> np.ndarray:
    """Entropy in bits over the last axis."""
    return -(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(-1)
