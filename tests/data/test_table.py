"""Files as people have them: what is found in them, and what is said of those that cannot be read."""

import codecs
import csv
import io
import json
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stablefit.data.tables import own
from stablefit.data.tables.rows import TableError
from stablefit.data.tables.table import read_table
from stablefit.errors import InputError
from tests.malformed import MALFORMED


@pytest.fixture
def write(tmp_path):
    """A file with this content."""

    def _write(content: bytes | str, name: str = "a.csv"):
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return _write


def test_there_are_many_malformed_files():
    assert len(MALFORMED) >= 60
    assert len({bad.name for bad in MALFORMED}) == len(MALFORMED)


@pytest.mark.parametrize("bad", MALFORMED, ids=lambda bad: bad.name)
def test_a_malformed_file_gets_one_line_that_names_it(write, bad):
    file = write(bad.content, bad.file)
    with pytest.raises(InputError) as caught:
        own.read(file)
    message = str(caught.value)
    assert message.startswith(f"{file}{bad.says}")
    assert "\n" not in message


@pytest.mark.parametrize("bad", MALFORMED, ids=lambda bad: bad.name)
def test_leaving_bad_rows_out_is_counted_or_refused(write, bad):
    file = write(bad.content, bad.file)
    refusal, said, n_skipped = "", (), 0
    try:
        table, read = own.read(file, skip_bad=True)
        said, n_skipped = (*table.found, *read.said), read.examples.n_skipped
    except InputError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith(str(file))
    else:
        assert n_skipped > 0
        assert any("left out as faulty" in sentence for sentence in said)


