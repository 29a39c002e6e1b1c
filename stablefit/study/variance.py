"""Where the spread of a setting's scores comes from: its variance, split between the factors of a study.

A score is the sum of independent effects, one for each combination of factors,

    y = mu + sum over sets S of factors of a_S + e,    a_S ~ (0, sigma_S^2),  e ~ (0, sigma_e^2),

in a design with every combination of levels R times. With n_f levels of factor f the mean squares have the expectations

    E[MS_S] = sigma_e^2 + sum over T that contain S of R (product of n_f, f not in T) sigma_T^2,

which are solved from the largest set down (Searle, Casella, McCulloch, "Variance Components", 1992, ch. 4). Of one run
a combination, the interaction of all factors cannot be told from e. Intervals are generalised ones (Weerahandi 1993):
each mean square is put at SS_S / chi^2 of its freedom, drawn many times, and an estimate below 0 is 0.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stablefit import factors
from stablefit.factors import Factor
from stablefit.study.statistics import Interval

CONFIDENCE = 0.95
_DRAWS = 20_000


class Component(NamedTuple):
    """What one source contributes."""

    name: str
    sd: float  # the root of its variance
    interval: Interval  # of it
    share: float  # of the sum of all variances
    share_interval: Interval


class Split(NamedTuple):
    """The variance of a setting's scores by where it comes from."""

    components: Sequence[Component]  # of each factor, of their interactions where they can be told apart, and the rest
    sd: float  # of a run with all sources new
    interval: Interval


def split(scores: np.ndarray, seeds: Sequence[int], design: Sequence[Factor]) -> Split | None:
    """The components of variance of a setting.

    Args:
        scores: [n], of its runs.
        seeds: [n], of the same runs; which levels they have is in their digits.
        design: the factors.

    Returns:
        None without factors, or if not every combination has as many runs as every other, or there is nothing to be
        split: one factor with one run a level.
    """
    table = _table(scores, seeds, design)
    if table is None:
        return None
    sets, sums, freedom = _sums_of_squares(table)
    names, weights = _solved(design, sets, table.shape)
    rng = np.random.default_rng(0)
    drawn = weights @ (sums[:, None] / rng.chisquare(freedom[:, None], (len(sums), _DRAWS)))
    found = weights @ (sums / freedom)
    above, drawn_above = np.maximum(found, 0.0), np.maximum(drawn, 0.0)
    total, drawn_total = above.sum(), drawn_above.sum(0)
    components = [
        Component(
            name,
            math.sqrt(above[i]),
            _interval(np.sqrt(drawn_above[i])),
            above[i] / total if total else math.nan,
            _interval(drawn_above[i] / drawn_total) if total else Interval(math.nan, math.nan),
        )
        for i, name in enumerate(names)
    ]
    return Split(components, math.sqrt(total), _interval(np.sqrt(drawn_total)))


def _table(scores: np.ndarray, seeds: Sequence[int], design: Sequence[Factor]) -> np.ndarray | None:
    """Scores [n_1, ..., n_k, R]; None if they do not fill it."""
    n = factors.combinations(design)
    cells: dict[tuple[int, ...], list[float]] = {}
    for score, seed in zip(scores, seeds, strict=True):
        cells.setdefault(factors.levels(design, seed), []).append(float(score))
    repeats = {len(cell) for cell in cells.values()}
    if not design or len(cells) < n or len(repeats) > 1 or len(design) + max(repeats) < 3:
        return None
    return np.array([cells[key] for key in sorted(cells)]).reshape(*(factor.levels for factor in design), -1)


def _sums_of_squares(table: np.ndarray) -> tuple[list[tuple[int, ...]], np.ndarray, np.ndarray]:
    """The sets of factors, and of each its sum of squares and its freedom; an empty set, last, is within them."""
    *levels, repeats = table.shape
    axes = range(len(levels))
    sets = [chosen for size in range(1, len(levels) + 1) for chosen in itertools.combinations(axes, size)]
    sums, freedom = [], []
    for chosen in sets:
        effect = table.mean(tuple(axis for axis in (*axes, len(levels)) if axis not in chosen), keepdims=True)
        for axis in chosen:
            effect = effect - effect.mean(axis, keepdims=True)
        sums.append(float(np.square(effect).sum()) * table.size / effect.size)
        freedom.append(math.prod(levels[axis] - 1 for axis in chosen))
    if repeats > 1:
        sets.append(())
        sums.append(float(np.square(table - table.mean(-1, keepdims=True)).sum()))
        freedom.append(math.prod(levels) * (repeats - 1))
    return sets, np.array(sums), np.array(freedom)


def _solved(
    design: Sequence[Factor], sets: Sequence[tuple[int, ...]], shape: Sequence[int]
) -> tuple[list[str], np.ndarray]:
    """Names of the components, and the weights [components, mean squares] that give their variances."""
    *levels, repeats = shape
    weights = np.zeros((len(sets), len(sets)))
    for i, own in enumerate(sets):
        if i == len(sets) - 1:  # within combinations, or of one run each their interaction
            weights[i, i] = 1.0
            continue
        scale = repeats * math.prod(levels[axis] for axis in range(len(levels)) if axis not in own)
        for j, other in enumerate(sets):
            if other and set(own) <= set(other):
                weights[i, j] = (-1) ** (len(other) - len(own)) / scale
        if len(own) == len(levels):
            weights[i, -1] = -1 / scale
    mains = [i for i, own in enumerate(sets) if len(own) == 1 and i < len(sets) - 1]
    between = [i for i, own in enumerate(sets) if len(own) > 1 and i < len(sets) - 1]
    names = [design[sets[i][0]].title for i in mains]
    rows = [weights[i] for i in mains]
    if between:
        names.append("only together")
        rows.append(weights[between].sum(0))
    return [*names, "the rest"], np.array([*rows, weights[-1]])


def rest(design: Sequence[Factor], repeated: bool = False) -> str:
    """What `the rest` is of, in words."""
    named = {stream for factor in design for stream in factor.streams}
    free = [title for stream, title in factors.STREAMS.items() if stream != "subset" and stream not in named]
    told = [*free, *([] if repeated or len(design) < 2 else ["what the factors do only together"])]
    return ", ".join(told) or "nothing that varies"


def _interval(drawn: np.ndarray) -> Interval:
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(low), float(high))
