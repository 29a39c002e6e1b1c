"""Tables of any size, row by row: CSV and JSON lines from a file or standard input, and back.

A file's form is found from its first bytes. What needs the whole file to be read (Excel, Parquet, UTF-16 without a
mark) is read by `stablefit.data.table`.
"""

import codecs
import csv
import dataclasses
import io
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from stablefit.data.tables.delimited import header, sniff
from stablefit.data.tables.dialect import Dialect
from stablefit.data.tables.rows import counted, shown
from stablefit.data.tables.table import STANDARD_INPUT, Table, read_table
from stablefit.errors import InputError

_SAMPLE = 1 << 20  # bytes that show the form
_LONGEST_FIELD = 1 << 26  # characters; a quote that is not closed ends here and not in memory
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WHOLE = (b"PAR1", b"PK\x03\x04")


class Row(NamedTuple):
    """A row of a table.

    Args:
        line: that it starts on, from 1.
        cells: its values by column.
        text: of JSON lines the object as it is written.
    """

    line: int
    cells: Mapping[str, Any]
    text: str = ""


@dataclasses.dataclass
class Source:
    """An open table.

    Args:
        name: as messages give it.
        form: what its rows are written as again.
        columns: of JSON lines those of the first object.
        rows: each once.
        delimiter: of CSV.
        said: sentences on what was found.
        size: of the file in bytes; 0 if nobody knows.
        position: how many bytes of it have been read.
        marked: whether the file begins with a byte order mark, by which spreadsheets know that it is UTF-8.
        n_bad: rows left out, so far.
    """

    name: str
    form: Literal["csv", "json"]
    columns: tuple[str, ...]
    rows: Iterator[Row]
    delimiter: str = ","
    said: tuple[str, ...] = ()
    size: int = 0
    position: Callable[[], int] = lambda: 0
    marked: bool = False
    n_bad: int = 0
    skip_bad: bool = False

    def fault(self, line: int, what: str) -> None:
        """Counts a row that cannot be used, or refuses the table."""
        if not self.skip_bad:
            raise InputError(f"{self.name}:{line}: {what}; --skip-bad leaves such rows out")
        self.n_bad += 1


def open_table(path: str, *, skip_bad: bool = False) -> Source:
    """The rows of a file or of standard input, read as they are asked for.

    Args:
        path: a file of any name, or `-`.
        skip_bad: rows that cannot be read are left out and counted.

    Raises:
        InputError: no such file, or no table in it; while rows are read: a row cannot be used.
    """
    name, suffix = ("standard input", "") if path == STANDARD_INPUT else (path, Path(path).suffix.lower())
    stream = _open(path)
    sample = stream.peek(_SAMPLE)[:_SAMPLE]
    size = Path(path).expanduser().stat().st_size if path != STANDARD_INPUT else 0
    codec, said = _codec(sample, stream if size else None)
    if codec == "" and path != STANDARD_INPUT:
        stream.close()
        return _whole(read_table(path, skip_bad=skip_bad))
    if codec == "":
        raise InputError(f"{name}: is no text; give tables of this kind as a file")
    lines = _lines(stream, sample, codec, name)
    first, lines = _peeked(lines)
    start = "".join(first).lstrip()
    if not start:
        raise InputError(f"{name}: is empty; expected a header and one example a row")
    source = Source(
        name,
        "json",
        (),
        iter(()),
        said=said,
        size=size,
        position=lambda: size if stream.closed else stream.tell(),
        marked=sample.startswith(tuple(mark for mark, _ in _MARKS)),
        skip_bad=skip_bad,
    )
    if start.startswith("["):
        objects = _array(name, "".join(lines))
    elif start.startswith("{") and suffix not in (".csv", ".tsv"):
        objects = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    else:
        return _delimited(source, suffix, first, lines)
    source.rows = _objects(source, objects)
    head = next(source.rows, None)
    if head is None:
        raise InputError(f"{name}: holds no usable row")
    source.columns = tuple(head.cells)
    source.rows = itertools.chain([head], source.rows)
    return source


def _open(path: str) -> io.BufferedReader:
    if path == STANDARD_INPUT:
        raw: Any = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)  # what is there, without waiting for more
        return io.BufferedReader(raw, _SAMPLE)
    try:
        return io.BufferedReader(Path(path).expanduser().open("rb", buffering=0), _SAMPLE)
    except (OSError, ValueError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path!r}: cannot be read ({reason}); give a table, such as CSV or JSON lines") from None


def _codec(sample: bytes, file: BinaryIO | None) -> tuple[str, tuple[str, ...]]:
    """The encoding, "" for what is no text, and what to say of it. A file is looked through, standard input cannot."""
    for mark, codec in _MARKS:
        if sample.startswith(mark):
            return codec, ()
    if b"\0" in sample or sample.startswith(_WHOLE):
        return "", ()
    if file is None:
        return "utf-8", ()
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        while chunk := file.read(_SAMPLE):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252", ("not UTF-8, read as Windows-1252; if accents look wrong, save it as UTF-8",)
    finally:
        file.seek(0)
    return "utf-8", ()


def _lines(stream: BinaryIO, sample: bytes, codec: str, name: str) -> Iterator[str]:
    """Lines with their ends; only a newline ends one, or a carriage return in a file without newlines."""
    newline = "\n" if b"\n" in sample else ""
    number = 0
    with io.TextIOWrapper(stream, encoding=codec, newline=newline) as text:
        try:
            for number, line in enumerate(text, start=1):
                if "\0" in line:
                    raise InputError(f"{name}:{number}: NUL character; remove it")
                yield line
        except UnicodeDecodeError as error:
            raise InputError(f"{name}: below line {number}: not {codec} ({error.reason}); save it as UTF-8") from None


