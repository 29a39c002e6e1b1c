"""The statistics of one setting against brute force and SciPy; their intervals by simulation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from stablefit.study import statistics

SCORES = np.array([0.71, 0.53, 0.70, 0.72, 0.69, 0.53, 0.74, 0.73])


def test_summary():
    summary = statistics.summarise(SCORES, SCORES < 0.6)
    assert (summary.n, summary.n_failed, summary.minimum, summary.maximum) == (8, 2, 0.53, 0.74)
    assert summary.mean == pytest.approx(SCORES.mean())
    assert summary.sd == pytest.approx(np.std(SCORES, ddof=1))
    assert summary.median == pytest.approx(0.705)
    assert summary.iqm == pytest.approx(np.mean([0.69, 0.70, 0.71, 0.72]))
    assert summary.iqm_interval.low < summary.iqm < summary.iqm_interval.high
    assert summary.failed_interval == pytest.approx((0.0319, 0.6509), abs=1e-4)  # Clopper-Pearson of 2 in 8


def test_summary_of_one_run_and_of_none():
    summary = statistics.summarise(np.array([0.5]), np.array([True]))
    assert math.isnan(summary.sd)
    assert summary.iqm == 0.5
    assert all(map(math.isnan, summary.iqm_interval))
    with pytest.raises(ValueError, match="n > 0"):
        statistics.summarise(np.array([]), np.array([]))
    with pytest.raises(ValueError, match="finite"):
        statistics.summarise(np.array([np.nan]), np.array([True]))


@pytest.mark.parametrize("n", [5, 8, 20])
def test_the_interval_of_the_interquartile_mean_holds_it(n):
    rng = np.random.default_rng(n)
    truth = []
    for _ in range(2000):
        low, high = statistics.iqm_interval(rng.standard_normal(n))
        truth.append(low <= 0 <= high)
    # Few runs are not quite enough for Student's form. An interval of 90 % or 99 % would be outside.
    assert 0.92 < np.mean(truth) < 0.98


def test_the_interval_of_the_interquartile_mean_by_hand():
    # Of 8, two are cut on each side: the middle .69 .70 .71 .72, and the cut ones become .69 and .72.
    low, high = statistics.iqm_interval(SCORES)
    winsorised = np.array([0.69] * 3 + [0.70, 0.71] + [0.72] * 3)
    half = scipy.stats.t.ppf(0.975, 3) * winsorised.std(ddof=1) * math.sqrt(7 / (4 * 3))
    assert (low, high) == pytest.approx((0.705 - half, 0.705 + half))


@pytest.mark.parametrize("scores", [SCORES, np.array([0.5, 0.5, 0.7]), np.array([0.4])])
def test_expected_maximum_is_the_mean_over_all_draws(scores):
    brute = [np.mean([max(draw) for draw in itertools.combinations(scores, k)]) for k in range(1, len(scores) + 1)]
    assert statistics.expected_maximum(scores) == pytest.approx(brute)


def test_best_by_validation_is_the_mean_over_all_draws():
    validation = np.array([0.7, 0.6, 0.7, 0.5, 0.7, 0.6])  # ties
    test = np.array([0.61, 0.66, 0.70, 0.52, 0.55, 0.60])
    means, sds = statistics.best_by_validation(validation, test)
    for k in range(1, 7):
        taken = []
        for draw in itertools.combinations(range(6), k):
            best = [i for i in draw if validation[i] == max(validation[list(draw)])]
            # Each of the tied runs with its share; 6 is a multiple of every number of ties.
            taken += [test[i] for i in best for _ in range(6 // len(best))]
        assert means[k - 1] == pytest.approx(np.mean(taken))
        assert sds[k - 1] == pytest.approx(np.std(taken))


def test_probability_of_improvement():
    estimate, interval = statistics.probability_of_improvement(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0]))
    assert estimate == pytest.approx((0.5 + 1.5 + 2) / 6)
    assert interval.low < estimate < interval.high
    estimate, interval = statistics.probability_of_improvement(np.arange(5.0) + 10, np.arange(5.0))
    assert (estimate, interval.high) == (1.0, 1.0)
    assert 0.5 < interval.low < 0.9
    flipped = statistics.probability_of_improvement(np.arange(5.0), np.arange(5.0) + 10)
    assert flipped == (0.0, pytest.approx((0.0, 1 - interval.low)))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_improvement_interval_holds_the_truth(shift):
    rng = np.random.default_rng(0)
    truth = scipy.stats.norm.cdf(shift / math.sqrt(2))
    covered = 0
    for _ in range(400):
        _, interval = statistics.probability_of_improvement(rng.normal(shift, 1, 8), rng.normal(0, 1, 8))
        covered += interval.low <= truth <= interval.high
    assert 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400) < covered / 400 < 0.99