ACCEPTED = {  # name, content, rows, what must be said
    "comma": ("a.csv", b"text,label\na b,x\n", [("a b", "x")], "comma-separated, ASCII"),
    "semicolon": ("a.csv", b"text;label\na, b;x\nc;y\n", [("a, b", "x"), ("c", "y")], "semicolon-separated, ASCII"),
    "pipe": ("a.txt", b"text|label\na, b|x\n", [("a, b", "x")], "pipe-separated, ASCII"),
    "tab": ("data", b"text\tlabel\na, b\tx\n", [("a, b", "x")], "tab-separated, ASCII"),
    "commas in a quoted header": ("a.csv", b'"text, whole";label\na;x\n', [("a", "x")], "semicolon-separated, ASCII"),
    "Excel's first line": ("a.csv", b"sep=;\r\ntext;label\r\na;x\r\n", [("a", "x")], "semicolon-separated, ASCII"),
    "quoted newlines": ("a.csv", b'text,label\r\n"a\r\nb",x\r\n', [("a\r\nb", "x")], "comma-separated, ASCII"),
    "quotes within": ("a.csv", b'text,label\n"a ""b"" c",x\n', [('a "b" c', "x")], "comma-separated, ASCII"),
    "no last newline": ("a.csv", b"text,label\na,x", [("a", "x")], "comma-separated, ASCII"),
    "carriage returns": ("a.csv", b"text,label\ra,x\rb,y\r", [("a", "x"), ("b", "y")], "comma-separated, ASCII"),
    "empty lines": ("a.csv", b"\n\ntext,label\n\na,x\n\n", [("a", "x")], "comma-separated, ASCII"),
    "empty rows": ("a.csv", b"text,label\na,x\n,\n", [("a", "x")], "1 empty row left out"),
    "mark": ("a.csv", b"\xef\xbb\xbftext,label\na,x\n", [("a", "x")], "comma-separated, UTF-8 with a byte order mark"),
    "code page": ("a.csv", "text,label\nCafé – 5 €,x\n".encode("cp1252"), [("Café – 5 €", "x")], "Windows-1252"),
    "UTF-16": ("a.csv", "text,label\nä,x\n".encode("utf-16"), [("ä", "x")], "UTF-16 with a byte order mark"),
    "UTF-16 unmarked": ("a.csv", "text,label\nä,x\n".encode("utf-16-be"), [("ä", "x")], "UTF-16 without a"),
    "UTF-32": ("a.csv", "text,label\nä,x\n".encode("utf-32"), [("ä", "x")], "UTF-32 with a byte order mark"),
    "backslashes": ("a.csv", b'text,label\n"a \\"b\\", c",x\n', [('a "b", c', "x")], "with backslashes before quotes"),
    "spaces": ("a.csv", b'label, text\nx, "a, b"\n', [("x", "a, b")], "with spaces behind the delimiters"),
    "stray quotes": ("a.tsv", b'text\tlabel\n"a\tx\nb"\ty\n', [('"a', "x"), ('b"', "y")], "without quoting"),
    "quoted tabs": ("a.tsv", b'text\tlabel\n"a\nb"\tx\n', [("a\nb", "x")], "tab-separated, ASCII"),
    "one column": ("a.txt", b'text\nHello, "world\n', [('Hello, "world',)], "one column, a line a row"),
    "nameless index": ("a.csv", b",text,label\n0,a,x\n", [("0", "a", "x")], "3 columns"),
    "numbered header": ("a.csv", b"0,1\na b,x\n", [("a b", "x")], "2 columns"),
    "line separators": ("a.tsv", "text\tlabel\na\u2028b\x0cc\tx\n".encode(), [("a\u2028b\x0cc", "x")], "1 row"),
    "JSON lines": ("a.jsonl", b'{"text": "a", "n": 5.00, "b": true}\n', [("a", "5.00", "true")], "JSON lines, ASCII"),
    "JSON lines, any name": ("data", b'{"text": "a", "label": ["x", "y"]}\n', [("a", ("x", "y"))], "JSON lines, ASCII"),
    "JSON array": ("a.json", b' [{"text": "a"},\n {"label": "x"}]\n', [("a", ""), ("", "x")], "JSON array, ASCII"),
    "JSON null": ("a.jsonl", b'{"text": "a", "label": null}\n', [("a", "")], "1 row, 2 columns"),
    "JSON escapes": ("a.jsonl", b'{"text": "\\ud83d\\ude00"}\n', [("\U0001f600",)], "1 row, 1 column"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_file_as_people_have_it_is_read(write, name):
    file, content, rows, said = ACCEPTED[name]
    table = read_table(write(content, file))
    assert table.rows == rows
    assert any(said in sentence for sentence in table.found), table.found


def test_lines_are_those_that_rows_start_on(write):
    assert read_table(write('text,label\n"a\n\nb",x\n\nc,y\n')).lines == [2, 6]
    assert read_table(write('[{"a": 1},\n\n{"a":\n 2}, {"a": 3}]', "a.json")).lines == [1, 3, 4]


def test_objects_that_share_a_line_are_told_apart(write):
    """By their place in the array: what names a row by its line must not name another too."""
    table = read_table(
        write('\n[{"text": "a", "label": "x"}, {"text": "b", "label": "y"},\n{"text": "c", "label": "x"}]', "a.json")
    )
    assert table.lines == [1, 2, 3]
    assert own.understand(table).examples.ids == ["a.json:1", "a.json:2", "a.json:3"]


def test_all_faults_are_listed_and_counted(write):
    file = write("text,label\n" + "a\n" * 30 + "b,x\n")
    with pytest.raises(TableError, match="and 29 more faults") as caught:
        read_table(file)
    assert len(caught.value.faults) == 30
    listing = caught.value.listing()
    assert len(listing) == 21
    assert listing[0] == f"{file}:2: 1 field, expected 2 (text, label)"
    assert listing[-1] == "and 10 more"


def test_faults_of_reading_and_of_understanding_come_together(write):
    with pytest.raises(TableError) as caught:
        own.read(write("text,label\na\n,x\nb,\nc,x,y\nd,x\n"))
    assert [fault.split(":")[1] for fault in caught.value.faults] == ["2", "3", "4", "5"]


def test_a_quote_that_is_not_closed_costs_its_row_only(write):
    table = read_table(write('text,label\n"a,x\nb,y\n"c",z\n'), skip_bad=True)
    assert table.rows == [("b", "y"), ("c", "z")]
    assert table.n_bad == 1


def test_many_quotes_that_are_not_closed_end(write):
    started = time.perf_counter()
    with pytest.raises(TableError, match="more faults"):
        read_table(write("text,label\n" + '"a\n' * 5001))
    assert time.perf_counter() - started < 20


def test_texts_longer_than_the_csv_module_likes(write):
    limit = csv.field_size_limit()
    assert len(read_table(write(f"text,label\n{'a' * 200_000},x\n")).rows[0][0]) == 200_000
    assert csv.field_size_limit() == limit


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"text,label\na,x\n")))
    table = read_table("-")
    assert (table.path, table.rows) == ("standard input", [("a", "x")])


@pytest.mark.parametrize(("path", "says"), [("nothing.csv", "no such file"), (".", "is a folder"), ("a\0b", "read")])
def test_a_path_that_is_no_file(tmp_path, path, says):
    with pytest.raises(InputError, match=says):
        read_table(tmp_path / path)


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
EMOJI = st.sampled_from(
    [
        "\U0001f469\u200d\U0001f52c",
        "\U0001f1e9\U0001f1ea",
        "\u00e4",
        '"',
        '""',
        "\n",
        "\r\n",
        ",",
        ";",
        "\t",
        "|",
        "\u2028",
    ]
)
TEXTS = st.lists(st.one_of(CELLS, EMOJI), min_size=1, max_size=4).map("".join).filter(str.strip)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    ending=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
)
def test_what_is_written_is_read(tmp_path_factory, rows, delimiter, ending, encoding):
    file = tmp_path_factory.mktemp("csv") / "any name"
    with file.open("w", encoding=encoding, newline="") as out:
        writer = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL)
        writer.writerow(["text", "second, text; here", "label"])
        writer.writerows(rows)
    assert read_table(file).rows == rows


