"""JSON lines, and a JSON array of objects -> rows; a missing key or null is an empty cell.

A field that holds nothing but objects is left aside.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from stablefit.data.tables import prodigy
from stablefit.data.tables.dialect import split_lines
from stablefit.data.tables.names import is_known
from stablefit.data.tables.rows import Cell, Fault, Raw, Row, counted, shown
from stablefit.errors import InputError

_BLANK = " \t\r\n"


def looks_like_json(text: str) -> bool:
    """Whether a file without a telling name is JSON lines or an array: what its first object shows."""
    start = text.lstrip(_BLANK)
    if start.startswith("["):
        return start[1:].lstrip(_BLANK).startswith("{")
    if not start.startswith("{"):
        return False
    try:
        return isinstance(json.loads(start.split("\n", 1)[0]), dict)
    except (ValueError, RecursionError):
        return False


def read(name: str, text: str) -> Raw:
    """The objects of a file, one a line or in one array. Numbers stay as they are written.

    Raises:
        InputError: an array that is broken, or a single object over several lines.
    """
    start = text.lstrip(_BLANK)
    if start.startswith("["):
        return _table(array(name, text), "JSON array")
    first_line = start.split("\n", 1)[0].strip()
    if first_line == "{" and "\n" in start:
        line = text[: len(text) - len(start)].count("\n") + 1
        raise InputError(f"{name}:{line}: one JSON object over several lines; write one object a line, or an array")
    return _table(_lines(text), "JSON lines")


def _lines(text: str) -> Iterator[tuple[int, Any]]:
    """The line and the object of each line, or a Fault's text in a ValueError."""
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip():
            continue
        try:
            yield number, _DECODER.decode(line.strip(_BLANK))
        except (ValueError, RecursionError) as error:
            yield number, ValueError(f"not JSON ({_reason(error)}); write one object a line")


def array(name: str, text: str, decoder: json.JSONDecoder | None = None) -> list[tuple[int, Any]]:
    """The line each element of an array starts on, and the element; its place, from 1, where lines have several.

    Args:
        name: for messages.
        decoder: of elements; None: that of tables, whose numbers stay as they are written.

    Raises:
        InputError: the array is broken. Behind an error nothing can be told apart: it ends the file.
    """
    found = list(_elements(name, text, decoder or _DECODER))
    if len({line for line, _ in found}) < len(found):  # what names rows must tell them apart
        found = [(place, one) for place, (_, one) in enumerate(found, start=1)]
    return found


def _elements(name: str, text: str, decoder: json.JSONDecoder) -> Iterator[tuple[int, Any]]:
    at = _skip(text, text.index("[") + 1)
    line = text.count("\n", 0, at) + 1
    while at < len(text) and text[at] != "]":
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}:{line}: not JSON ({_reason(error)}); expected an object of the array") from None
        yield line, found
        behind = _skip(text, end)
        line += text.count("\n", at, behind)
        if text[behind : behind + 1] == ",":
            at = _skip(text, behind + 1)
            line += text.count("\n", behind, at)
            if text[at : at + 1] == "]":
                raise InputError(f"{name}:{line}: a comma before the array's end; remove it")
        elif text[behind : behind + 1] == "]":
            at = behind
        else:
            raise InputError(f"{name}:{line}: the array is not closed; expected a comma or ] after an object")
    if at >= len(text):
        raise InputError(f"{name}:{line}: the array is not closed; expected ]")
    if (rest := _skip(text, at + 1)) < len(text):
        raise InputError(f"{name}:{line}: {shown(text[rest:])} after the array's end; remove it")


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


class _Nested(NamedTuple):
    """A value that no cell can hold, and what to say of it."""

    what: str


def _table(objects: Iterable[tuple[int, Any]], title: str) -> Raw:
    columns: dict[str, None] = {}
    kept: list[tuple[int, dict[str, Cell | _Nested]]] = []
    faults: list[Fault] = []
    found, said = _answered(objects)
    for line, one in found:
        try:
            cells = _cells(one)
        except ValueError as error:
            faults.append(Fault(line, str(error)))
            continue
        columns |= dict.fromkeys(cells)
        kept.append((line, cells))
    aside = _aside(columns, [cells for _, cells in kept])
    names = tuple(column for column in columns if column not in aside)
    if aside:
        said.append(f"not read: {', '.join(aside)}, which {'hold' if len(aside) > 1 else 'holds'} objects")
    rows: list[Row] = []
    lines: list[int] = []
    for line, cells in kept:
        row = [cells.get(column, "") for column in names]
        if nested := next((cell for cell in row if isinstance(cell, _Nested)), None):
            faults.append(Fault(line, nested.what))
            continue
        rows.append(tuple(cell for cell in row if not isinstance(cell, _Nested)))
        lines.append(line)
    return Raw(names, rows, lines, [title, *said], faults)


def _answered(objects: Iterable[tuple[int, Any]]) -> tuple[list[tuple[int, Any]], list[str]]:
    """The objects without Prodigy's tasks that were declined, and what to say of these.

    A rejected label is none. But where all tasks ask after one label, the answer is what there is to learn.
    """
    every = list(objects)
    tasks = [one for _, one in every if isinstance(one, dict) and prodigy.is_task(one)]
    asked = {label for one in tasks if isinstance(label := one.get("label"), str)}
    leave = prodigy.is_ignored if len(asked) == 1 else prodigy.is_declined
    kept = [(line, one) for line, one in every if not (isinstance(one, dict) and leave(one))]
    n = len(every) - len(kept)
    answers = "ignore" if len(asked) == 1 else "reject or ignore"
    return kept, [f"{counted(n, 'row')} left out, whose answer is {answers}"] if n else []


def _aside(columns: Iterable[str], rows: Sequence[Mapping[str, Cell | _Nested]]) -> list[str]:
    """The columns of nothing but objects, which a program has for itself; not those that are known to hold texts."""
    aside = []
    for column in columns:
        cells = [cell for row in rows if (cell := row.get(column, ""))]
        if cells and all(isinstance(cell, _Nested) for cell in cells) and not is_known(column):
            aside.append(column)
    return aside


def _cells(found: Any) -> dict[str, Cell | _Nested]:
    """The cells of an object.

    Raises:
        ValueError: it is none, or holds what no cell can hold.
    """
    if isinstance(found, ValueError):
        raise found
    if not isinstance(found, dict):
        raise ValueError(f'{shown(json.dumps(found))} is no object; expected one such as {{"text": ..., "label": ...}}')
    if not all(key.strip() for key in found):
        raise ValueError("a field has no name; give it one")
    cells = {key.strip(): _cell(key, value) for key, value in found.items()}
    if len(cells) < len(found):
        raise ValueError("two fields have names that differ by spaces only; give each its own")
    return cells


def _cell(key: str, value: Any) -> Cell | _Nested:
    if isinstance(value, list):
        if not all(isinstance(piece, str | bool) for piece in value):
            return _Nested(f"field {shown(key)} is a list with more than texts and numbers in it; expected labels")
        return tuple(_scalar(piece) for piece in value)
    if isinstance(value, dict):
        return _Nested(f"field {shown(key)} is an object; expected a text, a number, or a list of labels")
    return _scalar(value)


def _scalar(value: str | bool | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value).lower()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"field {shown(twice)} is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON; write null where there is no number")


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "too deep"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return str(error)


# Numbers are kept as text: 5.000 stays 5.000, and no integer is too long.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_float=str, parse_int=str, parse_constant=_no_constant)
