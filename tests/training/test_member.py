"""What the ledger says of a member, and what a member is after it has been saved."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stablefit.training import settings
from stablefit.training.member import Member, Run, ledger_row
from tests import tiny

MAJORITY = 0.55


@pytest.fixture
def member(tmp_path: Path) -> Member:
    """A member that was best at step 4 of 10."""
    directory: Any = SimpleNamespace(settings=settings.read(tiny.config(tmp_path)))
    return Member(Run("", directory, 7), 0.8, 4, {"accuracy": 0.8}, evaluated=10, seconds=1.234)


def row(member: Member, best: float, last: float) -> dict[str, Any]:
    job: Any = SimpleNamespace(
        task=SimpleNamespace(report_metric="accuracy"),
        objective=SimpleNamespace(majority=lambda _: MAJORITY),
        data={"test": None},
        total_steps=10,
        comparison_step=0,
        provenance={"model": "m"},
    )
    return ledger_row(job, member, {"accuracy": best}, {"accuracy": last}, "", {"members": 1})


@pytest.mark.parametrize(
    ("best", "last", "failed"), [(0.8, 0.4, False), (0.55, 0.8, True), (0.4, 0.9, True), (float("nan"), 0.9, True)]
)
def test_a_run_has_failed_if_its_best_parameters_are_no_better_than_the_majority(member, best, last, failed):
    assert row(member, best, last)["failed"] is failed


def test_a_diverged_run_has_failed_whatever_its_score(member):
    member.diverged = True
    assert row(member, 0.9, 0.9)["failed"] is True


def test_a_row_says_which_scores_are_whose(member):
    said = row(member, 0.8, 0.7)
    known = {"seed": 7, "best_step": 4, "steps": 10, "total_steps": 10, "stopped": "", "majority": MAJORITY}
    known |= {"test_best": {"accuracy": 0.8}, "test_last": {"accuracy": 0.7}, "validation": {"accuracy": 0.8}}
    known |= {"diverged": False, "seconds": 1.23, "model": "m"}
    assert {name: said[name] for name in known} == known
    assert "started" not in said


def test_a_saved_member_is_the_same(member):
    member.waited, member.diverged = 2, True
    assert Member.restored(member.run, member.record) == member
