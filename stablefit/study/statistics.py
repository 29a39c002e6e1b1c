"""What the scores of many seeds say: summaries of a setting, and its comparison with a baseline.

The verdict is a permutation test's: at few seeds, and with failed runs among them, intervals of the bootstrap are too
narrow, while a permutation test keeps its level whatever the distribution (`tests/study/test_statistics.py` simulates
it).
"""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import optimize, stats

MIN_SEEDS = 5  # fewer cannot be told apart by any test worth the name
_EXACT_UP_TO = 20_000  # relabellings; more than these are sampled
_N_RESAMPLES = 10_000

Verdict = Literal["better", "worse", "no difference found", "too few seeds"]


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Summary:
    """The scores of one setting; failed runs are among them."""

    n: int
    n_failed: int
    failed_interval: Interval  # of the share of failed runs, Clopper-Pearson
    mean: float
    sd: float  # n - 1 in the denominator; NaN for one run
    median: float
    iqm: float  # mean of the middle half
    iqm_interval: Interval
    minimum: float
    maximum: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One setting against the baseline; differences are setting minus baseline."""

    n: int
    n_baseline: int
    paired: bool
    difference: float
    p_value: float  # permutation test of the mean; sign flips if paired; not adjusted
    p_adjusted: float  # by Holm over the settings compared with the same baseline
    p_without_failed: float  # the same test on the runs (or pairs) that did not fail; NaN if fewer than MIN_SEEDS
    improvement: float  # probability that a run of the setting beats one of the baseline
    improvement_interval: Interval
    p_spread: float  # Brown-Forsythe
    p_failed: float  # Fisher's exact test of the failed runs; McNemar's if paired
    detectable: float  # the difference that this many seeds find four times in five
    verdict: Verdict


def summarise(scores: np.ndarray, failed: np.ndarray, confidence: float = 0.95, seed: int = 0) -> Summary:
    """Summary of one setting.

    Args:
        scores: [n], one a run, failed runs included.
        failed: [n], booleans.
    """
    scores = _scores(scores)
    return Summary(
        n=len(scores),
        n_failed=int(np.sum(failed)),
        failed_interval=share_interval(int(np.sum(failed)), len(scores), confidence),
        mean=float(scores.mean()),
        sd=float(scores.std(ddof=1)) if len(scores) > 1 else math.nan,
        median=float(np.median(scores)),
        iqm=interquartile_mean(scores),
        iqm_interval=iqm_interval([scores], confidence, seed=seed),
        minimum=float(scores.min()),
        maximum=float(scores.max()),
    )


def share_interval(k: int, n: int, confidence: float = 0.95) -> Interval:
    """Clopper-Pearson interval of a share, k of n."""
    interval = stats.binomtest(k, n).proportion_ci(confidence, method="exact")
    return Interval(float(interval.low), float(interval.high))


def interquartile_mean(scores: np.ndarray) -> float:
    """The mean without the lowest and the highest quarter (each rounded down to whole runs)."""
    return float(stats.trim_mean(_scores(scores), 0.25))


def iqm_interval(
    strata: Sequence[np.ndarray], confidence: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> Interval:
    """Percentile bootstrap interval of the interquartile mean of all strata together.

    Args:
        strata: scores of each task (one entry for one task); runs are drawn within their task (Agarwal et al. 2021).
    """
    rng = np.random.default_rng(seed)
    drawn = [scores[rng.integers(0, len(scores), (n_resamples, len(scores)))] for scores in map(_scores, strata)]
    means = stats.trim_mean(np.concatenate(drawn, axis=1), 0.25, axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def expected_maximum(scores: np.ndarray) -> np.ndarray:
    """The expected best of k of the n runs, drawn without replacement, for k = 1..n: an unbiased estimate.

    The i-th smallest is the best of C(i-1, k-1) of the C(n, k) draws (Tang et al. 2020, arXiv:2004.13705).

    Returns:
        [n].
    """
    return _best_weights(len(scores)) @ np.sort(_scores(scores))


def best_by_validation(validation: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and SD of the test score of the run that is best on validation among k, for k = 1..n (the paper's figure 4).

    Over all draws of k runs without replacement, computed exactly; of runs that tie on validation any may be taken.

    Args:
        validation, test: [n], scores of the same runs.

    Returns:
        mean [n] and SD [n].
    """
    validation, test = _scores(validation), _scores(test)
    order = np.argsort(validation, kind="stable")
    validation, test = validation[order], test[order]
    _, group = np.unique(validation, return_inverse=True)
    sizes = np.bincount(group)
    mean_of_ties = (np.bincount(group, test) / sizes)[group]
    square_of_ties = (np.bincount(group, test**2) / sizes)[group]
    weights = _best_weights(len(test))
    mean = weights @ mean_of_ties
    return mean, np.sqrt(np.maximum(weights @ square_of_ties - mean**2, 0.0))


