"""A file as people have it -> a table of texts: CSV, TSV, JSON lines, Parquet, Excel; what was found is said."""

import dataclasses
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from stablefit.data.tables import delimited, dialect, json_rows, spreadsheets
from stablefit.data.tables.rows import Cell, Fault, Raw, Row, TableError, counted, left_out, shown
from stablefit.errors import InputError

STANDARD_INPUT = "-"

_SUFFIXES = {
    ".csv": "delimited",
    ".tsv": "delimited",
    ".tab": "delimited",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "excel",
    ".xlsm": "excel",
}
_STARTS = {b"PAR1": "parquet", b"PK\x03\x04": "excel"}
_UNREADABLE = {  # how files start that are no table, and what to do with them
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls), or one with a password; save it as .xlsx without a password",
    b"%PDF": "a PDF; give a table, such as CSV",
    b"\x1f\x8b": "compressed by gzip; unpack it first: gunzip",
    b"BZh": "compressed by bzip2; unpack it first: bunzip2",
    b"\xfd7zXZ": "compressed by xz; unpack it first: unxz",
    b"(\xb5/\xfd": "compressed by zstd; unpack it first: unzstd",
    b"{\\rtf": "a text document (RTF); give a table, such as CSV",
    b"\x89PNG": "a picture; give a table, such as CSV",
    b"\xff\xd8\xff": "a picture; give a table, such as CSV",
    b"ARROW1": "an Arrow file; write it as Parquet",
    b"SQLite format 3": "a database; give a table, such as CSV",
    b"<!DOCTYPE": "a web page; give a table, such as CSV",
    b"<html": "a web page; give a table, such as CSV",
    b"<?xml": "XML; give a table, such as CSV",
}


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of texts under named columns.

    Args:
        path: the file's name as messages give it.
        columns: names, each once.
        rows: N rows of one cell a column; a cell is a text, or a list of texts where the file has lists.
        lines: the line each row starts on, counted from 1; the row's number in Excel and Parquet.
        found: sentences on what the file is.
        n_bad: rows left out as faulty.
    """

    path: str
    columns: tuple[str, ...]
    rows: list[Row]
    lines: list[int]
    found: tuple[str, ...]
    n_bad: int = 0

    def column(self, name: str) -> list[Cell]:
        """The cells of a column that is there."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def read_table(path: str | Path, *, skip_bad: bool = False) -> Table:
    """The table in a file, whose format its content and its suffix tell; its name may be any.

    Args:
        path: a file, or `-` for standard input.
        skip_bad: leave rows out that cannot be read, and count them.

    Raises:
        TableError: rows that cannot be read, all of them in one error.
        InputError: no such file, no table in it, or no library for it.
    """
    table, faults = load(path)
    check_rows(table, faults, skip_bad=skip_bad)
    return table


def check_rows(table: Table, faults: Sequence[Fault], *, skip_bad: bool) -> None:
    """Raises what `read_table` does of rows that cannot be read, or if no row is left."""
    if faults and not skip_bad:
        raise TableError(table.path, faults)
    if not table.rows:
        rest = f": {left_out(faults)[0]}" if faults else ""
        raise InputError(f"{table.path}: no rows below the header{rest}; expected one example a row")


def load(path: str | Path) -> tuple[Table, list[Fault]]:
    """The rows of a file that can be read, perhaps none, and the faults of the others.

    Raises:
        InputError: no such file, no table in it, or no library for it.
    """
    name, suffix, content = _content(path)
    raw = _raw(name, suffix, content)
    for column in raw.columns:
        if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in column):
            raise InputError(f"{name}: the name {shown(column)} of a column holds what does not print; write it again")
    faults = list(raw.faults)
    rows: list[Row] = []
    lines: list[int] = []
    n_empty = 0
    for line, row in zip(raw.lines, raw.rows, strict=True):
        if not any(cell.strip() if isinstance(cell, str) else cell for cell in row):
            n_empty += 1
        elif (fault := _unusable(raw.columns, row)) is not None:
            faults.append(Fault(line, fault))
        else:
            rows.append(row)
            lines.append(line)
    found = [*raw.found, f"{counted(len(rows), 'row')}, {counted(len(raw.columns), 'column')}", *left_out(faults)]
    if n_empty:
        found.append(f"{counted(n_empty, 'empty row')} left out")
    return Table(name, raw.columns, rows, lines, tuple(found), len({fault.line for fault in faults})), faults


def _content(path: str | Path) -> tuple[str, str, bytes]:
    """The name for messages, the suffix in lower case, and the bytes."""
    if str(path) == STANDARD_INPUT:
        name, suffix, content = "standard input", "", sys.stdin.buffer.read()
    else:
        name, suffix = str(path), Path(path).suffix.lower()
        try:
            content = Path(path).expanduser().read_bytes()
        except FileNotFoundError:
            raise InputError(f"{name}: no such file") from None
        except IsADirectoryError:
            raise InputError(f"{name}: is a folder; give a file, such as {name.rstrip('/')}/train.csv") from None
        except (OSError, ValueError, RuntimeError) as error:  # also a NUL in the name, or no home folder
            reason = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"{name!r}: cannot be read: {reason}") from None
    if not content.strip():
        raise InputError(f"{name}: the file is empty; expected a header and one example a row")
    return name, suffix, content


def _raw(name: str, suffix: str, content: bytes) -> Raw:
    """The rows, read as what the file is. How a binary file starts says more than its name."""
    for start, what in _UNREADABLE.items():
        if content.startswith(start):
            raise InputError(f"{name}: is {what}")
    starts = [form for start, form in _STARTS.items() if content.startswith(start)]
    form = starts[0] if starts else _SUFFIXES.get(suffix, "")
    if form in ("parquet", "excel"):
        if not starts:
            title = "Excel workbook" if form == "excel" else "Parquet file"
            raise InputError(f"{name}: is named {suffix} but is no {title}; give the file the name of what it is")
        return (spreadsheets.read_excel if form == "excel" else spreadsheets.read_parquet)(name, content)
    text, encoding = dialect.decode(name, content)
    if not text.strip():
        raise InputError(f"{name}: the file is empty; expected a header and one example a row")
    as_json = form == "json" or (form == "" and json_rows.looks_like_json(text))
    raw = json_rows.read(name, text) if as_json else delimited.read(name, text, suffix)
    return raw._replace(found=[f"{raw.found[0]}, {encoding}", *raw.found[1:]])


def _unusable(columns: tuple[str, ...], row: Row) -> str | None:
    """What no tokenizer and no output file could take, if a cell holds it."""
    for column, cell in zip(columns, row, strict=True):
        for text in (cell,) if isinstance(cell, str) else cell:
            if "\0" in text:
                return f"NUL character in column {column}; remove it"
            if text.isascii():
                continue
            try:
                text.encode()
            except UnicodeEncodeError as error:
                letter = ord(text[error.start])
                if 0xDC80 <= letter <= 0xDCFF:
                    return f"byte 0x{letter - 0xDC00:02x} in column {column} is not UTF-8; write the letter again"
                return f"half of a character (\\u{letter:04x}) in column {column}; write it whole"
    return None
