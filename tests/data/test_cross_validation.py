"""Folds: every row held out once, alike in their labels, never through a group."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stablefit.data.cross_validation import choose, fold_of, strata, subset
from stablefit.errors import InputError


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=10, max_size=80), st.integers(2, 6))
def test_folds_are_even_in_size_and_in_every_class(labels, folds):
    labels = np.array(labels)
    fold = fold_of(labels, "classification", None, folds, "folds")
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.max() - sizes.min() <= 1
    for one in np.unique(labels):
        counts = np.bincount(fold[labels == one], minlength=folds)
        assert counts.max() - counts.min() <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 14)), min_size=20, max_size=90), st.integers(2, 4))
def test_no_group_is_parted(rows, folds):
    labels, groups = np.array(rows).T
    if len(np.unique(groups)) < folds:
        return
    fold = fold_of(labels, "classification", groups, folds, "folds")
    for group in np.unique(groups):
        assert len(np.unique(fold[groups == group])) == 1
    assert len(np.unique(fold)) == folds or len(np.unique(groups)) < 3 * folds


def test_groups_of_one_row_are_even_too():
    labels = np.arange(40) % 2
    fold = fold_of(labels, "classification", np.arange(40), 5, "folds")
    assert np.bincount(fold).tolist() == [8] * 5
    assert np.bincount(fold[labels == 1]).tolist() == [4] * 5


def test_numbers_are_alike_by_quantiles():
    numbers = np.random.default_rng(0).lognormal(size=200)
    fold = fold_of(numbers, "regression", None, 5, "folds")
    means = [np.log(numbers[fold == i]).mean() for i in range(5)]
    assert np.ptp(means) < 0.1
    assert len(np.unique(strata(numbers, "regression", 5))) == 10


def test_the_rarest_of_several_labels_is_dealt_evenly():
    marks = np.zeros((50, 3), np.float32)
    marks[:, 0] = 1
    marks[:5, 2] = 1
    fold = fold_of(marks, "multilabel", None, 5, "folds")
    assert np.bincount(fold[:5], minlength=5).tolist() == [1] * 5
    assert strata(np.zeros((4, 2)), "multilabel", 2).tolist() == [0] * 4


def test_folds_do_not_depend_on_what_a_class_is_called():
    labels = np.random.default_rng(1).integers(0, 2, 60)
    one, other = (fold_of(x, "classification", None, 4, "folds") for x in (labels, labels + 5))
    np.testing.assert_array_equal(one, other)


def test_parts_are_disjoint_and_hold_out_every_row_once():
    labels = np.random.default_rng(2).integers(0, 3, 63)
    parts = choose(labels, "classification", None, 5)
    assert np.sort(np.concatenate([part["test"] for part in parts])).tolist() == list(range(63))
    for part in parts:
        assert np.sort(np.concatenate(list(part.values()))).tolist() == list(range(63))
        assert len(part["validation"]) == pytest.approx(len(part["train"]) / 9, abs=1)
        assert all((np.diff(rows) > 0).all() for rows in part.values())


def test_validation_parts_no_group():
    groups = np.arange(60) // 3
    for part in choose(np.arange(60) % 2, "classification", groups, 4):
        owners = [set(groups[rows].tolist()) for rows in part.values()]
        assert not any(a & b for i, a in enumerate(owners) for b in owners[:i])


def test_without_validation_all_the_rest_is_trained_on():
    parts = choose(np.arange(20) % 2, "classification", None, 4, has_validation=True)
    assert all(part.keys() == {"train", "test"} and len(part["train"]) == 15 for part in parts)


def test_subsets_keep_shares_and_lie_within_each_other():
    labels = np.array([0] * 80 + [1] * 20)
    small, large = subset(labels, "classification", 10), subset(labels, "classification", 50)
    assert set(small.tolist()) < set(large.tolist())
    assert labels[small].sum() == 2
    assert labels[large].sum() == 10
    assert len(subset(labels, "classification", 100)) == 100


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fold_of(np.zeros(3), "classification", None, 4, "folds"), "4 folds of 3 rows"),
        (lambda: fold_of(np.zeros(6), "classification", np.zeros(6), 2, "folds"), "2 folds of 1 groups"),
        (lambda: choose(np.zeros(2), "classification", None, 2), "too few"),
        (lambda: subset(np.zeros(3), "classification", 4), "4 of 3"),
    ],
)
def test_too_few_are_refused(call, says):
    with pytest.raises(InputError, match=says):
        call()
