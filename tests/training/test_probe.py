"""The head that starts as a regression on the frozen encoder: scikit-learn's solution, on what the head reads."""

import jax
import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression, Ridge

from stablefit.errors import InputError
from stablefit.training import job, probe, settings
from tests import tiny

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5)).astype(np.float32)


def scaled(x):
    return x / np.sqrt(np.square(x).sum(1).mean())


@pytest.fixture
def one_strength(monkeypatch):
    monkeypatch.setattr(probe, "STRENGTHS", (10.0,))


def test_classes_are_those_of_logistic_regression(one_strength):
    y = (X[:, 0] + RNG.normal(size=60) > 0).astype(int) + 2 * (X[:, 1] > 0.5)
    head = probe.linear_head(X, y, "classification", 4)
    expected = LogisticRegression(C=10.0, max_iter=1000).fit(scaled(X).astype(np.float64), y)
    logits = X @ head["kernel"] + head["bias"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(p, expected.predict_proba(scaled(X).astype(np.float64)), atol=1e-4)


def test_two_classes_are_two_outputs_of_one_score(one_strength):
    y = (X[:, 0] > 0).astype(int)
    head = probe.linear_head(X, y, "classification", 2)
    np.testing.assert_allclose(head["kernel"][:, 0], -head["kernel"][:, 1])
    expected = LogisticRegression(C=10.0, max_iter=1000).fit(scaled(X).astype(np.float64), y)
    logits = X @ head["kernel"] + head["bias"]
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], expected.decision_function(scaled(X)), atol=1e-3)


def test_a_class_that_does_not_occur_is_unlikely():
    head = probe.linear_head(X, np.arange(60) % 2 * 2, "classification", 3)
    assert head["bias"][1] == -10
    assert (X @ head["kernel"] + head["bias"]).argmax(1).tolist().count(1) == 0


def test_numbers_are_those_of_ridge_regression(one_strength):
    y = X @ np.arange(5.0) + 3
    head = probe.linear_head(X, y, "regression", 1)
    expected = Ridge(alpha=0.1).fit(scaled(X).astype(np.float64), y).predict(scaled(X))
    np.testing.assert_allclose((X @ head["kernel"])[:, 0] + head["bias"], expected, rtol=1e-4)


def test_several_labels_are_each_their_own(one_strength):
    marks = np.stack([X[:, 0] > 0, np.ones(60), np.zeros(60)], 1).astype(np.float32)
    head = probe.linear_head(X, marks, "multilabel", 3)
    assert head["bias"][1:].tolist() == [10, -10]
    assert ((X @ head["kernel"] + head["bias"] > 0) == (marks > 0)).mean() > 0.95


def test_sparse_rows_give_what_dense_ones_do():
    y = (X[:, 0] > 0).astype(int)
    dense, thin = (probe.linear_head(x, y, "classification", 2) for x in (X, sparse.csr_matrix(X)))
    np.testing.assert_allclose(dense["kernel"], thin["kernel"], rtol=1e-4)


def test_the_strength_that_predicts_best_is_taken():
    """Noise wants a strong penalty, four rows a class of a clear pattern a weak one."""
    noise = probe.linear_head(RNG.normal(size=(90, 40)), RNG.integers(0, 2, 90), "classification", 2)
    weak = probe._linear(scaled(RNG.normal(size=(90, 40))), RNG.integers(0, 2, 90), "classification", 2, 100.0)
    assert np.abs(noise["kernel"]).max() < np.abs(weak[0]).max()


def test_the_strongest_penalty_within_a_standard_error_is_taken():
    """Of noise the strongest there is; of a clear pattern no stronger one than predicts best."""
    noise, clear = RNG.normal(size=90), 2.0 * scaled(X).repeat(2, 0)[:90, 0] + 0.01 * RNG.normal(size=90)
    of_noise = scaled(RNG.normal(size=(90, 40)))
    for x, y, expected in ((of_noise, noise, 0.01), (scaled(X).repeat(2, 0)[:90], clear, 100.0)):
        head = probe.linear_head(x, y, "regression", 1, one_se=True)
        ridge = Ridge(alpha=1 / expected).fit(scaled(x).astype(np.float64), y)
        np.testing.assert_allclose(head["kernel"][:, 0], ridge.coef_ / np.sqrt(np.square(x).sum(1).mean()), rtol=1e-4)


def test_a_little_more_loss_is_not_told_from_the_least(monkeypatch):
    """A weak pattern: a penalty ten times the best one's predicts worse by less than a standard error."""
    rng = np.random.default_rng(0)
    x = scaled(rng.normal(size=(120, 20)))
    y = 2.0 * x[:, 0] + rng.normal(size=120)
    monkeypatch.setattr(probe, "STRENGTHS", probe.STRENGTHS_1SE)
    least, simple = (probe.strength_for(x, y, "regression", 1, one_se=rule) for rule in (False, True))
    assert (least, simple) == (0.1, 0.01)


@pytest.mark.parametrize("start", ["probe", "probe_1se"])
def test_a_run_begins_by_the_rule_that_its_config_names(tiny_root, monkeypatch, start):
    monkeypatch.setattr(probe, "STRENGTHS", (100.0,))
    monkeypatch.setattr(probe, "STRENGTHS_1SE", (0.01,))
    the_job = job.load(settings.read(tiny.config(tiny_root, pooling="mean", head_start=start)))
    known = (probe.frozen_features(the_job), the_job.data["train"].labels, "classification", 2)
    expected = probe.linear_head(*known, one_se=start == "probe_1se")
    np.testing.assert_array_equal(the_job.beginning["head"]["kernel"], expected["kernel"])


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_the_start_is_the_head_on_what_it_reads(tiny_root, pooling):
    """The network's logits at step 0, without dropout, are the regression's on the features."""
    the_job = job.load(settings.read(tiny.config(tiny_root, pooling=pooling, head_start="probe", dropout=0.0)))
    params = the_job.network.make_params(jax.random.key(5), the_job.beginning)
    features = probe.frozen_features(the_job)
    expected = features @ params["head"]["kernel"] + params["head"]["bias"]
    data = the_job.data["train"]
    logits = the_job.network.model.apply({"params": params}, data.tokens, data.types, data.segments, deterministic=True)
    np.testing.assert_allclose(logits, expected, atol=1e-4)
    head = probe.linear_head(features, data.labels, "classification", 2)
    np.testing.assert_array_equal(head["kernel"], params["head"]["kernel"])


def test_each_fold_is_fitted_to_its_own_rows(tiny_root, tmp_path):
    tiny.write_own(tmp_path / "own")
    own = {"task": "texts", "data_dir": "", "data_file": str(tmp_path / "own" / "train.csv"), "text_columns": "text"}
    own |= {"label_column": "label", "folds": 3, "pooling": "mean", "head_start": "probe", "seeds": (0, 1, 2)}
    the_job = job.load(settings.read(tiny.config(tiny_root, **own)))
    for part, (seed,) in the_job.parts([0, 1, 2]):
        rows = the_job.objective.chosen[seed]["train"]
        expected = probe.linear_head(probe.frozen_features(part)[rows], part.data["train"].labels, "classification", 2)
        np.testing.assert_array_equal(part.beginning["head"]["kernel"], expected["kernel"])


def test_what_does_not_fit_a_frozen_encoder_is_refused(tiny_root):
    with pytest.raises(InputError, match="reinit_layers=1"):
        settings.read(tiny.config(tiny_root, head_start="probe", reinit_layers=1))
    with pytest.raises(InputError, match="head_start='probe_1se'"):
        settings.read(tiny.config(tiny_root, head_start="probe_1se", reinit_layers=1))
