"""From which probability on a label is given, where a row may have several: one threshold a label, by its F1.

A label is given where its probability is at least the threshold. A threshold tuned on the rows that it is scored on
looks better than it is, so decisions for a score are made by thresholds of the other half of the rows.
"""

import numpy as np

N_HALVINGS = 10


def tune(probabilities_N: np.ndarray, targets_N: np.ndarray) -> float:
    """The threshold with the best F1 of one label.

    Every set of decisions is tried: the cuts between neighbouring distinct probabilities, and .5. Of equal ones the
    nearest to .5 is taken, so .5 stays unless another is better; .5 too if no row has the label.

    Args:
        probabilities_N: [N], of the label.
        targets_N: [N], 0 or 1.

    Examples:
        >>> tune(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 1, 1]))
        0.25
        >>> tune(np.array([0.1, 0.9]), np.array([0, 1]))
        0.5
    """
    p, t = np.asarray(probabilities_N, np.float64), np.asarray(targets_N, np.float64)
    if not t.any():
        return 0.5
    distinct = np.unique(p)
    middle = (distinct[1:] + distinct[:-1]) / 2
    middle = np.where(middle > distinct[:-1], middle, distinct[1:])  # neighbours that no number lies between
    cuts = np.unique(np.concatenate([distinct[:1], middle, [0.5]]))
    order = np.argsort(p, kind="stable")
    below = np.searchsorted(p[order], cuts, side="left")  # so many are not given the label
    hits_below = np.concatenate([[0.0], np.cumsum(t[order])])[below]
    f1 = 2 * (t.sum() - hits_below) / (len(p) - below + t.sum())
    best = cuts[f1 >= f1.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def tune_all(probabilities_NxL: np.ndarray, targets_NxL: np.ndarray) -> np.ndarray:
    """[L]: each label's threshold."""
    pairs = zip(probabilities_NxL.T, targets_NxL.T, strict=True)
    return np.array([tune(p, t) for p, t in pairs])


def cross_decisions(
    probabilities_NxL: np.ndarray, targets_NxL: np.ndarray, unit_N: np.ndarray, seed: int = 0
) -> np.ndarray:
    """[N, L]: the share of ten random halvings in which a row is given a label by the other half's thresholds.

    Args:
        unit_N: [N] int from 0; rows with the same number stay in one half.
    """
    rng = np.random.default_rng(seed)
    n_units = int(unit_N.max()) + 1
    given = np.zeros(probabilities_NxL.shape)
    for _ in range(N_HALVINGS):
        first = (rng.permutation(n_units) < n_units // 2)[unit_N]
        for half in (first, ~first):
            if (~half).any() and half.any():
                given[half] += probabilities_NxL[half] >= tune_all(probabilities_NxL[~half], targets_NxL[~half])
            else:  # one group alone has no other half
                given[half] += probabilities_NxL[half] >= 0.5
    return given / N_HALVINGS
