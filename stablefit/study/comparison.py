"""The settings of a study against its baseline: differences with intervals, and tests of score, spread and failures.

All are step-down max-t permutation tests (`max_t.py`). Its p-values hold for all settings together;
`looks.py` makes them hold for all looks at the study as well.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from stablefit.study import looks, max_t
from stablefit.study.statistics import MIN_SEEDS, Interval, Runs, probability_of_improvement

POWER = 0.8  # of what is called detectable

Verdict = Literal["better", "worse", "no difference found", "cannot decide"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One setting against the baseline; differences are setting minus baseline."""

    n: int
    n_baseline: int
    paired: bool  # labels are exchanged within each seed
    looks: int  # how often it could have been judged, this time included
    difference: float
    interval: Interval  # of the difference, for all settings together; it agrees with the verdict
    p_value: float  # of the mean, adjusted for settings and looks; NaN where nothing can be decided
    p_without_failed: float  # the same of the runs that did not fail; NaN where too few are left or none failed
    improvement: float  # probability that a run of the setting beats one of the baseline
    improvement_interval: Interval
    spread_ratio: float  # SD of the setting over that of the baseline
    p_spread: float  # adjusted likewise, as is the next
    p_failed: float
    detectable: float  # the difference that this many seeds find four times in five
    seeds_needed: int  # with so many seeds each it could be decided; 0 where it can
    verdict: Verdict


class _How(NamedTuple):
    alpha: float
    n_resamples: int
    within_from: float


def compare(
    baseline: Runs,
    settings: Mapping[str, Runs],
    alpha: float = 0.05,
    history: Mapping[str, Sequence[float]] | None = None,
    n_resamples: int = max_t.N_RESAMPLES,
    within_from: float = max_t.WITHIN_FROM,
) -> dict[str, Comparison]:
    """Every setting against the baseline.

    Args:
        baseline, settings: their runs, failed ones among them.
        alpha: the probability of a false verdict on any of them, over all looks.
        history: name of a setting -> the information that it had at each look (`looks.adjust`), this one last; none:
            there was no other.
        n_resamples: exchanges of labels that are drawn for each test.
        within_from: labels are exchanged within seeds where that can give a p-value as small as this.
    """
    settings = {name: _ordered(runs) for name, runs in settings.items()}
    baseline = _ordered(baseline)
    enough = {name: runs for name, runs in settings.items() if min(len(runs.scores), len(baseline.scores)) >= MIN_SEEDS}
    how = _How(alpha, n_resamples, within_from)
    decided = _decided(baseline, enough, how, history or {}) if enough else {}
    return {name: decided.get(name) or _undecided(runs, baseline) for name, runs in settings.items()}


def pairing_limit(alpha: float) -> float:
    """`within_from` that pairs wherever pairs can give a verdict: for units that differ more than what is compared."""
    return alpha * looks.FIRST_SHARE


def information(n: int, n_baseline: int) -> float:
    """What the variance of a difference of means is divided by, in units of a run's variance."""
    return 1 / (1 / n + 1 / n_baseline) if n and n_baseline else 0.0


def seeds_needed(settings: int, alpha: float = 0.05) -> int:
    """The least number of seeds, the same for each of so many settings and the baseline, that can give a verdict."""
    n = MIN_SEEDS
    while not _possible(_sample([_blank(n)] * (settings + 1)), alpha):
        n += 1
    return n


def foretold(
    n: int,
    settings: int,
    alpha: float = 0.05,
    within_from: float = max_t.WITHIN_FROM,
    unit: str = "seeds",
    spread: str = "a run",
) -> str:
    """What a study of so many settings against a baseline, with n runs of each, can decide; in words.

    Args:
        within_from: as in `compare`.
        unit: what n are counted.
        spread: whose standard deviation a difference is told in.
    """
    if n < MIN_SEEDS or not _possible(_sample([_blank(n)] * (settings + 1), within_from), alpha):
        return f"cannot be given with {n} {unit}; {seeds_needed(settings, alpha)} of each setting would do"
    rng = np.random.default_rng(0)
    found = []
    for _ in range(8):  # over several groups of n numbers, so that the spread of these few is not what is said
        scores = _sample(
            [Runs(rng.standard_normal(n), np.zeros(n, bool), range(n)) for _ in range(settings + 1)], within_from
        )
        largest = max_t.means_test(scores, 1_999).largest
        critical = np.full(settings, np.quantile(largest, 1 - looks.level(alpha, [1.0])))
        found.append(_reach(scores, critical, 1_999)[1].mean())
    found = np.mean(found)
    return f"a difference of {found:.1f} standard deviations of {spread} would be found four times in five"


