"""Comma-, semicolon-, tab- and pipe-separated files -> rows, with the line each starts on."""

import csv
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager

from stablefit.data.tables.dialect import DELIMITERS, Dialect, find_delimiter, split_lines
from stablefit.data.tables.names import is_known, is_number
from stablefit.data.tables.rows import Fault, Raw, shown
from stablefit.errors import InputError

_MOST_RESTARTS = 1000  # behind rows whose quotes do not close; each may read to the end of the file
_LONGEST_NAME = 80


def read(name: str, text: str, suffix: str) -> Raw:
    """The rows of a file with a header.

    Quotes are read as CSV has them. Where that does not fit, the file is read with backslashes before quotes, with
    spaces before quotes, and tab- and pipe-separated files without quotes, and what fits best is taken and said.

    Raises:
        InputError: there is no header, or two columns have one name.
    """
    lines = split_lines(text)
    first = 0
    if delimiter := _excels(lines[0]):
        first = 1
    else:
        while first < len(lines) and not lines[first].strip():
            first += 1
        delimiter = find_delimiter(lines[first:], suffix)
    if first == len(lines):
        raise InputError(f"{name}:1: no header; the first line must name the columns")
    body = lines[first:]
    with _fields_of_any_size():
        dialect, rows, starts, faults = _best(body, delimiter)
    if not rows:
        raise InputError(f"{name}:{first + 1}: no header; {faults[0].what if faults else 'the file is empty'}")
    columns = header(name, starts[0] + first, rows[0], rows[1:])
    again = [Fault(start, "the header again; remove the line") for start, row in _repeats(starts, rows)]
    bad = {fault.line for fault in again}
    kept = [(start, row) for start, row in zip(starts[1:], rows[1:], strict=True) if start not in bad]
    return Raw(
        columns=columns,
        rows=[tuple(row) for _, row in kept],
        lines=[start + first for start, _ in kept],
        found=[_described(dialect)],
        faults=[Fault(fault.line + first, fault.what) for fault in faults + again],
    )


def _excels(line: str) -> str:
    """The delimiter that Excel says in a line of its own, `sep=;`; "" in any other line. A quote is none."""
    stated = line.strip()
    return stated[4] if stated.lower().startswith("sep=") and len(stated) == 5 and stated[4] != '"' else ""


def sniff(lines: list[str], suffix: str) -> tuple[int, Dialect]:
    """How many lines stand in front of the header, and how rows are cut, from a file's first lines."""
    first = 0
    if delimiter := _excels(lines[0]):
        first = 1
    else:
        while first < len(lines) and not lines[first].strip():
            first += 1
        delimiter = find_delimiter(lines[first:], suffix) if first < len(lines) else ""
    with _fields_of_any_size():
        return first, _best(lines[first:], delimiter)[0] if first < len(lines) else Dialect(",")


def _repeats(starts: list[int], rows: list[list[str]]) -> list[tuple[int, list[str]]]:
    """Rows that are the header once more, as where files were put one behind the other."""
    return [(start, row) for start, row in zip(starts[1:], rows[1:], strict=True) if row == rows[0]]


@contextmanager
def _fields_of_any_size() -> Iterator[None]:
    # The csv module refuses fields of more than 131,072 characters, which documents can have.
    before = csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _best(lines: list[str], delimiter: str) -> tuple[Dialect, list[list[str]], list[int], list[Fault]]:
    """The dialect of fewest faults, with the header and the rows that are as wide, and the others' faults."""
    best = None
    for dialect in _candidates(lines, delimiter):
        rows, starts, faults = _parse(lines, dialect)
        # Two stray quotes can join rows to one of the right width. Where lines fit as they are, they are rows, unless
        # the header's names are in quotes too: then quotes are not of the texts.
        fits = not dialect.quoted and dialect.delimiter and not faults and not _in_quotes(rows[0])
        if fits and best is not None and len(rows) != len(best[1]):
            return dialect, rows, starts, faults
        if best is None or len(faults) < len(best[3]):
            best = (dialect, rows, starts, faults)
    assert best is not None
    return best


def _in_quotes(names: list[str]) -> bool:
    return all(len(name) > 1 and name[0] == name[-1] == '"' for name in names)


def _candidates(lines: list[str], delimiter: str) -> list[Dialect]:
    if not delimiter:
        return [Dialect(","), Dialect("", quoted=False)]
    found = [Dialect(delimiter)]
    if any('\\"' in line for line in lines):
        found.append(Dialect(delimiter, escape="\\"))
    if any(f'{delimiter} "' in line for line in lines):
        found.append(Dialect(delimiter, skips_spaces=True))
    if delimiter in "\t|" and any('"' in line for line in lines):
        found.append(Dialect(delimiter, quoted=False))
    return found


