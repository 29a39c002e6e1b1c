"""The step-down max-t permutation test against every exchange of labels, by brute force."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats

from stablefit.study import max_t

RNG = np.random.default_rng(0)


def sample(groups, shared=True):
    starts = np.cumsum([0, *map(len, groups)])
    return max_t.sample(
        groups, [range(len(g)) if shared else range(i, i + len(g)) for g, i in zip(groups, starts, strict=False)]
    )


def every_exchange(one):
    """[exchanges, N]: the values under every exchange of labels within the blocks."""
    blocks = [np.flatnonzero(one.blocks == block) for block in np.unique(one.blocks)]
    for orders in itertools.product(*(itertools.permutations(places) for places in blocks)):
        values = one.values.copy()
        for places, order in zip(blocks, orders, strict=True):
            values[places] = one.values[list(order)]
        yield values


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize("statistic", [max_t.t_statistic, max_t.spread_statistic])
def test_p_values_are_the_share_of_all_exchanges(within, statistic):
    groups = (
        [RNG.normal(size=3), RNG.normal(size=3) + 1.5, RNG.normal(size=3)]
        if within
        else [RNG.normal(size=3), RNG.normal(size=2) + 1.5, RNG.normal(size=2)]
    )
    groups = [np.abs(group) for group in groups] if statistic is max_t.spread_statistic else groups
    one = sample(groups)
    one = one._replace(
        blocks=np.concatenate([np.arange(len(g)) for g in groups]) if within else np.zeros(len(one.values), int)
    )
    observed = statistic(one.values, one.sizes)
    first, second = np.argsort(-observed)
    most = np.array([statistic(values, one.sizes).max() for values in every_exchange(one)])
    exact = (most >= observed[first] * (1 - 1e-9)).mean()
    left = one.of([0, 1 + second])
    alone = np.array([statistic(values, left.sizes).max() for values in every_exchange(left)])
    then = max(exact, (alone >= statistic(left.values, left.sizes)[0] * (1 - 1e-9)).mean())
    found = max_t.step_down(one, statistic, n_resamples=20_000)
    error = 4 * math.sqrt(0.25 / 20_000)
    assert found[first] == pytest.approx(exact, abs=error)
    if exact < 0.15:  # else the second is not judged among the rest alone
        assert found[second] == pytest.approx(then, abs=error)
    assert found[second] >= found[first]


def test_means_are_held_against_exchanged_deviations():
    """The whole of it once more, by loops, on the exchanges that it draws."""
    rng = np.random.default_rng(3)
    groups = [rng.normal(size=5), 4 * rng.normal(size=5) + 3, rng.normal(size=5) + 1]
    one = sample(groups)
    one = one._replace(blocks=np.tile(np.arange(5), 3))
    found = max_t.means_test(one, 400, seed=1)
    centred = one.centred()
    parts = np.split(centred.values, [5, 10])
    alike = [(part - part.mean()) / part.std(ddof=0) for part in parts]
    drawn = max_t.reference(one.with_values(np.concatenate(alike)), lambda values, sizes: values, 400, seed=1)
    spread = [part.std(ddof=1) for part in parts]
    statistics = []
    for values in drawn:
        scaled = np.concatenate([s * part for s, part in zip(spread, np.split(values, [5, 10]), strict=True)])
        statistics.append(max_t.t_statistic(scaled, one.sizes))
    statistics = np.array(statistics)
    observed = max_t.t_statistic(centred.values, one.sizes)
    first, second = np.argsort(-observed)
    p_first = (1 + (statistics.max(1) >= observed[first]).sum()) / 401
    p_second = max(p_first, (1 + (statistics[:, second] >= observed[second]).sum()) / 401)
    assert found.p_values[[first, second]] == pytest.approx([p_first, p_second])
    assert found.largest == pytest.approx(statistics.max(1))


def test_a_setting_that_spreads_much_more_says_nothing_of_the_others():
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        groups = list(rng.normal(size=(6, 8)))
        groups[1] = groups[1] * 12
        wrong += max_t.means_test(sample(groups), 99).p_values.min() <= 0.04
    assert wrong / 200 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200), "runs exchanged as they are: .2"


def test_p_values_are_never_zero_and_never_fall_along_the_order():
    rng = np.random.default_rng(5)
    far = sample([rng.normal(size=10) + shift for shift in (0.0, 90.0, 0.1, 20.0)])
    assert max_t.means_test(far, 99).p_values[0] == 1 / 100
    for _ in range(40):
        one = sample([rng.normal(size=8) + shift for shift in (0.0, 1.5, 1.4, 1.3)])
        for found, values in (
            (max_t.means_test(one, 99).p_values, one.centred().values),
            (max_t.step_down(one, max_t.t_statistic, 99), one.values),
        ):
            observed = max_t.t_statistic(values, one.sizes)
            first = np.argmax(observed)
            assert found[first] == found.min()
        order = np.argsort(-max_t.t_statistic(one.centred().values, one.sizes), kind="stable")
        assert list(max_t.means_test(one, 99).p_values[order]) == sorted(max_t.means_test(one, 99).p_values)


def test_the_standard_error_is_drawn_towards_the_pooled_one():
    groups = [np.array([0.0, 2.0]), np.array([5.0, 5.0, 8.0])]
    one = sample(groups, shared=False)
    means, variances = max_t.moments(one.values, one.sizes)
    assert means.tolist() == [1.0, 6.0]
    assert variances == pytest.approx([2.0, 3.0])
    pooled = (2 + 3) / 2
    own = [(2 * 1 + 2 * pooled) / 3, (3 * 2 + 2 * pooled) / 4]
    error, freedom = max_t.standard_errors(variances, one.sizes)
    parts = own[0] / 2, own[1] / 3
    assert error == pytest.approx([math.sqrt(sum(parts))])
    assert freedom == pytest.approx([sum(parts) ** 2 / (parts[0] ** 2 / 3 + parts[1] ** 2 / 4)])
    assert max_t.t_statistic(one.values, one.sizes) == pytest.approx(max_t.normal_deviate(5 / error, freedom))


@pytest.mark.parametrize("freedom", [4.0, 7.0, 30.0])
def test_a_normal_deviate_is_as_improbable_as_its_t(freedom):
    t = np.array([0.0, 0.5, 2.0, 4.0])
    z = max_t.normal_deviate(t, freedom)
    assert scipy.stats.norm.sf(z) == pytest.approx(scipy.stats.t.sf(t, freedom), rel=0.06)
    assert max_t.t_of_deviate(z, freedom) == pytest.approx(t)


def test_the_statistics_of_shares_and_of_spreads_by_hand():
    shares = sample([np.array([0.0, 0, 0, 1]), np.array([1.0, 1, 1, 1])])
    both = 5 / 8
    assert max_t.share_statistic(shares.values, shares.sizes) == pytest.approx(
        [0.75 / math.sqrt(both * (1 - both) / 2)]
    )
    spreads = sample([np.array([1.0, 1, 1, 1]), np.array([3.0, 3, 1, 1])])
    assert max_t.spread_statistic(spreads.values, spreads.sizes) == pytest.approx([math.log(2)])


def test_runs_without_any_spread_differ_or_do_not():
    same = sample([np.full(5, 0.5), np.full(5, 0.5)])
    assert max_t.means_test(same, 99).p_values.tolist() == [1.0]
    apart = sample([np.full(8, 0.5), np.full(8, 0.7)])
    assert max_t.means_test(apart, 999).p_values[0] <= 0.01
    assert max_t.step_down(same, max_t.spread_statistic, 99).tolist() == [1.0]


def test_runs_are_exchanged_within_a_seed_where_seeds_are_shared():
    """What a seed does to all settings alike cancels: a steady difference is found under any noise of the seeds."""
    seeds = 100 * RNG.normal(size=10)
    groups = [seeds + 0.01 * RNG.normal(size=10) for _ in range(3)]
    groups[1] = groups[1] + 0.05
    assert max_t.means_test(sample(groups)).p_values[0] < 0.01
    assert max_t.means_test(sample(groups, shared=False)).p_values[0] > 0.5
    exchanged = max_t.reference(sample(groups), lambda values, sizes: values, 50)
    assert np.abs(exchanged.reshape(50, 3, 10) - seeds).max() < 0.2


def test_what_a_seed_does_to_all_is_no_spread():
    values = np.array([[1.0, 5.0, 9.0], [1.5, 5.0, 9.0], [1.0, 6.0, 9.5]])
    one = sample([*values])
    one = one._replace(blocks=np.tile(np.arange(3), 3))
    assert one.centred().values.reshape(3, 3) == pytest.approx(values - [1.0, 5.0, 9.0])
    apart = one._replace(blocks=np.zeros(9, int))
    assert apart.centred() is apart


@pytest.mark.parametrize(("n", "k", "shared"), [(5, 1, False), (4, 1, True), (3, 2, True)])
def test_the_smallest_p_value_is_that_of_brute_force(n, k, shared):
    groups = [np.arange(n) * 1e-3 + 10.0 * (i == 1) for i in range(1 + k)]
    one = sample(groups, shared)
    one = one._replace(blocks=np.tile(np.arange(n), 1 + k) if shared else np.zeros(n * (1 + k), int))
    if len(one.values) > 9 and not shared:  # 252 choices of five from ten are quick; 10! orders are not
        observed = max_t.t_statistic(one.values, one.sizes)[0]
        splits = [
            np.array([*chosen, *sorted(set(range(2 * n)) - set(chosen))])
            for chosen in itertools.combinations(range(2 * n), n)
        ]
        most = np.array([max_t.t_statistic(one.values[split], one.sizes).max() for split in splits])
    else:
        observed = max_t.t_statistic(one.values, one.sizes).max()
        most = np.array([max_t.t_statistic(values, one.sizes).max() for values in every_exchange(one)])
    least = (most >= observed * (1 - 1e-9)).mean()
    assert least == pytest.approx(max_t.smallest_p(one))


def test_the_order_of_memory_does_not_matter():
    """Chunks of the exchanges are those of one draw after another: the same p-value whatever the number of runs."""
    groups = [RNG.normal(size=6) for _ in range(4)]
    first = max_t.reference(sample(groups), max_t.t_statistic, 500)
    assert max_t.reference(sample(groups), max_t.t_statistic, 500).tolist() == first.tolist()
