"""`stablefit predict`: tables in and out, row by row, and what is refused."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest

from stablefit.commands import predict as command
from stablefit.serve import model, predict, stream
from tests.malformed import MALFORMED
from tests.serve import making


@pytest.fixture(scope="module")
def fits(tmp_path_factory, tiny_root):
    """A fit of each kind, of two members."""
    root = tmp_path_factory.mktemp("fits")
    for kind in making.LABELS:
        making.write_fit(root / kind, making.bundle(tiny_root / "model", kind), members=2)
    making.write_fit(root / "pair", making.bundle(tiny_root / "model", pair=True, text_columns=("a", "b")))
    making.write_fit(root / "joined", making.bundle(tiny_root / "model", join_texts=True, text_columns=("a", "b")))
    return root


@pytest.fixture
def ask(fits, tmp_path, capsys):
    """Writes a table, predicts, and returns exit code, what was written, and what was said."""

    def asked(kind, content, *arguments, name="in.csv", out="out.csv"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        code = command.main([str(fits / kind), str(tmp_path / name), f"--out={tmp_path / out}", *arguments])
        written = (tmp_path / out).read_text(encoding="utf-8") if (tmp_path / out).is_file() else None
        assert not [file.name for file in tmp_path.iterdir() if file.name.endswith(".part")]
        return code, written, capsys.readouterr().err

    return asked


def table(text, delimiter=","):
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter))


def test_classes(ask, fits):
    code, written, said = ask("classification", 'id,text,x\n1,"w1\nw2, ""w3""",=1+1\n2,w5,\n')
    assert (code, said.count("\n")) == (0, 1)
    rows = table(written)
    assert list(rows[0]) == ["id", "text", "x", "label", "probability", "p_red", "p_green", "p_blue", "agreement"]
    assert [row["text"] for row in rows] == ['w1\nw2, "w3"', "w5"]
    assert rows[0]["x"] == "=1+1"
    found = model.load(fits / "classification").answer(['w1\nw2, "w3"', "w5"])
    assert [row["label"] for row in rows] == found.values
    for row, probabilities, agreement in zip(rows, found.probabilities, found.agreement, strict=True):
        np.testing.assert_allclose([float(row[f"p_{c}"]) for c in ("red", "green", "blue")], probabilities, rtol=1e-5)
        assert float(row["probability"]) == pytest.approx(max(probabilities), rel=1e-5)
        assert float(row["agreement"]) == agreement


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-8"])
def test_a_table_with_a_mark_is_written_with_one(ask, codec):
    """A spreadsheet would read it in its own code page without one."""
    _, written, _ = ask("classification", "text\nw1 🙂 é\n".encode(codec))
    assert written.startswith("text,label" if codec == "utf-8" else "\ufefftext,label")
    assert "w1 🙂 é" in written
    _, written, _ = ask("classification", '{"text": "w1"}\n'.encode(codec), name="in.jsonl", out="o.jsonl")
    assert written.startswith("{")


def test_numbers_and_several_labels(ask, fits):
    _, written, _ = ask("regression", "text\nw1\nw2\n")
    rows = table(written)
    assert list(rows[0]) == ["text", "prediction", "spread"]
    found = model.load(fits / "regression").answer(["w1", "w2"])
    np.testing.assert_allclose([float(row["prediction"]) for row in rows], found.values, rtol=1e-5)
    np.testing.assert_allclose([float(row["spread"]) for row in rows], found.spread, rtol=1e-5)
    _, written, _ = ask("multilabel", "text\nw1\nw2\n")
    rows = table(written)
    assert list(rows[0]) == ["text", "labels", "p_red", "p_green", "p_blue", "agreement"]
    for row in rows:
        assert row["labels"] == ";".join(c for c in ("red", "green", "blue") if float(row[f"p_{c}"]) >= 0.5)


def test_several_labels_are_a_list_in_json(ask):
    """As they are in files of JSON lines that are trained on."""
    code, written, _ = ask("multilabel", '{"text": "w1 w2"}\n{"text": "w7"}\n', name="in.jsonl", out="o.jsonl")
    assert code == 0
    for row in map(json.loads, written.splitlines()):
        assert row["labels"] == [c for c in ("red", "green", "blue") if row[f"p_{c}"] >= 0.5]


def test_entities_as_json(ask):
    text = "w1 w2, w3 w4 🙂 w5"
    code, written, _ = ask("tagging", json.dumps({"text": text, "n": 5}) + "\n", name="in.jsonl", out="o.jsonl")
    assert code == 0
    [row] = map(json.loads, written.splitlines())
    assert row["entities"]
    for one in row["entities"]:
        assert text[one["start"] : one["end"]] == one["text"]
        assert list(one) == ["start", "end", "label", "text", "probability", "agreement"]
    _, written, _ = ask("tagging", f"text\n{text!r}\n".replace("'", '"'))
    [cells] = table(written)
    assert json.loads(cells["entities"]) == row["entities"]


