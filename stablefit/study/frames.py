"""A study as tables for pandas, which is imported when they are asked for."""

import dataclasses
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stablefit.errors import InputError
from stablefit.study import reading, runs_table
from stablefit.study.packed import Said
from stablefit.study.reading import Cell, Study

if TYPE_CHECKING:
    import pandas


@dataclasses.dataclass(frozen=True)
class Tables:
    """The tables of a study; each is made when it is first asked for.

    Rows are in the order of the sweep, then of the seeds. In all tables `cell` and `seed` say which run a row is of.
    """

    study: Study

    @functools.cached_property
    def runs(self) -> "pandas.DataFrame":
        """A row a finished run: scores (`test_best.accuracy`), `failed`, `seconds`, settings (`config.epochs`)."""
        rows = [
            {"cell": cell.name, "fingerprint": cell.fingerprint, "seed": row["seed"]}
            | dict(runs_table.flat(row))
            | {f"config.{name}": value for name, value in cell.config.items() if name != "seeds"}
            for cell, row in self._rows()
        ]
        names = dict.fromkeys(name for row in rows for name in row) or ("cell", "fingerprint", "seed")
        return _frame(rows, sorted(names, key=lambda name: name if name.startswith("config.") else ""))

    @functools.cached_property
    def curves(self) -> "pandas.DataFrame":
        """A row a step of a run: `step`, `loss`, `grad_norm`."""
        return _frame([line for line in self._lines() if "split" not in line], ("cell", "seed", "step", "loss"))

    @functools.cached_property
    def evaluations(self) -> "pandas.DataFrame":
        """A row an evaluation: `step`, `split` and its scores."""
        return _frame([line for line in self._lines() if "split" in line], ("cell", "seed", "step", "split"))

    @functools.cached_property
    def predictions(self) -> "pandas.DataFrame":
        """A row a test example of a run: `example` (its place), `id`, `label` and what the run `said` at its best step.

        Classes and tags are told by their names. Of several labels there is a row for each, which is in `of`.
        """
        parts = (
            _predictions(cell, row["seed"], said)
            for cell, row in self._rows()
            if (said := cell.files.said(row["seed"], cell.task.kind)) is not None
        )
        return _joined(list(parts))

    def _rows(self) -> Iterator[tuple[Cell, Any]]:
        return ((cell, row) for cell in self.study.cells for row in cell.rows)

    def _lines(self) -> Iterator[dict[str, Any]]:
        for cell, row in self._rows():
            for _, line in cell.files.metrics(row["seed"])[1]:
                yield {"cell": cell.name, "seed": row["seed"], **line}


def load_study(folder: str | os.PathLike[str]) -> Tables:
    """A study as tables.

        >>> import stablefit
        >>> study = stablefit.load_study("experiments/results/sst2_few_sample")  # doctest: +SKIP
        >>> study.runs.groupby("cell", sort=False)["test_best.accuracy"].mean()  # doctest: +SKIP

    Args:
        folder: the --workdir of a study or of a single run, or what `stablefit pack` has made of it.

    Returns:
        `runs`, `curves`, `evaluations` and `predictions`, data frames of pandas.

    Raises:
        InputError: pandas is not installed, no study, or a file in it is damaged.
    """
    _pandas()
    return Tables(reading.load(Path(folder)))


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise InputError("load_study needs pandas: pip install 'stablefit[tables]'") from None
    return pandas


def _frame(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> "pandas.DataFrame":
    """The rows; their columns are these, then the others as they come."""
    others = dict.fromkeys(name for row in rows for name in row)
    return _pandas().DataFrame(rows, columns=list(dict.fromkeys([*names, *others])))


def _predictions(cell: Cell, seed: int, found: Said) -> "pandas.DataFrame":
    said, labels, of = found.said, found.labels, None
    example = np.arange(len(said))
    if cell.task.kind == "multilabel":
        n = max(1, len(found.classes))
        example, of = example // n, found.classes[example % n] if len(found.classes) else None
    elif len(found.classes):
        said = found.classes[said]
        labels = found.classes[labels] if len(labels) else labels
    columns: dict[str, Any] = {"cell": cell.name, "seed": seed, "example": example}
    columns["id"] = found.ids[example] if len(found.ids) else None
    columns |= {} if of is None else {"of": of}
    columns |= {"label": _wide(labels) if len(labels) else None, "said": _wide(said)}
    return _pandas().DataFrame(columns)


def _wide(array: np.ndarray) -> np.ndarray:
    """Numbers in 64 bits, however few they are kept in."""
    return array.astype({"i": np.int64, "u": np.int64, "f": np.float64}.get(array.dtype.kind, array.dtype))


def _joined(parts: list[Any]) -> "pandas.DataFrame":
    pandas = _pandas()
    names = ["cell", "seed", "example", "id", "label", "said"]
    return pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame(columns=names)
