"""A study's working directory -> the few files of `packed`: whole or not at all, and read back before that."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from stablefit.errors import InputError
from stablefit.study import packed, reading
from stablefit.study.reading import Cell, Study
from stablefit.training.files import line_of


def pack(workdir: Path, out: Path) -> list[Path]:
    """Writes a study, or a single run, in the form that is handed on; finished runs alone, without parameters.

    Args:
        workdir: of a study or of a run; only read.
        out: a place where nothing is yet.

    Returns:
        The files.

    Raises:
        InputError: no study, a damaged file, a place that is taken or cannot be written.
    """
    study = reading.load(workdir)
    if packed.is_packed(workdir):
        raise InputError(f"{workdir} is packed already; give the working directory of a study or of a run")
    if os.path.lexists(out) and not (out.is_dir() and not out.is_symlink() and not any(out.iterdir())):
        raise InputError(f"{out} is there already; give a place where nothing is")
    half = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        half.mkdir()
        files = packed.write(half, study.record, [_contents(cell) for cell in study.cells])
        if differs := difference(study, reading.load(half)):
            raise InputError(f"{workdir} is not packed: {differs} would not be read as it is; keep the directory")
        os.replace(half, out)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; give another place") from None
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return [out / file.name for file in files]


def _contents(cell: Cell) -> tuple[packed.Setting, list[packed.Run]]:
    """A cell as it is written."""
    facts: dict[str, Any] = {}
    if (cell.folder / "data.json").is_file():
        facts["data"] = json.loads((cell.folder / "data.json").read_text())
    if (task := reading.facts(cell.task)) is not None:
        facts["task"] = task
    runs = []
    for row in cell.rows:
        file, lines = cell.files.metrics(row["seed"])
        for number, line in lines:
            for name, value in line.items():
                if not isinstance(value, str | int | float | None):
                    raise InputError(f"{file}:{number}: {name} is {value!r}, neither a number nor a text")
        runs.append(packed.Run(row, [line for _, line in lines], cell.files.said(row["seed"], cell.task.kind)))
    return packed.Setting(cell.name, cell.fingerprint, cell.config, facts), runs


def difference(one: Study, other: Study) -> str:
    """What two studies have not in common, in a few words; empty if they are equal in all that is kept of a study."""
    if _text(one.record) != _text(other.record):
        return "its question, commands or start"
    if [cell.name for cell in one.cells] != [cell.name for cell in other.cells]:
        return "the names of its cells"
    for a, b in zip(one.cells, other.cells, strict=True):
        if (_text(a.config), a.fingerprint, a.task) != (_text(b.config), b.fingerprint, b.task):
            return f"the config of {a.name!r}"
        if _text(a.rows) != _text(b.rows):
            return f"the ledger of {a.name!r}"
        for row in a.rows:
            if _lines(a, row["seed"]) != _lines(b, row["seed"]):
                return f"the losses of {a.name!r}, seed {row['seed']},"
            if not _say_the_same(a, b, row["seed"]):
                return f"the predictions of {a.name!r}, seed {row['seed']},"
    return ""


def _text(value: Any) -> str:
    """As JSON, in which 1, 1.0 and true differ and the order of fields does not matter."""
    return json.dumps(value, sort_keys=True)


def _lines(cell: Cell, seed: int) -> list[dict[str, Any]]:
    """Steps, then evaluations; what is not finite is null."""
    lines = [json.loads(line_of(line)) for _, line in cell.files.metrics(seed)[1]]
    return sorted(lines, key=lambda line: "split" in line)


def _say_the_same(a: Cell, b: Cell, seed: int) -> bool:
    one, other = (cell.files.said(seed, cell.task.kind) for cell in (a, b))
    if one is None or other is None:
        return one is other
    return all(
        np.array_equal(x, y, equal_nan=x.dtype.kind == "f" and y.dtype.kind == "f")
        for x, y in zip(one, other, strict=True)
    )
