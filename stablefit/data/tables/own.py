"""A table of a person's own -> examples and the task they are, with all that was inferred said."""

import dataclasses
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stablefit.data.readers import Examples
from stablefit.data.tables import labels as reading
from stablefit.data.tables.columns import ANY, Choice, find_columns
from stablefit.data.tables.labels import Plan
from stablefit.data.tables.rows import Cell, Fault, TableError, counted, left_out, shown
from stablefit.data.tables.table import Table, check_rows, load
from stablefit.data.tasks import Kind, Task
from stablefit.errors import InputError

__all__ = ["Choice", "OwnTexts", "read", "understand"]

Value = str | float | tuple[str, ...]  # a row's label before it is a number: a class, a number, or several labels

KINDS = ("auto", "classification", "regression", "multilabel")
METRICS: dict[str, str] = {"classification": "accuracy", "regression": "r2", "multilabel": "f1_micro"}


@dataclasses.dataclass(frozen=True)
class OwnTexts:
    """Examples of a table.

    Args:
        examples: N examples; labels of numbers in the user's unit.
        task: the task `texts`, with the labels in their order.
        choice: every column, the kind and the separator, as found or given.
        said: sentences on what was found.
        lines: N lines of the file that the examples start on.
        path: the file as messages give it.
    """

    examples: Examples
    task: Task
    choice: Choice
    said: tuple[str, ...]
    lines: tuple[int, ...]
    path: str

    def __len__(self) -> int:
        return len(self.examples)


class _Labelled(NamedTuple):
    """The labels of the rows, None where there is a fault."""

    values: list[Value | None]
    faults: list[Fault]


def read(
    path: str | Path, choice: Choice = ANY, *, like: OwnTexts | None = None, skip_bad: bool = False
) -> tuple[Table, OwnTexts]:
    """The table in a file and its examples; arguments and errors are those of `read_table` and `understand`.

    Raises:
        TableError: the rows that cannot be read and those that cannot be used, in one error.
    """
    table, faults = load(path)
    if not table.rows:
        check_rows(table, faults, skip_bad=skip_bad)
    try:
        own = understand(table, choice, like=like, skip_bad=skip_bad)
    except TableError as error:
        raise TableError(table.path, [*faults, *error.found]) from None
    check_rows(table, faults, skip_bad=skip_bad)
    return table, own


def understand(table: Table, choice: Choice = ANY, *, like: OwnTexts | None = None, skip_bad: bool = False) -> OwnTexts:
    """The labelled examples of a table.

    Args:
        table: a file's rows.
        choice: columns and kind as far as they are given; not looked at with `like`.
        like: what a first file was understood as: this one is read with its columns, kind and labels.
        skip_bad: leave rows out that have no text or no usable label, and count them.

    Raises:
        TableError: rows without a text or a usable label, all of them in one error.
        InputError: a column is missing or in doubt, or the labels cannot be read as asked.
    """
    if choice.kind not in KINDS:
        raise InputError(f"--kind={choice.kind} is not known; there are {', '.join(KINDS)}")
    choice, said = _columns(table, choice, like)
    first, second, faults = _texts(table, choice)
    plan = _plan(table, choice, like)
    found = _labels(table, choice, plan, like)
    named, ids = _ids(table, choice)
    grouped, groups = _groups(table, choice)
    faults += found.faults + named + grouped
    if faults and not skip_bad:
        raise TableError(table.path, faults)
    bad = {fault.line for fault in faults}
    kept = [i for i, line in enumerate(table.lines) if line not in bad]
    if not kept:
        raise InputError(f"{table.path}: no usable row: {left_out(faults)[0]}")
    values = [value for i in kept if (value := found.values[i]) is not None]
    task = like.task if like is not None else _task(plan.kind, _names(choice, plan.kind, values))
    examples = Examples(
        texts_a=[first[i] for i in kept],
        texts_b=None if second is None else [second[i] for i in kept],
        labels=_array(plan.kind, task.labels, values),
        ids=[ids[i] for i in kept],
        n_skipped=table.n_bad + len(bad),
        groups=None if groups is None else _numbered([groups[i] for i in kept]),
    )
    said = (*said, *_labels_said(plan, values), *left_out(faults))
    lines = tuple(table.lines[i] for i in kept)
    return OwnTexts(examples, task, choice._replace(kind=plan.kind, separator=plan.separator), said, lines, table.path)


