"""What a study says: every setting summarised and compared with the first of its task; in sentences in words.py."""

import dataclasses
import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from stablefit.data.tasks import Task
from stablefit.fields import FIELDS
from stablefit.study import instability, looks, reading, statistics, verdicts
from stablefit.study.comparison import Comparison
from stablefit.study.looks import Look
from stablefit.study.reading import Cell, Study
from stablefit.study.verdicts import Judged, Scored
from stablefit.training import stopping

SLACK = 0.01  # a loss this much above another, relative to it, counts as equal
_WINDOW = 0.05  # of the baseline's steps: the training loss is averaged over so many, but over five at least


class Curve(NamedTuple):
    """The training loss of a setting over its runs, each smoothed by a moving average over the last batches."""

    steps: np.ndarray  # [S]
    median: np.ndarray  # [S]
    low: np.ndarray  # [S], the middle half of the runs
    high: np.ndarray
    n: int
    n_diverged: int  # left out
    n_missing: int  # left out: without whole records
    reaches: int | None  # the step from which on the median is the baseline's last, or below
    n_reaching: int  # runs that get there


class Agreement(NamedTuple):
    """How much the runs of a setting differ in what they say of the test examples."""

    n: int
    disagreement: float  # share of examples on which two runs differ; of regression the mean SD of a prediction
    kappa: float  # Fleiss'; NaN for regression


class Selection(NamedTuple):
    """The one result of a setting whose seeds were compared, so that only the best were finished.

    Those are chosen and no sample: they have no mean, no spread and no share of failed runs that a p-value or an
    interval could be about, nor an expected maximum of fewer seeds, for which others would have been kept.
    """

    n_started: int
    n_finished: int
    step: int  # at which they were compared
    cost: float  # in runs of full length
    validation: float  # of the seed that is best on validation
    test: float
    equal: tuple[int, float, float] | None  # so many baseline runs for no more than that: the best's mean test, and SD


@dataclasses.dataclass(frozen=True)
class Setting:
    """A cell and all that is said of it."""

    cell: Cell
    changes: dict[str, tuple[Any, Any]]  # field -> its value here, and in the baseline
    judged: Judged
    curve: Curve | None
    agreement: Agreement | None
    selection: Selection | None  # in place of all these, where seeds were compared; None until they are all done
    control: bool = False  # judged apart from the others
    within: tuple[str, float] | None = None  # a better setting that this one contains and is no better than

    @property
    def name(self) -> str:
        return self.cell.name

    @property
    def summary(self) -> statistics.Summary | None:
        """None without a finished run."""
        return self.judged.summary

    @property
    def comparison(self) -> Comparison | None:
        """None for the baseline, and where there is nothing to compare."""
        return self.judged.comparison


@dataclasses.dataclass(frozen=True)
class Group:
    """The settings of one task; the first is their baseline."""

    task: Task
    settings: Sequence[Setting]
    majority: float  # NaN without a finished run
    window: int  # batches over which the training loss is averaged

    @property
    def metric(self) -> str:
        return self.task.report_metric

    @property
    def finished(self) -> list[Setting]:
        """The settings with a finished run."""
        return [setting for setting in self.settings if setting.summary]


def analyse(study: Study) -> list[Group]:
    """One group a task, in the order of the sweep: scores of different tasks are not compared."""
    names = dict.fromkeys(cell.task.name for cell in study.cells)
    looked, controls = looks.read(study.record.get("looks")), study.record.get("controls", ())
    return [_group([cell for cell in study.cells if cell.task.name == name], looked, controls) for name in names]


def _group(cells: list[Cell], looked: Sequence[Look], controls: Collection[str]) -> Group:
    baseline = cells[0]
    scored = [Scored(cell.name, cell.rows, cell.started, cell.name in controls, cell.design) for cell in cells]
    judged = verdicts.judge(scored, baseline.task, looked)
    window, curves = _curves(cells)
    settings = [
        Setting(
            cell,
            _changes(cell, baseline),
            judged[cell.name],
            curve,
            None if judged[cell.name].runs is None else _agreement(cell),
            _selection(cell, baseline),
            cell.name in controls,
        )
        for cell, curve in zip(cells, curves, strict=True)
    ]
    settings = [dataclasses.replace(setting, within=_within(setting, settings)) for setting in settings]
    majority = next((float(row["majority"]) for cell in cells for row in cell.rows), math.nan)
    return Group(baseline.task, settings, majority, window)


