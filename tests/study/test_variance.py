"""Components of variance: by hand, against their expectations, and the intervals by simulation."""

import math

import numpy as np
import pytest

from stablefit import factors
from stablefit.study import variance

TWO = factors.parse("subset=5 seed=4")


def scores_of(design, effects, repeats=1, rest=0.0, seed=0):
    """Scores of seeds 0, 1, ...: the effects of sets of factors (each an SD), and what is a run's own."""
    rng = np.random.default_rng(seed)
    shape = tuple(factor.levels for factor in design)
    drawn = {
        chosen: rng.normal(0, sd, tuple(n if i in chosen else 1 for i, n in enumerate(shape)))
        for chosen, sd in effects.items()
    }
    n = factors.combinations(design) * repeats
    means = sum((np.broadcast_to(part, shape) for part in drawn.values()), np.zeros(shape))
    return np.array([means[factors.levels(design, s)] for s in range(n)]) + rng.normal(0, rest, n), range(n)


def test_two_factors_by_hand():
    # Two draws, two seeds: means of draws .65 and .85, of seeds .7 and .8, what is left over +-.05.
    design = factors.parse("subset=2 seed=2")
    scores = np.array([0.55, 0.85, 0.75, 0.85])  # seed 1 has draw 1 and seed 0
    found = variance.split(scores, range(4), design)
    ms_draw, ms_seed, ms_both = 2 * 2 * 0.1**2, 2 * 2 * 0.05**2, 4 * 0.05**2
    assert [part.name for part in found.components] == ["training draw", "seed", "the rest"]
    by_hand = [(ms_draw - ms_both) / 2, (ms_seed - ms_both) / 2, ms_both]
    assert [part.sd**2 for part in found.components] == pytest.approx(by_hand)
    assert found.sd**2 == pytest.approx(sum(by_hand))
    assert [part.share for part in found.components] == pytest.approx([one / sum(by_hand) for one in by_hand])


def test_the_order_of_the_rows_does_not_matter():
    scores, seeds = scores_of(TWO, {(0,): 1.0, (1,): 0.5}, rest=0.3)
    mixed = np.random.default_rng(1).permutation(len(scores))
    assert variance.split(scores[mixed], mixed.tolist(), TWO) == variance.split(scores, seeds, TWO)


@pytest.mark.parametrize("repeats", [1, 3])
def test_each_component_is_unbiased(repeats):
    design = factors.parse("subset=3 init=4 noise=3")
    truth = {(0,): 1.0, (1,): 0.7, (2,): 0.4, (0, 1): 0.8, (1, 2): 0.5, (0, 1, 2): 0.6}
    sums = np.zeros(5)
    n = 600
    for i in range(n):
        scores, seeds = scores_of(design, truth, repeats, 0.9, seed=i)
        table = variance._table(scores, seeds, design)
        sets, squares, freedom = variance._sums_of_squares(table)
        names, weights = variance._solved(design, sets, table.shape)
        sums += weights @ (squares / freedom)
    assert names == ["training draw", "start of the head", "dropout and mixout", "only together", "the rest"]
    together = [0.8**2 + 0.5**2, 0.6**2 + 0.9**2] if repeats == 1 else [0.8**2 + 0.5**2 + 0.6**2, 0.9**2]
    expected = np.array([1.0, 0.7**2, 0.4**2, *together])
    assert sums / n == pytest.approx(expected, abs=0.16)


@pytest.mark.parametrize(("draw", "seed"), [(1.0, 0.5), (0.0, 1.0), (0.3, 0.0)])
def test_intervals_hold_what_they_are_of(draw, seed):
    held = np.zeros(4)
    n = 300
    for i in range(n):
        scores, seeds = scores_of(TWO, {(0,): draw, (1,): seed}, rest=0.6, seed=1000 + i)
        found = variance.split(scores, seeds, TWO)
        truth = [draw, seed, 0.6, math.sqrt(draw**2 + seed**2 + 0.36)]
        intervals = [*(part.interval for part in found.components), found.interval]
        held += [low - 1e-12 <= sd <= high for sd, (low, high) in zip(truth, intervals, strict=True)]
    # Generalised intervals hold at least what they promise, nearly; 95 % of 300 has an SD of 1.3 %.
    assert (held / n > 0.91).all(), held / n
    assert held[2] / n < 0.985


def test_nothing_is_split_that_cannot_be():
    scores, seeds = scores_of(TWO, {(0,): 1.0}, rest=0.1)
    assert variance.split(scores[:-1], seeds[:-1], TWO) is None  # a combination is missing
    assert variance.split(np.append(scores, 0.0), range(len(scores) + 1), TWO) is None  # one is there twice
    one = factors.parse("subset=20")
    assert variance.split(scores, seeds, one) is None  # of one run a draw the draw cannot be told from the seed
    assert variance.split(scores, seeds, ()) is None
    nested = variance.split(scores, seeds, factors.parse("subset=5"))
    assert [part.name for part in nested.components] == ["training draw", "the rest"]


def test_equal_scores_have_no_shares():
    found = variance.split(np.full(20, 0.5), range(20), TWO)
    assert found.sd == 0 == max(part.sd for part in found.components)
    assert all(math.isnan(part.share) for part in found.components)


def test_what_the_rest_is_of():
    assert variance.rest(TWO) == "what the factors do only together"
    assert variance.rest(factors.parse("subset=5 init=2")) == (
        "order of the examples, dropout and mixout, what the factors do only together"
    )
    assert variance.rest(factors.parse("subset=5"), repeated=True) == (
        "start of the head, order of the examples, dropout and mixout"
    )


def test_means_squares_add_up():
    scores, seeds = scores_of(TWO, {(0,): 1.0, (1,): 0.5, (0, 1): 0.7}, repeats=2, rest=0.4)
    _, squares, freedom = variance._sums_of_squares(variance._table(scores, seeds, TWO))
    assert squares.sum() == pytest.approx(np.square(scores - scores.mean()).sum())
    assert freedom.sum() == len(scores) - 1
