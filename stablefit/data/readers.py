"""Files of examples -> `Examples`; every error names the file and the line."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from stablefit.data.tasks import Column, Columns, Task
from stablefit.errors import InputError

Row = tuple[int, list[str]]  # the line a row starts on, counted from 1, and its fields


@dataclasses.dataclass(frozen=True)
class Examples:
    """Texts with labels.

    Args:
        texts_a: N texts.
        texts_b: N second texts, or None for tasks of one text.
        labels: int32 [N] class ids, float32 [N] scores, or float32 [N, L] zeros and ones, for several labels.
        ids: N names of where an example came from, `file:line`.
        n_skipped: broken rows left out on reading.
        groups: int32 [N], examples with the same number belong together; None if nothing says so.
    """

    texts_a: list[str]
    texts_b: list[str] | None
    labels: np.ndarray
    ids: list[str]
    n_skipped: int = 0
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.texts_a)

    def subset(self, indices: Sequence[int] | np.ndarray) -> "Examples":
        """The examples at these positions, in their order."""
        picked = np.asarray(indices, dtype=np.int64)
        return Examples(
            texts_a=[self.texts_a[i] for i in picked],
            texts_b=None if self.texts_b is None else [self.texts_b[i] for i in picked],
            labels=self.labels[picked],
            ids=[self.ids[i] for i in picked],
            groups=None if self.groups is None else self.groups[picked],
        )


def read_examples(path: str | Path, task: Task) -> Examples:
    """The labelled examples of a TSV file (no quoting, as GLUE's are) or a CSV file (by its suffix).

    Raises:
        InputError: the file cannot be read as this task's; the message starts with `file:line`.
    """
    path = Path(path)
    if task.columns is None:
        raise InputError(f"task {task.name} is not read from files; {path} cannot be used for it")
    text = read_text(path)
    rows = _csv_rows(path, text) if path.suffix.lower() == ".csv" else _tsv_rows(text)
    width, where = _layout(path, task.columns, rows)

    texts_a: list[str] = []
    texts_b: list[str] = []
    labels: list[float] = []
    ids: list[str] = []
    n_skipped = 0
    for line, fields in rows:
        try:
            _check_row(fields, width, where)
        except InputError as error:
            if not task.skips_broken_rows:
                raise InputError(f"{path}:{line}: {error}") from None
            n_skipped += 1
            continue
        texts_a.append(fields[where["text_a"]])
        if "text_b" in where:
            texts_b.append(fields[where["text_b"]])
        labels.append(_label(f"{path}:{line}", fields[where["label"]].strip(), task))
        ids.append(f"{path.name}:{line}")
    if not ids:
        raise InputError(f"{path}: no examples in it, expected one a line")
    dtype = np.float32 if task.kind == "regression" else np.int32
    return Examples(texts_a, texts_b if "text_b" in where else None, np.array(labels, dtype), ids, n_skipped)


def holds_labels(path: Path, task: Task) -> bool:
    """Whether a TSV file has the task's label column: GLUE gives its test files without, and with a header."""
    columns = task.columns
    if columns is None:
        return False
    _, header = next(_tsv_rows(read_text(path)))
    if isinstance(columns.label, int):  # such a file has no header, unless it is one without labels
        return len(header) > columns.label and header[0].strip() != "index"
    return any(name.strip() in columns.label for name in header)


def read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if not content.strip():
        raise InputError(f"{path}: the file is empty")
    if (at := content.find(b"\0")) >= 0:
        raise InputError(f"{path}:{_line_of(content, at)}: NUL byte; the file must be UTF-8 text (UTF-16 is not read)")
    try:
        text = content.decode("utf-8-sig")  # GLUE's MRPC starts with a byte order mark
    except UnicodeDecodeError as error:
        # The position is counted after the mark, if there is one.
        at = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        raise InputError(
            f"{path}:{_line_of(content, at)}: not UTF-8 (byte 0x{content[at]:02x}); convert the file to UTF-8"
        ) from None
    if not text.strip():
        raise InputError(f"{path}: the file is empty")
    return text


def _line_of(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def _tsv_rows(text: str) -> Iterator[Row]:
    # Only a newline ends a row: str.splitlines would also cut at the form feeds and U+2028 that texts hold.
    for number, line in enumerate(text.rstrip("\r\n").split("\n"), start=1):
        yield number, line.removesuffix("\r").split("\t")


def _csv_rows(path: Path, text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    start = 1
    try:
        for fields in reader:
            if fields:  # an empty line
                yield start, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}:{start}: not CSV: {error}") from None


def _layout(path: Path, columns: Columns, rows: Iterator[Row]) -> tuple[int, dict[str, int]]:
    """The width of a row and the index of each column; takes the header, where there is one, from `rows`."""
    wanted: dict[str, Column] = {"text_a": columns.text_a, "label": columns.label}
    if columns.text_b is not None:
        wanted["text_b"] = columns.text_b
    indices = {role: column for role, column in wanted.items() if isinstance(column, int)}
    names = {role: column for role, column in wanted.items() if not isinstance(column, int)}
    if not names:
        return max(indices.values()) + 1, indices
    line, header = next(rows)
    header = [name.strip() for name in header]
    for role, column in names.items():
        found = [name for name in column if name in header]
        if not found:
            raise InputError(f"{path}:{line}: no column {' or '.join(column)}; found: {', '.join(header)}")
        if header.count(found[0]) > 1:
            raise InputError(f"{path}:{line}: column {found[0]} is there {header.count(found[0])} times, expected once")
        indices[role] = header.index(found[0])
    return len(header), indices


def _check_row(fields: list[str], width: int, where: dict[str, int]) -> None:
    if len(fields) != width:
        raise InputError(f"{len(fields)} columns, expected {width}")
    for role in ("text_a", "text_b"):
        if role in where and not fields[where[role]].strip():
            raise InputError(f"column {where[role] + 1} is empty, expected a text")


def _label(place: str, value: str, task: Task) -> float:
    if task.kind == "classification":
        if value not in task.labels:
            raise InputError(f"{place}: label {value!r} is not known; labels of {task.name}: {', '.join(task.labels)}")
        return task.labels.index(value)
    low, high = task.score_range or (-math.inf, math.inf)
    try:
        score = float(value)
    except ValueError:
        raise InputError(f"{place}: score {value!r} is not a number") from None
    if not (math.isfinite(score) and low <= score <= high):
        raise InputError(f"{place}: score {value!r} is out of range, expected a number from {low:g} to {high:g}")
    return score
