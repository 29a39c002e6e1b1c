"""Files that are there whole or not at all, and rows as lines of JSON."""

import json
import math
import os
from pathlib import Path
from typing import Any

from stablefit.errors import InputError

_SYSTEMS = ("lost+found", ".DS_Store", "Thumbs.db", "desktop.ini", ".lock")


def is_free(path: Path) -> bool:
    """Whether nothing is in a place that a person, or a run, would want to keep; a folder that is not there is free.

    What systems leave in a folder does not count, nor what a kill left of a file that `write_whole` had not finished.
    """
    if not path.exists():
        return not path.is_symlink()
    names = [file.name for file in path.iterdir()] if path.is_dir() else [path.name]
    return path.is_dir() and all(
        name in _SYSTEMS or name.startswith(".nfs") or (name.startswith(".") and name.endswith(".tmp"))
        for name in names
    )


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file; a last line without its end is left out.

    Raises:
        InputError: a line is damaged.
    """
    rows = []
    for number, line in enumerate(path.read_text(errors="replace").split("\n")[:-1], start=1):
        row = row_of(line)
        if row is None:
            raise InputError(f"{path}:{number}: is damaged; put back a copy of the file, or delete the line")
        rows.append(row)
    return rows


def row_of(line: str) -> dict[str, Any] | None:
    """The row of a line; None if it is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def line_of(row: dict[str, Any]) -> str:
    """A row as JSON, which has no word for infinity and NaN: they become null."""

    def finite(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: finite(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [finite(inner) for inner in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(finite(row), allow_nan=False) + "\n"


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that a reader, or a kill, finds the old text or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
