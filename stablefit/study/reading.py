"""What a study left on disk -> cells, rows, losses, predictions; every mistake in a file as one line.

A study is WORKDIR/cells.txt and WORKDIR/cells/FINGERPRINT; the directory of a single run is a study of one cell.
"""

import dataclasses
import functools
import json
import math
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stablefit.data import tasks
from stablefit.errors import InputError
from stablefit.study.statistics import Runs
from stablefit.study.verdicts import sample
from stablefit.training import bundle, manifest


@dataclasses.dataclass(frozen=True)
class Cell:
    """A setting and the rows of its finished runs, in the order of their seeds."""

    name: str
    folder: Path
    config: dict[str, Any]
    rows: Sequence[Mapping[str, Any]]

    @functools.cached_property
    def task(self) -> tasks.Task:
        """What its folder says; of a folder of before there were bundles what its config says."""
        folder = self.folder / bundle.FOLDER
        if (folder / bundle.FILE).is_file():
            return bundle.Bundle.read(folder).as_task()
        return tasks.get_task(self.config["task"])

    @property
    def missing(self) -> list[int]:
        """The seeds that the config asks for and that have no row."""
        finished = {row["seed"] for row in self.rows}
        return [seed for seed in self.config["seeds"] if seed not in finished]

    @property
    def started(self) -> int:
        """How many seeds were started to finish only the best of them; 0 where every seed is a run of its own."""
        return len(self.config["seeds"]) if self.config.get("stop_seeds_at") else 0

    @property
    def n_patient(self) -> int:
        """How many runs were stopped by patience."""
        return sum(row.get("stopped") == "patience" for row in self.rows)

    def runs(self) -> Runs:
        """The test scores of the best steps; of a diverged run 0."""
        return sample(self.rows, self.task)

    def validation(self) -> np.ndarray:
        """[n], the validation scores that the best steps were chosen by."""
        return np.array([row["validation"].get(self.task.selection_metric, 0.0) for row in self.rows], np.float64)


@dataclasses.dataclass(frozen=True)
class Study:
    """Cells in the order of the sweep, and what is known of how they came about."""

    workdir: Path
    cells: Sequence[Cell]
    question: str  # the docstring of the sweep; empty if not recorded
    commands: Sequence[str]
    started: str


def load(workdir: Path) -> Study:
    """Reads a study; losses and predictions are read when they are asked for.

    Raises:
        InputError: not a directory of a study or a run, or a file in it is damaged.
    """
    if (workdir / "cells.txt").is_file():
        cells = [_cell(workdir / "cells" / mark, name) for mark, name in _names(workdir / "cells.txt")]
    elif (workdir / "config.json").is_file():
        cells = [_cell(workdir, printable(workdir.resolve().name))]
    else:
        raise InputError(
            f"{str(workdir)!r} is no study; give the --workdir of stablefit.grid or stablefit.main, "
            "which holds cells.txt or config.json"
        )
    record = _object(workdir / "study.json") if (workdir / "study.json").is_file() else {}
    commands = record.get("commands", [])
    return Study(
        workdir,
        cells,
        str(record.get("question", "")),
        [printable(str(command)) for command in commands] if isinstance(commands, list) else [],
        printable(str(record.get("started", ""))),
    )


class Losses(NamedTuple):
    """Training losses of the runs of a cell that have them whole and finite."""

    losses_RxS: np.ndarray  # of single batches; step s is column s - 1
    n_diverged: int
    n_missing: int  # no metrics.jsonl, or not of all steps


def losses(cell: Cell) -> Losses:
    """The training losses of the finished runs; those that diverged are counted and left out."""
    kept: list[list[float]] = []
    n_diverged = n_missing = 0
    for row in cell.rows:
        file = cell.folder / f"seed_{row['seed']}" / "metrics.jsonl"
        lines = _lines(file) if file.is_file() else []
        values = [_loss(file, number, line) for number, line in lines if "split" not in line]
        if row["diverged"] or not all(map(math.isfinite, values)):
            n_diverged += 1
        elif len(values) != row["steps"] or not values:
            n_missing += 1
        else:
            kept.append(values)
    length = min(map(len, kept), default=0)
    return Losses(np.array([values[:length] for values in kept]).reshape(len(kept), length), n_diverged, n_missing)


