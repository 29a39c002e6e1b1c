"""Charts are well-formed SVG that says in words what it shows, whatever the numbers."""

import itertools
import math
from xml.etree import ElementTree

import numpy as np
import pytest

from stablefit.fit import charts
from stablefit.fit.calibration import Bin, Covered
from stablefit.fit.label_curve import CurvePoint
from stablefit.fit.row_scores import Measured

NAN = float("nan")
SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def circles(svg: str) -> list[tuple[float, float]]:
    return [(float(c.get("cx", NAN)), float(c.get("cy", NAN))) for c in parsed(svg).iter("circle")]


def dots(*values: float) -> list[charts.Dot]:
    return [charts.Dot(f"model {v}", Measured(v, v - 0.1, v + 0.1), f"{v:.2f}", i == 0) for i, v in enumerate(values)]


def test_a_dot_plot_puts_scores_in_order():
    svg = charts.dot_plot(dots(0.8, 0.3, 0.55), "accuracy of three")
    (ours, x1), (low, x2), (middle, x3) = circles(svg)
    assert low < middle < ours
    assert x1 < x2 < x3
    assert all(0 <= x <= charts.WIDTH for x in (ours, low, middle))
    assert parsed(svg).get("role") == "img"
    assert parsed(svg).get("aria-label") == "accuracy of three"


def test_names_are_escaped():
    dot = charts.Dot('<script>alert("1")</script> & co', Measured(0.5, 0.4, 0.6), "0.5", True)
    svg = charts.dot_plot([dot], 'said "so" <b>')
    assert "<script" not in svg
    assert parsed(svg).get("aria-label") == 'said "so" <b>'
    assert any("<script>" in (text.text or "") for text in parsed(svg).iter("text"))


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0, 0.5])
def test_a_dot_without_interval_is_drawn(value):
    svg = charts.dot_plot([charts.Dot("a", Measured(value, NAN, NAN), "", True)], "one")
    assert "nan" not in svg
    assert len(circles(svg)) == 1


def test_a_reliability_plot_has_a_dot_for_each_bin_with_rows():
    bins = [Bin(0, 0.5, 0, NAN, NAN), Bin(0.5, 0.75, 3, 0.6, 1 / 3), Bin(0.75, 1, 30, 0.9, 0.9)]
    svg = charts.reliability_plot(bins, "reliability", "share right")
    assert "nan" not in svg
    (x1, y1), (x2, y2) = circles(svg)
    assert x1 < x2
    assert y1 > y2  # up is less


def test_a_coverage_plot_goes_from_few_to_all_rows():
    points = [Covered(k / 4, k, Measured(1 - k / 10, NAN if k == 1 else 0.5, 1.0), 0.9) for k in range(1, 5)]
    svg = charts.coverage_plot(points, "coverage", "share right")
    xs = [x for x, _ in circles(svg)]
    assert xs == sorted(xs)
    assert xs[-1] == pytest.approx(charts.WIDTH - 12, abs=0.1)
    assert "nan" not in svg


def test_a_curve_starts_at_no_rows():
    svg = charts.curve_plot([CurvePoint(n, Measured(n / 500, n / 600, n / 400)) for n in (100, 200)], "curve", "R2")
    assert len(circles(svg)) == 2
    assert "0" in [text.text for text in parsed(svg).iter("text")]


def test_a_scatter_of_many_rows_is_thinned():
    rng = np.random.default_rng(0)
    pairs = [(float(x), float(x + y)) for x, y in rng.normal(size=(5000, 2))]
    svg = charts.scatter(pairs, "scatter")
    assert len(circles(svg)) == charts.MOST_POINTS
    assert all(0 <= x <= charts.WIDTH and 0 <= y <= 320 for x, y in circles(svg))


@pytest.mark.parametrize("pairs", [[(3.0, 3.0)], [(0.0, 0.0), (0.0, 0.0)], [(1e9, 1e9 + 1)], [(-1e-7, 1e-7)]])
def test_scatters_of_odd_numbers_are_defined(pairs):
    svg = charts.scatter(pairs, "odd")
    assert "nan" not in svg
    assert "inf" not in svg
    parsed(svg)


def test_ticks_cover_the_numbers():
    rng = np.random.default_rng(0)
    for _ in range(300):
        low, high = np.sort(rng.normal(size=2) * 10.0 ** rng.integers(-4, 6))
        ticks = charts.nice_ticks(low, high)
        assert ticks[0] <= low + 1e-9 * abs(low)
        assert ticks[-1] >= high - 1e-9 * abs(high)
        assert 3 <= len(ticks) <= 9
        assert len({round(math.log10(abs(b - a)), 3) for a, b in itertools.pairwise(ticks)}) == 1
