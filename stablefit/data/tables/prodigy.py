"""What exports of Prodigy, a program to annotate texts with, have beside texts and labels.

JSON lines, or an array, of tasks. `spans` are the entities, where there are any; `accept` the options that were chosen;
`answer` is accept, reject or ignore; further fields are for the program itself, and may be objects.
https://prodi.gy/docs/api-interfaces
"""

from collections.abc import Mapping
from typing import Any

SPANS = "spans"
CHOSEN = "accept"
_ANSWER = "answer"
_OWN = ("_task_hash", "_input_hash")  # what no other program writes


def is_task(row: Mapping[str, Any]) -> bool:
    """Whether an object is one of an export."""
    return any(name in row for name in _OWN)


def is_declined(row: Mapping[str, Any]) -> bool:
    """Whether an annotator said that a task's annotation is wrong, or passed over it."""
    return is_task(row) and row.get(_ANSWER) in ("reject", "ignore")


def is_ignored(row: Mapping[str, Any]) -> bool:
    """Whether an annotator passed over a task."""
    return is_task(row) and row.get(_ANSWER) == "ignore"
