"""Which columns hold the text and the label: as given, or by their names, or by what is in them."""

import difflib
from collections.abc import Sequence
from typing import NamedTuple

from stablefit.data.tables.names import IDS, LABELS, PAIRS, TEXTS, is_number, plain
from stablefit.data.tables.rows import Cell, shown
from stablefit.data.tables.table import Table
from stablefit.errors import InputError

_MOST_LOOKED_AT = 2000  # rows that show what a column holds
_MOST_CLASSES = 200  # distinct values of a column that can be taken for labels without a telling name
_TIMES_LONGER = 1.5  # than the next: what makes the longest column of texts the text


class Choice(NamedTuple):
    """Which columns are what; empty fields are found.

    Args:
        text: one column; two are a pair; more are joined.
        join: the text columns are joined to one text, with a space between.
        label: one column, or several of zeros and ones.
        group: rows with one value of it belong together.
        id: what names a row.
        kind: classification, regression, multilabel, or auto: found from the labels.
        separator: what stands between several labels of a row.
    """

    text: tuple[str, ...] = ()
    join: bool = False
    label: tuple[str, ...] = ()
    group: str = ""
    id: str = ""
    kind: str = "auto"
    separator: str = ""


ANY = Choice()


def find_columns(table: Table, choice: Choice, given: str = "as given") -> tuple[Choice, tuple[str, ...]]:
    """The choice with its columns filled in, and sentences on how they were found.

    Args:
        given: what is said of the columns that the choice names.

    Raises:
        InputError: a given column is not there or is given twice, or the file leaves open which one is meant.
    """
    _check_given(table, choice)
    said: list[str] = []
    text, join = choice.text, choice.join or len(choice.text) > 2
    if not text:
        text, how = _find_text(table, choice)
        said.append(_text_said(text, join, how))
    else:
        said.append(_text_said(text, join, given))
    if join and len(text) == 1:
        raise InputError(f"{table.path}: --join joins several columns, but the text is {text[0]}; name all by --text")
    label, how = (choice.label, given) if choice.label else _find_label(table, choice._replace(text=text))
    said.append(f"label: column{'s' if len(label) > 1 else ''} {', '.join(label)} ({how})")
    name = choice.id or _find_id(table, {*text, *label, choice.group})
    if name:
        said.append(f"rows are named by column {name}")
    if choice.group:
        said.append(f"rows with the same {choice.group} are kept together")
    unused = [column for column in table.columns if column not in {*text, *label, choice.group, name}]
    if unused:
        said.append(f"not used: {', '.join(unused)}")
    return choice._replace(text=text, join=join, label=label, id=name), tuple(said)


def _check_given(table: Table, choice: Choice) -> None:
    roles = [("text", name) for name in choice.text] + [("label", name) for name in choice.label]
    roles += [(role, name) for role, name in (("group", choice.group), ("id", choice.id)) if name]
    taken: dict[str, str] = {}
    for role, name in roles:
        if name not in table.columns:
            near = difflib.get_close_matches(name, table.columns, n=1) or [
                column for column in table.columns if plain(column) == plain(name)
            ]
            meant = f"; did you mean {shown(near[0])}?" if near else ""
            raise InputError(f"{table.path}: no column {shown(name)} for --{role}{meant}; {_there_are(table)}")
        if name in taken:
            first, both = taken[name], role != taken[name]
            where = f"as --{first} and as --{role}" if both else f"twice as --{role}"
            raise InputError(f"{table.path}: column {shown(name)} is given {where}; give it once")
        taken[name] = role


def _there_are(table: Table) -> str:
    return f"there are {', '.join(table.columns)}"


def _text_said(text: Sequence[str], join: bool, how: str) -> str:
    if len(text) == 1:
        return f"text: column {text[0]} ({how})"
    what = "joined to one text" if join else "a pair of texts"
    return f"text: columns {', '.join(text)}, {what} ({how})"