def permutation_test(
    a: np.ndarray, b: np.ndarray, paired: bool = False, n_resamples: int = _N_RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Two-sided p-values of the difference of means; exact where there are few relabellings, else sampled.

    Args:
        a: [..., n]; leading axes are independent comparisons.
        b: [..., m]; if paired, m = n and the i-th entries share a seed.
        paired: flip signs of differences instead of exchanging runs.

    Returns:
        [...]. A sampled p-value counts the observed labelling among the samples, and so is never 0.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    n, m = a.shape[-1], b.shape[-1]
    if paired:
        values = a - b
        weights, exact = _sign_flips(n, n_resamples, seed)
    else:
        values = np.concatenate([a, b], axis=-1)
        values = values - values.mean(-1, keepdims=True)  # the sum of one group then says all
        weights, exact = _exchanges(n, m, n_resamples, seed)
    observed = values.sum(-1) if paired else values[..., :n].sum(-1)
    resampled = np.abs(values @ weights.T)
    # Equal sums in another order of summation differ by rounding, and must count as equal.
    slack = 1e-9 * np.abs(values).sum(-1)
    as_large = (resampled >= (np.abs(observed) - slack)[..., None]).sum(-1)
    return as_large / len(weights) if exact else (as_large + 1) / (len(weights) + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values; those that are NaN take no part."""
    adjusted = [math.nan] * len(p_values)
    order = sorted((p, i) for i, p in enumerate(p_values) if not math.isnan(p))
    running = 0.0
    for rank, (p, i) in enumerate(order):
        running = max(running, min(1.0, (len(order) - rank) * p))
        adjusted[i] = running
    return adjusted


def probability_of_improvement(a: np.ndarray, b: np.ndarray, confidence: float = 0.95) -> tuple[float, Interval]:
    """P(a run of A beats a run of B), ties counting half, with Newcombe's interval (2006, method 5).

    The interval solves (theta - estimate)^2 = z^2 V(theta) with Hanley and McNeil's variance; unlike the bootstrap's it
    does not shrink to a point where all runs of A beat all of B.
    """
    a, b = _scores(a), _scores(b)
    n, m = len(a), len(b)
    estimate = float(np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b)))
    z2 = stats.norm.ppf((1 + confidence) / 2) ** 2
    extra = (n + m) / 2 - 1

    def excess(theta: float) -> float:
        variance = theta * (1 - theta) * (1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (n * m)
        return float((theta - estimate) ** 2 - z2 * variance)

    # At an estimate of 0 or 1 the equation also holds there; the end looked for is the other root.
    inside = min(max(estimate, 1e-9), 1 - 1e-9)
    low = optimize.brentq(excess, 0.0, inside) if estimate > 0 else 0.0
    high = optimize.brentq(excess, inside, 1.0) if estimate < 1 else 1.0
    return estimate, Interval(float(low), float(high))  # pyright: ignore[reportArgumentType]


def spread_test(a: np.ndarray, b: np.ndarray) -> float:
    """Brown and Forsythe's test that the spreads are equal; 1.0 if neither spreads, NaN for too few runs."""
    a, b = _scores(a), _scores(b)
    if min(len(a), len(b)) < MIN_SEEDS:
        return math.nan
    distances = [np.abs(x - np.median(x)) for x in (a, b)]
    if all(np.ptp(d) == 0 for d in distances):
        return 1.0 if distances[0][0] == distances[1][0] else 0.0
    return float(stats.levene(a, b, center="median").pvalue)


def failed_runs_test(failed_a: np.ndarray, failed_b: np.ndarray, paired: bool = False) -> float:
    """Fisher's exact test that runs fail equally often; for shared seeds McNemar's, on the seeds that differ."""
    a, b = np.asarray(failed_a, bool), np.asarray(failed_b, bool)
    if paired:
        only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
        return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0
    table = [[int(a.sum()), int((~a).sum())], [int(b.sum()), int((~b).sum())]]
    return float(stats.fisher_exact(table).pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def minimum_detectable_effect(
    a: np.ndarray, b: np.ndarray, paired: bool = False, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The difference of means that so many runs of such spread find with this power (t approximation).

    Args:
        alpha: level of the test; divide it by the number of settings where several are compared.
    """
    a, b = _scores(a), _scores(b)
    n, m = len(a), len(b)
    if min(n, m) < 2:
        return math.nan
    if paired:
        freedom, error = n - 1, (a - b).std(ddof=1) / math.sqrt(n)
    else:
        freedom = n + m - 2
        error = math.sqrt(((n - 1) * a.var(ddof=1) + (m - 1) * b.var(ddof=1)) / freedom * (1 / n + 1 / m))
    return float((stats.t.ppf(1 - alpha / 2, freedom) + stats.t.ppf(power, freedom)) * error)


@dataclasses.dataclass(frozen=True)
class Runs:
    """The runs of a setting: scores [n], failed [n] booleans, seeds [n]."""

    scores: np.ndarray
    failed: np.ndarray
    seeds: Sequence[int]


def compare(baseline: Runs, settings: Mapping[str, Runs], alpha: float = 0.05) -> dict[str, Comparison]:
    """Every setting against the baseline; the verdict is by the p-value that Holm's method adjusts over all of them.

    Runs are paired where a setting has the baseline's seeds, and as many of them that a verdict is possible: the
    smallest p-value of n sign flips is 2 / 2^n, 1/16 for five pairs.
    """
    plain = {name: _compare(runs, baseline, alpha / len(settings)) for name, runs in settings.items()}
    adjusted = holm([comparison.p_value for comparison in plain.values()])
    out: dict[str, Comparison] = {}
    for (name, comparison), p in zip(plain.items(), adjusted, strict=True):
        verdict: Verdict = "no difference found"
        if math.isnan(p):
            verdict = "too few seeds"
        elif p <= alpha:
            verdict = "better" if comparison.difference > 0 else "worse"
        out[name] = dataclasses.replace(comparison, p_adjusted=p, verdict=verdict)
    return out


def _compare(runs: Runs, baseline: Runs, alpha: float) -> Comparison:
    runs, baseline, paired = _matched(runs, baseline, alpha)
    a, b = _scores(runs.scores), _scores(baseline.scores)
    fine_a, fine_b = ~np.asarray(runs.failed, bool), ~np.asarray(baseline.failed, bool)
    if paired:
        fine_a = fine_b = fine_a & fine_b
    improvement, interval = probability_of_improvement(a, b)
    return Comparison(
        n=len(a),
        n_baseline=len(b),
        paired=paired,
        difference=float(a.mean() - b.mean()),
        p_value=_p_value(a, b, paired),
        p_adjusted=math.nan,
        p_without_failed=_p_value(a[fine_a], b[fine_b], paired),
        improvement=improvement,
        improvement_interval=interval,
        p_spread=spread_test(a, b),
        p_failed=failed_runs_test(runs.failed, baseline.failed, paired),
        detectable=minimum_detectable_effect(a, b, paired, alpha),
        verdict="too few seeds",
    )


def _matched(runs: Runs, baseline: Runs, alpha: float) -> tuple[Runs, Runs, bool]:
    """Both in the order of their seeds, and whether they are to be compared as pairs."""
    ordered = []
    for one in (runs, baseline):
        order = np.argsort(np.asarray(one.seeds), kind="stable")
        ordered.append(
            Runs(np.asarray(one.scores)[order], np.asarray(one.failed)[order], [one.seeds[i] for i in order])
        )
    a, b = ordered
    paired = list(a.seeds) == list(b.seeds) and len(set(a.seeds)) == len(a.seeds) and 2 / 2 ** len(a.seeds) <= alpha
    return a, b, paired


def _p_value(a: np.ndarray, b: np.ndarray, paired: bool) -> float:
    return float(permutation_test(a, b, paired)) if min(len(a), len(b)) >= MIN_SEEDS else math.nan


def _scores(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise ValueError(f"scores {scores!r} must be [n] finite numbers with n > 0; a diverged run's score is 0.0")
    return scores


def _best_weights(n: int) -> np.ndarray:
    """[n, n]: the probability that the i-th smallest of n is the largest of k, row k - 1, column i - 1."""
    return np.array([[math.comb(i, k) / math.comb(n, k + 1) for i in range(n)] for k in range(n)])


def _sign_flips(n: int, n_resamples: int, seed: int) -> tuple[np.ndarray, bool]:
    if 2**n <= _EXACT_UP_TO:
        return np.array(list(itertools.product([1.0, -1.0], repeat=n))), True
    return np.random.default_rng(seed).choice([1.0, -1.0], size=(n_resamples, n)), False


def _exchanges(n: int, m: int, n_resamples: int, seed: int) -> tuple[np.ndarray, bool]:
    """[relabellings, n + m] of 0 and 1: which runs are called A's."""
    exact = math.comb(n + m, n) <= _EXACT_UP_TO
    if exact:
        members = np.array(list(itertools.combinations(range(n + m), n)))
    else:
        members = np.argsort(np.random.default_rng(seed).random((n_resamples, n + m)), axis=1)[:, :n]
    weights = np.zeros((len(members), n + m))
    np.put_along_axis(weights, members, 1.0, axis=1)
    return weights, exact