def test_excel(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in (["text", "label", "n"], ["a\nb", "x", 1], [], ["=1+1", True, 2.5], ["c", None, 3.0]):
        sheet.append(row)
    book.create_sheet("notes").append(["not a table"])
    book.create_sheet("empty")
    book.save(tmp_path / "a.xlsx")
    table = read_table(tmp_path / "a.xlsx")
    # openpyxl writes no value of a formula, as Excel does.
    assert table.rows == [("a\nb", "x", "1"), ("", "true", "2.5"), ("c", "", "3")]
    assert table.lines == [2, 4, 5]
    assert table.found[:2] == ("Excel workbook, sheet 'Sheet'", "not read: sheets 'notes'")
    sheet.append(["d", "x", "1", "more"])
    book.save(tmp_path / "named.csv")
    with pytest.raises(TableError, match=r"named\.csv:6: 4 cells, but the header names 3"):
        read_table(tmp_path / "named.csv")


def test_an_empty_workbook(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    openpyxl.Workbook().save(tmp_path / "a.xlsx")
    with pytest.raises(InputError, match="all sheets of the workbook are empty"):
        read_table(tmp_path / "a.xlsx")


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {
        "text": ["a", None],
        "label": [["x", "y"], []],
        "number": [1.0, float("nan")],
        "class": pyarrow.array(["u", "u"]).dictionary_encode(),
        "picture": [b"\x00", b"\x01"],
    }
    parquet.write_table(pyarrow.table(columns), tmp_path / "a")
    table = read_table(tmp_path / "a")
    assert table.columns == ("text", "label", "number", "class")
    assert table.rows == [("a", ("x", "y"), "1", "u"), ("", (), "", "u")]
    assert table.lines == [1, 2]
    assert "columns left out for what they hold: picture (binary)" in table.found


@pytest.mark.parametrize(("file", "library"), [("a.xlsx", "openpyxl"), ("a.parquet", "pyarrow")])
def test_a_library_that_is_missing_is_named_with_how_to_get_it(monkeypatch, write, file, library):
    monkeypatch.setitem(sys.modules, library, None)
    content = {"a.xlsx": b"PK\x03\x04", "a.parquet": b"PAR1"}[file]
    with pytest.raises(InputError, match=rf"needs {library}: pip install 'stablefit\[tables\]'"):
        read_table(write(content, file))


def test_broken_utf8_is_a_fault_of_its_rows(write):
    content = "text,label\näöü,x\nß".encode() + b"\xff,y\n"
    assert read_table(write(content), skip_bad=True).rows == [("äöü", "x")]
    assert read_table(write(codecs.BOM_UTF8 + content), skip_bad=True).rows == [("äöü", "x")]


REAL = {
    "AG_News/news.csv": (7600, "comma-separated"),
    "CLINC150/train.csv": (7500, "comma-separated"),
    "SST-2/train.tsv": (67349, "tab-separated"),
    "STS-B/train.tsv": (5749, "without quoting"),
    "reaction_yields/buchwald_hartwig.tsv": (3955, "tab-separated"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(data_root, name):
    n, said = REAL[name]
    started = time.perf_counter()
    table = read_table(data_root / name)
    assert time.perf_counter() - started < 5  # measured: .5 s for SST-2; a shared machine is slower
    assert len(table.rows) == n
    assert said in table.found[0]


def test_headers_that_are_missing_are_found(data_root):
    with pytest.raises(InputError, match=r"train\.tsv:1: no header: 'gj04' is a value of later lines too"):
        read_table(data_root / "CoLA" / "train.tsv")


def test_exports_of_prodigy(write):
    """Fields that hold objects are left aside, and so are tasks that were declined; a label may still be no object."""
    task = {"_input_hash": 1, "_task_hash": 2, "meta": {"page": 1}, "options": [{"id": "x"}], "spans": []}
    task |= {"answer": "accept"}
    chosen = [
        task | {"text": "a", "accept": ["x"]},
        task | {"text": "b", "accept": ["x", "y"], "spans": [{"start": 0}]},
        task | {"text": "c", "accept": [], "answer": "ignore"},
        task | {"text": "d", "accept": ["y"], "answer": "reject"},
    ]
    for content in (json.dumps(chosen), "".join(json.dumps(one) + "\n" for one in chosen)):
        table = read_table(write(content, "a.json"))
        assert table.columns == ("_input_hash", "_task_hash", "answer", "text", "accept")
        assert [row[3:] for row in table.rows] == [("a", ("x",)), ("b", ("x", "y"))]
        assert "2 rows left out, whose answer is reject or ignore" in table.found
        assert "not read: meta, options, spans, which hold objects" in table.found
        assert own.understand(table).choice.label == ("accept",)
    asked = [task | {"text": text, "label": "x", "answer": text} for text in ("accept", "reject", "ignore")]
    table = read_table(write(json.dumps(asked), "a.json"))
    assert table.column("answer") == ["accept", "reject"]  # one label: the answer is what there is to learn
    table = read_table(write(json.dumps([*asked, task | {"text": "d", "label": "y"}]), "a.json"))
    assert table.column("label") == ["x", "y"]
    with pytest.raises(TableError, match=":2: field 'n' is an object"):
        read_table(write('{"text": "a", "n": 1}\n{"text": "a", "n": {}}\n', "a.jsonl"))
