"""A member of a cohort as the host knows it: whose seed it is, how far it has come, and what it leaves behind."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stablefit.objectives import metrics
from stablefit.objectives.objective import Scores
from stablefit.training.job import Job
from stablefit.training.rundir import RunDirectory
from stablefit.training.settings import Settings


class Run(NamedTuple):
    """One seed of one cell."""

    cell: str  # its name; empty where there is only one
    directory: RunDirectory  # of the cell
    seed: int

    @property
    def settings(self) -> Settings:
        return self.directory.settings

    @property
    def folder(self) -> Path:
        return self.directory.seed(self.seed)

    @property
    def of(self) -> dict[str, Any]:
        """What a manifest says of its saves."""
        return {"seed": self.seed, "fingerprint": self.settings.fingerprint}

    @property
    def state(self) -> Path:
        """Where it is saved until it is finished."""
        return self.folder / "state"


@dataclasses.dataclass
class Member:
    """What the host knows of one run; saved beside its arrays."""

    run: Run
    best_score: float = -math.inf
    best_step: int = 0
    best_validation: Scores = dataclasses.field(default_factory=dict)
    evaluated: int = 0  # the step of the last evaluation
    waited: int = 0  # evaluations since the best one
    stopped: bool = False  # by patience; it then stays as it is, whatever the others of its cohort do
    seconds: float = 0.0
    diverged: bool = False
    diverged_at: int = 0  # the step of its first loss or gradient that is not finite; it has stopped there

    @property
    def going(self) -> bool:
        """Whether it is trained on: neither patience nor divergence has ended it."""
        return not self.stopped and not self.diverged_at

    def diverges(self, step: int) -> None:
        """Notes that nothing of it is finite from this step on."""
        self.diverged, self.diverged_at = True, step

    @property
    def record(self) -> dict[str, Any]:
        """What is saved."""
        known = {name: value for name, value in vars(self).items() if name != "run"}
        return {"seed": self.run.seed, **known}

    @classmethod
    def restored(cls, run: Run, record: Mapping[str, Any]) -> "Member":
        """The member that a record was made of."""
        return cls(run, **{name: value for name, value in record.items() if name != "seed"})


def ledger_row(
    job: Job, member: Member, test_best: Scores, test_last: Scores, stopped: str, layout: Mapping[str, Any]
) -> dict[str, Any]:
    """What the ledger says of a finished member.

    Args:
        job: what it shares with the others.
        member: it.
        test_best, test_last: its scores on the test set, of the best step on validation and of the last one.
        stopped: what ended it early: `patience`, `seeds`, or nothing.
        layout: how many members the program had, on which mesh.
    """
    name, settings = job.task.report_metric, member.run.settings
    majority = job.objective.majority(job.data["test"])
    return {
        "seed": member.run.seed,
        "fingerprint": settings.fingerprint,
        "steps": member.diverged_at or member.evaluated,
        "total_steps": job.total_steps,
        "stopped": stopped,
        **({"started": len(settings.seeds)} if job.comparison_step else {}),
        "best_step": member.best_step,
        "validation": member.best_validation,
        "test_best": test_best,
        "test_last": test_last,
        "majority": majority,
        "failed": bool(member.diverged or metrics.is_failed(test_best[name], majority)),
        "diverged": member.diverged,
        **({"diverged_at": member.diverged_at} if member.diverged_at else {}),
        "seconds": round(member.seconds, 2),
        "layout": layout,
        **job.provenance,
    }


def predictions(
    job: Job, validation: np.ndarray, test_best: np.ndarray, test_last: np.ndarray
) -> dict[str, np.ndarray]:
    """The arrays of predictions.npz: what the best and the last parameters say, and what is right."""
    return {
        "labels": np.array(job.objective.labels, np.str_),
        "validation_ids": np.array(job.data["validation"].ids, np.str_),
        "test_ids": np.array(job.data["test"].ids, np.str_),
        "validation": validation,
        "validation_labels": job.data["validation"].targets,
        "test_best": test_best,
        "test_last": test_last,
        "test_labels": job.data["test"].targets,
    }
