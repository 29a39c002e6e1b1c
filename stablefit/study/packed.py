"""A study as three files that are handed on, written and read. `stablefit pack` makes them of a working directory.

DIR/study.json       question, commands, start; the config that all cells share; the cells in the order of the sweep:
                     name, fingerprint, the rest of the config, the digest of the data, and the task of own files
DIR/runs.csv         a row a run: its cell, all that the ledger says of it, and the fields of the config that differ
DIR/curves.npz       losses and evaluations of all steps, run after run in the order of runs.csv
DIR/predictions.npz  what the runs say of the test examples at their best steps; not there if none has stored it

"""

import functools
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stablefit.errors import InputError
from stablefit.study import runs_table
from stablefit.study.runs_table import REMEDY

STUDY, RUNS, CURVES, PREDICTIONS = "study.json", "runs.csv", "curves.npz", "predictions.npz"
FORMAT = 1
_OWN = ("format", "config", "cells")  # fields of study.json that are not of the record

Line = Mapping[str, Any]


class Said(NamedTuple):
    """What a run says of the test examples at its best step.

    Args:
        said: [N], class ids, numbers, tags of words; of several labels an example [N * L] zeros and ones.
        labels: alike, what is right; of length 0 if not recorded.
        ids: [N], names of the examples; of length 0 if they have none.
        classes: what class ids, labels or tags stand for; of length 0 for numbers.
    """

    said: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    classes: np.ndarray


class Run(NamedTuple):
    """A finished run to be written: its row in the ledger, the lines of its steps and evaluations, its predictions."""

    row: Line
    lines: Sequence[Line]
    said: Said | None


class Setting(NamedTuple):
    """A cell to be written, or as it was read, then without lines and predictions of its runs."""

    name: str
    fingerprint: str
    config: Mapping[str, Any]
    facts: Mapping[str, Any]  # further fields of the cell in study.json: `data`, `task`


def is_packed(folder: Path) -> bool:
    """Whether a folder holds a study in this form."""
    return (folder / RUNS).is_file()


