"""Many settings against one baseline: step-down max-t permutation tests (Westfall and Young 1993).

The largest statistic over the settings is held against the largest under exchanges of runs; the setting that has it
is judged so, leaves the set, and the next is judged among the rest. Where every setting has the same seeds, runs are
exchanged within each seed, so that what a seed does to all settings alike (the order of the data, the start of the
head) cancels; elsewhere among all runs.

For means, deviations from a setting's mean are exchanged, each divided by the spread of its setting and multiplied by
that of the setting that it comes to (`means_test`): a setting that spreads ten times as much as another says nothing
of how far the other's mean may lie. For shares and spreads runs are exchanged as they are (`step_down`).
docs/decisions/0011 says what was tried beside it.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

N_RESAMPLES = 9_999
PRIOR_FREEDOM = 2.0  # the usual variance weighs as much as this many degrees of freedom in each setting's own
_CHUNK = 2_000_000  # numbers that are permuted at a time
WITHIN_FROM = 0.01  # exchanges within seeds are too few where they cannot give a p-value below this
_HOPELESS = 0.2  # from this p-value on, those that follow need not be exact

Statistic = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Sample(NamedTuple):
    """Runs of a baseline and of k settings, one after another.

    Attributes:
        values: [N], sorted by group: first the baseline's.
        sizes: [1 + k], how many each has.
        blocks: [N], labels are exchanged among runs of one block.
    """

    values: np.ndarray
    sizes: np.ndarray
    blocks: np.ndarray

    @property
    def starts(self) -> np.ndarray:
        """[1 + k], where each group begins."""
        return _starts(self.sizes)

    @property
    def within(self) -> bool:
        """Whether runs are exchanged within blocks, each of one run of every group; else among all."""
        return len(set(self.blocks)) > 1

    def of(self, groups: Sequence[int]) -> "Sample":
        """Only these groups, the baseline (0) first."""
        kept = np.concatenate([np.arange(self.starts[g], self.starts[g] + self.sizes[g]) for g in groups])
        return Sample(self.values[kept], self.sizes[list(groups)], self.blocks[kept])

    def centred(self) -> "Sample":
        """Without what a block does to all its runs alike: each less the median of its block; unchanged without blocks.

        Exchanges within a block do not change its median, which a setting that fails does not move either.
        """
        if not self.within:
            return self
        marks, place = np.unique(self.blocks, return_inverse=True)
        medians = np.array([np.median(self.values[place == block]) for block in range(len(marks))])
        return self.with_values(self.values - medians[place])

    def with_values(self, values: np.ndarray) -> "Sample":
        """The same runs with other numbers."""
        return self._replace(values=np.asarray(values, np.float64))


def sample(groups: Sequence[np.ndarray], seeds: Sequence[Sequence[int]], within_from: float = WITHIN_FROM) -> Sample:
    """The groups as one sample; in blocks of a seed where all have the same seeds.

    Args:
        groups: scores of the baseline, then of each setting.
        seeds: of each, in the same order; no seed twice.
        within_from: blocks must allow for a p-value as small as this, else there are none.
    """
    sizes = np.array([len(group) for group in groups])
    shared = all(sorted(own) == sorted(seeds[0]) and len(set(own)) == len(own) for own in seeds)
    blocks = np.concatenate([np.asarray(own) for own in seeds]) if shared else np.zeros(sizes.sum(), int)
    whole = Sample(np.concatenate([np.asarray(group, np.float64) for group in groups]), sizes, blocks)
    return whole if shared and smallest_p(whole) <= within_from else whole._replace(blocks=np.zeros(len(blocks), int))


def smallest_p(sample: Sample) -> float:
    """The p-value of one setting all of whose runs lie far from all others: no study of such numbers of runs has less.

    The runs that lie apart must be of one label, whichever: of all exchanges (1 + k) (1 + k)^-n within n seeds; among
    all N runs one of the ways to choose as many for each label.
    """
    groups = len(sample.sizes)
    if sample.within:
        return float(groups) ** (1 - int(sample.sizes[0]))
    total = math.comb(int(sample.sizes.sum()), int(sample.sizes[1:].min()))
    return min(1.0, groups / total)


class Means(NamedTuple):
    """The test of all differences of means.

    Attributes:
        p_values: [k], two-sided, adjusted.
        largest: [exchanges], the largest statistic without effects, which intervals are made by.
    """

    p_values: np.ndarray
    largest: np.ndarray


def means_test(sample: Sample, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Means:
    """Whether the settings' means differ from the baseline's.

    With x_gi centred in its block, m_g and s_g mean and SD (n - 1) of group g: the deviations z_gi = (x_gi - m_g) / s_g
    sqrt(n_g / (n_g - 1)) are exchanged, and the statistics of s_g z*_gi are what there is without effects.
    """
    sample = sample.centred()
    observed = t_statistic(sample.values, sample.sizes)
    _, variances = moments(sample.values, sample.sizes)
    spread = np.repeat(np.sqrt(variances), sample.sizes)
    apart = deviations(sample)
    alike = sample.with_values(np.divide(apart, spread, out=np.zeros_like(apart), where=spread > 0))
    without = reference(alike, lambda values, sizes: t_statistic(values * spread, sizes), n_resamples, seed)
    order = np.argsort(-observed, kind="stable")
    adjusted = np.empty(len(observed))
    largest = 0.0
    for rank, setting in enumerate(order):
        most = without[:, order[rank:]].max(1)
        largest = max(largest, float((1 + _as_large(most, float(observed[setting]))) / (1 + n_resamples)))
        adjusted[setting] = largest
    return Means(adjusted, without.max(1))


def step_down(sample: Sample, statistic: Statistic, n_resamples: int = N_RESAMPLES, seed: int = 0) -> np.ndarray:
    """Adjusted two-sided p-values [k], runs exchanged as they are.

    Args:
        statistic: of values [..., N] and sizes [1 + k]: [..., k], how far each setting is from the baseline; not
            negative.

    Returns:
        [k]; a p-value counts the observed labels among the exchanges, and so is never 0.
    """
    left = list(range(len(sample.sizes) - 1))
    adjusted = np.ones(len(left))
    largest = 0.0
    while left:
        among = sample.of([0, *(1 + setting for setting in left)])
        observed = statistic(among.values, among.sizes)
        most = reference(among, statistic, n_resamples, seed).max(1)
        p_values = (1 + np.array([_as_large(most, float(one)) for one in observed])) / (1 + n_resamples)
        first = int(np.argmax(observed))
        largest = max(largest, float(p_values[first]))
        if largest >= _HOPELESS:  # those that follow are judged among these too
            adjusted[left] = np.maximum(p_values, largest)
            return adjusted
        adjusted[left.pop(first)] = largest
    return adjusted


def _as_large(most: np.ndarray, observed: float) -> int:
    """How many are as large; equal sums in another order differ by rounding, and count as equal."""
    return int((most >= observed * (1 - 1e-9)).sum())


def reference(sample: Sample, statistic: Statistic, n_resamples: int = N_RESAMPLES, seed: int = 0) -> np.ndarray:
    """[n_resamples, k]: the statistics under random exchanges of runs."""
    rng = np.random.default_rng(seed)
    by_block = np.argsort(sample.blocks, kind="stable")
    _, place = np.unique(sample.blocks, return_inverse=True)
    found = []
    for first in range(0, n_resamples, size := max(1, _CHUNK // len(sample.values))):
        count = min(size, n_resamples - first)
        # Sorted by block and, within it, at random: position by_block[i] gets the value of position drawn[i].
        drawn = np.argsort(rng.random((count, len(place))) + place, axis=1)
        values = np.empty((count, len(place)))
        values[:, by_block] = sample.values[drawn]
        found.append(statistic(values, sample.sizes))
    return np.concatenate(found)


def deviations(sample: Sample) -> np.ndarray:
    """[N], from the group's mean, with the variance of single runs: times sqrt(n / (n - 1))."""
    means, _ = moments(sample.values, sample.sizes)
    scale = np.sqrt(sample.sizes / (sample.sizes - 1))
    return (sample.values - np.repeat(means, sample.sizes)) * np.repeat(scale, sample.sizes)


