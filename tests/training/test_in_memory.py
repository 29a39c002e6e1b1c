"""`stablefit.run`: texts and labels in memory -> rows and parameters, as the same tables on disk give them."""

import csv

import jax
import numpy as np
import pytest

import stablefit
from stablefit.errors import InputError
from stablefit.training import checkpoints, rundir
from tests import tiny
from tests.training.watching import Told


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("memory")
    tiny.write_model(root / "model", blocks=1)
    tiny.write_own(root / "own")
    return root


@pytest.fixture(scope="module")
def tables(place):
    """Part -> the columns of its table."""
    found = {}
    for part in ("train", "test"):
        rows = list(csv.DictReader((place / "own" / f"{part}.csv").read_text().splitlines()))
        found[part] = {name: [row[name] for row in rows] for name in rows[0]}
    return found


def config(place, **changes):
    return tiny.config(place, **{"data_dir": "", "seeds": (0, 1), "max_steps": 4, "evaluations": 2} | changes)


def data(tables, label="label", convert=str):
    return {part: (own["text"], [convert(x) for x in own[label]]) for part, own in tables.items()}


def same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_is_the_run_on_the_same_table(place, tables, tmp_path):
    from stablefit.training import job, loop, progress, settings

    told = Told()
    found = stablefit.run(config(place), data(tables), observers=[told])
    assert [row["seed"] for row in found.rows] == [0, 1]
    assert found.labels == ("early", "late")
    assert told.events[-1][0] == "end"
    own = {"task": "texts", "data_file": str(place / "own"), "text_columns": "text", "label_column": "label"}
    read = settings.read(config(place, **own))
    ready = job.load(read)
    with rundir.RunDirectory(tmp_path / "run", read) as directory:
        rows = loop.run(ready, directory, progress.Progress(0, quiet=True))
    assert [row["test_best"] for row in rows] == [row["test_best"] for row in found.rows]
    for row, params in zip(rows, found.params, strict=True):
        same(params, checkpoints.load_params(tmp_path / "run" / f"seed_{row['seed']}" / "best"))


def test_a_workdir_stays_and_goes_on(place, tables, tmp_path):
    first = stablefit.run(config(place, seeds=(0,)), data(tables), workdir=tmp_path / "w")
    told = Told()
    more = stablefit.run(config(place), data(tables), workdir=tmp_path / "w", observers=[told])
    assert {seed for _, who, _ in told.events for _, seed in who} == {1}
    assert first.rows[0] == more.rows[0]
    assert len(stablefit.load(tmp_path / "w").predict(["w0 w1", "w30"])) == 2
    changed = {**data(tables), "test": (["w1"] * 24, data(tables)["test"][1])}
    with pytest.raises(InputError, match="other data"):
        stablefit.run(config(place), changed, workdir=tmp_path / "w")


@pytest.mark.parametrize(
    ("label", "convert", "labels"),
    [
        pytest.param("stars", lambda x: float(x) + 0.5, (), marks=pytest.mark.slow),
        ("tags", lambda x: [one for tag in x.split(";") for one in tag.split("|")], ("t0", "t1", "t2", "t3")),
    ],
)
def test_other_kinds_of_labels(place, tables, label, convert, labels):
    found = stablefit.run(config(place, seeds=(0,), keep="none"), data(tables, label, convert))
    assert found.labels == labels
    assert found.params == []
    assert found.rows[0]["steps"] == 4


def test_folds_without_a_test_set(place, tables):
    only = {"train": data(tables)["train"]}
    with pytest.raises(InputError, match=r"^data has no rows to test on; set config field folds"):
        stablefit.run(config(place), only)
    found = stablefit.run(config(place, folds=2, keep="none"), only)
    assert [row["fold"] for row in found.rows] == [0, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: {"dev": d["train"]}, "data has 'dev'; it must have 'train'"),
        (lambda d: d | {"dev": d["train"]}, "it must have 'train', and may have"),
        (lambda d: {"train": (d["train"][0], d["train"][1][:-1])}, r"data\['train'\]: X has 48 texts and y has 47"),
        (lambda d: d | {"test": (["w1", ""], ["early", "late"])}, r"data\['test'\]: X\[1\] is an empty text"),
        (lambda d: d | {"test": (["w1"], ["noon"])}, r"data\['test'\], row 0"),
    ],
)
def test_mistakes_name_the_place(place, tables, change, said):
    with pytest.raises(InputError, match=said) as error:
        stablefit.run(config(place), change(data(tables)))
    assert "\n" not in str(error.value)
    assert "/tmp" not in str(error.value)


def test_fields_that_say_where_the_data_lies(place, tables):
    with pytest.raises(InputError, match=r"data_file is 'x.csv'; the data is given"):
        stablefit.run(config(place, data_file="x.csv"), data(tables))
