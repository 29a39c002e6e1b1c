"""JSON lines, and a JSON array of objects -> rows; a missing key or null is an empty cell."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from stablefit.data.tables.dialect import split_lines
from stablefit.data.tables.rows import Cell, Fault, Raw, shown
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
        return _table(_array(name, text), "JSON array")
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


def _array(name: str, text: str) -> Iterator[tuple[int, Any]]:
    """The line each element starts on, and the element. Behind an error nothing can be told apart: it ends the file."""
    at = _skip(text, text.index("[") + 1)
    line = text.count("\n", 0, at) + 1
    while at < len(text) and text[at] != "]":
        try:
            found, end = _DECODER.raw_decode(text, at)
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


def _table(objects: Iterator[tuple[int, Any]], title: str) -> Raw:
    columns: dict[str, None] = {}
    kept: list[tuple[int, dict[str, Cell]]] = []
    faults: list[Fault] = []
    for line, found in objects:
        try:
            cells = _cells(found)
        except ValueError as error:
            faults.append(Fault(line, str(error)))
            continue
        columns |= dict.fromkeys(cells)
        kept.append((line, cells))
    return Raw(
        columns=tuple(columns),
        rows=[tuple(cells.get(column, "") for column in columns) for _, cells in kept],
        lines=[line for line, _ in kept],
        found=[title],
        faults=faults,
    )


def _cells(found: Any) -> dict[str, Cell]:
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


def _cell(key: str, value: Any) -> Cell:
    if isinstance(value, list):
        if not all(isinstance(piece, str | bool) for piece in value):
            raise ValueError(f"field {shown(key)} is a list with more than texts and numbers in it; expected labels")
        return tuple(_scalar(piece) for piece in value)
    if isinstance(value, dict):
        raise ValueError(f"field {shown(key)} is an object; expected a text, a number, or a list of labels")
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