def _within(setting: Setting, others: Sequence[Setting]) -> tuple[str, float] | None:
    """The best of the settings whose changes are some of this one's, if both are better and this one by no more."""
    c = setting.comparison
    if c is None or c.verdict != "better":
        return None
    parts = [
        (other.name, other.comparison.difference)
        for other in others
        if other.comparison is not None
        and other.comparison.verdict == "better"
        and other.comparison.difference >= c.difference
        and other.changes.items() < setting.changes.items()
    ]
    return max(parts, key=lambda part: part[1], default=None)


def _selection(cell: Cell, baseline: Cell) -> Selection | None:
    if not cell.started or cell.missing:
        return None
    best = stopping.best_of_started(cell.rows, cell.task.selection_metric)
    finished = [row for row in cell.rows if row["stopped"] != "seeds"]
    cost = stopping.full_runs(cell.rows)
    equal = None
    if not baseline.started and 1 <= int(cost) <= len(baseline.rows):
        mean, sd = statistics.best_by_validation(baseline.validation(), baseline.runs().scores)
        equal = (int(cost), float(mean[int(cost) - 1]), float(sd[int(cost) - 1]))
    return Selection(
        cell.started,
        len(finished),
        max((row["steps"] for row in cell.rows if row["stopped"] == "seeds"), default=0),
        cost,
        best["validation"].get(cell.task.selection_metric, 0.0),
        best["test_best"][cell.task.report_metric],
        equal,
    )


def _changes(cell: Cell, baseline: Cell) -> dict[str, tuple[Any, Any]]:
    here, there = cell.config, baseline.config
    names = [name for name in sorted(here | there) if name not in FIELDS or FIELDS[name].names_run]
    return {name: (here.get(name), there.get(name)) for name in names if here.get(name) != there.get(name)}


def _curves(cells: Sequence[Cell]) -> tuple[int, list[Curve | None]]:
    """The window of the moving average, and the curve of each cell; None where there are no losses."""
    none = reading.Losses(np.zeros((0, 0)), 0, 0)
    found = [none if cell.started else reading.losses(cell) for cell in cells]
    length = found[0].losses_RxS.shape[1] or max(one.losses_RxS.shape[1] for one in found)
    window = max(1, min(length, max(5, round(_WINDOW * length))))
    target: float | None = None
    curves: list[Curve | None] = []
    for i, one in enumerate(found):
        if not len(one.losses_RxS) or one.losses_RxS.shape[1] < window:
            curves.append(None)
            continue
        smooth = np.lib.stride_tricks.sliding_window_view(one.losses_RxS, window, axis=1).mean(-1)
        steps = np.arange(window, one.losses_RxS.shape[1] + 1)
        median, low, high = instability.loss_band(smooth)
        if i == 0:
            target = float(median[-1])
        goal = -math.inf if target is None else target * (1 + SLACK)
        reached = [instability.steps_to_reach(steps, run, goal) is not None for run in smooth]
        reaches = instability.steps_to_reach(steps, median, goal)
        curves.append(
            Curve(steps, median, low, high, len(smooth), one.n_diverged, one.n_missing, reaches, sum(reached))
        )
    return window, curves


def _agreement(cell: Cell) -> Agreement | None:
    said_RxN = reading.predictions(cell)
    if said_RxN is None:
        return None if cell.agreement is None else Agreement(**cell.agreement)
    if cell.task.kind == "regression":
        return Agreement(len(said_RxN), float(said_RxN.std(0, ddof=1).mean()), math.nan)
    return Agreement(len(said_RxN), instability.pairwise_disagreement(said_RxN), instability.fleiss_kappa(said_RxN))


def reinit_series(group: Group) -> list[tuple[int, Setting]]:
    """Number of re-initialised layers and setting, of those that differ from the baseline in nothing else.

    Returns:
        Ascending; empty if there are fewer than three, which a figure would say nothing about.
    """
    series = [
        (setting.cell.config.get("reinit_layers"), setting)
        for setting in group.finished
        if set(setting.changes) <= {"reinit_layers"}
    ]
    numbers = [(layers, setting) for layers, setting in series if isinstance(layers, int)]
    return sorted(numbers, key=lambda pair: pair[0]) if len(numbers) > 2 else []
