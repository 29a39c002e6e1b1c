"""Excel workbooks and Parquet files -> rows, by libraries that are an extra."""

import datetime
import io
import warnings
from collections.abc import Iterable
from typing import Any

from stablefit.data.tables.delimited import header
from stablefit.data.tables.rows import Cell, Fault, Raw, Row, shown
from stablefit.errors import InputError

_INSTALL = "pip install 'stablefit[tables]'"


def read_excel(name: str, content: bytes) -> Raw:
    """The first sheet of a workbook that has rows. A formula counts as the value that Excel last saved of it.

    Raises:
        InputError: openpyxl is missing, or it cannot open the workbook, or all sheets are empty.
    """
    try:
        import openpyxl
    except ImportError:
        raise InputError(f"{name}: reading Excel workbooks needs openpyxl: {_INSTALL}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and checks of cells, which are not read
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            sheets = {sheet.title: _sheet_rows(sheet) for sheet in book.worksheets}
    except Exception as error:  # zipfile's, XML's and openpyxl's own
        raise InputError(
            f"{name}: cannot be opened as an Excel workbook ({_reason(error)}); save it as .xlsx"
        ) from None
    filled = [title for title, rows in sheets.items() if rows]
    if not filled:
        raise InputError(f"{name}: all sheets of the workbook are empty; the first row must name the columns")
    found = [f"Excel workbook, sheet {shown(filled[0])}"]
    if filled[1:]:
        found.append(f"not read: sheets {', '.join(shown(title) for title in filled[1:])}")
    return _from_sheet(name, sheets[filled[0]], found)


def _sheet_rows(sheet: Any) -> list[tuple[int, list[str]]]:
    """The number and the cells of each row that has any, without empty cells at the end."""
    sheet.reset_dimensions()  # some programs write a wrong size, and no row would be found
    rows = []
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells = [_text(value) for value in values]
        while cells and not cells[-1].strip():
            cells.pop()
        if cells:
            rows.append((number, cells))
    return rows


def _from_sheet(name: str, rows: list[tuple[int, list[str]]], found: list[str]) -> Raw:
    line, names = rows[0]
    width = len(names)
    fitting: list[tuple[int, list[str]]] = []
    faults: list[Fault] = []
    for number, cells in rows[1:]:
        if len(cells) > width:
            faults.append(Fault(number, f"{len(cells)} cells, but the header names {width} columns; name the others"))
        else:
            fitting.append((number, cells + [""] * (width - len(cells))))
    columns = header(name, line, names, [cells for _, cells in fitting])
    return Raw(columns, [tuple(cells) for _, cells in fitting], [number for number, _ in fitting], found, faults)


def read_parquet(name: str, content: bytes) -> Raw:
    """The rows of a Parquet file, numbered from 1. Columns that no cell can hold, such as pictures, are left out and
    said.

    Raises:
        InputError: pyarrow is missing, or it cannot read the file.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{name}: reading Parquet needs pyarrow: {_INSTALL}") from None
    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(content))
        columns = {column: (str(table[column].type), table[column].to_pylist()) for column in table.column_names}
    except Exception as error:  # pyarrow's own, of many kinds; two columns of one name among them
        raise InputError(f"{name}: cannot be read as Parquet ({_reason(error)}); write the file again") from None
    if len(columns) < table.num_columns:
        raise InputError(f"{name}: two columns have one name; give each its own")
    cells: dict[str, list[Cell]] = {}
    left_out = []
    for column, (kind, values) in columns.items():
        try:
            cells[column] = [_cell(value) for value in values]
        except TypeError:
            left_out.append(f"{column} ({kind})")
    found = ["Parquet"] + ([f"columns left out for what they hold: {', '.join(left_out)}"] if left_out else [])
    rows: Iterable[Row] = zip(*cells.values(), strict=True)
    return Raw(tuple(cells), list(rows), list(range(1, table.num_rows + 1)) if cells else [], found, [])


def _cell(value: Any) -> Cell:
    if isinstance(value, list | tuple):
        return tuple(_text(piece) for piece in value)
    return _text(value)


def _text(value: Any) -> str:
    """A value as a person would write it; whole numbers without a point, as programs turn 1 into 1.0 by themselves.

    Raises:
        TypeError: it is neither text nor number nor date.
    """
    if value is None or value != value:  # not a number: what pandas writes for nothing
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, dict | bytes | bytearray | list | tuple):
        raise TypeError(f"{type(value).__name__} in a cell")
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
