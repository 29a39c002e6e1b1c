"""Which rows are held out together: folds that are alike in their labels, and that never part a group.

A fold is a function of the labels, the groups and their order alone, so that every seed of a run, every setting of a
study and every baseline is judged on the same rows.
"""

import zlib

import numpy as np

from stablefit.data.tasks import Kind
from stablefit.errors import InputError

VALIDATION_SHARE = 10  # one example in so many of those that are not held out chooses the best step


def choose(
    labels: np.ndarray, kind: Kind, groups: np.ndarray | None, folds: int, has_validation: bool = False
) -> list[dict[str, np.ndarray]]:
    """For each fold the rows of 'train', 'validation' and 'test', ascending; without folds one split without a test.

    Validation, which chooses the best step, is a tenth of the rows that are not held out, so that the rows held out
    choose nothing.

    Args:
        labels: of N examples.
        kind: what the labels are.
        groups: int [N], or None.
        folds: 0 for none.
        has_validation: whether there is another file for validation.

    Raises:
        InputError: there are too few rows, or groups, for so many folds.
    """
    every = np.arange(len(labels))
    held_out = fold_of(labels, kind, groups, folds, "folds") if folds else np.full(len(labels), -1)
    chosen = []
    for fold in range(folds or 1):
        rest, test = every[held_out != fold], every[held_out == fold]
        parts = {"test": test} if folds else {}
        if not has_validation:
            own = None if groups is None else groups[rest]
            most = len(rest) if own is None else len(np.unique(own))
            if most < 2:
                raise InputError(f"{len(labels)} examples are too few for training and validation; there must be more")
            part = fold_of(labels[rest], kind, own, min(VALIDATION_SHARE, most), "validation")
            parts["validation"], rest = rest[part == 0], rest[part != 0]
        chosen.append({**parts, "train": rest})
    return chosen


def fold_of(labels: np.ndarray, kind: Kind, groups: np.ndarray | None, folds: int, purpose: str) -> np.ndarray:
    """The fold of each row, int64 [N] from 0.

    Without groups the rows of a stratum are shuffled and dealt out in turn, so folds differ by at most one row, and by
    at most one row of each stratum. With groups the largest group goes first, each to the fold that it makes most like
    the whole: the least sum over folds and strata of (count - its even share)^2.

    Args:
        labels: of N examples; see `strata`.
        kind: what the labels are.
        groups: int [N]; rows with the same number are in one fold. None: each row is its own.
        folds: at least 2.
        purpose: names the shuffle.

    >>> fold_of(np.array([0, 0, 1, 1]), "classification", None, 2, "folds").tolist()
    [0, 1, 0, 1]
    """
    n_units = len(labels) if groups is None else len(np.unique(groups))
    if not 2 <= folds <= n_units:
        what = "rows" if groups is None else "groups"
        raise InputError(
            f"{folds} folds of {n_units} {what}: there must be at least 2 folds, and one of the {what} each"
        )
    stratum = strata(labels, kind, folds)
    order = _shuffled(len(labels), purpose)
    fold = np.empty(len(labels), np.int64)
    if groups is None:
        fold[order[np.argsort(stratum[order], kind="stable")]] = np.arange(len(labels)) % folds
        return fold
    _, unit = np.unique(groups, return_inverse=True)
    counts_UxS = np.zeros((n_units, stratum.max() + 1))
    np.add.at(counts_UxS, (unit, stratum), 1)
    share_S = counts_UxS.sum(0) / folds
    held_FxS = np.zeros((folds, len(share_S)))
    fold_of_unit = np.empty(n_units, np.int64)
    shuffled = _shuffled(n_units, purpose)
    for one in shuffled[np.argsort(-counts_UxS[shuffled].sum(1), kind="stable")]:
        after_FxS = held_FxS + counts_UxS[one]
        cost_F = (np.square(after_FxS - share_S) - np.square(held_FxS - share_S)).sum(1)
        best = int(cost_F.argmin())
        held_FxS[best], fold_of_unit[one] = after_FxS[best], best
    return fold_of_unit[unit]


def subset(labels: np.ndarray, kind: Kind, n: int, seed: int = 0) -> np.ndarray:
    """n rows, ascending, with every stratum in its own share; smaller subsets of a seed lie within larger ones.

    Raises:
        InputError: there are fewer rows.

    >>> labels = np.array([0, 0, 0, 0, 1, 1])
    >>> labels[subset(labels, "classification", 3)].tolist()
    [0, 0, 1]
    """
    if not 1 <= n <= len(labels):
        raise InputError(f"{n} of {len(labels)} examples: ask for 1 to {len(labels)}")
    stratum, order = strata(labels, kind, 2), _shuffled(len(labels), "subset", seed)
    rank, place = np.empty(len(labels)), np.empty(len(labels), np.int64)
    place[order] = np.arange(len(labels))
    for one in np.unique(stratum):
        rows = order[stratum[order] == one]
        rank[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.sort(np.lexsort((place, rank))[:n])


def strata(labels: np.ndarray, kind: Kind, folds: int) -> np.ndarray:
    """What folds should have alike, int64 [N]: classes; quantiles of numbers; of several labels a row's rarest one.

    >>> strata(np.array([0.0, 10.0, 20.0, 30.0]), "regression", 2).tolist()
    [0, 0, 1, 1]
    """
    if kind == "regression":
        n_bins = max(1, min(10, len(labels) // folds))
        rank = np.argsort(np.argsort(labels, kind="stable"), kind="stable")
        return rank * n_bins // len(labels)
    if kind == "multilabel":
        frequency = labels.sum(0)
        rarest = np.where(labels > 0, frequency, np.inf).argmin(1)
        return np.where(labels.any(1), rarest + 1, 0)
    return np.unique(labels, return_inverse=True)[1].reshape(-1)


def _shuffled(n: int, purpose: str, seed: int = 0) -> np.ndarray:
    """A fixed order of n things; sorted generator words, whose stream NumPy keeps between versions."""
    words = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])).random_raw(n)
    return np.argsort(words, kind="stable")