def test_json_lines_stay_as_they_are_written(ask):
    lines = ['{"n": 5.000, "text": "w1", "more": {"a": [1, 2]}}', "", '{ "text": "w2" }', '{"text": null}']
    code, written, said = ask("classification", "\n".join(lines), name="in.x", out="o.jsonl")
    assert code == 0
    found = written.splitlines()
    assert found[0].startswith('{"n": 5.000, "text": "w1", "more": {"a": [1, 2]}, "label": ')
    assert [json.loads(line)["label"] is None for line in found] == [False, False, True]
    assert "1 row without a text" in said


def test_an_array_becomes_lines(ask):
    code, written, _ = ask("regression", '[{"text": "w1", "k": "é"},\n {"text": "w2"}]', name="i.json", out="o.json")
    assert code == 0
    assert [list(json.loads(line)) for line in written.splitlines()] == [
        ["text", "k", "prediction", "spread"],
        ["text", "prediction", "spread"],
    ]
    assert "é" in written


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        ("\ufefftext;n\nw1;1\n".encode(), ";"),
        (b"text\tn\r\nw1\t1\r\n", "\t"),
        ("text|n\nw1|1\n".encode("utf-16"), "|"),
        ("text,n\nw1 café,1\n".encode("cp1252"), ","),
        ("text,n\nw1,1\n".encode("utf-16-le"), ","),
        (b"sep=;\ntext;n\nw1;1\n", ";"),
        (b"\n\ntext,n\n\nw1,1\n\n", ","),
        (b"text,n\rw1,1\r", ","),
        (b'text,n\n"a \\"w1\\" b",1\n', ","),
    ],
)
def test_files_as_people_have_them(ask, content, delimiter):
    code, written, said = ask("regression", content)
    assert code == 0, said
    [row] = table(written, delimiter)
    assert "w1" in row["text"]
    assert (row["n"], list(row)[-1]) == ("1", "spread")


def test_one_column_without_a_delimiter(ask):
    code, written, _ = ask("regression", "text\nw1, w2\n\nw3\n")
    assert code == 0
    assert len(table(written)) == 2


def test_names_that_are_taken(ask):
    _, written, said = ask("classification", "label,text,label_predicted,p_red\nx,w1,y,z\n")
    [row] = table(written)
    assert (row["label"], row["label_predicted"], row["p_red"]) == ("x", "y", "z")
    assert row["label_predicted_2"] in ("red", "green", "blue")
    assert "label is written as label_predicted_2, p_red is written as p_red_predicted" in said


def test_pairs_joined_texts_and_other_columns(ask, fits):
    _, written, _ = ask("pair", "b,a\nw1,w2\n")
    expected = model.load(fits / "pair").predict_proba(["w2"], ["w1"])[0, 0]
    assert float(table(written)[0]["p_red"]) == pytest.approx(expected, rel=1e-5)
    assert "agreement" not in table(written)[0]
    _, written, _ = ask("joined", "b,a\nw1,w2\n,w2\n")
    expected = model.load(fits / "joined").predict_proba(["w2 w1", "w2"])[:, 0]
    np.testing.assert_allclose([float(row["p_red"]) for row in table(written)], expected, rtol=1e-5)
    code, written, _ = ask("classification", "text,body\nw1,w2\n", "--text=body")
    expected = model.load(fits / "classification").predict_proba(["w2"])[0, 0]
    assert code == 0
    assert float(table(written)[0]["p_red"]) == pytest.approx(expected, rel=1e-5)


def test_standard_input_to_standard_output(fits, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("text,n\nw1 é,1\n".encode())))
    assert command.main([str(fits / "regression"), "-"]) == 0
    found = capsys.readouterr()
    assert [row["text"] for row in table(found.out)] == ["w1 é"]
    assert found.err == "stablefit: 1 row\n"


def test_chunks_are_one_table(ask, monkeypatch):
    """A file is read a few rows at a time, and memory holds no more than that."""
    content = "text,n\n" + "".join(f"w{i % 30} w{i % 7},{i}\n" for i in range(50))
    _, whole, _ = ask("classification", content)
    monkeypatch.setattr(predict, "CHUNK", 7)
    most, plain = [], model.Model.answer

    def counted(self, texts, *rest):
        most.append(len(texts))
        return plain(self, texts, *rest)

    monkeypatch.setattr(model.Model, "answer", counted)
    _, parts, _ = ask("classification", content)
    assert most == [7] * 7 + [1]
    a, b = table(whole), table(parts)
    assert [row["n"] for row in b] == [str(i) for i in range(50)]
    np.testing.assert_allclose([float(r["p_red"]) for r in a], [float(r["p_red"]) for r in b], atol=2e-5)


