"""Calibration and coverage, against scikit-learn, by hand and by simulation."""

import dataclasses

import numpy as np
import pytest
from sklearn import metrics as sk

from stablefit.fit import calibration
from stablefit.fit.evidence import weigh
from stablefit.fit.evidence_words import calibration_words
from stablefit.fit.row_scores import Resamples
from tests.fit.out_of_fold import classes, softmax


def test_brier_score_is_scikit_learns():
    for labels in (("a", "b"), ("a", "b", "c")):
        oof = classes(labels=labels)
        whole = oof.outputs.mean(0)
        have = calibration.reliability(whole, oof.targets).brier
        assert have == pytest.approx(sk.brier_score_loss(oof.targets, whole if len(labels) > 2 else whole[:, 1]))


def test_calibration_error_by_hand():
    p = np.array([[0.95, 0.05], [0.95, 0.05], [0.4, 0.6], [0.45, 0.55]])
    found = calibration.reliability(p, np.array([0, 1, 1, 1]))
    # .95 twice, right once; .6 in bin (.6 - 1/15, .6] and .55 in the same, right both
    assert found.ece == pytest.approx((abs(1.9 - 1) + abs(1.15 - 2)) / 4)
    assert len(found.bins) == 15
    assert {i: b.n for i, b in enumerate(found.bins) if b.n} == {8: 2, 14: 2}  # an upper edge belongs to its bin
    assert found.bins[8].high == pytest.approx(0.6)


def test_what_calibrated_probabilities_show_on_few_rows():
    rng = np.random.default_rng(0)
    p = softmax(2 * rng.normal(size=(200, 3)))
    errors = []
    for _ in range(100):
        targets = (rng.random((200, 1)) > p.cumsum(-1)).sum(-1).clip(0, 2)
        errors.append(calibration.reliability(p, targets).ece)
    found = calibration.reliability(p, targets)
    assert found.ece_if_calibrated == pytest.approx(np.mean(errors), rel=0.1)
    assert np.mean(np.array(errors) > found.ece_if_calibrated_high) < 0.12


@pytest.mark.parametrize(("sharper", "said"), [(0.3, "right more often than"), (20.0, "right less often than")])
def test_calibration_is_said_with_its_direction(sharper, said):
    oof = classes(n=400, skill=2.0)
    assert said in calibration_words(weigh(dataclasses.replace(oof, outputs=softmax(sharper * np.log(oof.outputs)))))


def test_the_surest_rows_come_first():
    resamples = Resamples(100)
    sureness = np.linspace(0, 1, 100)
    curve = calibration.coverage_curve(sureness, sureness > 0.5, resamples, shares=True)
    assert len(curve) == 20
    assert [c.n for c in curve[:2]] == [5, 10]
    assert curve[9].score.value == 1.0
    assert curve[-1].score.value == pytest.approx(0.5)
    assert curve[-1].coverage == 1.0
