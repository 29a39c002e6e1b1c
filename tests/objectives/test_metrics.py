"""Scores against scikit-learn and SciPy, and on the inputs for which those give NaN or warn."""

import math
import warnings

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stablefit.data.splits import halve_dev
from stablefit.objectives import metrics

fast = settings(max_examples=60, deadline=None)
sizes = st.integers(1, 30)


def _class_pairs(n_classes: int) -> st.SearchStrategy:
    ids = st.integers(0, n_classes - 1)
    return sizes.flatmap(
        lambda n: st.tuples(hnp.arrays(np.int32, n, elements=ids), hnp.arrays(np.int32, n, elements=ids))
    )


# Few distinct values, so that ties and constant arrays come up often.
_numbers = st.sampled_from([0.0, 0.1, 0.25, 1.0, -3.0, 4.75])
_number_pairs = sizes.flatmap(
    lambda n: st.tuples(hnp.arrays(np.float32, n, elements=_numbers), hnp.arrays(np.float32, n, elements=_numbers))
)


def _oracle(function, *args, **kwargs) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = float(function(*args, **kwargs))
    return 0.0 if math.isnan(value) else value


@fast
@given(_class_pairs(2))
def test_binary_scores_are_scikit_learns(pair):
    predictions, labels = pair
    assert metrics.accuracy(predictions, labels) == pytest.approx(sklearn.metrics.accuracy_score(labels, predictions))
    expected = _oracle(sklearn.metrics.f1_score, labels, predictions, zero_division=0)
    assert metrics.f1(predictions, labels) == pytest.approx(expected, abs=1e-12)
    expected = _oracle(sklearn.metrics.matthews_corrcoef, labels, predictions)
    assert metrics.matthews(predictions, labels) == pytest.approx(expected, abs=1e-12)


@fast
@given(_class_pairs(4))
def test_matthews_of_many_classes_is_scikit_learns(pair):
    predictions, labels = pair
    expected = _oracle(sklearn.metrics.matthews_corrcoef, labels, predictions)
    assert metrics.matthews(predictions, labels) == pytest.approx(expected, abs=1e-12)


@fast
@given(_number_pairs)
def test_correlations_are_scipys(pair):
    x, y = pair
    if len(x) < 2:  # SciPy refuses them
        assert metrics.pearson(x, y) == metrics.spearman(x, y) == 0.0
        return
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    assert metrics.pearson(x, y) == pytest.approx(_oracle(lambda: scipy.stats.pearsonr(x64, y64)[0]), abs=1e-9)
    assert metrics.spearman(x, y) == pytest.approx(_oracle(lambda: scipy.stats.spearmanr(x64, y64)[0]), abs=1e-9)


@pytest.mark.parametrize("value", [0.1, 0.0, 1e300, 5e-324])
def test_correlation_with_a_constant_is_zero(value):
    # The mean of 0.1s is not exactly 0.1: centring alone would leave noise to correlate with.
    constant = np.full(7, value)
    ramp = np.arange(7.0)
    for metric in (metrics.pearson, metrics.spearman):
        assert metric(constant, ramp) == metric(ramp, constant) == metric(constant, constant) == 0.0


@pytest.mark.parametrize("scale", [1e300, 1e-300, 1e-320])
def test_correlation_neither_overflows_nor_underflows(scale):
    x = np.array([1.0, -2.0, 3.0, 0.5])
    assert metrics.pearson(x * scale, x) == pytest.approx(1.0, abs=1e-3)


def test_correlation_of_numbers_that_are_close_together():
    x = 1.0 + np.array([0.0, 1.0, 2.0, 3.0]) * np.finfo(np.float64).eps
    assert metrics.pearson(x, np.array([0.0, 1.0, 2.0, 3.0])) == pytest.approx(1.0)


@pytest.mark.parametrize("prediction", [0, 1])
def test_binary_scores_of_constant_predictions(prediction):
    labels = np.array([0, 1, 1, 1], np.int32)
    predictions = np.full(4, prediction, np.int32)
    assert metrics.matthews(predictions, labels) == 0.0
    assert metrics.f1(predictions, labels) == (6 / 7 if prediction else 0.0)


