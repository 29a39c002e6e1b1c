"""A temperature is found again, and no row's probabilities are by one that the row had a part in."""

import numpy as np
import pytest
from scipy import special

from stablefit.fit import temperature

N, FOLDS = 3000, [np.arange(i, 3000, 5) for i in range(5)]


def _said(kind, by, n=N, seed=0):
    """Logits [1, n, 3] that are right, times `by`, and targets drawn by them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, 3))
    if kind == "multilabel":
        targets = (rng.random((n, 3)) < special.expit(logits)).astype(np.float32)
    else:
        targets = (logits + rng.gumbel(size=(n, 3))).argmax(1)
    return by * logits[None], targets


@pytest.mark.parametrize("kind", ["classification", "multilabel"])
@pytest.mark.parametrize("by", [0.4, 1.0, 3.0])
def test_what_logits_were_multiplied_by_is_found(kind, by):
    logits, targets = _said(kind, by)
    assert temperature.fitted(logits, targets, kind) == pytest.approx(by, rel=0.08)
    said, found = temperature.cross_fitted(logits, targets, kind, FOLDS)
    right = temperature.probabilities(logits / by, kind)
    assert np.abs(said - right).max() < 0.05
    assert found.low <= found.value <= found.high
    if by == 3.0:
        assert found.ece[1] < found.ece[0] / 3
        assert found.log_loss[1] < found.log_loss[0]


def test_a_rows_own_fold_has_no_part_in_its_temperature():
    logits, targets = _said("classification", 3.0)
    before, _ = temperature.cross_fitted(logits, targets, "classification", FOLDS)
    other = targets.copy()
    other[FOLDS[2]] = (other[FOLDS[2]] + 1) % 3  # all wrong there
    after, _ = temperature.cross_fitted(logits, other, "classification", FOLDS)
    np.testing.assert_array_equal(after[:, FOLDS[2]], before[:, FOLDS[2]])
    assert np.abs(after[:, FOLDS[0]] - before[:, FOLDS[0]]).max() > 0.05


def test_it_fits_the_mean_of_the_models_and_not_each():
    logits, targets = _said("classification", 3.0)
    other, _ = _said("classification", 3.0, seed=1)
    both = np.concatenate([logits, (logits + other) / 2])
    found = temperature.fitted(both, targets, "classification")
    grid = np.exp(np.linspace(-2, 3, 2001))
    losses = [temperature.log_loss(special.softmax(both / t, axis=-1).mean(0), targets) for t in grid]
    assert found == pytest.approx(grid[int(np.argmin(losses))], rel=0.01)


def test_models_that_diverged_have_no_part():
    logits, targets = _said("classification", 3.0)
    lost = np.full_like(logits, np.nan)
    said, found = temperature.cross_fitted(np.concatenate([lost, logits]), targets, "classification", FOLDS)
    alone, same = temperature.cross_fitted(logits, targets, "classification", FOLDS)
    assert found == same
    np.testing.assert_array_equal(said[1], alone[0])
    assert np.isnan(said[0]).all()
    assert temperature.cross_fitted(lost, targets, "classification", FOLDS)[1] is None


def test_a_few_rows_that_are_all_right_do_not_make_it_sure():
    logits = np.array([[[1.0, -1.0]] * 6 + [[-1.0, 1.0]] * 6])
    targets = np.array([0] * 6 + [1] * 6)
    assert 0.2 < temperature.fitted(logits, targets, "classification") < 1
