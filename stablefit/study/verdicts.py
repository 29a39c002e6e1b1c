"""The verdict on every setting of a task against the first: decided here alone, for the table and for the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from stablefit.data.tasks import Task
from stablefit.study import statistics
from stablefit.training import stopping

ALPHA = 0.05

Row = Mapping[str, Any]
Outcome = (
    statistics.Verdict
    | Literal[
        "baseline",
        "no run",
        "chosen",  # seeds were compared and only the best finished: they are no sample
        "baseline without a run",
        "baseline chosen",
    ]
)


class Scored(NamedTuple):
    """A setting of a task: what is needed to judge it."""

    name: str
    rows: Sequence[Row]
    started: int = 0  # how many seeds were started to finish only the best of them; 0: every seed is a run of its own


class Judged(NamedTuple):
    """What is decided of a setting."""

    outcome: Outcome
    runs: statistics.Runs | None  # the sample; None where there is none
    summary: statistics.Summary | None  # of it
    comparison: statistics.Comparison | None  # with the baseline's
    p_spread: float  # adjusted by Holm, as the p-value of the comparison; NaN where there is none
    p_failed: float
    best: Row | None  # in place of all these, of seeds that were compared: the one that is best on validation

    @property
    def said(self) -> str:
        """The outcome as a table has it."""
        if self.outcome == "chosen":
            started = "" if self.best is None else f": the best of {self.best['started']} started, by validation"
            return f"no verdict{started}"
        return {
            "no run": "no run",
            "baseline without a run": "no verdict: the baseline has no run",
            "baseline chosen": "no verdict: the baseline has stopped seeds",
        }.get(self.outcome, self.outcome)


def judge(cells: Sequence[Scored], task: Task) -> dict[str, Judged]:
    """Every setting, by name.

    Args:
        cells: of one task; the first is the baseline.
        task: which scores are reported, and which the best step is chosen by.
    """
    runs = {cell.name: sample(cell.rows, task) for cell in cells if cell.rows and not cell.started}
    baseline, *others = cells
    compared: dict[str, statistics.Comparison] = {}
    if baseline.name in runs:
        against = {cell.name: runs[cell.name] for cell in others if cell.name in runs}
        compared = statistics.compare(runs[baseline.name], against, ALPHA)
    p_spread = dict(zip(compared, statistics.holm([c.p_spread for c in compared.values()]), strict=True))
    p_failed = dict(zip(compared, statistics.holm([_p_failed(c) for c in compared.values()]), strict=True))

    def one(cell: Scored) -> Judged:
        own, comparison = runs.get(cell.name), compared.get(cell.name)
        return Judged(
            _outcome(cell, baseline, comparison),
            own,
            None if own is None else statistics.summarise(own.scores, own.failed),
            comparison,
            p_spread.get(cell.name, math.nan),
            p_failed.get(cell.name, math.nan),
            stopping.best_of_started(cell.rows, task.selection_metric) if cell.started and cell.rows else None,
        )

    return {cell.name: one(cell) for cell in cells}


def sample(rows: Sequence[Row], task: Task) -> statistics.Runs:
    """The test scores of the best steps; of a diverged run 0."""
    return statistics.Runs(
        np.array([row["test_best"][task.report_metric] for row in rows]),
        np.array([row["failed"] for row in rows]),
        tuple(row["seed"] for row in rows),
    )


def _outcome(cell: Scored, baseline: Scored, comparison: statistics.Comparison | None) -> Outcome:
    if cell.started:
        return "chosen"
    if not cell.rows:
        return "no run"
    if cell is baseline:
        return "baseline"
    if baseline.started:
        return "baseline chosen"
    return "baseline without a run" if comparison is None else comparison.verdict


def _p_failed(comparison: statistics.Comparison) -> float:
    enough = min(comparison.n, comparison.n_baseline) >= statistics.MIN_SEEDS
    return comparison.p_failed if enough else math.nan