def test_compute_of_a_binary_task():
    logits = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]], np.float32)
    labels = np.array([0, 1, 1], np.int32)
    scores = metrics.compute("classification", logits, labels)
    assert list(scores) == ["loss", "accuracy", "f1", "matthews", "diverged"]
    expected = sklearn.metrics.log_loss(labels, np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    assert scores["loss"] == pytest.approx(expected, rel=1e-6)
    assert (scores["accuracy"], scores["f1"], scores["diverged"]) == (2 / 3, 2 / 3, 0.0)
    assert all(isinstance(score, float) for score in scores.values())


def test_compute_of_three_classes_and_of_regression():
    labels = np.array([0, 1, 2], np.int32)
    assert list(metrics.compute("classification", np.eye(3), labels)) == ["loss", "accuracy", "diverged"]
    scores = metrics.compute("regression", np.array([[0.0], [1.0], [4.0]]), np.array([0, 1, 2], np.float32))
    assert (scores["loss"], scores["spearman"]) == (pytest.approx(4 / 3), 1.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "shape"), [("classification", (3, 2)), ("regression", (3, 1))])
def test_one_non_finite_logit_is_a_diverged_run(kind, shape, bad):
    logits = np.ones(shape)
    logits[1, 0] = bad
    scores = metrics.compute(kind, logits, np.array([0, 1, 1]))
    assert scores.pop("diverged") == 1.0
    assert scores.pop("loss") == math.inf
    assert scores
    assert set(scores.values()) == {0.0}


def test_huge_finite_logits_are_fine():
    scores = metrics.compute("classification", np.array([[3e38, -3e38]], np.float32), np.array([1]))
    assert math.isfinite(scores["loss"])


@pytest.mark.parametrize("metric", [metrics.accuracy, metrics.pearson])
def test_shapes_must_agree(metric):
    with pytest.raises(ValueError, match=r"must both be \[N\]"):
        metric(np.zeros(3), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="N > 0"):
        metric(np.zeros(0), np.zeros(0))


def test_majority_scores_are_the_papers():
    # RTE's dev set has 146 and 131 examples, MRPC's 129 and 279; the paper's Table 3 prints these scores.
    rte = np.repeat(np.array([0, 1], np.int32), [146, 131])
    mrpc = np.repeat(np.array([0, 1], np.int32), [129, 279])
    for labels, metric, expected in ((rte, "accuracy", (73 / 138, 73 / 139)), (mrpc, "f1", (0.8129, 0.8116))):
        halves = [labels[half] for half in halve_dev(labels)]
        scores = tuple(metrics.majority_score(metric, half) for half in halves)
        assert scores == pytest.approx(expected, abs=5e-5)


def test_majority_score_of_correlations_and_of_ties():
    labels = np.array([0, 0, 1, 1], np.int32)
    assert metrics.majority_score("f1", labels) == 2 / 3  # a run that says 1 throughout has learnt nothing


@pytest.mark.parametrize("metric", ["pearson", "spearman", "matthews"])
def test_a_correlation_that_guessing_reaches_has_failed(metric):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 500) if metric == "matthews" else rng.normal(size=500)
    guesses = [rng.permutation(labels) for _ in range(2000)]
    score = metrics._METRICS[metric]
    least = metrics.majority_score(metric, labels)
    above = np.mean([not metrics.is_failed(score(guess, labels), least) for guess in guesses])
    assert above == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / 2000))
    assert metrics.majority_score(metric, labels[:1]) == 1.0
    assert metrics.majority_score("r2", labels) == 0.0


@pytest.mark.parametrize(
    ("score", "failed"), [(0.5, True), (0.5289, True), (73 / 138, True), (74 / 138, False), (math.nan, True)]
)
def test_failed_is_at_or_below_the_majority(score, failed):
    assert metrics.is_failed(score, 73 / 138) is failed