def _parse(lines: list[str], dialect: Dialect) -> tuple[list[list[str]], list[int], list[Fault]]:
    """Rows as wide as the first, the line each starts on, and the faults of the others."""
    rows: list[list[str]] = []
    starts: list[int] = []
    faults: list[Fault] = []
    width = 0
    for start, end, row in _quoted(lines, dialect) if dialect.quoted else _plain(lines, dialect.delimiter):
        if isinstance(row, str):
            faults.append(Fault(start, row))
            continue
        width = width or len(row)
        if len(row) == width:
            rows.append(row)
            starts.append(start)
        else:
            faults.append(Fault(start, _wrong_width(row, rows[0] if rows else row, end - start + 1, dialect)))
    return rows, starts, faults


def _quoted(lines: list[str], dialect: Dialect) -> Iterator[tuple[int, int, list[str] | str]]:
    """First line, last line, and the fields of each row, or what is wrong with it."""
    begin, restarts = 0, 0
    while begin < len(lines):
        reader = csv.reader(
            lines[begin:] if begin else lines,
            delimiter=dialect.delimiter,
            doublequote=dialect.escape is None,
            escapechar=dialect.escape,
            skipinitialspace=dialect.skips_spaces,
            strict=True,
        )
        start = begin + 1
        try:
            for row in reader:
                end = begin + reader.line_num
                if row:  # else an empty line
                    yield start, end, row
                start = end + 1
            return
        except csv.Error as error:
            yield start, start, _wrong_quotes(str(error), begin + reader.line_num - start + 1)
        # A quote that was not closed has swallowed rows, perhaps all others: those are read again without it.
        begin = start
        restarts += 1
        if restarts > _MOST_RESTARTS:
            yield start + 1, start + 1, f"more than {_MOST_RESTARTS} rows have wrong quotes; not read on from here"
            return


def _plain(lines: list[str], delimiter: str) -> Iterator[tuple[int, int, list[str] | str]]:
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\n").removesuffix("\r")
        if line:
            yield number, number, line.split(delimiter) if delimiter else [line]


def _wrong_quotes(error: str, n_lines: int) -> str:
    if "unexpected end of data" in error:
        return "a quote is opened and never closed; close it, or double a quote that belongs to the text"
    if "expected after" in error:
        over = f" ({n_lines} lines further on)" if n_lines > 1 else ""
        return f'text after a closing quote{over}; a quote inside a quoted field is written twice, ""'
    return f"not CSV ({error})"


def _wrong_width(row: list[str], names: list[str], n_lines: int, dialect: Dialect) -> str:
    over = f" over {n_lines} lines" if n_lines > 1 else ""
    kind = DELIMITERS.get(dialect.delimiter, "")
    fields = "field" if len(row) == 1 else "fields"
    right = f"expected {len(names)} ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''})"
    advice = ""
    if len(row) > len(names) and dialect.quoted:
        extra = not any(row[len(names) :])
        advice = f"; remove the {kind} at the end" if extra else f"; a field that holds a {kind} must be in quotes"
    elif n_lines > 1:
        advice = "; is a quote not closed?"
    return f"{len(row)} {fields}{over}, {right}{advice}"


def header(name: str, line: int, names: list[str], rows: list[list[str]]) -> tuple[str, ...]:
    """The names of the columns; a column without one, such as the index that pandas writes, is called by its place.

    Raises:
        InputError: two columns have one name, or the line is a row of data.
    """
    names = [" ".join(column.replace("\ufeff", "").split()) for column in names]  # files with marks put together
    if not any(names):
        raise InputError(f"{name}:{line}: no header: the line is empty; the first line must name the columns")
    if (data := _looks_like_data(names, rows)) is not None:
        raise InputError(f"{name}:{line}: no header: {data}; the first line must name the columns, as in text,label")
    if any(unicodedata.category(letter) == "Cc" for column in names for letter in column):
        raise InputError(f"{name}:{line}: no header: NUL or another control character in it; is the file text?")
    found = [column or f"column {place}" for place, column in enumerate(names, start=1)]
    for column in found:
        if found.count(column) > 1:
            times = found.count(column)
            raise InputError(f"{name}:{line}: {times} columns are named {shown(column)}; give each its own name")
    return tuple(found)


def _looks_like_data(names: list[str], rows: list[list[str]]) -> str | None:
    """Why the first line is a row rather than a header; None if it may be one."""
    if any(is_known(column) for column in names) or names == [str(i) for i in range(len(names))]:
        return None  # pandas names columns 0, 1, ... where they had no names
    for place, column in enumerate(names):
        if is_number(column):
            return f"{shown(column)} is a number"
        if len(column) > _LONGEST_NAME:
            return f"{shown(column)} is a text"
        if column and sum(row[place].strip() == column for row in rows) > 1:
            return f"{shown(column)} is a value of later lines too"
    return None


def _described(dialect: Dialect) -> str:
    if not dialect.delimiter:
        return "one column, a line a row"
    parts = [f"{DELIMITERS.get(dialect.delimiter, shown(dialect.delimiter))}-separated"]
    if dialect.escape:
        parts.append("with backslashes before quotes")
    if dialect.skips_spaces:
        parts.append("with spaces behind the delimiters")
    if not dialect.quoted:
        parts.append("without quoting: quotes are part of the texts")
    return " ".join(parts)