def _decided(
    baseline: Runs,
    settings: Mapping[str, Runs],
    how: _How,
    history: Mapping[str, Sequence[float]],
) -> dict[str, Comparison]:
    alpha, n_resamples, _ = how
    groups = [baseline, *settings.values()]
    scores = _sample(groups, how.within_from)
    if not _possible(scores, alpha):
        needed = seeds_needed(len(settings), alpha)
        return {name: _undecided(runs, baseline, needed) for name, runs in settings.items()}
    seen = [history.get(name, (1.0,)) for name in settings]

    def adjusted(p_values: Sequence[float] | np.ndarray) -> list[float]:
        pairs = zip(p_values, seen, strict=True)
        return [math.nan if math.isnan(p) else looks.adjust(float(p), own) for p, own in pairs]

    found_means = max_t.means_test(scores, n_resamples)
    p_score = adjusted(found_means.p_values)
    p_spread = adjusted(max_t.step_down(_distances(scores), max_t.spread_statistic, n_resamples))
    p_failed = [1.0] * len(settings)
    without = [math.nan] * len(settings)
    if any(np.any(runs.failed) for runs in groups):
        failed = scores.with_values(np.concatenate([np.asarray(runs.failed, float) for runs in groups]))
        p_failed = adjusted(max_t.step_down(failed, max_t.share_statistic, n_resamples))
        without = adjusted(_without_failed(baseline, settings, how))
    limits = np.array([looks.level(alpha, own) for own in seen])
    halves, detectable = _reach(scores, np.quantile(found_means.largest, 1 - limits), n_resamples)
    means, variances = max_t.moments(scores.values, scores.sizes)
    out = {}
    for i, (name, runs) in enumerate(settings.items()):
        difference = float(means[1 + i] - means[0])
        found = p_score[i] <= alpha
        improvement, its_interval = probability_of_improvement(runs.scores, baseline.scores)
        out[name] = Comparison(
            n=len(runs.scores),
            n_baseline=len(baseline.scores),
            paired=scores.within,
            looks=len(looks.rising(seen[i])),
            difference=difference,
            interval=_agreeing(difference, float(halves[i]), found),
            p_value=p_score[i],
            p_without_failed=without[i],
            improvement=improvement,
            improvement_interval=its_interval,
            spread_ratio=_ratio(math.sqrt(variances[1 + i]), math.sqrt(variances[0])),
            p_spread=p_spread[i],
            p_failed=p_failed[i],
            detectable=float(detectable[i]),
            seeds_needed=0,
            verdict="no difference found" if not found else "better" if difference > 0 else "worse",
        )
    return out


def _undecided(runs: Runs, baseline: Runs, needed: int = MIN_SEEDS) -> Comparison:
    improvement, interval = probability_of_improvement(runs.scores, baseline.scores)
    nothing = Interval(math.nan, math.nan)
    sds = [float(np.std(one.scores, ddof=1)) if len(one.scores) > 1 else math.nan for one in (runs, baseline)]
    return Comparison(
        n=len(runs.scores),
        n_baseline=len(baseline.scores),
        paired=False,
        looks=0,
        difference=float(np.mean(runs.scores) - np.mean(baseline.scores)),
        interval=nothing,
        p_value=math.nan,
        p_without_failed=math.nan,
        improvement=improvement,
        improvement_interval=interval,
        spread_ratio=_ratio(*sds),
        p_spread=math.nan,
        p_failed=math.nan,
        detectable=math.nan,
        seeds_needed=needed,
        verdict="cannot decide",
    )