def moments(values: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances (n - 1) of the groups: [..., N] -> [..., 1 + k] each."""
    starts = _starts(sizes)
    means = np.add.reduceat(values, starts, axis=-1) / sizes
    centred = values - np.repeat(means, sizes, axis=-1)
    return means, np.add.reduceat(centred**2, starts, axis=-1) / np.maximum(sizes - 1, 1)


def standard_errors(variances: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of the differences of means, setting minus baseline, and their degrees of freedom: [..., k] each.

    A variance of few runs is itself uncertain; each is drawn towards what is usual (Smyth 2004): (f_g v_g + d v) /
    (f_g + d), f_g = n_g - 1, v the median of the groups' variances, d = PRIOR_FREEDOM. With these, and f_g + d degrees
    of freedom, error and freedom are Welch's.
    """
    freedom = sizes - 1
    pooled = np.median(variances, axis=-1, keepdims=True)
    freedom = freedom + PRIOR_FREEDOM
    of_mean = (variances * (sizes - 1) + PRIOR_FREEDOM * pooled) / freedom / sizes
    both = of_mean[..., 1:] + of_mean[..., :1]
    parts = of_mean**2 / freedom
    least = np.finfo(np.float64).tiny
    return np.sqrt(both), np.maximum(both**2, least) / np.maximum(parts[..., 1:] + parts[..., :1], least)


def t_statistic(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[..., k]: |difference of means| over its standard error, as a normal deviate; 0 where there is no difference.

    As normal deviates the t of many runs and the t of few, whose tails are longer, can be compared.
    """
    means, variances = moments(values, sizes)
    error, freedom = standard_errors(variances, sizes)
    return normal_deviate(_ratio(np.abs(means[..., 1:] - means[..., :1]), error), freedom)


def normal_deviate(t: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """The z that is as improbable as this t: (8 f + 1) / (8 f + 3) sqrt(f log(1 + t^2 / f)) (Wallace 1959)."""
    return (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(t**2 / freedom))


def t_of_deviate(z: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """The inverse of `normal_deviate`."""
    return np.sqrt(freedom * np.expm1((z * (8 * freedom + 3) / (8 * freedom + 1)) ** 2 / freedom))


def share_statistic(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[..., k]: of values 0 and 1, |difference of shares| over its standard error where both shares are one."""
    counts = np.add.reduceat(values, _starts(sizes), axis=-1)
    shares = counts / sizes
    both = (counts[..., 1:] + counts[..., :1]) / (sizes[1:] + sizes[0])
    error = np.sqrt(both * (1 - both) * (1 / sizes[1:] + 1 / sizes[0]))
    return _ratio(np.abs(shares[..., 1:] - shares[..., :1]), error)


def spread_statistic(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """[..., k]: of distances from the middle of their group, |log of the ratio of their means|."""
    spread = np.add.reduceat(values, _starts(sizes), axis=-1) / sizes
    least = 1e-9 * max(float(values.max(initial=0.0)), 1e-300)
    logs = np.log(np.maximum(spread, least))
    return np.abs(logs[..., 1:] - logs[..., :1])


def _starts(sizes: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]])


def _ratio(distance: np.ndarray, error: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(distance <= 1e-12, 0.0, distance / error)
