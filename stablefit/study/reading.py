"""What a study left on disk -> cells, rows, losses, predictions; every mistake in a file as one line.

A study lies on disk as a working directory, WORKDIR/cells.txt and WORKDIR/cells/FINGERPRINT, or as the few files of
`packed`. The directory of a single run is a study of one cell.
"""

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, get_args

import numpy as np

from stablefit import factors
from stablefit.data import tasks
from stablefit.errors import InputError
from stablefit.factors import Factor
from stablefit.study import packed
from stablefit.study.packed import Said
from stablefit.study.statistics import Runs
from stablefit.study.verdicts import sample
from stablefit.training import bundle, ledger_rows, manifest


class Files(Protocol):
    """Where the losses and predictions of a cell's runs lie."""

    def metrics(self, seed: int) -> tuple[Path, list[tuple[int, dict[str, Any]]]]:
        """The lines of a run's steps and evaluations, each with its number, and the file; none if it has no record."""
        ...

    def said(self, seed: int, kind: tasks.Kind) -> Said | None:
        """Its predictions; None if it has stored none."""
        ...


@dataclasses.dataclass(frozen=True)
class Cell:
    """A setting and the rows of its finished runs, in the order of their seeds.

    Args:
        name: for people.
        folder: of its run directory, or of the whole study where that is packed.
        config: every field.
        rows: of the ledger.
        fingerprint: of the config; empty for a single run that has not finished a seed.
        task: what is predicted, and how it is scored.
        files: for `losses` and `predictions`.
        agreement: `n`, `disagreement` and `kappa` as they were printed before the predictions went; None: not recorded.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    rows: Sequence[Mapping[str, Any]]
    fingerprint: str
    task: tasks.Task
    files: Files
    agreement: dict[str, Any] | None = None

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
    def design(self) -> tuple[Factor, ...]:
        """What varies between its runs, beside all that follows a seed."""
        return factors.parse(str(self.config.get("factors") or ""))

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
    record: Mapping[str, Any]  # all that study.json says of it


def load(workdir: Path) -> Study:
    """Reads a study; losses and predictions are read when they are asked for.

    Raises:
        InputError: not a directory of a study or a run, or a file in it is damaged.
    """
    if (workdir / "cells.txt").is_file():
        cells = [_cell(workdir / "cells" / mark, name, mark) for mark, name in cell_names(workdir / "cells.txt")]
    elif (workdir / "config.json").is_file():
        cells = [_cell(workdir, printable(workdir.resolve().name))]
    elif packed.is_packed(workdir):
        return _packed(packed.Study(workdir))
    else:
        raise InputError(
            f"{str(workdir)!r} is no study; give the --workdir of stablefit.grid or stablefit.main, "
            "which holds cells.txt or config.json, or the folder that stablefit pack has written"
        )
    return _study(workdir, cells, _object(workdir / "study.json") if (workdir / "study.json").is_file() else {})


def _packed(study: packed.Study) -> Study:
    cells = []
    for setting in study.settings:
        config, place = dict(setting.config), f"{study.folder / packed.STUDY}: cell {setting.name!r}"
        _check_config(config, place)
        facts = setting.facts.get("task")
        task = _known(config, place) if facts is None else _task(facts, place)
        files = _InFew(study, setting.name)
        cell = Cell(printable(setting.name), study.folder, config, [], setting.fingerprint, task, files)
        rows = _rows(cell, study.folder / packed.RUNS, study.rows[setting.name], packed.REMEDY)
        cells.append(dataclasses.replace(cell, rows=rows))
    return _study(study.folder, cells, study.record)


def _study(workdir: Path, cells: Sequence[Cell], record: Mapping[str, Any]) -> Study:
    commands, agreed = record.get("commands", []), record.get("agreement", {})
    return Study(
        workdir,
        [dataclasses.replace(cell, agreement=_agreed(agreed, cell.name, workdir)) for cell in cells],
        str(record.get("question", "")),
        [printable(str(command)) for command in commands] if isinstance(commands, list) else [],
        printable(str(record.get("started", ""))),
        record,
    )


def _agreed(record: Any, name: str, workdir: Path) -> dict[str, Any] | None:
    """What study.json says of how the runs of a cell agreed; JSON has null for kappa where there is none."""
    if isinstance(record, dict) and name not in record:
        return None
    found = record[name] if isinstance(record, dict) else None
    names = ("n", "disagreement", "kappa")
    if not isinstance(found, dict) or not all(isinstance(found.get(part, 0), int | float | None) for part in names):
        raise InputError(f"{workdir / packed.STUDY}: agreement of {name!r} is not n, disagreement and kappa")
    return {part: math.nan if found.get(part) is None else found[part] for part in names}


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
        file, lines = cell.files.metrics(row["seed"])
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
    """[R, N]: what the runs say of the test examples at their best steps, as in `packed.Said`.

    Returns:
        None if fewer than two runs that did not diverge have stored them, or they are not of the same examples. In
        cross-validation the runs are those of the first run's fold.
    """
    said: list[np.ndarray] = []
    for row in cell.rows:
        if not row["diverged"] and row.get("fold") == cell.rows[0].get("fold"):
            found = cell.files.said(row["seed"], cell.task.kind)
            said += [] if found is None else [found.said]
    if len(said) < 2 or len({one.shape for one in said}) > 1 or said[0].ndim != 1 or not len(said[0]):
        return None
    return np.stack(said)


def printable(text: str) -> str:
    """The text with everything that is neither seen nor a space made visible as a replacement character."""
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "\ufffd" for letter in text)


def _loss(file: Path, number: int, line: Mapping[str, Any]) -> float:
    """The loss of a step; JSON has null for what is not finite."""
    value = line.get("loss", "absent")
    if value is not None and not isinstance(value, float) and not ledger_rows.is_number(value):
        raise InputError(f"{file}:{number}: loss is {value!r}, not a number; remove the seed's folder and its row")
    return math.nan if value is None else float(value)


class _InFolder:
    """The run directory of a cell."""

    def __init__(self, folder: Path):
        self.folder = folder

    def metrics(self, seed: int) -> tuple[Path, list[tuple[int, dict[str, Any]]]]:
        file = self.folder / f"seed_{seed}" / "metrics.jsonl"
        return file, _lines(file) if file.is_file() else []

    def said(self, seed: int, kind: tasks.Kind) -> Said | None:
        file = self.folder / f"seed_{seed}" / "predictions.npz"
        if not file.is_file():
            return None
        manifest.check(file, "remove the folder of the seed and its row, and run it again")
        names = ("test_labels", "test_ids", "labels")
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
                outputs = stored["test_best"]
                labels, ids, classes = (stored[name] if name in stored.files else np.zeros(0) for name in names)
            if kind == "classification":
                outputs = outputs.argmax(-1)
            elif kind == "multilabel":
                outputs = (outputs > 0).astype(np.uint8)
        except Exception as error:  # zipfile's, zlib's and NumPy's own
            raise InputError(f"{file}: holds no predictions ({error}); remove it and run the seed again") from None
        return Said(outputs.reshape(-1), labels.reshape(-1), ids, classes)


class _InFew:
    """A packed study, of one of its cells."""

    def __init__(self, study: packed.Study, name: str):
        self.study, self.name = study, name

    def metrics(self, seed: int) -> tuple[Path, list[tuple[int, dict[str, Any]]]]:
        return self.study.folder / packed.CURVES, list(enumerate(self.study.lines(self.name, seed), start=1))

    def said(self, seed: int, kind: tasks.Kind) -> Said | None:
        del kind  # it is written in the form of its kind
        return self.study.said(self.name, seed)


def facts(task: tasks.Task) -> dict[str, Any] | None:
    """What must be kept to know a task again; None if the table of tasks has it."""
    if tasks.TASKS.get(task.name) == task:
        return None
    return {name: getattr(task, name) for name in ("name", "kind", "labels", "selection_metric", "report_metric")}


def _known(config: Mapping[str, Any], place: str) -> tasks.Task:
    try:
        return tasks.get_task(config["task"])
    except InputError as error:
        raise InputError(f"{place}: {error}") from None


def _task(facts: Any, place: str) -> tasks.Task:
    names = ("name", "selection_metric", "report_metric")
    if not isinstance(facts, dict) or not all(isinstance(facts.get(name), str) for name in names):
        raise InputError(f"{place}: its task has no {', '.join(names)}; {packed.REMEDY}")
    kind: Any = facts.get("kind")
    labels = facts.get("labels")
    if kind not in get_args(tasks.Kind) or not isinstance(labels, list) or not all(isinstance(x, str) for x in labels):
        raise InputError(f"{place}: its task has no known kind or no labels; {packed.REMEDY}")
    return tasks.Task(facts["name"], kind, tuple(labels), None, "", facts["selection_metric"], facts["report_metric"])


def cell_names(file: Path) -> list[tuple[str, str]]:
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


def _cell(folder: Path, name: str, fingerprint: str = "") -> Cell:
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder} has no config.json, though the study has a cell {name!r} there; run the grid again")
    config = _object(folder / "config.json")
    _check_config(config, str(folder / "config.json"))
    described = folder / bundle.FOLDER
    if (described / bundle.FILE).is_file():
        task = bundle.Bundle.read(described).as_task()
    else:  # a folder of before there were bundles
        task = _known(config, str(folder / "config.json"))
    cell = Cell(name, folder, config, [], fingerprint, task, _InFolder(folder))
    file = folder / "results.jsonl"
    rows = _rows(cell, file, _lines(file) if file.is_file() else [], "remove the line and run the study again")
    mark = fingerprint or str(rows[0].get("fingerprint", "") if rows else "")
    return dataclasses.replace(cell, rows=rows, fingerprint=mark)


def _check_config(config: Mapping[str, Any], place: str) -> None:
    seeds = config.get("seeds")
    whole = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
    if not isinstance(config.get("task"), str) or not whole or not seeds:
        raise InputError(f"{place} is no config of a run: it has no task or no seeds")
    try:
        factors.parse(str(config.get("factors") or ""))
    except InputError as error:
        raise InputError(f"{place} is no config of a run: {error}") from None


def _rows(cell: Cell, file: Path, lines: Sequence[tuple[int, dict[str, Any]]], remedy: str) -> list[dict[str, Any]]:
    """The rows that can be used, by seed; of two of one seed the later."""
    kinds = ledger_rows.ROW | (ledger_rows.STARTED if cell.started else {})
    rows = {}
    for number, row in lines:
        wrong = ledger_rows.wrong(row, cell.task, kinds)
        if not wrong and cell.fingerprint and row.get("fingerprint", cell.fingerprint) != cell.fingerprint:
            wrong = f"its row is of config {row['fingerprint']!r}, the cell's is {cell.fingerprint}"
        if wrong:
            raise InputError(f"{file}:{number}: {wrong}; {remedy}")
        rows[row["seed"]] = row
    return [rows[seed] for seed in sorted(rows)]


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