BAD = {
    "empty": ("", "is empty"),
    "blank": ("\n \n", "is empty"),
    "header alone": ("text,n\n", "no rows below the header"),
    "no header": ("1,2\n3,4\n", "no header"),
    "other columns": ("body,n\nw1,1\n", "no column 'text'"),
    "too wide": ("text,n\nw1,1,2\n", ":2: 3 fields, expected 2"),
    "too narrow": ("text,n\nw1,1\nw2\n", ":3: 1 field, expected 2"),
    "open quote": ('text,n\n"w1,1\nw2,2\n', "quote"),
    "twice": ("text,text\nw1,w2\n", "2 columns are named"),
    "nul": ("text,n\nw1\0,1\n", "NUL"),
    "json": ('{"text": "w1"}\n{"text": \n', ":2: not JSON"),
    "no object": ('{"text": "w1"}\n[1]\n', ":2: '[1]' is no object"),
    "a list": ('{"text": ["w1"]}\n', ":1: 'text' is a list"),
    "no field": ('{"body": "w1"}\n', "no column 'text'"),
    "surrogate": ('{"text": "\\ud83d"}\n', ":1: the text holds half"),
    "added later": ('{"text": "w1"}\n{"text": "w1", "label": 1}\n', ":2: has a field 'label'"),
    "array": ('[{"text": "w1"}', "not JSON"),
    "gzip": (b"\x1f\x8b\x08\0\0\0\0", "gunzip"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tables(ask, name):
    content, expected = BAD[name]
    code, written, said = ask("classification", content, name="in", out="out")
    assert expected in said
    assert (code, written, said.count("\n")) == (2, None, 1), said


@pytest.mark.parametrize("bad", MALFORMED, ids=lambda bad: bad.name)
def test_a_malformed_table_is_answered_or_refused_as_a_whole(ask, bad):
    """Some of them lack only what training needs. Whatever it is: all rows or no file, and never a traceback."""
    code, written, said = ask("classification", bad.content, name=bad.file, out="answers")
    assert (code, written is None) in ((0, False), (2, True)), said
    assert "Traceback" not in said
    if code:
        assert said.count("\n") == 1
        assert bad.file in said


def test_bad_rows_can_be_left_out(ask):
    code, written, said = ask("classification", "text,n\nw1,1\nw2\nw3,3\n", "--skip-bad")
    assert code == 0
    assert [row["n"] for row in table(written)] == ["1", "3"]
    assert "1 bad row left out" in said


def test_refusals(fits, tmp_path, capsys):
    file = tmp_path / "in.csv"
    file.write_text("text,n\nw1,1\n")
    fit = str(fits / "classification")
    for arguments, said in (
        ([fit, str(file), f"--out={file}"], "is the input itself"),
        ([fit, str(file), f"--out={tmp_path}"], "is a folder"),
        ([fit, str(file), f"--out={tmp_path}/no/out.csv"], "there is no folder"),
        ([fit, str(file), f"--out={tmp_path}/out.jsonl"], "give a name with .csv"),
        ([fit, str(file), f"--out={tmp_path}/out.xlsx"], "give a name with .csv"),
        ([fit, str(file), "--text=a,"], "a name is empty"),
        ([fit, str(file), "--text=n,text"], "reads one text"),
        ([str(fits / "pair"), str(file), "--text=text"], "give two columns"),
        ([fit, str(tmp_path / "none.csv")], "No such file"),
        ([fit, str(tmp_path)], "Is a directory"),
        ([fit], "required"),
        ([fit, str(file), "--tekst=a"], "unrecognized"),
        ([str(tmp_path), str(file)], "holds no model"),
    ):
        assert command.main(arguments) == 2
        found = capsys.readouterr()
        assert said in found.err, arguments
        assert (found.err.count("\n"), found.out) == (1, "")
    assert [one.name for one in tmp_path.iterdir()] == ["in.csv"]


def test_an_interrupted_prediction_leaves_no_file(fits, tmp_path, capsys, monkeypatch):
    file = tmp_path / "in.csv"
    file.write_text("text\nw1\n")
    (tmp_path / "out.csv").write_text("before")

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(model.Model, "answer", interrupted)
    assert command.main([str(fits / "classification"), str(file), f"--out={tmp_path / 'out.csv'}"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in.csv", "out.csv"]
    assert (tmp_path / "out.csv").read_text() == "before"


def test_a_quote_that_is_not_closed_does_not_fill_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "_LONGEST_FIELD", 1000)
    file = tmp_path / "in.csv"
    file.write_text('text,n\n"w1,1\n' + "w2,2\n" * 5000)
    before = csv.field_size_limit()
    source = stream.open_table(str(file))
    with pytest.raises(stream.InputError, match="wrong quotes"):
        list(source.rows)
    assert csv.field_size_limit() == before  # it is the whole process's


def test_the_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom stablefit.commands import export, predict\n"
        "predict.main(['--help'])\nexport.main(['--help'])\n"
        "print([name for name in ('jax', 'numpy', 'transformers') if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).endswith("[]\n")