def _peeked(lines: Iterator[str]) -> tuple[list[str], Iterator[str]]:
    """The first lines, up to a sample's size or up to two if there are not more yet, and all of them."""
    first: list[str] = []
    taken = 0
    for line in lines:
        first.append(line)
        taken += len(line)
        if taken > _SAMPLE // 4 or len(first) >= 200:
            break
    return first, itertools.chain(first, lines)


def _delimited(source: Source, suffix: str, first: list[str], lines: Iterator[str]) -> Source:
    skipped, dialect = sniff(first, suffix)
    rows = _fields(source.name, itertools.islice(lines, skipped, None), skipped, dialect)
    names = next(rows, None)
    if names is None:
        raise InputError(f"{source.name}: no header; the first line must name the columns")
    line, cells = names
    # A header is told from data by a few rows below it.
    below = list(itertools.islice(_fields(source.name, iter(first[skipped:]), skipped, dialect, lenient=True), 1, 50))
    same = [row for _, row in below if len(row) == len(cells)]
    columns = header(source.name, line, [cell.strip() for cell in cells], same)
    source.form, source.columns, source.delimiter = "csv", columns, dialect.delimiter or ","
    source.rows = _named(source, rows)
    return source


def _named(source: Source, rows: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    for line, cells in rows:
        if len(cells) != len(source.columns):
            source.fault(line, f"{counted(len(cells), 'field')}, expected {len(source.columns)} as in the header")
            continue
        yield Row(line, dict(zip(source.columns, cells, strict=True)))


def _fields(
    name: str, lines: Iterator[str], skipped: int, dialect: Dialect, lenient: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """The line each row starts on, and its fields; empty lines are no rows."""
    if not dialect.quoted:
        for number, line in enumerate(lines, start=skipped + 1):
            line = line.removesuffix("\n").removesuffix("\r")
            if line:
                yield number, line.split(dialect.delimiter) if dialect.delimiter else [line]
        return
    before = csv.field_size_limit(_LONGEST_FIELD)  # of the process
    reader = csv.reader(
        lines,
        delimiter=dialect.delimiter,
        doublequote=dialect.escape is None,
        escapechar=dialect.escape,
        skipinitialspace=dialect.skips_spaces,
        strict=not lenient,
    )
    start = skipped + 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = skipped + reader.line_num + 1
    except csv.Error as error:
        if not lenient:
            raise InputError(
                f"{name}:{start}: wrong quotes ({error}); close the quote, or write one that belongs to the text twice"
            ) from None
    finally:
        csv.field_size_limit(before)


def _array(name: str, text: str) -> Iterator[tuple[int, str]]:
    """The objects of an array, written one a line."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: not JSON ({error}); write one object a line") from None
    for number, one in enumerate(found, start=1):
        yield number, json.dumps(one, ensure_ascii=False)


def _objects(source: Source, lines: Iterator[tuple[int, str]]) -> Iterator[Row]:
    for number, line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            source.fault(number, f"not JSON ({' '.join(str(error).split())[:80]}); write one object a line")
            continue
        if not isinstance(found, dict):
            source.fault(number, f'{shown(line.strip())} is no object; expected one such as {{"text": ...}}')
            continue
        yield Row(number, found, line.strip())


def _whole(table: Table) -> Source:
    rows = (
        Row(line, dict(zip(table.columns, cells, strict=True)))
        for line, cells in zip(table.lines, table.rows, strict=True)
    )
    said = (*table.found, "written as CSV")
    return Source(table.path, "csv", table.columns, rows, said=said, n_bad=table.n_bad)


class Sink:
    """Where rows are written: a file that is there when all is done, or standard output.

    Args:
        path: a file, or `-`.
        source: whose form and columns the rows have.
        added: the names of the columns that come behind.
    """

    def __init__(self, path: str, source: Source, added: tuple[str, ...]):
        self._added, self._source = added, source
        self._path = None if path == STANDARD_INPUT else Path(path).expanduser()
        self._part = None
        if self._path is None:
            self._file: Any = sys.stdout
        else:
            self._part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
            try:
                marked = source.marked and source.form == "csv"
                self._file = self._part.open("w", encoding="utf-8-sig" if marked else "utf-8", newline="")
            except OSError as error:
                raise InputError(f"{path}: cannot be written ({error.strerror}); give another --out") from None
        delimiter = "\t" if self._path is not None and self._path.suffix.lower() == ".tsv" else source.delimiter
        self._csv = csv.writer(self._file, delimiter=delimiter, lineterminator="\n")
        if source.form == "csv":
            self._csv.writerow([*source.columns, *added])

    def __enter__(self) -> "Sink":
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        """Puts the file in its place; after an error there is none."""
        if self._path is None:
            self._file.flush()
            return
        assert self._part is not None
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink(missing_ok=True)

    def write(self, row: Row, values: tuple[Any, ...]) -> None:
        """A row with what was added to it."""
        if self._source.form == "csv":
            cells = (row.cells[column] for column in self._source.columns)
            self._csv.writerow([*map(_cell, cells), *map(_cell, values)])
            return
        more = json.dumps(dict(zip(self._added, values, strict=True)), ensure_ascii=False)
        # Behind the object as it is written: numbers and their order stay as they are.
        head = row.text[:-1].rstrip()
        self._file.write(f"{head}{', ' if row.cells else ''}{more[1:]}\n")

    def flush(self) -> None:
        """Hands on what was written so far."""
        self._file.flush()


def _cell(value: Any) -> str:
    """A value as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
