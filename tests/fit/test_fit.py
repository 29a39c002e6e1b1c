"""`stablefit fit` on the tiny model: what it writes, that it goes on, that its numbers are those of its runs."""

import csv
import dataclasses
import html
import json
import re
import shlex
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from stablefit import cli
from stablefit.commands import fit
from stablefit.fit import fit_report, fitting
from stablefit.serve import card, model
from stablefit.training import inputs
from tests import tiny
from tests.malformed import MALFORMED


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("fit")
    tiny.write_model(root / "model", blocks=1)
    tiny.write_own(root / "own")
    return root


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("STABLEFIT_CACHE", "")
    inputs.forget()


def arguments(place: Path, out: Path, *more: str, file: str = "own/train.csv", label: str = "label") -> list[str]:
    given = [str(place / file), f"--out={out}", "--text=text", f"--label={label}", f"--model={place / 'model'}"]
    return [*given, "--steps=3", "--folds=2", "--repeats=1", "--quiet", *more]


@pytest.fixture(scope="module")
def done(place, tmp_path_factory):
    """A finished fit."""
    out = tmp_path_factory.mktemp("done") / "out"
    assert fit.main(arguments(place, out, "--id=number", "--repeats=2")) == 0
    return out


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_leaves_a_page_the_rows_and_a_model(done):
    assert {path.name for path in done.iterdir()} == {"fit.json", "runs", "out_of_fold.csv", "report.html", "model"}
    page = (done / "report.html").read_text()
    assert page.lower().startswith("<!doctype html>")
    record = json.loads((done / "fit.json").read_text())
    assert record["evidence"]["headline"] in page.replace("&#39;", "'")
    assert record["evidence"]["n"] == 48
    assert record["evidence"]["n_repeats"] == 2
    assert {one["name"] for one in record["evidence"]["baselines"]} == {"majority", "tfidf", "frozen"}


def _fitted(rows):
    """The temperature of the rows of one fold, written out."""
    logits = np.array([[one for _, one in said] for _, said in rows]).swapaxes(0, 1)
    targets = np.array([["early", "late"].index(row["given"]) for row, _ in rows])
    grid = np.exp(np.linspace(-3.5, 3.5, 7001))
    p = [special.softmax(logits / t, axis=-1).mean(0)[np.arange(len(targets)), targets] for t in grid]
    losses = [
        -np.log(np.maximum(one, 1e-12)).mean() + np.log(t) ** 2 / 2 / len(rows) for one, t in zip(p, grid, strict=True)
    ]
    return grid[int(np.argmin(losses))]


def test_every_row_is_predicted_by_models_that_never_saw_it(done):
    """The mean of the probabilities of the two seeds whose test fold held the row, by the other fold's temperature."""
    record = json.loads((done / "fit.json").read_text())["evidence"]["temperature"]
    (cell,) = [path.parent for path in (done / "runs" / "cells").glob("*/seed_3")]
    said: dict[str, list[tuple[int, np.ndarray]]] = {}
    for seed in range(4):
        with np.load(cell / f"seed_{seed}" / "predictions.npz") as stored:
            for name, one in zip(stored["test_ids"].tolist(), stored["test_last"].astype(np.float64), strict=True):
                said.setdefault(name, []).append((seed % 2, one))
            assert not set(stored["validation_ids"].tolist()) & set(stored["test_ids"].tolist())
    rows = rows_of(done / "out_of_fold.csv")
    temperatures = [
        _fitted([(row, said[row["id"]]) for row in rows if said[row["id"]][0][0] != fold]) for fold in (0, 1)
    ]
    assert sorted(temperatures) == pytest.approx([record["low"], record["high"]], rel=1e-3)
    assert [row["id"] for row in rows] == [f"n{i}" for i in range(48)]
    for row in rows:
        assert len(said[row["id"]]) == 2
        fold = said[row["id"]][0][0]
        expected = np.mean([special.softmax(one / temperatures[fold]) for _, one in said[row["id"]]], axis=0)
        assert [float(row["p_early"]), float(row["p_late"])] == pytest.approx(expected, abs=1e-4)
        assert row["label"] == ["early", "late"][expected.argmax()]
    doubted = json.loads((done / "fit.json").read_text())["evidence"]["doubted"]
    numbered = sorted((int(row["doubt"]), i) for i, row in enumerate(rows) if row["doubt"])
    assert numbered == list(enumerate(doubted, start=1)) != []


def test_the_model_is_that_of_its_runs_on_all_rows(done, place):
    loaded = model.load(done)
    assert loaded.bundle.labels == ("early", "late")
    assert loaded.bundle.text_columns == ("text",)
    texts = [row["text"] for row in rows_of(place / "own" / "test.csv")][:5]
    outputs = loaded.outputs(texts)
    assert outputs.shape == (2, 5, 2)
    facts = card.facts_of(done)
    assert facts is not None
    assert facts.per_label == {"early": 25, "late": 23} or sum(facts.per_label.values()) == 48
    assert facts.score[1] <= facts.score[0] <= facts.score[2]


