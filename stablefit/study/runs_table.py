"""runs.csv of a packed study: a row a run, every field flat, and every value as it was.

An inner field has its outer one before it (`test_best.accuracy`), and `NA` stands where a run has no such field. What
JSON can read is JSON: numbers, true and false, null, lists; a text that JSON would read as something else, or that does
not fit a line, is written in JSON's quotes.
"""

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stablefit.errors import InputError

REMEDY = "put back a copy of the file"
_ABSENT = "NA"


def flat(row: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a row, inner ones named `outer.inner`; what could not be told apart by a dot stays as it is."""
    for name, value in row.items():
        if isinstance(value, dict) and value and not any("." in inner for inner in value):
            yield from flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The row whose fields `flat` gave.

    Raises:
        TypeError, AttributeError: a field has two values, or is a value and holds fields too.
    """
    row: dict[str, Any] = {}
    for name, value in fields.items():
        *outer, last = name.split(".")
        place = row
        for part in outer:
            place = place.setdefault(part, {})
        if last in place:
            raise TypeError(name)
        place[last] = value
    return row


def write(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes flat rows; a row's columns are those of all, the fields of its config last."""
    found = dict.fromkeys(name for row in rows for name in row)
    names = sorted(found, key=lambda name: name if name.startswith("config.") else "") or ["cell"]
    with file.open("w", encoding="utf-8", errors="surrogatepass", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(map(_text, names))
        writer.writerows([_text(row[name]) if name in row else _ABSENT for name in names] for row in rows)
        opened.flush()
        os.fsync(opened.fileno())


def _text(value: Any) -> str:
    """A value as a field of runs.csv."""
    if isinstance(value, str) and value != _ABSENT and value.isprintable() and _value(value) == value:
        return value
    return json.dumps(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def read(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number of the line and fields of each run, flat.

    Raises:
        InputError: a line is damaged; by its number.
    """
    number = 1
    try:
        with file.open(encoding="utf-8", errors="surrogatepass", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            names = [str(_value(text)) for text in next(reader, [])]
            if "cell" not in names or len(set(names)) < len(names):
                raise InputError(f"{file}:1: is no header of runs: no column cell, or one twice; {REMEDY}")
            for number, fields in enumerate(reader, start=2):
                if len(fields) != len(names):
                    raise InputError(f"{file}:{number}: has {len(fields)} fields, the header {len(names)}; {REMEDY}")
                pairs = zip(names, fields, strict=True)
                yield number, {name: _value(text) for name, text in pairs if text != _ABSENT}
    except csv.Error as error:
        raise InputError(f"{file}:{number + 1}: is no line of a table ({error}); {REMEDY}") from None
    except UnicodeDecodeError:
        raise InputError(f"{file}: is not UTF-8; {REMEDY}") from None
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from None
