"""Disagreement between runs against brute force and a published example."""

import itertools
import math

import numpy as np
import pytest

from stablefit.study import instability


def test_disagreement_is_the_mean_over_pairs():
    predictions = np.random.default_rng(0).integers(0, 3, (5, 40))
    brute = np.mean([np.mean(a != b) for a, b in itertools.combinations(predictions, 2)])
    assert instability.pairwise_disagreement(predictions) == pytest.approx(brute)
    assert math.isnan(instability.pairwise_disagreement(predictions[:1]))


def test_kappa_of_a_known_table():
    # 14 raters, 10 subjects, 5 classes: the worked example of Fleiss' statistic, kappa 0.210.
    table = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    predictions = np.array([np.repeat(np.arange(5), counts) for counts in table]).T
    assert instability.fleiss_kappa(predictions) == pytest.approx(0.210, abs=5e-4)


def test_kappa_at_the_extremes():
    assert instability.fleiss_kappa(np.tile([0, 1, 1], (4, 1))) == 1.0
    assert instability.fleiss_kappa(np.ones((4, 3), int)) == 1.0
    assert instability.fleiss_kappa(np.random.default_rng(0).integers(0, 2, (10, 2000))) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [([3, 2, 1], 20), ([1, 1, 1], 10), ([3, 3, 3], None), ([1, 3, 2], 30), ([1, 2, np.nan], None)],
)
def test_steps_to_reach(losses, expected):
    assert instability.steps_to_reach(np.array([10, 20, 30]), np.array(losses), 2.0) == expected


def test_loss_band():
    losses = np.arange(5.0)[:, None] + np.array([0.0, 10.0])
    median, low, high = instability.loss_band(losses)
    assert (median.tolist(), low.tolist(), high.tolist()) == ([2, 12], [1, 11], [3, 13])