def test_the_heads_that_are_kept_are_divided_by_the_temperature(done):
    value = json.loads((done / "fit.json").read_text())["evidence"]["temperature"]["value"]
    (cell,) = [
        path.parent for path in (done / "runs" / "cells").glob("*/seed_1") if not (path.parent / "seed_3").exists()
    ]
    texts = [f"a text {i}" for i in range(4)]
    kept, trained = model.load(done).outputs(texts), model.load(cell).outputs(texts)
    assert abs(value - 1) > 0.01
    np.testing.assert_allclose(kept * value, trained, rtol=1e-4, atol=1e-5)


def test_what_will_be_done_fits_a_terminal(place, tmp_path):
    wishes = fitting.Wishes("a.csv", tmp_path, {"model": str(place / "model")}, keep="average")
    columns = {"text_columns": "text", "label_column": "label", "max_length": 16}
    read = dataclasses.replace(wishes, file=str(place / "own" / "train.csv"), fields={**wishes.fields, **columns})
    long = "freed memory stays in the process; compiled programs are kept in /home/someone/.cache/stablefit/programs"
    lines = fit_report.announcement(wishes, fitting.load(read, 48), long).splitlines()
    assert [line for line in lines if len(line) > 80 and str(tmp_path) not in line and str(place) not in line] == []
    assert "         /home/someone/.cache/stablefit/programs" in lines


def test_the_same_command_goes_on_and_another_is_refused(done, place, capsys):
    before = {path: path.stat().st_mtime_ns for path in (done / "runs").rglob("results.jsonl")}
    assert fit.main(arguments(place, done, "--id=number", "--repeats=2")) == 0
    assert {path: path.stat().st_mtime_ns for path in (done / "runs").rglob("results.jsonl")} == before
    capsys.readouterr()
    assert fit.main(arguments(place, done, "--id=number", "--repeats=2", "--keep=single")) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (done.parent / "full").mkdir(exist_ok=True)
    (done.parent / "full" / "thesis.txt").write_text("mine")
    assert fit.main(arguments(place, done.parent / "full")) == 2
    assert [path.name for path in (done.parent / "full").iterdir()] == ["thesis.txt"]
    assert "holds no fit" in capsys.readouterr().err


def test_another_file_under_the_same_name_is_refused(place, tmp_path, capsys):
    shutil.copytree(place / "own", tmp_path / "own")
    shutil.copytree(place / "model", tmp_path / "model")
    assert fit.main(arguments(tmp_path, tmp_path / "out")) == 0
    file = tmp_path / "own" / "train.csv"
    file.write_text(file.read_text().replace(",early,", ",late,", 1))
    inputs.forget()
    capsys.readouterr()
    assert fit.main(arguments(tmp_path, tmp_path / "out")) == 2
    assert "other data" in capsys.readouterr().err


def test_an_interrupted_fit_goes_on_with_the_same_bits(place, tmp_path, monkeypatch, done, capsys):
    """Stopped after each of its first runs, then finished: the rows are those of a fit that was not."""
    from stablefit.training import rundir

    finish, n = rundir.RunDirectory.finish, [0]

    def finish_and_stop(self, row):
        finish(self, row)
        n[0] += 1
        if n[0] < 4:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(rundir.RunDirectory, "finish", finish_and_stop)
    out = tmp_path / "out"
    codes = []
    while not codes or codes[-1]:
        assert len(codes) < 6
        codes.append(fit.main(arguments(place, out, "--id=number", "--repeats=2")))
    assert codes[:-1] == [128 + signal.SIGTERM] * len(codes[:-1])
    assert len(codes) > 1
    assert "the same command goes on" in capsys.readouterr().err
    assert (out / "out_of_fold.csv").read_bytes() == (done / "out_of_fold.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "more", "kind"),
    [("stars", ["--kind=regression"], "regression"), ("tags", ["--kind=multilabel"], "multilabel")],
)
def test_numbers_and_several_labels(place, tmp_path, label, more, kind):
    out = tmp_path / "out"
    assert fit.main(arguments(place, out, *more, label=label)) == 0
    loaded = model.load(out)
    assert loaded.bundle.kind == kind
    record = json.loads((out / "fit.json").read_text())["evidence"]
    rows = rows_of(out / "out_of_fold.csv")
    if kind == "regression":
        assert {row["given"] for row in rows} <= {"1.0", "2.0", "3.0", "4.0", "5.0"}
        # In the user's unit: near the mean of one to five, not near zero.
        assert 2 < np.mean([float(row["prediction"]) for row in rows]) < 4
        assert 1 < float(loaded.outputs(["w1 w2"])[0, 0, 0]) < 5
    else:
        assert loaded.bundle.labels == ("t0|t3", "t1|t3", "t2|t3")
        assert loaded.bundle.thresholds == pytest.approx(record["thresholds"])
        assert len(loaded.bundle.thresholds or ()) == 3
        assert all(set(row["given"].split(";")) <= set(loaded.bundle.labels) for row in rows)


