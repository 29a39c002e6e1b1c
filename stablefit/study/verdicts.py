"""The verdict on every setting of a task against the first: decided here alone, for the table and for the page."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from stablefit import factors
from stablefit.data.tasks import Task
from stablefit.factors import Factor
from stablefit.study import comparison, max_t, statistics, variance
from stablefit.study.comparison import Comparison
from stablefit.study.looks import Look
from stablefit.training import stopping

ALPHA = 0.05

Row = Mapping[str, Any]
Outcome = (
    comparison.Verdict
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
    control: bool = False  # judged apart, so that it takes nothing from the verdicts on the others
    design: Sequence[Factor] = ()  # what varies between its runs


class Judged(NamedTuple):
    """What is decided of a setting."""

    outcome: Outcome
    runs: statistics.Runs | None  # the sample; None where there is none
    summary: statistics.Summary | None  # of it
    comparison: Comparison | None  # with the baseline's
    unit: Literal["seeds", "folds"]  # what is compared: runs, or in cross-validation the means of the folds
    best: Row | None  # in place of all these, of seeds that were compared: the one that is best on validation
    elsewhere: Comparison | None = None  # with the baseline's on other training sets: of the means of training draws
    split: variance.Split | None = None  # of a study with factors: the variance of its scores by where it comes from

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


def judge(cells: Sequence[Scored], task: Task, looked: Sequence[Look] = ()) -> dict[str, Judged]:
    """Every setting, by name.

    Args:
        cells: of one task; the first is the baseline.
        task: which scores are reported, and which the best step is chosen by.
        looked: the earlier looks at these settings.

    Runs are compared where they are, on these training sets. If there are several, `elsewhere` is the verdict on
    training sets like these, of which each is one observation, by the same test.
    """
    runs = {cell.name: sample(cell.rows, task) for cell in cells if cell.rows and not cell.started}
    folded = any("fold" in row for cell in cells for row in cell.rows)
    compared_as = {cell.name: of_folds(cell.rows, task) for cell in cells if cell.name in runs} if folded else runs
    baseline = cells[0]
    compared = _compared(cells, compared_as, looked)
    # Training sets differ more than settings do: what a set does to all of them alike must cancel.
    elsewhere = _compared(cells, _of_draws(cells, runs), looked, comparison.pairing_limit(ALPHA))

    def one(cell: Scored) -> Judged:
        own = runs.get(cell.name)
        return Judged(
            _outcome(cell, baseline, compared.get(cell.name)),
            own,
            None if own is None else statistics.summarise(own.scores, own.failed),
            compared.get(cell.name),
            "folds" if folded else "seeds",
            stopping.best_of_started(cell.rows, task.selection_metric) if cell.started and cell.rows else None,
            elsewhere.get(cell.name),
            None if own is None else variance.split(own.scores, own.seeds, cell.design),
        )

    return {cell.name: one(cell) for cell in cells}


def _compared(
    cells: Sequence[Scored],
    samples: Mapping[str, statistics.Runs],
    looked: Sequence[Look],
    within_from: float = max_t.WITHIN_FROM,
) -> dict[str, Comparison]:
    """Every setting with a sample against the baseline, if that has one; controls apart."""
    baseline, *others = cells
    compared: dict[str, Comparison] = {}
    for control in (False, True):
        against = {cell.name: samples[cell.name] for cell in others if cell.name in samples and cell.control is control}
        if baseline.name in samples and against:
            now = Look("", {cell.name: len(cell.rows) for cell in cells})
            history = {name: [_known(look, name, baseline.name) for look in (*looked, now)] for name in against}
            compared |= comparison.compare(samples[baseline.name], against, ALPHA, history, within_from=within_from)
    return compared


def _of_draws(cells: Sequence[Scored], runs: Mapping[str, statistics.Runs]) -> dict[str, statistics.Runs]:
    """The means of each training draw, of the settings that have every combination of what varies."""
    found = {}
    for cell in cells:
        n = factors.n_subsets(cell.design)
        own = runs.get(cell.name)
        if (
            own is not None
            and n
            and len({factors.levels(cell.design, seed) for seed in own.seeds}) == (factors.combinations(cell.design))
        ):
            draws = [factors.streams(cell.design, seed)["subset"] for seed in own.seeds]
            found[cell.name] = _means(own, draws)
    return found


def of_folds(rows: Sequence[Row], task: Task) -> statistics.Runs:
    """The mean score of each fold, which stands where a run does: what a setting does in one fold is one observation.

    A fold has failed where one of its runs has.
    """
    return _means(sample(rows, task), [row["fold"] for row in rows])


def _means(runs: statistics.Runs, of: Sequence[int]) -> statistics.Runs:
    """One observation for each group that `of` names the runs' of: their mean; it has failed where one of them has."""
    marks, place = np.unique(of, return_inverse=True)
    parts = [place == i for i in range(len(marks))]
    scores, failed = ([values[part] for part in parts] for values in (runs.scores, runs.failed))
    return statistics.Runs(
        np.array([part.mean() for part in scores]), np.array([part.any() for part in failed]), marks.tolist()
    )


def sample(rows: Sequence[Row], task: Task) -> statistics.Runs:
    """The test scores of the best steps; of a diverged run 0."""
    return statistics.Runs(
        np.array([row["test_best"][task.report_metric] for row in rows]),
        np.array([row["failed"] for row in rows]),
        tuple(row["seed"] for row in rows),
    )


def _known(look: Look, name: str, baseline: str) -> float:
    """What was known of a setting then; nothing where it could not be judged."""
    n, m = look.runs.get(name, 0), look.runs.get(baseline, 0)
    return comparison.information(n, m) if min(n, m) >= statistics.MIN_SEEDS else 0.0


def _outcome(cell: Scored, baseline: Scored, compared: Comparison | None) -> Outcome:
    if cell.started:
        return "chosen"
    if not cell.rows:
        return "no run"
    if cell is baseline:
        return "baseline"
    if baseline.started:
        return "baseline chosen"
    return "baseline without a run" if compared is None else compared.verdict