def _find_text(table: Table, choice: Choice) -> tuple[tuple[str, ...], str]:
    """The text columns, and how they were found."""
    taken = {*choice.label, choice.group, choice.id}
    named = {plain(column): column for column in table.columns if column not in taken and _may_be_text(table, column)}
    for first, second in PAIRS:
        if first in named and second in named:
            return (named[first], named[second]), "by their names"
    for names in TEXTS:
        found = [named[name] for name in names if name in named]
        if len(found) > 1:
            raise _open_text(table, found)
        if found:
            return tuple(found), "by its name"
    if len(table.columns) - len(taken & set(table.columns)) == 1:
        return tuple(column for column in table.columns if column not in taken), "the only one left"
    label_names = {name for names in LABELS for name in names}
    lengths = sorted(
        (
            (_mean_length(table, column), column)
            for name, column in named.items()
            if name not in label_names and _is_text(table, column)
        ),
        reverse=True,
    )
    if not lengths:
        raise InputError(f"{table.path}: no column of texts found; {_there_are(table)}; give --text=COLUMN")
    near = [column for length, column in lengths if length * _TIMES_LONGER > lengths[0][0]]
    near = [column for column in near if not _repeats(table, column)] or near
    if len(near) > 1:
        raise _open_text(table, near)
    return (near[0],), "the longest texts"


def _open_text(table: Table, found: list[str]) -> InputError:
    # In the order of the file, which is that of a title before a body.
    found = [column for column in table.columns if column in found]
    return InputError(
        f"{table.path}: the text may be column {' or '.join(found)}; give --text={found[0]}, or several:"
        f" --text={','.join(found[:2])} for a pair, with --join for one text"
    )


def _find_label(table: Table, choice: Choice) -> tuple[tuple[str, ...], str]:
    """The label column, and how it was found."""
    taken = {*choice.text, choice.group, choice.id}
    named = {plain(column): column for column in table.columns if column not in taken}
    for names in LABELS:
        found = [named[name] for name in names if name in named]
        if len(found) > 1:
            raise _open_label(table, found)
        if found:
            return tuple(found), "by its name"
    found = [column for name, column in named.items() if name not in IDS and _may_be_label(table, column)]
    if len(found) > 1:
        raise _open_label(table, found)
    if not found:
        flag = "give --label=COLUMN" if named else "add a column of labels"
        raise InputError(f"{table.path}: no column of labels found; {_there_are(table)}; {flag}")
    return tuple(found), "by its values"


def _open_label(table: Table, found: list[str]) -> InputError:
    found = [column for column in table.columns if column in found]
    return InputError(
        f"{table.path}: the label may be column {' or '.join(found)}; give --label={found[0]},"
        f" or --label={','.join(found)} if they are several labels of 0 and 1"
    )


def _find_id(table: Table, taken: set[str]) -> str:
    """A column with the name of one, whose values are all there and all different."""
    for column in table.columns:
        if plain(column) in IDS and column not in taken:
            values = table.column(column)
            if all(isinstance(value, str) and value.strip() for value in values) and len(set(values)) == len(values):
                return column
    return ""


def _sample(table: Table, column: str) -> list[Cell]:
    return table.column(column)[:_MOST_LOOKED_AT]


def _may_be_text(table: Table, column: str) -> bool:
    """Whether not all cells are empty or numbers; a column with a telling name may have gaps."""
    return any(isinstance(cell, tuple) or (cell.strip() and not _is_numeric(cell)) for cell in table.column(column))


def _is_text(table: Table, column: str) -> bool:
    """Whether most cells are neither empty nor a number nor a list."""
    cells = _sample(table, column)
    return sum(isinstance(c, str) and bool(c.strip()) and not _is_numeric(c) for c in cells) > len(cells) / 2


def _is_numeric(value: str) -> bool:
    """Whether it is a number with a decimal point or a decimal comma."""
    return is_number(value.replace(",", "."))


def _mean_length(table: Table, column: str) -> float:
    cells = _sample(table, column)
    return sum(len(cell) for cell in cells) / len(cells)


def _repeats(table: Table, column: str) -> bool:
    """Whether most cells have been there before, as names of classes do and texts do not."""
    cells = _sample(table, column)
    return len(set(cells)) <= len(cells) / 2


def _may_be_label(table: Table, column: str) -> bool:
    """Whether values come again and again, or are lists, or numbers that count nothing."""
    cells = table.column(column)
    if any(isinstance(cell, tuple) for cell in cells):
        return True
    values = {cell.strip() for cell in cells if isinstance(cell, str)} - {""}
    if len(values) < 2:
        return False
    if all(_is_numeric(value) for value in values) and any(not value.lstrip("+-").isdigit() for value in values):
        return True
    return len(values) <= min(_MOST_CLASSES, max(2, len(cells) / 2))
