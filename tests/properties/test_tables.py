"""Tables of a person's own: any file gives rows or a line that says why not, and what was written is read."""

import csv
import io
import json
import math

import numpy as np
import openpyxl
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stablefit.data.tables import own
from stablefit.data.tables.table import read_table
from stablefit.errors import InputError
from tests.fuzz import targets
from tests.properties.profile import ALL, ANY_BYTES, FEW, STARTS, VALUES, lines, objects, text_of, whole

SUFFIXES = targets._SUFFIXES
START = {suffix: bytes([48 + i]) for i, suffix in enumerate(SUFFIXES)}
TEXT = text_of("ab \"',;\n\\é漢\U0001f680", 12).filter(lambda text: text.strip() and whole(text))
CELL = TEXT.filter(lambda text: text not in ("text", "label"))


@ALL
@given(STARTS, ANY_BYTES)
@example(b"0", b'sep="\ntext,label\n')
@example(b"2", b'{"te\\nxt": "a", "label": "b"}\n')
@example(b"2", b'{"te\\ud800xt": "a", "label": "b"}\n')
@example(b"0", b"te\xffxt,l\xc3\xa4bel,other\na,b,c\nd,e,f\n")
@example(b"4", b"sep\x1d;\na;b;c\nd;e\n")
@example(b"2", b"[" * 960 + b"]" * 960)
def test_any_bytes(start, content):
    targets.tables(start + content)


@ALL
@given(STARTS, st.lists(text_of('ab01,;\t|"\\ ', 12), max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_lines_below_a_header(start, rows, end):
    for delimiter in ",;\t|":
        names = delimiter.join(("text", "label"))
        targets.tables(start + end.join([names, *rows]).encode("utf-8", "surrogatepass"))


@ALL
@given(st.lists(objects("text", "label", "id", "answer", "_task_hash", "accept") | VALUES, max_size=5))
def test_any_json(rows):
    targets.tables(START[".jsonl"] + lines(rows))
    targets.tables(START[".json"] + json.dumps(rows).encode())


@ALL
@given(
    st.lists(st.tuples(CELL, st.sampled_from(["x", "y z", "z"])), min_size=1, max_size=6),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
@example([("|\n", "x")], "|", "\n", "utf-8", csv.QUOTE_ALL)
def test_a_table_is_read_as_it_was_written(rows, delimiter, end, encoding, quoting):
    if (
        delimiter in "\t|" and quoting == csv.QUOTE_MINIMAL
    ):  # of such files a quote may be a part of the text: rows over several lines are open
        rows = [(" ".join(text.replace('"', "").split()) or "a", label) for text, label in rows]
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerows([("text", "label"), *rows])
    file = targets.written("whole.csv", stream.getvalue().encode(encoding))
    table = read_table(file)
    assert table.columns == ("text", "label")
    assert table.rows == rows
    assert table.lines == sorted(set(table.lines))


@ALL
@given(st.lists(st.tuples(CELL, st.sampled_from(["x", "y"])), min_size=2, max_size=8), st.booleans())
def test_classes_are_those_of_the_file(rows, as_array):
    objects_ = [{"text": text, "label": label} for text, label in rows]
    content = json.dumps(objects_).encode() if as_array else lines(objects_)
    file = targets.written("own.json", content)
    _, found = own.read(file, own.Choice(("text",), label=("label",), kind="classification"))
    assert found.examples.texts_a == [text for text, _ in rows]
    assert [found.task.labels[i] for i in found.examples.labels] == [label for _, label in rows]


@ALL
@given(st.lists(st.floats(-1e38, 1e38, allow_subnormal=False), min_size=2, max_size=8), st.sampled_from([".", ","]))
def test_numbers_are_unchanged(values, point):
    """In JSON, and in a file with decimal points or commas."""
    content = "text;label\n" + "".join(f"a{i} b;{str(value).replace('.', point)}\n" for i, value in enumerate(values))
    choice = own.Choice(("text",), label=("label",), kind="regression")
    rows = [{"text": f"a{i}", "label": value} for i, value in enumerate(values)]
    for name, given_ in (("numbers.csv", content.encode()), ("numbers.jsonl", lines(rows))):
        file = targets.written(name, given_)
        found = targets.said(lambda file=file: own.read(file, choice), file)
        if found is None:  # 1,234 alone may be more than a thousand
            with pytest.raises(InputError, match="thousands"):
                own.read(file, choice)
            assert point == ","
        else:
            assert found[1].examples.labels.tolist() == np.array(values, np.float32).tolist()


@FEW
@given(
    st.lists(
        st.tuples(
            st.none() | CELL,
            st.none() | st.integers(-5, 5) | st.floats(-9, 9),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_parquet_is_read_as_it_was_written(rows):
    stream = io.BytesIO()
    texts, numbers = ([row[i] for row in rows] for i in (0, 1))
    numbers = [None if value is None else float(value) for value in numbers]
    pyarrow.parquet.write_table(pyarrow.table({"text": pyarrow.array(texts, "string"), "n": numbers}), stream)
    file = targets.written("whole.parquet", stream.getvalue())
    kept = [(text or "", value) for text, value in zip(texts, numbers, strict=True) if text or value is not None]
    if not kept:
        with pytest.raises(InputError, match="no rows"):
            read_table(file)
        return
    table = read_table(file)
    assert table.column("text") == [text for text, _ in kept]
    read = [math.nan if cell == "" else float(str(cell)) for cell in table.column("n")]
    assert np.array_equal(read, [math.nan if value is None else value for _, value in kept], equal_nan=True)


@FEW
@given(
    st.lists(
        st.tuples(st.text("ab é漢,;\"'", min_size=1, max_size=8).filter(str.strip), st.integers(0, 9)),
        min_size=1,
        max_size=5,
    )
)
def test_a_workbook_is_read_as_it_was_written(rows):
    book, stream = openpyxl.Workbook(), io.BytesIO()
    for row in [("text", "label"), *rows]:
        book.worksheets[0].append(row)
    book.save(stream)
    table = read_table(targets.written("whole.xlsx", stream.getvalue()))
    assert table.rows == [(text, str(value)) for text, value in rows]


@FEW
@given(STARTS, ANY_BYTES)
def test_any_workbook(start, content):
    for begin in (b"PK\x03\x04", b"PAR1"):
        targets.workbook(start + begin + content)
