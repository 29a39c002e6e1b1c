"""What a target makes of what a reader gives: a result, an InputError that is a line, or a fault."""

import atexit
import os
import shutil
import tempfile
import unicodedata
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from stablefit.data.tables.rows import TableError
from stablefit.errors import InputError

PLACE = Path(tempfile.mkdtemp(prefix="stablefit-fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
atexit.register(shutil.rmtree, PLACE, ignore_errors=True)

_CONTROL = {"Cc", "Cs", "Zl", "Zp"}


def said(call: Callable[[], Any], *places: object) -> Any:
    """What a call gives; None for an InputError, which must be one line that prints and holds one of the places."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of Python's own, on a regular expression
            return call()
    except InputError as error:
        check_line(str(error), places)
        if isinstance(error, TableError):
            for line in error.listing():
                check_prints(line)
        return None


def check_line(text: str, places: Iterable[object]) -> None:
    """A message as a terminal can take it, with one of the places in it."""
    assert text, "the message is empty"
    check_prints(text)
    assert any(str(place) in text for place in places), f"the message names none of {[*map(str, places)]}: {text!r}"


def check_prints(text: str) -> None:
    assert not _CONTROL.intersection(map(unicodedata.category, text)), f"is not one line that prints: {text!r}"


def written(name: str, content: bytes) -> Path:
    """A file of this content."""
    file = PLACE / name
    file.write_bytes(content)
    return file


def choice(data: bytes, among: list[Any]) -> tuple[Any, bytes]:
    """One of the values, as the first byte says, and the other bytes."""
    return among[(data[0] if data else 0) % len(among)], data[1:]
