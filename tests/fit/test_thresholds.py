"""Thresholds of several labels: the best of all, and a score that is not flattered by them."""

import numpy as np
import pytest
from sklearn import metrics as sk

from stablefit.fit import row_scores, thresholds
from tests.fit.out_of_fold import several


def test_a_tuned_threshold_is_the_best_of_all():
    rng = np.random.default_rng(0)
    for _ in range(30):
        t = (rng.random(25) < 0.3).astype(int)
        p = np.round(rng.random(25), 1)
        best = max(sk.f1_score(t, p >= cut, zero_division=0) for cut in [*np.unique(p), 2.0])
        cut = thresholds.tune(p, t)
        assert sk.f1_score(t, p >= cut, zero_division=0) == pytest.approx(best)


@pytest.mark.parametrize(
    ("p", "t", "want"),
    [
        ([0.1, 0.6, 0.9], [0, 1, 1], 0.5),
        ([0.1, 0.2, 0.3], [0, 0, 0], 0.5),
        ([0.6, 0.7, 0.9, 0.95], [0, 0, 1, 1], 0.8),
        ([0.3, 0.3, 0.3], [1, 1, 1], 0.3),
    ],
)
def test_thresholds_by_hand(p, t, want):
    assert thresholds.tune(np.array(p), np.array(t)) == pytest.approx(want)


def test_tuned_on_noise_the_score_of_other_rows_is_the_honest_one():
    """Labels that the probabilities know nothing of: the tuned F1 is above what new rows give, the crossed is not."""
    rng = np.random.default_rng(0)
    tuned, crossed, fresh = [], [], []
    for seed in range(60):
        p, new_p = rng.random((60, 1)), rng.random((60, 1))
        t, new_t = (rng.random((2, 60, 1)) < 0.2).astype(int)
        cut = thresholds.tune_all(p, t)
        given = thresholds.cross_decisions(p, t, np.arange(60), seed)
        tuned.append(sk.f1_score(t, p >= cut, zero_division=0))
        crossed.append(row_scores.plain(row_scores.label_scorer(given, t), 60)["f1_micro"])
        fresh.append(sk.f1_score(new_t, new_p >= cut, zero_division=0))
    assert np.mean(tuned) > np.mean(fresh) + 0.05
    assert np.mean(crossed) == pytest.approx(np.mean(fresh), abs=0.04)


def test_groups_stay_in_one_half():
    """One group has no other half, so nothing can be tuned."""
    oof = several(n=30)
    given = thresholds.cross_decisions(oof.outputs[0], oof.targets, np.zeros(30, int))
    assert np.array_equal(given, oof.outputs[0] >= 0.5)
