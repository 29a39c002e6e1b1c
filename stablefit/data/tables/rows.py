"""Rows as a file gives them, and all that is wrong with a file, said together."""

from collections.abc import Sequence
from typing import NamedTuple

from stablefit.errors import InputError, printed

Cell = str | tuple[str, ...]  # a tuple is a list of a JSON or Parquet file: several labels
Row = tuple[Cell, ...]

_MOST_SHOWN = 40  # characters of a value in a message


class Fault(NamedTuple):
    """What is wrong with the row that starts on a line, and what would be right."""

    line: int
    what: str


class Raw(NamedTuple):
    """What a format's reader found: rows that fit the header, and faults of those that do not."""

    columns: tuple[str, ...]
    rows: list[Row]
    lines: list[int]
    found: list[str]
    faults: list[Fault]


class TableError(InputError):
    """All faults of a table. Its text is one line: the first fault, and how many more there are.

    Args:
        name: the file.
        found: at least one fault.
    """

    def __init__(self, name: str, found: Sequence[Fault]):
        self.found = tuple(sorted(found))
        self.faults = tuple(printed(f"{name}:{fault.line}: {fault.what}") for fault in self.found)
        more = len(self.faults) - 1
        rest = f"; and {more} more fault{'s' if more > 1 else ''}" if more else ""
        super().__init__(self.faults[0] + rest)

    def listing(self, most: int = 20) -> list[str]:
        """The first faults in full, and a line that counts the others."""
        rest = len(self.faults) - most
        return [*self.faults[:most], *([f"and {rest} more"] if rest > 0 else [])]


def left_out(faults: Sequence[Fault]) -> list[str]:
    """The sentence that counts rows left out for their faults; none if there are none."""
    lines = sorted({fault.line for fault in faults})
    if not lines:
        return []
    first = min(faults)
    return [f"{counted(len(lines), 'row')} left out as faulty, the first on line {first.line} ({first.what})"]


def shown(value: object) -> str:
    """A value as messages show it: quoted, on one line, not too long."""
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= _MOST_SHOWN else text[: _MOST_SHOWN - 3] + "...")


def counted(n: int, noun: str, many: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(2000, "row"), counted(2, "class", "classes")
    ('1 row', '2,000 rows', '2 classes')
    """
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"
