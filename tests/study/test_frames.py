"""`stablefit.load_study`: the tables of a study, from either of its forms."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import stablefit
from stablefit.errors import InputError
from stablefit.study import pack
from tests.study.test_report import write_cell, write_study

CELLS = {
    "standard": {"seeds": range(4), "failing": (2,)},
    "re-init": {"seeds": range(3), "reinit_layers": 1, "diverged": (1,)},
    "numbers": {"seeds": range(2), "task": "stsb", "mean": 0.8},
}
TABLES = ("runs", "curves", "evaluations", "predictions")


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    work = write_study(tmp_path_factory.mktemp("work") / "one", CELLS)
    out = tmp_path_factory.mktemp("packed") / "one"
    pack.pack(work, out)
    return stablefit.load_study(work), stablefit.load_study(str(out))


@pytest.mark.parametrize("table", TABLES)
def test_both_forms_give_the_same_tables(both, table):
    first, second = (getattr(study, table) for study in both)
    assert len(first)
    pd.testing.assert_frame_equal(first, second)


def test_runs_have_scores_and_settings(both):
    study = both[1]
    runs = study.runs
    assert list(runs["cell"]) == ["standard"] * 4 + ["re-init"] * 3 + ["numbers"] * 2
    rows = [row for cell in study.study.cells for row in cell.rows]
    assert list(runs["seed"]) == [row["seed"] for row in rows]
    assert list(runs["failed"]) == [row["failed"] for row in rows]
    assert runs["failed"].dtype == bool
    scores = runs.loc[runs["cell"] == "standard", "test_best.accuracy"]
    assert list(scores) == [row["test_best"]["accuracy"] for row in rows[:4]]
    assert runs.loc[runs["cell"] == "numbers", "test_best.accuracy"].isna().all()
    assert list(runs.groupby("cell", sort=False)["config.reinit_layers"].first()) == [0, 1, 0]
    assert runs.columns[-1].startswith("config.")
    assert "config.seeds" not in runs


def test_steps_and_evaluations_are_apart(both):
    curves, evaluations = both[1].curves, both[1].evaluations
    assert list(curves.columns) == ["cell", "seed", "step", "loss", "grad_norm"]
    one = curves[(curves["cell"] == "re-init") & (curves["seed"] == 1)]
    assert list(one["step"]) == list(range(1, 61))
    assert one["loss"].isna().sum() == 30, "a diverged run's losses are no numbers"
    assert list(evaluations["split"].unique()) == ["validation"]
    assert len(evaluations) == 9
    assert "split" not in curves


def test_predictions_of_classes_numbers_and_several_labels(both, tmp_path):
    said = both[1].predictions
    assert list(said.columns) == ["cell", "seed", "example", "id", "label", "said"]
    assert set(said.loc[said["cell"] == "standard", "said"]) == {0, 1}, "where no names of classes are stored"
    assert said.loc[said["cell"] == "numbers", "said"].nunique() == 80
    write_cell(tmp_path / "run", "0" * 12, seeds=(0,), task="cola")
    stored = {
        "labels": np.array(["no", "yes"]),
        "test_labels": np.array([1, 0, 1]),
        "test_ids": np.array(["a", "b", "c"]),
    }
    outputs = np.array([[0, 1], [2, 1], [0.5, 0.25]], np.float32)
    np.savez(tmp_path / "run" / "seed_0" / "predictions.npz", test_best=outputs, **stored)
    found = stablefit.load_study(tmp_path / "run").predictions
    assert found[["id", "label", "said"]].to_numpy().tolist() == [
        ["a", "yes", "yes"],
        ["b", "no", "no"],
        ["c", "yes", "no"],
    ]


def test_several_labels_have_a_row_each(tmp_path):
    from stablefit.study import frames, reading
    from stablefit.study.packed import Said

    write_cell(tmp_path / "run", "0" * 12, seeds=(0,))
    (cell,) = reading.load(tmp_path / "run").cells
    several = type(cell.task)("mails", "multilabel", ("late", "broken"), None, "", "accuracy", "accuracy")
    object.__setattr__(cell, "task", several)
    said = Said(np.array([1, 0, 0, 1]), np.array([1, 1, 0, 1]), np.array(["a", "b"]), np.array(["late", "broken"]))
    found = frames._predictions(cell, 0, said)
    assert found[["example", "id", "of", "label", "said"]].to_numpy().tolist() == [
        [0, "a", "late", 1, 1], [0, "a", "broken", 1, 0], [1, "b", "late", 0, 0], [1, "b", "broken", 1, 1],
    ]  # fmt: skip


def test_a_study_that_has_no_runs_has_empty_tables(tmp_path):
    write_study(tmp_path / "one", {"standard": {"seeds": (), "asked": range(5)}})
    study = stablefit.load_study(tmp_path / "one")
    for table in TABLES:
        assert len(getattr(study, table)) == 0
        assert {"cell", "seed"} <= set(getattr(study, table).columns)


def test_what_is_wrong_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="is no study; give the --workdir"):
        stablefit.load_study(tmp_path)
    write_cell(tmp_path / "run", "0" * 12, seeds=(0,))
    (tmp_path / "run" / "results.jsonl").write_text("{\n")
    with pytest.raises(InputError, match=r"results\.jsonl:1: is not a JSON object"):
        stablefit.load_study(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match=r"load_study needs pandas: pip install 'stablefit\[tables\]'"):
        stablefit.load_study(tmp_path / "run")


def test_tables_bring_in_no_jax(tmp_path):
    write_cell(tmp_path / "run", "0" * 12, seeds=(0,))
    code = (
        "import json, sys, stablefit; before = 'pandas' in sys.modules\n"
        f"n = len(stablefit.load_study({str(tmp_path / 'run')!r}).predictions)\n"
        "print(json.dumps([before, n, 'jax' in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == [False, 40, False]