def _columns(table: Table, choice: Choice, like: OwnTexts | None) -> tuple[Choice, tuple[str, ...]]:
    if like is None:
        return find_columns(table, choice)
    choice = like.choice
    for role, names in (("text", choice.text), ("label", choice.label)):
        for name in names:
            if name not in table.columns:
                raise InputError(
                    f"{table.path}: no column {shown(name)}, which {like.path} has as its {role};"
                    f" there are {', '.join(table.columns)}"
                )
    # A further file need not say which rows belong together: nothing of it is split.
    group = choice.group if choice.group in table.columns else ""
    choice = choice._replace(group=group, id=choice.id if choice.id in table.columns else "")
    return find_columns(table, choice, given="as in the first file")


def _texts(table: Table, choice: Choice) -> tuple[list[str], list[str] | None, list[Fault]]:
    """First texts, second texts of a pair, and the rows that lack one."""
    columns = [table.column(name) for name in choice.text]
    faults: list[Fault] = []
    texts: list[list[str]] = [[] for _ in columns]
    for line, *cells in zip(table.lines, *columns, strict=True):
        found = [cell if isinstance(cell, str) else "" for cell in cells]
        empty = [name for name, text in zip(choice.text, found, strict=True) if not text.strip()]
        lists = [name for name, cell in zip(choice.text, cells, strict=True) if isinstance(cell, tuple)]
        if lists:
            faults.append(Fault(line, f"a list in column {lists[0]}; expected a text"))
        elif empty and (not choice.join or len(empty) == len(cells)):
            faults.append(Fault(line, f"column {empty[0]} is empty; expected a text"))
        for column, text in zip(texts, found, strict=True):
            column.append(text)
    if choice.join:
        return [" ".join(part for part in parts if part.strip()) for parts in zip(*texts, strict=True)], None, faults
    return texts[0], texts[1] if len(texts) == 2 else None, faults


def _plan(table: Table, choice: Choice, like: OwnTexts | None) -> Plan:
    """How the labels are read: as those of the first file, or as what they look like."""
    first, *others = choice.label
    if others:
        if choice.kind not in ("auto", "multilabel") or choice.separator:
            flag = "--separator" if choice.separator else f"--kind={choice.kind}"
            raise InputError(
                f"{table.path}: {flag} does not fit several label columns, which hold 0 and 1; leave it out"
            )
        return Plan("multilabel", "", False, f"several labels a row, in columns: {', '.join(choice.label)}")
    values = table.column(first)
    if like is not None and like.task.kind == "multilabel":
        return Plan("multilabel", choice.separator, False, "several labels a row, read as those of the first file")
    try:
        if like is not None:
            return reading.infer(values, like.task.kind, "", asked="as in the first file")
        return reading.infer(values, choice.kind, choice.separator)
    except ValueError as error:
        raise InputError(f"{table.path}: column {first}: {error}") from None


def _labels(table: Table, choice: Choice, plan: Plan, like: OwnTexts | None) -> _Labelled:
    known = None if like is None or not like.task.labels else set(like.task.labels)
    columns = [table.column(name) for name in choice.label]
    found = _Labelled([], [])
    for line, *cells in zip(table.lines, *columns, strict=True):
        try:
            value = _switched(choice.label, cells) if len(cells) > 1 else _label(cells[0], plan)
            if known is not None:
                _check_known(value, known)
        except ValueError as error:
            found.faults.append(Fault(line, str(error)))
            value = None
        found.values.append(value)
    return found


def _switched(names: Sequence[str], cells: Sequence[Cell]) -> tuple[str, ...]:
    """The names of the columns that are 1 in a row."""
    for name, cell in zip(names, cells, strict=True):
        if not isinstance(cell, str):
            raise ValueError(f"a list in column {name}; expected 0 or 1")
    pairs = zip(names, cells, strict=True)
    return tuple(name for name, cell in pairs if isinstance(cell, str) and reading.parse_switch(name, cell))