def _reach(scores: max_t.Sample, critical: np.ndarray, n_resamples: int) -> tuple[np.ndarray, np.ndarray]:
    """Half widths of the simultaneous intervals [k], and the detectable differences [k].

    A limit is a normal deviate; as a t of the setting's own freedom it is c. A difference delta is found in the draw b
    of runs without effects where |m_b + delta| >= c_b s_b, m_b the draw's own difference and s_b its standard error;
    the delta found four times in five is the .8 quantile of c_b s_b - m_b.

    Args:
        critical: [k], what the largest statistic without effects is beyond with the probability of the level.
    """
    scores = scores.centred()
    _, variances = max_t.moments(scores.values, scores.sizes)
    drawn = max_t.deviations(scores)[_draws(scores, n_resamples // 2 + 200)]
    means, of_draws = max_t.moments(drawn, scores.sizes)
    need = _half(critical, of_draws, scores.sizes) - (means[:, 1:] - means[:, :1])
    return _half(critical, variances, scores.sizes), np.quantile(need, POWER, axis=0)


def _draws(scores: max_t.Sample, count: int) -> np.ndarray:
    """[count, N], which runs are drawn, each for one of its own group; where seeds are shared whole seeds."""
    rng = np.random.default_rng(1)
    if scores.within:
        seeds = rng.integers(0, scores.sizes[0], (count, int(scores.sizes[0])))
        return np.concatenate([start + seeds for start in scores.starts], axis=1)
    groups = zip(scores.starts, scores.sizes, strict=True)
    return np.concatenate([start + rng.integers(0, n, (count, int(n))) for start, n in groups], axis=1)


def _half(critical: np.ndarray, variances: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[..., k]: the least difference that has this statistic."""
    error, freedom = max_t.standard_errors(variances, sizes)
    return max_t.t_of_deviate(critical, freedom) * error


def _agreeing(difference: float, half: float, found: bool) -> Interval:
    """The interval, cut or widened to 0 where the step-down test says more, or less, than it."""
    low, high = difference - half, difference + half
    if found:
        return Interval(max(low, 0.0), high) if difference > 0 else Interval(low, min(high, 0.0))
    return Interval(min(low, 0.0), max(high, 0.0))


def _without_failed(baseline: Runs, settings: Mapping[str, Runs], how: _How) -> list[float]:
    fine = {name: _fine(runs) for name, runs in settings.items()}
    base = _fine(baseline)
    left = [name for name, runs in fine.items() if min(len(runs.scores), len(base.scores)) >= MIN_SEEDS]
    p_values = dict.fromkeys(settings, math.nan)
    if left:
        scores = _sample([base, *(fine[name] for name in left)], how.within_from)
        p_values |= zip(left, max_t.means_test(scores, how.n_resamples).p_values, strict=True)
    return [float(p_values[name]) for name in settings]


def _fine(runs: Runs) -> Runs:
    kept = ~np.asarray(runs.failed, bool)
    return Runs(
        runs.scores[kept], runs.failed[kept], [seed for seed, keep in zip(runs.seeds, kept, strict=True) if keep]
    )


def _ordered(runs: Runs) -> Runs:
    """In the order of the seeds."""
    order = np.argsort(np.asarray(runs.seeds), kind="stable")
    return Runs(
        np.asarray(runs.scores, np.float64)[order], np.asarray(runs.failed, bool)[order], [runs.seeds[i] for i in order]
    )


def _sample(groups: Sequence[Runs], within_from: float = max_t.WITHIN_FROM) -> max_t.Sample:
    return max_t.sample([runs.scores for runs in groups], [runs.seeds for runs in groups], within_from)


def _distances(sample: max_t.Sample) -> max_t.Sample:
    """Distances from the group's median, as Brown and Forsythe have them, to be exchanged among all runs.

    Exchanged about the mean they would be taken for different spreads wherever one run is far out.
    """
    parts = [np.abs(part - np.median(part)) for part in np.split(sample.values, sample.starts[1:])]
    scaled = [part * np.sqrt(len(part) / (len(part) - 1)) for part in parts]
    return sample.with_values(np.concatenate(scaled))._replace(blocks=np.zeros(len(sample.blocks), int))


def _possible(sample: max_t.Sample, alpha: float) -> bool:
    return max_t.smallest_p(sample) / looks.FIRST_SHARE <= alpha


def _blank(n: int) -> Runs:
    return Runs(np.zeros(n), np.zeros(n, bool), range(n))


def _ratio(a: float, b: float) -> float:
    return a / b if b > 0 else (1.0 if a == 0 else math.inf) if b == 0 else math.nan
