"""A packed study says what its working directory says, to the bit, and is there whole or not at all."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stablefit import cli
from stablefit import report as entry
from stablefit.data.tasks import Task
from stablefit.errors import InputError
from stablefit.study import findings, pack, packed, reading, report, runs_table
from stablefit.training import bundle
from stablefit.training.files import line_of
from tests.study.test_report import HOSTILE, write_cell, write_study

FILES = {"study.json", "runs.csv", "curves.npz", "predictions.npz"}
CELLS = {
    "standard": {"seeds": range(6), "failing": (2,)},
    HOSTILE: {"seeds": range(6), "diverged": (4,), "mixout_rate": 0.1},
    "1e5": {"seeds": range(3), "asked": range(6), "reinit_layers": 1},
    "of another task, with numbers": {"seeds": range(6), "task": "stsb", "mean": 0.8},
    "not begun": {"seeds": (), "asked": range(2), "reinit_layers": 2},
}
RECORD = {"question": "Does it\n\nhelp? \u4e2d", "commands": ["a --b"], "started": "t", "noted": [{"seeds": 6}]}


def write(workdir: Path) -> Path:
    write_study(workdir, CELLS)
    (workdir / "study.json").write_text(json.dumps(RECORD))
    return workdir


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A working directory and what it was packed into, of one name."""
    work = write(tmp_path_factory.mktemp("work") / "one")
    out = tmp_path_factory.mktemp("packed") / "one"
    assert {file.name for file in pack.pack(work, out)} == FILES
    assert {file.name for file in out.iterdir()} == FILES
    return work, out


def of_metrics(file: Path) -> list[dict]:
    """Steps, then evaluations."""
    return sorted(map(json.loads, file.read_text().splitlines()), key=lambda line: "split" in line)


def test_every_row_and_every_line_is_as_it_was(both):
    work, out = both
    study, again = reading.load(work), reading.load(out)
    assert [cell.name for cell in again.cells] == list(CELLS)
    assert again.record == study.record == RECORD
    for cell in again.cells:
        folder = work / "cells" / cell.fingerprint
        rows = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
        assert json.dumps(cell.rows, sort_keys=True) == json.dumps(rows, sort_keys=True)
        assert json.dumps(cell.config, sort_keys=True) == json.dumps(
            json.loads((folder / "config.json").read_text()), sort_keys=True
        )
        for row in rows:
            lines = [line for _, line in cell.files.metrics(row["seed"])[1]]
            assert lines == of_metrics(folder / f"seed_{row['seed']}" / "metrics.jsonl")


def test_predictions_are_as_they_were(both):
    for name, cell in {cell.name: cell for cell in reading.load(both[1]).cells}.items():
        for row in cell.rows:
            folder = both[0] / "cells" / cell.fingerprint / f"seed_{row['seed']}"
            with np.load(folder / "predictions.npz") as stored:
                outputs = stored["test_best"]
            wanted = outputs[:, 0] if name.startswith("of another") else outputs.argmax(1)
            assert np.array_equal(cell.files.said(row["seed"], cell.task.kind).said, wanted)