def _label(cell: Cell, plan: Plan) -> Value:
    if plan.kind == "multilabel":
        return reading.several(cell, plan.separator)
    if isinstance(cell, tuple):
        if len(cell) != 1:
            raise ValueError(f"a list of {len(cell)} labels; expected one, or say --kind=multilabel")
        cell = cell[0]
    if not cell.strip():
        raise ValueError("no label; expected " + ("a number" if plan.kind == "regression" else "the name of a class"))
    if plan.kind == "regression":
        return reading.parse_number(cell.strip(), plan.decimal_comma)
    name = cell.strip()
    if not name.isprintable() and any(unicodedata.category(letter) == "Cc" for letter in name):
        raise ValueError(f"label {shown(name)} has a line break or another control character in it; expected a name")
    return name


def _check_known(value: Value, known: set[str]) -> None:
    for name in _several(value):
        if name not in known:
            there = reading.listed(sorted(known))
            raise ValueError(f"label {shown(name)} is none of the first file's; expected one of {there}")


def _ids(table: Table, choice: Choice) -> tuple[list[Fault], list[str]]:
    """Faults, and what names each row: a column, or file and line."""
    if not choice.id:
        file = Path(table.path).name
        return [], [f"{file}:{line}" for line in table.lines]
    seen: dict[str, int] = {}
    faults: list[Fault] = []
    for line, cell in zip(table.lines, table.column(choice.id), strict=True):
        name = cell.strip() if isinstance(cell, str) else ""
        if not name:
            faults.append(Fault(line, f"column {choice.id} is empty; expected a name of the row"))
        elif name in seen:
            faults.append(Fault(line, f"{choice.id} {shown(name)} is that of line {seen[name]} too; give each its own"))
        seen.setdefault(name, line)
    return faults, [cell.strip() if isinstance(cell, str) else "" for cell in table.column(choice.id)]


def _groups(table: Table, choice: Choice) -> tuple[list[Fault], list[str] | None]:
    if not choice.group:
        return [], None
    cells = [cell.strip() if isinstance(cell, str) else ",".join(cell) for cell in table.column(choice.group)]
    empty = [line for line, cell in zip(table.lines, cells, strict=True) if not cell]
    return [Fault(line, f"column {choice.group} is empty; expected the name of a group") for line in empty], cells


def _numbered(groups: list[str]) -> np.ndarray:
    """int32 [N], groups numbered in the order of their names."""
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.int32)


def _names(choice: Choice, kind: Kind, values: Sequence[Value]) -> tuple[str, ...]:
    """The labels in their order."""
    if kind == "regression":
        return ()
    if len(choice.label) > 1:
        return tuple(sorted(choice.label))
    return reading.class_names([name for value in values for name in _several(value)])


def _several(value: Value) -> tuple[str, ...]:
    """The classes of a row: one, several, or none where it is a number."""
    if isinstance(value, str):
        return (value,)
    return value if isinstance(value, tuple) else ()


def _task(kind: Kind, labels: tuple[str, ...]) -> Task:
    metric = METRICS[kind]
    return Task("texts", kind, labels, None, "", selection_metric=metric, report_metric=metric)


def _array(kind: Kind, labels: tuple[str, ...], values: Sequence[Value]) -> np.ndarray:
    """Labels as `Examples` has them."""
    if kind == "multilabel":
        return reading.many_hot([_several(value) for value in values], labels)
    if kind == "regression":
        return np.array(values, np.float32)
    place = {name: index for index, name in enumerate(labels)}
    return np.array([place[str(value)] for value in values], np.int32)


def _labels_said(plan: Plan, values: Sequence[Value]) -> list[str]:
    n_none = sum(value == () for value in values)
    none = [f"{counted(n_none, 'row')} without any label, read as none of them"] if n_none else []
    return [f"labels: {plan.said}", *none]
