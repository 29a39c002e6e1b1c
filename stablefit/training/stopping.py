"""Which runs end early: the seeds that are left behind when the seeds of a run are compared.

Dodge et al. 2020 (arXiv:2002.06305): start many seeds, train all for a share of the training, finish the best of them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from stablefit.errors import InputError


def comparison_step(evaluation_steps: Sequence[int], share: float) -> int:
    """The step at which seeds are compared: the first evaluation at or after this share of the training.

    Args:
        evaluation_steps: of the run; the last one is its end.
        share: in (0, 1).

    Raises:
        InputError: that is the last evaluation, when nothing is left to save.
    """
    step = next(step for step in evaluation_steps if step >= share * evaluation_steps[-1])
    if step == evaluation_steps[-1]:
        raise InputError(
            f"config field stop_seeds_at is {share:g}, and no evaluation lies between that and the end (they are at "
            f"steps {', '.join(map(str, evaluation_steps))}); compare earlier, or evaluate more often"
        )
    return step


def n_kept(n: int, share: float) -> int:
    """How many of n seeds are kept: the share, rounded up."""
    return math.ceil(share * n - 1e-9)  # 0.1 * 30 is a little more than 3


def kept(scores: Mapping[int, float], share: float) -> set[int]:
    """The seeds that are kept: those of the highest scores; of equal ones the smaller seed."""
    ranked = sorted(scores, key=lambda seed: (-scores[seed], seed))
    return set(ranked[: n_kept(len(scores), share)])


def best_of_started(rows: Sequence[Mapping[str, Any]], metric: str) -> Mapping[str, Any]:
    """The row that is best on validation among the finished ones: what such a run is for.

    Args:
        rows: of seeds that were started together.
        metric: what the steps and the seeds were chosen by.
    """
    finished = [row for row in rows if row["stopped"] != "seeds"] or rows
    return max(finished, key=lambda row: (row["validation"].get(metric, -math.inf), -row["seed"]))


def full_runs(rows: Sequence[Mapping[str, Any]]) -> float:
    """What the rows cost in training, in runs of full length."""
    return sum(row["steps"] / row["total_steps"] for row in rows)
