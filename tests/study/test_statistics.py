"""The statistics against brute force and SciPy; the verdict's false alarms and power by simulation."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from stablefit.study import statistics
from stablefit.study.statistics import Runs

SCORES = np.array([0.71, 0.53, 0.70, 0.72, 0.69, 0.53, 0.74, 0.73])


def _runs(scores, failed=None, seeds=None):
    scores = np.asarray(scores, np.float64)
    failed = np.zeros(len(scores), bool) if failed is None else np.asarray(failed)
    return Runs(scores, failed, list(range(len(scores))) if seeds is None else seeds)


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
    assert (summary.iqm, summary.iqm_interval) == (0.5, (0.5, 0.5))
    with pytest.raises(ValueError, match="n > 0"):
        statistics.summarise(np.array([]), np.array([]))
    with pytest.raises(ValueError, match="finite"):
        statistics.summarise(np.array([np.nan]), np.array([True]))


def test_strata_are_drawn_from_separately():
    # Two tasks of constant scores: nothing is left to vary, though the pooled scores do.
    interval = statistics.iqm_interval([np.full(4, 0.5), np.full(4, 0.9)])
    assert interval == pytest.approx((0.7, 0.7))


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


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_sign_flips_are_scipys(shift):
    rng = np.random.default_rng(1)
    a, b = np.round(rng.normal(shift, 1, 6), 1), np.round(rng.normal(0, 1, 6), 1)
    expected = scipy.stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert float(statistics.permutation_test(a, b, paired=True)) == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0])
def test_exchanges_are_all_counted(shift):
    # Rounded scores have ties. SciPy doubles the smaller tail, which for unequal sizes is another two-sided p-value.
    rng = np.random.default_rng(1)
    a, b = np.round(rng.normal(shift, 1, 6), 1), np.round(rng.normal(0, 1, 4), 1)
    pooled = [*a, *b]
    observed = abs(a.mean() - b.mean())
    larger = []
    for taken in itertools.combinations(range(10), 6):
        rest = [pooled[i] for i in range(10) if i not in taken]
        larger.append(abs(np.mean([pooled[i] for i in taken]) - np.mean(rest)) >= observed - 1e-12)
    assert float(statistics.permutation_test(a, b)) == pytest.approx(np.mean(larger))


def test_permutation_test_at_the_extremes():
    low, high = np.arange(5.0), np.arange(5.0) + 10
    assert statistics.permutation_test(high, low) == 2 / 252
    assert statistics.permutation_test(high, low, paired=True) == 2 / 32
    assert statistics.permutation_test(low, low[::-1]) == 1.0
    assert statistics.permutation_test(np.full(5, 0.1), np.full(5, 0.1)) == 1.0
    assert statistics.permutation_test(np.full(20, 0.9), np.full(20, 0.1)) == 1 / 10_001


def test_a_batch_of_comparisons_is_each_of_them():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 12)), rng.normal(size=(3, 12))
    batch = statistics.permutation_test(a, b, n_resamples=200)
    assert batch.tolist() == [
        float(statistics.permutation_test(x, y, n_resamples=200)) for x, y in zip(a, b, strict=True)
    ]


def test_holm():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.9, 0.8]) == [1.0, 1.0]
    adjusted = statistics.holm([0.02, math.nan, 0.03])
    assert adjusted[0::2] == pytest.approx([0.04, 0.04])
    assert math.isnan(adjusted[1])
    assert statistics.holm([]) == []


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
    assert covered / 400 > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400)


def test_spread_test():
    rng = np.random.default_rng(0)
    wide, narrow = rng.normal(0, 3, 20), rng.normal(0, 1, 20)
    assert statistics.spread_test(wide, narrow) == pytest.approx(scipy.stats.levene(wide, narrow).pvalue)
    assert statistics.spread_test(np.full(5, 0.5), np.full(6, 0.7)) == 1.0
    assert math.isnan(statistics.spread_test(wide[:4], narrow))


def test_failed_runs_test():
    a, b = np.repeat([True, False], [6, 14]), np.repeat([True, False], [0, 20])
    assert statistics.failed_runs_test(a, b) == pytest.approx(scipy.stats.fisher_exact([[6, 14], [0, 20]])[1])
    assert statistics.failed_runs_test(a, b, paired=True) == pytest.approx(2 / 2**6)
    assert statistics.failed_runs_test(b, b) == statistics.failed_runs_test(b, b, paired=True) == 1.0


def test_minimum_detectable_effect_is_found_four_times_in_five():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1.5, 20), rng.normal(0, 1.5, 20)
    scale = 1.5 / math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    effect = statistics.minimum_detectable_effect(a, b) * scale
    x, y = rng.normal(effect, 1.5, (500, 20)), rng.normal(0, 1.5, (500, 20))
    power = np.mean(statistics.permutation_test(x, y, n_resamples=499) <= 0.05)
    assert power == pytest.approx(0.8, abs=0.07)
    assert math.isnan(statistics.minimum_detectable_effect(a[:1], b))
    assert statistics.minimum_detectable_effect(a, a + 1, paired=True) == pytest.approx(0, abs=1e-9)


def test_compare():
    rng = np.random.default_rng(0)
    base = rng.normal(0.7, 0.01, 10)
    settings = {
        "better": _runs(base + 0.05),
        "worse": _runs(rng.normal(0.6, 0.01, 9)),
        "same": _runs(rng.permutation(base), seeds=list(range(100, 110))),
        "few": _runs(base[:4] + 0.5),
    }
    compared = statistics.compare(_runs(base, failed=np.arange(10) == 3), settings)
    assert {name: one.verdict for name, one in compared.items()} == {
        "better": "better",
        "worse": "worse",
        "same": "no difference found",
        "few": "too few seeds",
    }
    assert [one.paired for one in compared.values()] == [True, False, False, False]
    better = compared["better"]
    assert (better.p_value, better.p_adjusted) == pytest.approx((2 / 2**10, 2 * 2 / 2**10))
    assert better.p_without_failed == pytest.approx(2 / 2**9)
    assert better.difference == pytest.approx(0.05)
    assert math.isnan(compared["few"].p_value)


def test_pairs_are_matched_by_seed():
    base = np.linspace(0, 1, 8)
    order = np.array([3, 1, 7, 0, 2, 6, 5, 4])
    noise = np.array([1, -1, 2, 1, 1, -1, 2, 1]) * 1e-3 + 2e-3
    shuffled = _runs((base + noise)[order], seeds=order.tolist())
    compared = statistics.compare(_runs(base), {"a": shuffled})["a"]
    assert compared.paired
    assert compared.verdict == "better"


def test_pairs_too_few_for_a_verdict_are_compared_unpaired():
    base = np.linspace(0, 0.01, 5)
    assert not statistics.compare(_runs(base), {"a": _runs(base + 1)})["a"].paired
    assert statistics.compare(_runs(base), {"a": _runs(base + 1)})["a"].verdict == "better"


def _null_scores(rng, n_studies, n, failed_share):
    scores = rng.normal(0.70, 0.015, (n_studies, n))
    return np.where(rng.random((n_studies, n)) < failed_share, 0.53 + rng.normal(0, 0.002, (n_studies, n)), scores)


def _false_alarms(n_studies, n, failed_share, paired, n_resamples, seed=0):
    rng = np.random.default_rng([n, int(100 * failed_share), seed])
    a, b = (_null_scores(rng, n_studies, n, failed_share) for _ in range(2))
    return np.mean(statistics.permutation_test(a, b, paired, n_resamples=n_resamples, seed=seed) <= 0.05)


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("failed_share", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("n", [5, 10, 20])
def test_false_alarms_are_at_most_five_in_a_hundred(n, failed_share, paired):
    rate = _false_alarms(2000, n, failed_share, paired, n_resamples=499)
    assert rate <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 2000)


@pytest.mark.slow
@pytest.mark.parametrize("failed_share", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("n", [5, 10, 20])
def test_false_alarms_of_many_studies(n, failed_share):
    # Each batch has its own permutations, so that their error averages out as well.
    rates = [_false_alarms(1000, n, failed_share, False, n_resamples=999, seed=seed) for seed in range(20)]
    assert np.mean(rates) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 20_000)


def test_false_alarms_of_a_whole_study_of_several_settings():
    rng = np.random.default_rng(0)
    n_studies, alarms = 200, 0
    for _ in range(n_studies):
        base, *others = _null_scores(rng, 4, 5, 0.1)
        compared = statistics.compare(_runs(base), {str(i): _runs(scores) for i, scores in enumerate(others)})
        alarms += any(one.verdict in ("better", "worse") for one in compared.values())
    assert alarms / n_studies <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / n_studies)


@pytest.mark.parametrize(("n", "power"), [(5, 0.16), (10, 0.28), (20, 0.54)])
def test_power_for_one_point(n, power):
    rng = np.random.default_rng(n)
    a, b = rng.normal(0.71, 0.015, (1500, n)), rng.normal(0.70, 0.015, (1500, n))
    assert np.mean(statistics.permutation_test(a, b, n_resamples=499) <= 0.05) == pytest.approx(power, abs=0.05)