def test_the_report_is_the_same_to_the_byte(tmp_path):
    few = {name: CELLS[name] for name in ("standard", HOSTILE)}
    work = write_study(tmp_path / "work" / "one", few)
    pack.pack(work, tmp_path / "packed" / "one")
    first, second = (report.write(tmp_path / form / "one", tmp_path / f"{form} report") for form in ("work", "packed"))
    assert [file.name for file in first] == [file.name for file in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_the_working_directory_stays_as_it_is(tmp_path, capsys):
    work = write(tmp_path / "work")
    before = {file: file.read_bytes() for file in work.rglob("*") if file.is_file()}
    assert cli.main(["pack", str(work), str(tmp_path / "deep" / "out")]) == 0
    assert {file: file.read_bytes() for file in work.rglob("*") if file.is_file()} == before
    said = capsys.readouterr().out
    assert all(str(tmp_path / "deep" / "out" / name) in said for name in FILES)
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["out"]


def test_the_same_study_gives_the_same_bytes(both, tmp_path):
    pack.pack(both[0], tmp_path / "again")
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (both[1] / name).read_bytes()


def test_a_person_finds_the_settings_beside_the_scores(both):
    header, *lines = (both[1] / "runs.csv").read_text().splitlines()
    names = header.split(",")
    assert names[0] == "cell"
    assert {"seed", "failed", "diverged", "seconds", "test_best.accuracy"} <= set(names)
    assert names[-3:] == ["config.mixout_rate", "config.reinit_layers", "config.task"]
    assert len(lines) == 21
    assert lines[0].startswith("standard,0,")
    assert lines[-1].endswith(",0.0,0,stsb")


# --- forms of studies


def test_a_single_run_is_a_study_of_one_cell(tmp_path):
    write_cell(tmp_path / "demo", "0" * 12, seeds=range(2))
    pack.pack(tmp_path / "demo", tmp_path / "out")
    (cell,) = reading.load(tmp_path / "out").cells
    assert (cell.name, cell.fingerprint, len(cell.rows)) == ("demo", "0" * 12, 2)


def test_without_metrics_and_predictions_the_scores_remain(tmp_path):
    write_cell(tmp_path / "run", "0" * 12, seeds=range(3))
    (tmp_path / "run" / "seed_1" / "metrics.jsonl").unlink()
    for seed in range(3):
        (tmp_path / "run" / f"seed_{seed}" / "predictions.npz").unlink()
    pack.pack(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out" / "predictions.npz").exists()
    (cell,) = reading.load(tmp_path / "out").cells
    assert reading.losses(cell).n_missing == 1
    assert reading.predictions(cell) is None
    assert len(cell.rows) == 3


def test_a_task_of_own_files_is_known_again(tmp_path):
    """Its kind and labels are in the bundle alone, which is not packed."""
    write_cell(tmp_path / "run", "0" * 12, seeds=range(2))
    (tmp_path / "run" / "data.json").write_text('{"digest": "abc"}')
    values = dict.fromkeys(field for field in bundle.Bundle.__dataclass_fields__)
    values |= {"folder": tmp_path, "kind": "multilabel", "task": "mails", "labels": ("late", "broken")}
    values |= {"settings": {"task": "texts"}, "selection_metric": "accuracy", "report_metric": "accuracy"}
    (tmp_path / "run" / "bundle").mkdir()
    (tmp_path / "run" / "bundle" / "bundle.json").write_text(json.dumps(bundle.Bundle(**values).to_dict()))
    pack.pack(tmp_path / "run", tmp_path / "out")
    (cell,) = reading.load(tmp_path / "out").cells
    assert cell.task == Task("mails", "multilabel", ("late", "broken"), None, "", "accuracy", "accuracy")
    assert json.loads((tmp_path / "out" / "study.json").read_text())["cells"][0]["data"] == {"digest": "abc"}
    with np.load(tmp_path / "run" / "seed_1" / "predictions.npz") as stored:
        assert np.array_equal(cell.files.said(1, "multilabel").said, (stored["test_best"] > 0).reshape(-1))


def test_agreement_that_was_printed_outlives_the_predictions(tmp_path):
    work = write_study(tmp_path / "work", {"a": {"seeds": range(3)}, "b": {"seeds": range(3), "reinit_layers": 1}})
    for file in work.rglob("predictions.npz"):
        file.unlink()
    agreed = {"a": {"n": 3, "disagreement": 0.123, "kappa": 0.5}, "b": {"n": 3, "disagreement": 0.2, "kappa": None}}
    (work / "study.json").write_text(json.dumps({"agreement": agreed}))
    pack.pack(work, tmp_path / "out")
    for folder in (work, tmp_path / "out"):
        a, b = findings.analyse(reading.load(folder))[0].settings
        assert a.agreement == (3, 0.123, 0.5)
        assert b.agreement[:2] == (3, 0.2)
        assert math.isnan(b.agreement.kappa)


@pytest.mark.parametrize(
    "lines",
    [
        [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 0.5}],  # a tenth is no float32
        [{"step": 1, "loss": float(np.float32(0.1))}, {"step": 2, "loss": None}],
        [{"step": 1, "loss": 1.0, "rate": 3}, {"step": 2, "loss": 1.0}],
        [{"step": 1, "loss": 1e300, "note": "x"}, {"step": 2, "loss": 1e-300, "note": "\u4e2d,\n"}],
        [{"step": 70_000, "loss": 1.0, "kept": True}, {"step": 2**40, "loss": 2.0, "kept": False}],
        [{"step": 1, "split": "dev", "a/b.c \u00e9": 0.5, "loss": None}, {"step": 1, "split": "test", "loss": 1.5}],
    ],
)  # fmt: skip
def test_lines_keep_their_bits(tmp_path, lines):
    write_cell(tmp_path / "run", "0" * 12, seeds=range(2), steps=2)
    (tmp_path / "run" / "seed_1" / "metrics.jsonl").write_text("".join(map(line_of, lines)))
    pack.pack(tmp_path / "run", tmp_path / "out")
    found = [line for _, line in reading.load(tmp_path / "out").cells[0].files.metrics(1)[1]]
    assert found == lines
    assert all(
        {name: type(value) for name, value in a.items()} == {name: type(b[name]) for name in b}
        for a, b in zip(found, lines, strict=True)
    )


def test_what_reads_alike_is_told_apart(tmp_path):
    row = {
        "a": "NA",
        "b": "1",
        "c": 1,
        "d": 1.0,
        "e": True,
        "f": "true",
        "g": None,
        "h": "null",
        "i": "",
        "j": [1, "1"],
    }
    runs_table.write(tmp_path / "runs.csv", [{"cell": "NA", **row}, {"cell": "y"}])
    (_, first), (_, second) = runs_table.read(tmp_path / "runs.csv")
    assert json.dumps(first) == json.dumps({"cell": "NA", **row})
    assert second == {"cell": "y"}
    cells = {"whole": {"seeds": (0,), "mixout_rate": 0}, "half": {"seeds": (0,), "mixout_rate": 0.0}}
    pack.pack(write_study(tmp_path / "work", cells), tmp_path / "out")
    assert [type(cell.config["mixout_rate"]) for cell in reading.load(tmp_path / "out").cells] == [int, float]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from(
        ["NA", "1", "true", "null", "NaN", "", '"', '"a"', "a,b", " 1", "1e5", "[1]", "{", "a\nb", "Infinity", "\x85"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
NAMES = st.text(st.characters(exclude_characters="."), min_size=1).filter(lambda name: not name.startswith("config"))


@settings(max_examples=50, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), min_size=1, max_size=4))
def test_any_row_survives_the_table(tmp_path_factory, rows):
    file = tmp_path_factory.mktemp("rows") / "runs.csv"
    # Numbers in a row keep the field a column of its own, whatever the others hold.
    runs_table.write(
        file, [{"cell": "x", **dict(runs_table.flat({f"_{k}": v for k, v in row.items()}))} for row in rows]
    )
    found = list(runs_table.read(file))
    for (_, fields), row in zip(found, rows, strict=True):
        assert fields.pop("cell") == "x"
        wanted = {f"_{k}": v for k, v in row.items()}
        assert json.dumps(runs_table.nested(fields), sort_keys=True) == json.dumps(wanted, sort_keys=True)


# --- what is refused


def refused(workdir: Path, out: Path, said: str) -> None:
    before = sorted(out.parent.rglob("*")) if out.parent.is_dir() else []
    with pytest.raises(InputError, match=said):
        pack.pack(workdir, out)
    assert (sorted(out.parent.rglob("*")) if out.parent.is_dir() else []) == before


def test_a_place_that_is_taken_is_refused(both, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine").write_text("x")
    refused(both[0], taken, "taken is there already; give a place where nothing is")
    refused(both[0], taken / "mine", "mine is there already")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refused(both[0], tmp_path / "link", "link is there already")
    refused(both[1], tmp_path / "out", "one is packed already; give the working directory")
    refused(tmp_path / "nothing", tmp_path / "out", "'.*nothing' is no study")
    refused(both[0], taken / "mine" / "out", "cannot write .*out: .*; give another place")


def test_what_would_read_otherwise_is_not_left_there(both, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(packed, "_small", lambda array: array.astype(np.float16) if array.dtype.kind == "f" else array)
        refused(
            both[0], tmp_path / "out", "is not packed: the losses of 'standard', seed 0, would not be read as it is"
        )
    with monkeypatch.context() as patched:
        patched.setattr(runs_table, "_text", str)
        refused(both[0], tmp_path / "out", "runs.csv:")
    with monkeypatch.context() as patched:
        patched.setattr(packed, "_sets", lambda said: {"total": np.array(len(said))})
        refused(both[0], tmp_path / "out", "is not packed: the predictions of 'standard', seed 0,")


def test_nothing_is_left_of_a_disk_that_is_full(both, tmp_path, monkeypatch):
    def full(file, arrays):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(packed, "_save", full)
    refused(both[0], tmp_path / "out", "cannot write .*out: No space left on device")


def test_a_line_of_metrics_that_is_no_number_is_named(tmp_path):
    write_cell(tmp_path / "run", "0" * 12, seeds=range(2))
    (tmp_path / "run" / "seed_1" / "metrics.jsonl").write_text('{"step": 1}\n{"step": [2]}\n')
    refused(tmp_path / "run", tmp_path / "out", r"seed_1/metrics\.jsonl:2: step is \[2\], neither a number nor a text")
    (tmp_path / "run" / "seed_1" / "metrics.jsonl").write_text('{"step": 1}\n{"step": "two"}\n')
    refused(tmp_path / "run", tmp_path / "out", "field step is neither numbers nor texts throughout")


def replaced(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def of(change):
    """A change of the lines of a file."""

    def apply(file: Path) -> None:
        file.write_text("".join(change(file.read_text().splitlines(keepends=True))))

    return apply


def read_all(folder: Path) -> None:
    for cell in reading.load(folder).cells:
        reading.losses(cell)
        reading.predictions(cell)


DAMAGE = [
    ("runs.csv", of(lambda lines: lines[:5]), r"curves\.npz: is of 21 runs, runs\.csv of 4"),
    ("runs.csv", of(lambda lines: [*lines, lines[1]]), r"runs\.csv:23: seed 0 of 'standard' stands there twice"),
    ("runs.csv", of(lambda lines: [*lines, lines[1][:40]]), r"runs\.csv:23: has \d+ fields, the header \d+"),
    ("runs.csv", of(lambda lines: [lines[0], '"x"y', *lines]), r"runs\.csv:2: is no line of a table"),
    ("runs.csv", of(lambda lines: []), r"runs\.csv:1: is no header"),
    ("runs.csv", lambda file: replaced(file, "standard,0,", "else,0,"), r"runs\.csv:2: study\.json has no cell 'else'"),
    ("runs.csv", lambda file: replaced(file, "standard,0,", "standard,x,"), r"runs\.csv:2: field seed is 'x'"),
    ("runs.csv", lambda file: replaced(file, ",0.0,0,rte\n", ",0.5,0,rte\n"), r"runs\.csv:2: config.mixout_rate is"),
    ("runs.csv", lambda file: replaced(file, "test_best.loss", "majority.x"), r"runs\.csv:2: a field is a value and"),
    ("runs.csv", lambda file: file.write_bytes(b"cell,\xff\n"), r"runs\.csv: is not UTF-8"),
    ("curves.npz", lambda file: file.write_bytes(b"PK\x03\x04 torn"), r"curves\.npz: cannot be read"),
    ("curves.npz", lambda file: file.unlink(), r"curves\.npz: cannot be read \(.*No such file"),
    ("curves.npz", lambda file: (np.save(f"{file}.npy", 0), Path(f"{file}.npy").replace(file)), "npz: cannot be read"),
    ("curves.npz", lambda file: np.savez(file, x=np.zeros(3)), r"curves\.npz: is of 0 runs"),
    ("predictions.npz", lambda file: file.write_bytes(b""), r"predictions\.npz: cannot be read"),
    ("predictions.npz", lambda file: np.savez(file, x=np.zeros(3)), r"predictions\.npz: is of -1 runs"),
    ("study.json", lambda file: file.write_text("{"), r"study\.json is not JSON"),
    ("study.json", lambda file: file.write_text("1"), r"study\.json is not a JSON object"),
    ("study.json", lambda file: file.unlink(), r"study\.json cannot be read"),
    ("study.json", lambda file: replaced(file, '"format": 1', '"format": 2'), r"is of format 2, not 1; take the"),
    ("study.json", lambda file: replaced(file, '"cells"', '"cell"'), r"study\.json: has no config or no cells"),
    ("study.json", lambda file: replaced(file, '"name": "1e5"', '"name": 5'), r"study\.json: cell 3 has no name"),
    ("study.json", lambda file: replaced(file, '"1e5"', '"standard"'), r"study\.json: two cells have one name"),
    ("study.json", lambda file: replaced(file, '"rte"', '"other"'), "csv:2: config.task is 'rte', in study.json"),
    ("study.json", lambda file: replaced(file, '"noted"', '"agreement"'), "agreement of 'standard' is not n, dis"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGE, ids=[f"{i}-{one[0]}" for i, one in enumerate(DAMAGE)])
def test_damage_is_one_line_with_its_place(both, tmp_path, name, damage, said):
    folder = tmp_path / "one"
    shutil.copytree(both[1], folder)
    damage(folder / name)
    with pytest.raises(InputError, match=said):
        read_all(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"task": "rte"', '"task": "other"', "task 'other' is not known"),
        ('"task": "rte"', '"task": 1', "cell 'run' is no config of a run"),
        ('"name": "run"', '"task": {"name": "x"}, "name": "run"', "cell 'run': its task has no name, selection_metric"),
    ],
)
def test_a_config_or_a_task_that_is_none_is_refused(tmp_path, old, new, said):
    write_cell(tmp_path / "run", "0" * 12, seeds=(0,))
    pack.pack(tmp_path / "run", tmp_path / "out")
    replaced(tmp_path / "out" / "study.json", old, new)
    with pytest.raises(InputError, match=said):
        reading.load(tmp_path / "out")


def test_a_damaged_file_stops_the_report(both, tmp_path, capsys):
    shutil.copytree(both[1], tmp_path / "one")
    (tmp_path / "one" / "curves.npz").write_bytes(b"x")
    assert entry.main([str(tmp_path / "one")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("stablefit: ")
    assert said.count("\n") == 1
    assert "curves.npz: cannot be read" in said
    assert not (tmp_path / "one" / "report").exists()
