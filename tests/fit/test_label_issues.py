"""Rows whose label is probably wrong, against cleanlab and with planted errors."""

import dataclasses

import numpy as np
import pytest

from stablefit.fit import label_issues
from stablefit.fit.evidence import OutOfFold, weigh
from tests.fit.out_of_fold import classes, numbers, several


@pytest.mark.parametrize("absent", [None, 2], ids=["", "a class without rows"])
@pytest.mark.parametrize("seed", range(3))
def test_suspects_are_cleanlabs(seed, absent):
    cleanlab_filter = pytest.importorskip("cleanlab.filter", reason="cleanlab, the oracle, is not installed")
    oof = classes(n=300, skill=2.5, seed=seed)
    rng = np.random.default_rng(seed)
    given = np.where(rng.random(300) < 0.1, rng.integers(0, 3, 300), oof.targets)
    given = np.where(given == absent, 0, given)
    p = oof.outputs.mean(0)
    want = cleanlab_filter.find_label_issues(
        given, p, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    found = label_issues.of_classes(p, given)
    assert [s.row for s in found] == list(want)
    assert len(found) > 5


def test_planted_wrong_labels_are_found():
    oof = classes(n=300, skill=9.0)
    given = oof.targets.copy()
    given[:10] = (given[:10] + 1) % 3
    evidence = weigh(dataclasses.replace(oof, targets=given))
    listed = [row.id for row in evidence.suspects]
    assert sum(f"tickets.csv:{i + 2}" in listed[:12] for i in range(10)) >= 8
    assert evidence.suspects[0].given != evidence.suspects[0].predicted


def test_a_number_that_seeds_differ_about_is_not_suspect_for_it():
    """Errors of 0.1 and two of 2; where the repeats spread by 5, 2 is no surprise."""
    targets = np.where(np.arange(40) % 2, 0.1, -0.1)
    targets[[3, 4]] = 2.0
    spread = np.zeros(40)
    assert [s.row for s in label_issues.of_numbers(np.zeros(40), targets, spread)] == [3, 4]
    spread[4] = 5.0
    assert [s.row for s in label_issues.of_numbers(np.zeros(40), targets, spread)] == [3]


def test_suspect_numbers_and_labels():
    oof = numbers(n=200, noise=0.3)
    targets = oof.targets.copy()
    targets[7] += 40
    evidence = weigh(dataclasses.replace(oof, targets=targets))
    assert evidence.suspects[0].id == "tickets.csv:9"
    oof = several(n=200, skill=8.0)
    targets = oof.targets.copy()
    targets[5, 1] = 1 - targets[5, 1]
    first = weigh(dataclasses.replace(oof, targets=targets)).suspects[0]
    assert first.id == "tickets.csv:7"
    assert first.given == f"quality: {'yes' if targets[5, 1] else 'no'}"


def test_those_that_another_answer_is_five_times_as_likely_as_are_listed_and_the_others_numbered():
    """Row 0: .9 against .1; rows 1 and 2: .8 against .2, which is in doubt and no more; the others are right."""
    p = np.full((40, 2), (0.3, 0.7))
    p[:20] = (0.7, 0.3)
    p[0], p[1], p[2] = (0.1, 0.9), (0.2, 0.8), (0.8, 0.2)
    given = np.repeat([0, 1], 20)
    given[2] = 1
    oof = OutOfFold("classification", ("no", "yes"), given, p[None], {}, [""] * 40, [f"a:{i}" for i in range(40)])
    evidence = weigh(oof, n_resamples=20)
    assert [row.id for row in evidence.suspects] == ["a:0"]
    assert evidence.doubted == (0, 1, 2)
    assert [s.row for s in label_issues.of_classes(p, given)] == [0, 1, 2]


def test_rows_are_numbered_once_and_listed_ones_first():
    """Of two labels of a row the surer one counts; a label that another is less likely than five times comes behind."""
    many = several(n=200, skill=8.0)
    targets = many.targets.copy()
    targets[5] = 1 - targets[5]
    evidence = weigh(dataclasses.replace(many, targets=targets), n_resamples=20)
    assert len(set(evidence.doubted)) == len(evidence.doubted) > 0
    listed = dict.fromkeys(row.id for row in evidence.suspects)
    assert [f"tickets.csv:{i + 2}" for i in evidence.doubted[: len(listed)]] == list(listed)
    assert evidence.doubted[0] == 5
