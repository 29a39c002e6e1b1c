"""What a row of the ledger must be, so that a table or a report can be made of it."""

import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stablefit.data import tasks
from stablefit.errors import InputError

_NUMBER = (int, float)

ROW: dict[str, type | tuple[type, ...]] = {
    "seed": int,
    "steps": int,
    "validation": dict,
    "test_best": dict,
    "majority": _NUMBER,
    "failed": bool,
    "diverged": bool,
    "seconds": _NUMBER,
}
_PRINTED = {"best_step": int, "test_last": dict, "stopped": str}  # what the table at the end shows beside
STARTED = {"stopped": str, "total_steps": int}  # what a row also has where seeds were compared

# What a metric can be; a name stands for all that begin with it.
_LIMITS = {"accuracy": (0, 1), "f1": (0, 1), "entity_f1": (0, 1), "r2": (-math.inf, 1), "rmse": (0, math.inf)}
_LIMITS |= {"mae": (0, math.inf), **dict.fromkeys(("matthews", "pearson", "spearman"), (-1, 1))}


def is_number(value: Any) -> bool:
    """Whether it is a number that a float can be; JSON's integers have no end."""
    return type(value) in _NUMBER and abs(value) <= sys.float_info.max


def wrong(row: Mapping[str, Any], task: tasks.Task, kinds: Mapping[str, type | tuple[type, ...]]) -> str:
    """What is wrong with a row; nothing if it can be used."""
    for name, kind in kinds.items():
        value = row.get(name)
        fits = is_number(value) if kind == _NUMBER else isinstance(value, kind)
        if not fits or (kind is int and isinstance(value, bool)):
            return f"field {name} is {value!r}, which no finished run writes"
    scores = {"test_best": task.report_metric, "validation": task.selection_metric}
    for part, metric in scores.items():
        value = row[part].get(metric, 0.0 if part == "validation" else None)
        if not is_number(value):
            return f"{part} {metric} is {value!r}, not a number"
        low, high = next((limits for name, limits in _LIMITS.items() if metric.startswith(name)), (-math.inf, math.inf))
        if not low - 1e-6 <= value <= high + 1e-6:
            return f"{part} {metric} is {value!r}, which no run can have"
    return ""


def check(rows: Iterable[Mapping[str, Any]], task: tasks.Task, file: Path) -> None:
    """Refuses rows that the table at the end of a run, or of a study, cannot be made of.

    Raises:
        InputError: names the file, the row and what is wrong with it.
    """
    for row in rows:
        said = wrong(row, task, ROW | _PRINTED)
        if not said and not is_number(row["test_last"].get(task.report_metric)):
            said = f"test_last {task.report_metric} is {row['test_last'].get(task.report_metric)!r}, not a number"
        if said:
            raise InputError(
                f"{file}: row of seed {row.get('seed')}: {said}; put back a copy of the file, or delete the row and "
                "run the seed again"
            )