def test_a_folder_with_a_test_table_is_scored_on_it(place, tmp_path, capsys):
    out = tmp_path / "out"
    assert fit.main(arguments(place, out, file="own")) == 0
    assert "On the test table (24 rows)" in capsys.readouterr().out
    tested = json.loads((out / "fit.json").read_text())["tested"]
    loaded = model.load(out)
    rows = rows_of(place / "own" / "test.csv")
    answers = loaded.outputs([row["text"] for row in rows])
    p = np.exp(answers) / np.exp(answers).sum(-1, keepdims=True)
    right = [loaded.bundle.labels[c] == row["label"] for c, row in zip(p.mean(0).argmax(-1), rows, strict=True)]
    assert tested["scores"]["accuracy"]["value"] == pytest.approx(np.mean(right))


@pytest.mark.slow
def test_the_curve(place, tmp_path):
    """Cross-validation on a third and on two thirds of the rows; the last point is the fit's own."""
    assert fit.main(arguments(place, tmp_path / "out", "--curve")) == 0
    record = json.loads((tmp_path / "out" / "fit.json").read_text())["evidence"]
    points = record["curve"]["points"]
    assert [point["n"] for point in points] == [16, 32, 48]
    assert points[-1]["score"]["value"] == record["scores"]["accuracy"]["value"]


@pytest.mark.slow
def test_keep(place, tmp_path, done):
    assert fit.main(arguments(place, tmp_path / "average", "--id=number", "--repeats=2", "--keep=average")) == 0
    members = model.load(done).members
    (average,) = model.load(tmp_path / "average").members
    mean = np.mean([np.asarray(one["head"]["kernel"]) for one in members], axis=0)
    np.testing.assert_allclose(average["head"]["kernel"], mean, atol=1e-6)
    assert len(members) == 2


def test_standard_input_is_kept_and_gone_on_from(place, tmp_path, monkeypatch):
    import io
    import sys

    content = (place / "own" / "train.csv").read_bytes()
    for _ in range(2):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        given = arguments(place, tmp_path / "out")
        assert fit.main(["-", *given[1:]]) == 0
        content = b""  # a second time it is not read again
    assert json.loads((tmp_path / "out" / "fit.json").read_text())["asked"]["file"] == str(tmp_path / "out" / "input")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "input").write_text("mine")
    assert fit.main(["-", *arguments(place, tmp_path / "mine")[1:]]) == 2
    assert (tmp_path / "mine" / "input").read_text() == "mine"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"text,label\none\n")))
    assert fit.main(["-", *arguments(place, tmp_path / "refused")[1:]]) == 2
    assert not (tmp_path / "refused").exists()


def test_what_the_page_says_of_its_use_runs(done, tmp_path, monkeypatch, capsys):
    """The command lines through their programs, the Python as it stands; transformers' classes need PyTorch."""
    monkeypatch.chdir(tmp_path)
    page = html.unescape((done / "report.html").read_text())
    label, python, transformers = re.findall(r"<pre><code>(.*?)</code></pre>", page, re.DOTALL)[-3:]
    (tmp_path / "new.csv").write_text("text\nw1 w2\nw30\n")
    assert cli.main(shlex.split(label)[1:]) == 0
    assert [row["text"] for row in rows_of(tmp_path / "answers.csv")] == ["w1 w2", "w30"]
    exec(python, {})
    assert capsys.readouterr().out.splitlines()[-1].strip("[]'") in ("early", "late")
    export, *rest = transformers.splitlines()
    assert cli.main(shlex.split(export)[1:]) == 0
    folders = {part for line in rest for part in re.findall(r'from_pretrained\("(.*?)"\)', line)}
    assert len(folders) == 1
    assert (tmp_path / folders.pop() / "model.safetensors").is_file()


@pytest.mark.parametrize("bad", MALFORMED, ids=lambda bad: bad.name)
def test_a_malformed_file_is_refused_before_anything_is_written(tmp_path, bad, capsys):
    file = tmp_path / bad.file
    file.write_bytes(bad.content)
    assert fit.main([str(file), f"--out={tmp_path / 'out'}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"stablefit: {file}{bad.says.split('; and ')[0]}")
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--out="], "--out is missing"),
        (["--folds=1"], "folds"),
        (["--keep=most"], "--keep"),
        (["--label=nothing"], "nothing"),
        (["--mute=SF999"], "SF999"),
        (["--model=./no"], "does not exist"),
        (["--max-length=4000"], "max_length is 4000"),
        (["--colour=red"], "--colour"),
    ],
)
def test_bad_arguments_are_one_line(place, tmp_path, more, says, capsys):
    assert fit.main([*arguments(place, tmp_path / "out"), *more]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert says in error
    assert not (tmp_path / "out").exists()