def write(folder: Path, record: Line, cells: Sequence[tuple[Setting, Sequence[Run]]]) -> list[Path]:
    """Writes a study into a folder that is there.

    Args:
        folder: an empty one.
        record: what study.json says beside the cells.
        cells: each with its finished runs.

    Returns:
        The files.

    Raises:
        InputError: a line of metrics holds something else than numbers and texts.
    """
    settings = [cell for cell, _ in cells]
    runs = [run for _, several in cells for run in several]
    shared = _shared([cell.config for cell in settings])
    listed = [
        {"name": cell.name, "fingerprint": cell.fingerprint, **cell.facts, "config": _rest(cell.config, shared)}
        for cell in settings
    ]
    study = {"format": FORMAT, **record, "config": shared, "cells": listed}
    _whole(folder / STUDY, (json.dumps(study, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass"))
    _write_runs(folder / RUNS, cells, shared)
    lines = {
        "steps": [[line for line in run.lines if "split" not in line] for run in runs],
        "evaluations": [[line for line in run.lines if "split" in line] for run in runs],
    }
    arrays = [_columns(kind, several) for kind, several in lines.items()]
    _save(folder / CURVES, arrays[0] | arrays[1])
    if any(run.said is not None for run in runs):
        _save(folder / PREDICTIONS, _sets([run.said for run in runs]))
    return [folder / name for name in (STUDY, RUNS, CURVES, PREDICTIONS) if (folder / name).is_file()]


def _write_runs(file: Path, cells: Sequence[tuple[Setting, Sequence[Run]]], shared: Mapping[str, Any]) -> None:
    rows = []
    for cell, runs in cells:
        differing = {f"config.{name}": value for name, value in _rest(cell.config, shared).items() if name != "seeds"}
        rows += [{"cell": cell.name, **dict(runs_table.flat(run.row)), **differing} for run in runs]
    runs_table.write(file, rows)


def _shared(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields that all have, with one value; 1, 1.0 and True are three."""
    first, *others = configs
    return {
        name: value
        for name, value in first.items()
        if all(name in other and json.dumps(other[name]) == json.dumps(value) for other in others)
    }


def _rest(config: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in shared}


# --- curves.npz and predictions.npz


def _columns(kind: str, runs: Sequence[Sequence[Line]]) -> dict[str, np.ndarray]:
    """How many lines each run has, and a column for each field; which lines lack it, if any does."""
    lines = [line for run in runs for line in run]
    arrays = {kind: np.array([len(run) for run in runs], np.int32)}
    for name in dict.fromkeys(name for line in lines for name in line):
        there = np.array([name in line for line in lines])
        column = _column(name, [line[name] for line in lines if name in line])
        arrays[f"{kind}/{name}"] = np.zeros(len(lines), column.dtype)
        arrays[f"{kind}/{name}"][there] = column
        if not there.all():
            arrays[f"absent/{kind}/{name}"] = ~there
    return arrays


def _column(name: str, values: Sequence[Any]) -> np.ndarray:
    """The values in the fewest bytes that hold them exactly."""
    kinds = {type(value) for value in values}
    if kinds in ({str}, {bool}, {int}):
        return _small(np.array(values))
    if kinds <= {int, float, type(None)}:
        return _small(np.array([np.nan if value is None else value for value in values], np.float64))
    raise InputError(f"metrics: field {name} is neither numbers nor texts throughout; a study with it stays as it is")


def _small(array: np.ndarray) -> np.ndarray:
    """The same numbers in fewer bytes, where that loses nothing."""
    if array.dtype.kind in "iu" and array.size:
        ends = np.min_scalar_type(array.min()), np.min_scalar_type(array.max())
        return array.astype(np.promote_types(*ends))
    if array.dtype == np.float64:
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        return single if np.array_equal(single, array, equal_nan=True) else array
    return array


def _sets(said: Sequence[Said | None]) -> dict[str, np.ndarray]:
    """The runs that speak of the same examples together: [runs, N], and once what is right, and the examples' names."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for i, one in enumerate(said):
        if one is not None:
            parts = (one.labels, one.ids, one.classes)
            key = (one.said.shape, one.said.dtype.kind, *((part.dtype.str, part.tobytes()) for part in parts))
            groups.setdefault(key, []).append(i)
    arrays: dict[str, np.ndarray] = {"total": np.array(len(said))}
    for number, runs in enumerate(groups.values()):
        several = [one for i in runs if (one := said[i]) is not None]
        arrays[f"runs/{number}"] = np.array(runs, np.int32)
        arrays[f"said/{number}"] = _small(np.stack([one.said for one in several]))
        arrays[f"labels/{number}"] = _small(several[0].labels)
        arrays[f"ids/{number}"], arrays[f"classes/{number}"] = several[0].ids, several[0].classes
    return arrays


def _whole(file: Path, content: bytes) -> None:
    with file.open("wb") as opened:
        opened.write(content)
        os.fsync(opened.fileno())


def _save(file: Path, arrays: dict[str, np.ndarray]) -> None:
    with file.open("wb") as opened:
        np.savez_compressed(opened, **arrays)  # pyright: ignore[reportArgumentType]
        opened.flush()
        os.fsync(opened.fileno())


def _arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except Exception as error:  # zipfile's, zlib's and NumPy's own
        raise InputError(f"{file}: cannot be read ({error}); {REMEDY}") from None


# --- reading


class Study:
    """A packed study as it lies on disk: losses and predictions are read when they are first asked for.

    Args:
        folder: of the study.

    Raises:
        InputError: a file is damaged; the others when they are asked for.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.record, self.settings = _read_study(folder / STUDY)
        self.rows: dict[str, list[tuple[int, dict[str, Any]]]] = {cell.name: [] for cell in self.settings}
        self._order: dict[tuple[str, Any], int] = {}
        configs = {cell.name: cell.config for cell in self.settings}
        file = folder / RUNS
        for number, fields in runs_table.read(file):
            name = fields.pop("cell", None)
            said = {field: fields.pop(field) for field in list(fields) if field.startswith("config.")}
            if not isinstance(name, str) or name not in self.rows:
                raise InputError(f"{file}:{number}: {STUDY} has no cell {name!r}; {REMEDY}")
            for field, value in said.items():
                if json.dumps(configs[name].get(field.removeprefix("config."))) != json.dumps(value):
                    raise InputError(f"{file}:{number}: {field} is {value!r}, in {STUDY} another; {REMEDY}")
            try:
                row = runs_table.nested(fields)
            except (AttributeError, TypeError):
                raise InputError(f"{file}:{number}: a field is a value and holds fields too; {REMEDY}") from None
            run = (name, json.dumps(row.get("seed")))
            if run in self._order:
                raise InputError(f"{file}:{number}: seed {row.get('seed')} of {name!r} stands there twice; {REMEDY}")
            self._order[run] = len(self._order)
            self.rows[name].append((number, row))

    def lines(self, cell: str, seed: int) -> list[dict[str, Any]]:
        """What metrics.jsonl held of a run: first its steps, then its evaluations."""
        place = self._order[cell, json.dumps(seed)]
        found: list[dict[str, Any]] = []
        for kind in ("steps", "evaluations"):
            counts, columns, absent = self._curves[kind]
            start = int(counts[:place].sum())
            part = slice(start, start + int(counts[place]))
            values = {name: column[part].tolist() for name, column in columns.items()}
            lacking = {name: column[part].tolist() for name, column in absent.items()}
            found += [
                {
                    name: None if several[i] != several[i] else several[i]
                    for name, several in values.items()
                    if not (name in lacking and lacking[name][i])
                }
                for i in range(int(counts[place]))
            ]
        return found

    def said(self, cell: str, seed: int) -> Said | None:
        """The predictions of a run; None if they were not stored."""
        place = self._order[cell, json.dumps(seed)]
        number, row = self._places.get(place, (-1, -1))
        if number < 0:
            return None
        labels, ids, classes = (self._predictions[f"{part}/{number}"] for part in ("labels", "ids", "classes"))
        return Said(self._predictions[f"said/{number}"][row], labels, ids, classes)

    @functools.cached_property
    def _curves(self) -> dict[str, tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]]:
        file = self.folder / CURVES
        arrays = _arrays(file)
        found = {}
        for kind in ("steps", "evaluations"):
            columns, absent = _under(arrays, f"{kind}/"), _under(arrays, f"absent/{kind}/")
            counts = arrays.get(kind, np.zeros(0))
            if counts.shape != (len(self._order),) or counts.dtype.kind not in "iu" or (counts < 0).any():
                raise InputError(f"{file}: is of {counts.size} runs, {RUNS} of {len(self._order)}; {REMEDY}")
            if any(column.shape != (counts.sum(),) for column in (*columns.values(), *absent.values())):
                raise InputError(f"{file}: its columns of {kind} are not of one length; {REMEDY}")
            found[kind] = counts, columns, absent
        return found

    @functools.cached_property
    def _predictions(self) -> dict[str, np.ndarray]:
        file = self.folder / PREDICTIONS
        return _arrays(file) if file.is_file() else {}

    @functools.cached_property
    def _places(self) -> dict[int, tuple[int, int]]:
        """Place of a run in runs.csv -> number of its test set, and its row there."""
        arrays = self._predictions
        if not arrays:
            return {}
        file, total = self.folder / PREDICTIONS, arrays.get("total", np.array(-1))
        if total.shape or total != len(self._order):
            raise InputError(f"{file}: is of {total} runs, {RUNS} of {len(self._order)}; {REMEDY}")
        places: dict[int, tuple[int, int]] = {}
        for number, runs in _under(arrays, "runs/").items():
            parts = [f"{part}/{number}" for part in ("said", "labels", "ids", "classes")]
            whole = number.isdecimal() and runs.ndim == 1 and runs.dtype.kind in "iu"
            if not whole or not all(part in arrays for part in parts) or arrays[parts[0]].shape[:1] != runs.shape:
                raise InputError(f"{file}: its test set {number} is not whole; {REMEDY}")
            places |= {int(run): (int(number), row) for row, run in enumerate(runs)}
        return places


def _under(arrays: Mapping[str, np.ndarray], before: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(before): array for name, array in arrays.items() if name.startswith(before)}


def _read_study(file: Path) -> tuple[dict[str, Any], list[Setting]]:
    """The record and the cells."""
    try:
        content = json.loads(file.read_text(encoding="utf-8", errors="surrogatepass"))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}; {REMEDY}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is not JSON ({error}); {REMEDY}") from None
    if not isinstance(content, dict):
        raise InputError(f"{file} is not a JSON object; {REMEDY}")
    if content.get("format") != FORMAT:
        raise InputError(
            f"{file}: is of format {content.get('format')!r}, not {FORMAT}; take the version of stablefit that wrote it"
        )
    shared, cells = content.get("config"), content.get("cells")
    if not isinstance(shared, dict) or not isinstance(cells, list) or not cells:
        raise InputError(f"{file}: has no config or no cells; {REMEDY}")
    settings = []
    for number, cell in enumerate(cells, start=1):
        known = isinstance(cell, dict) and isinstance(cell.get("name"), str) and isinstance(cell.get("config"), dict)
        if not known or not re.fullmatch("[0-9a-f]{12}|", str(cell.get("fingerprint"))):
            raise InputError(f"{file}: cell {number} has no name, no fingerprint or no config; {REMEDY}")
        facts = {name: value for name, value in cell.items() if name not in ("name", "fingerprint", "config")}
        settings.append(Setting(cell["name"], cell["fingerprint"], {**shared, **cell["config"]}, facts))
    if len({cell.name for cell in settings}) < len(settings):
        raise InputError(f"{file}: two cells have one name; {REMEDY}")
    return {name: value for name, value in content.items() if name not in _OWN}, settings