def predictions(cell: Cell) -> np.ndarray | None:
    """[R, N]: what the runs say of the test examples at their best steps: class ids, scores, or tags of words.

    Returns:
        None if fewer than two runs that did not diverge have stored them, or they are not of the same examples. In
        cross-validation the runs are those of the first run's fold.
    """
    said: list[np.ndarray] = []
    for row in cell.rows:
        file = cell.folder / f"seed_{row['seed']}" / "predictions.npz"
        if file.is_file() and not row["diverged"] and row.get("fold") == cell.rows[0].get("fold"):
            outputs = _logits(file)
            said.append(outputs.argmax(-1) if cell.task.kind == "classification" else outputs.reshape(-1))
    if len(said) < 2 or len({one.shape for one in said}) > 1 or said[0].ndim != 1 or not len(said[0]):
        return None
    return np.stack(said)


def printable(text: str) -> str:
    """The text with everything that is neither seen nor a space made visible as a replacement character."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "\ufffd" for letter in text)


def _loss(file: Path, number: int, line: Mapping[str, Any]) -> float:
    """The loss of a step; JSON has null for what is not finite."""
    value = line.get("loss", "absent")
    if value is not None and not isinstance(value, int | float):
        raise InputError(f"{file}:{number}: loss is {value!r}, not a number; remove the seed's folder and its row")
    return math.nan if value is None else float(value)


def _logits(file: Path) -> np.ndarray:
    manifest.check(file, "remove it and run the seed again")
    try:
        with file.open("rb") as opened:
            return np.load(opened, allow_pickle=False)["test_best"]
    except (OSError, KeyError, ValueError, EOFError, TypeError, IndexError, zipfile.BadZipFile) as error:
        raise InputError(f"{file}: holds no predictions ({error}); remove it and run the seed again") from None


def _names(file: Path) -> list[tuple[str, str]]:
    """Fingerprint and name of each cell."""
    found: list[tuple[str, str]] = []
    for number, line in enumerate(_text(file).split("\n"), start=1):
        match = re.fullmatch(r"([0-9a-f]{12})  (.+)", line)
        if match:
            found.append((match[1], printable(match[2])))
        elif line:
            raise InputError(f"{file}:{number}: is {line[:60]!r}; a line is a fingerprint, two spaces and a name")
    if not found or len({name for _, name in found}) < len(found):
        raise InputError(f"{file}: {'two cells have one name' if found else 'names no cell'}; run the grid again")
    return found


def _cell(folder: Path, name: str) -> Cell:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} has no config.json, though the study has a cell {name!r} there; run the grid again")
    config = _object(folder / "config.json")
    seeds = config.get("seeds")
    if not isinstance(config.get("task"), str) or not isinstance(seeds, list) or not seeds:
        raise InputError(f"{folder / 'config.json'} is no config of a run: it has no task or no seeds")
    cell = Cell(name, folder, config, [])
    kinds = _ROW | (_STARTED if cell.started else {})
    file = folder / "results.jsonl"
    rows = {}
    for number, row in _lines(file) if file.is_file() else []:
        wrong = _wrong(row, cell.task, kinds)
        if wrong:
            raise InputError(f"{file}:{number}: {wrong}; remove the line and run the study again")
        rows[row["seed"]] = row
    return dataclasses.replace(cell, rows=[rows[seed] for seed in sorted(rows)])


_ROW: dict[str, type | tuple[type, ...]] = {
    "seed": int,
    "steps": int,
    "validation": dict,
    "test_best": dict,
    "majority": (int, float),
    "failed": bool,
    "diverged": bool,
    "seconds": (int, float),
}
_STARTED = {"stopped": str, "total_steps": int}  # what a row also has where seeds were compared


def _wrong(row: Mapping[str, Any], task: tasks.Task, kinds: Mapping[str, type | tuple[type, ...]]) -> str:
    """What is wrong with a row; nothing if it can be used."""
    for name, kind in kinds.items():
        if not isinstance(row.get(name), kind):
            return f"field {name} is {row.get(name)!r}, which no finished run writes"
    scores = {"test_best": task.report_metric, "validation": task.selection_metric}
    for part, metric in scores.items():
        value = row[part].get(metric, 0.0 if part == "validation" else None)
        if not isinstance(value, int | float) or not math.isfinite(value):
            return f"{part} {metric} is {value!r}, not a number"
    return ""


def _lines(file: Path) -> list[tuple[int, dict[str, Any]]]:
    """Number and object of each line of a JSON-lines file; a last line without its end is of a kill, and left out."""
    rows = []
    for number, line in enumerate(_text(file).split("\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise InputError(f"{file}:{number}: is not a JSON object; remove the line and run the study again")
        rows.append((number, row))
    return rows


def _object(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(file))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise InputError(f"{file} is not a JSON object")
    return value


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
