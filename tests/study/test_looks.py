"""What looking again does to a p-value: against a recursion by SciPy, and by simulation."""

import json
import math

import numpy as np
import pytest
from scipy import integrate, stats

from stablefit.study import looks


def test_one_look_spends_four_fifths():
    assert looks.adjust(0.04, [5.0]) == pytest.approx(0.05)
    assert looks.adjust(0.04, [5.0, 5.0]) == pytest.approx(0.05), "the same runs seen again are no look"
    assert looks.adjust(0.9, [5.0]) == 1.0
    assert looks.level(0.05, [2.5]) == pytest.approx(0.04)
    assert [looks.spent(n) for n in (1, 2, 3)] == pytest.approx([0.8, 0.9, 0.95])


@pytest.mark.parametrize("first", [0.3, 0.5, 0.9])
def test_two_looks_are_lan_and_demets(first):
    """P(|Z_1| < c_1, |Z_2| >= c_2) = .1 alpha, the correlation of Z_1 and Z_2 the root of the information's ratio."""
    alpha, rho = 0.05, math.sqrt(first)
    limit = stats.norm.isf(0.8 * alpha / 2)
    second = stats.norm.isf(looks.level(alpha, [first, 1.0]) / 2)

    def inside(z):
        sd = math.sqrt(1 - rho**2)
        return stats.norm.pdf(z) * (stats.norm.cdf((-second - rho * z) / sd) + stats.norm.sf((second - rho * z) / sd))

    assert integrate.quad(inside, -limit, limit)[0] == pytest.approx(0.1 * alpha, abs=4e-4)


def test_adjusting_is_the_inverse_of_the_level():
    for information in ([5.0, 10.0], [5, 6, 7, 8, 9, 10]):
        for alpha in (0.01, 0.05, 0.2):
            assert looks.adjust(looks.level(alpha, information), information) == pytest.approx(alpha, rel=0.02)


def test_who_stops_at_the_first_verdict_is_wrong_as_often_as_said():
    rng = np.random.default_rng(1)
    counts = [5, 7, 10]
    walks = np.cumsum(rng.standard_normal((20_000, 10)), axis=1)
    p_values = 2 * stats.norm.sf(np.abs(walks[:, [n - 1 for n in counts]]) / np.sqrt(counts))
    found = np.zeros(20_000, bool)
    for look in range(3):
        found |= p_values[:, look] <= looks.level(0.05, counts[: look + 1])
    assert found.mean() == pytest.approx(0.05 * looks.spent(3), abs=3 * math.sqrt(0.05 * 0.95 / 20_000))


def test_a_look_is_recorded_once(tmp_path):
    file = tmp_path / "study.json"
    file.write_text(json.dumps({"question": "which?", "commands": ["a"]}))
    looks.record(tmp_path, {"a": 5, "b": 5})
    looks.record(tmp_path, {"a": 5, "b": 5})
    record = looks.record(tmp_path, {"a": 10, "b": 5})
    assert record == json.loads(file.read_text())
    assert record["question"] == "which?"
    assert [look.runs for look in looks.read(record["looks"])] == [{"a": 5, "b": 5}, {"a": 10, "b": 5}]
    assert all(look.when.endswith("+00:00") for look in looks.read(record["looks"]))


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_nothing_is_recorded_where_nothing_can_be(tmp_path, content):
    if content is not None:
        (tmp_path / "study.json").write_text(content)
    assert looks.record(tmp_path, {"a": 5}) == {}
    assert [file.read_text() for file in tmp_path.iterdir()] == ([] if content is None else [content])


def test_a_damaged_look_is_none():
    assert looks.read("x") == []
    assert looks.read([{"runs": {"a": "5", "b": 3}}, 7, {"when": "now"}]) == [looks.Look("", {"b": 3})]
