"""What more labels would give."""

import numpy as np
import pytest

from stablefit.fit.evidence import weigh
from stablefit.fit.label_curve import label_curve
from tests.fit.out_of_fold import classes


def test_a_learning_curve_goes_on_in_a_straight_line_over_log_n():
    points = [(100, 0.6, 0.58, 0.62), (200, 0.7, 0.68, 0.72), (400, 0.8, 0.79, 0.81)]
    curve = label_curve(points[::-1], "accuracy")
    assert curve is not None
    assert curve.more == 200
    assert curve.gain.value == pytest.approx(0.1 * np.log(1.5) / np.log(2))
    assert curve.gain.high - curve.gain.value == pytest.approx(np.log(1.5) / np.log(2) * np.hypot(0.02, 0.01))
    assert "Probably yes" in curve.says


@pytest.mark.parametrize(
    ("last", "said"), [((400, 0.701, 0.7, 0.702), "Hardly"), ((400, 0.71, 0.66, 0.76), "These rows cannot tell")]
)
def test_a_flat_and_an_unsure_learning_curve(last, said):
    curve = label_curve([(200, 0.7, last[1] - 0.002, last[1]), last], "accuracy")
    assert curve is not None
    assert said in curve.says


def test_one_size_is_no_curve():
    assert label_curve([(100, 0.6, 0.5, 0.7)], "r2") is None
    assert weigh(classes(n=30)).curve is None
