"""Documents with entities as JSON: an object a line, or an array of them, as `entities` or as Prodigy's `spans`."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stablefit.data.readers import read_text
from stablefit.data.tables import json_rows, prodigy
from stablefit.errors import InputError

ENTITIES = "entities"
_START = re.compile(rb'\s*(?:\[\s*)?\{\s*"')
_STARTS_ARRAY = re.compile(r"\s*\[\s*")
_BETWEEN = re.compile(r"[\s,]*")
_DECODER = json.JSONDecoder()


def begin(start: bytes) -> bool:
    """Whether a file that starts so, behind a byte order mark, holds objects."""
    return _START.match(start) is not None


def hold_entities(start: str) -> bool:
    """Whether the objects that a file starts with are documents with entities, as the first that says so tells."""
    for row in _first(start):
        if not isinstance(row, dict):
            return False
        name = field(row)
        if name in row:
            there = row[name]
            labelled = "label" in row or prodigy.CHOSEN in row
            return isinstance(there, list) and not labelled and all(isinstance(one, dict) for one in there)
        if not prodigy.is_task(row):
            return False
    return False


def _first(start: str) -> Iterator[Any]:
    """The objects that can be read in the start of a file; nothing behind one that cannot be, as one that is cut."""
    array = _STARTS_ARRAY.match(start)
    try:
        if array is None:
            yield from map(json.loads, filter(str.strip, start.split("\n")))
        at = array.end() if array else len(start)
        while at < len(start):
            found, at = _DECODER.raw_decode(start, at)
            at = _BETWEEN.match(start, at).end()  # pyright: ignore[reportOptionalMemberAccess]
            yield found
    except (ValueError, RecursionError):
        return


def field(row: Mapping[str, Any]) -> str:
    """The name of the field that holds the entities."""
    return prodigy.SPANS if ENTITIES not in row and prodigy.SPANS in row else ENTITIES


def rows(path: Path) -> Iterator[tuple[int, Any]]:
    """The line and the object of each document; of a line that is no JSON an InputError in place of the object.

    Prodigy's tasks that were declined are left out.

    Raises:
        InputError: the file cannot be read, or is a broken array.
    """
    for number, row in _every(path):
        if not (isinstance(row, dict) and prodigy.is_declined(row)):
            yield number, row


def n_declined(path: Path) -> int:
    """How many of Prodigy's tasks are left out."""
    return sum(isinstance(row, dict) and prodigy.is_declined(row) for _, row in _every(path))


def _every(path: Path) -> Iterator[tuple[int, Any]]:
    text = read_text(path)
    if _STARTS_ARRAY.match(text):
        yield from json_rows.array(str(path), text, _DECODER)
        return
    # Only a newline ends a line: str.splitlines would also cut at the U+2028 that texts hold.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, InputError(f"not JSON: {error}")


def described(path: Path) -> str:
    """What a file is, in words."""
    what = "a JSON array" if _STARTS_ARRAY.match(read_text(path)) else "JSON lines"
    name = next((field(row) for _, row in rows(path) if isinstance(row, dict) and field(row) in row), ENTITIES)
    return f"{what} with text and {name}"
