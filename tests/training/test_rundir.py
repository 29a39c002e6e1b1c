"""The files of a run: what is refused, what a reader or a kill finds, and what a run goes on from."""

import json
import math

import numpy as np
import pytest

from stablefit.data.digest import Digest
from stablefit.errors import InputError
from stablefit.fields import FIELDS
from stablefit.training import rundir, settings
from tests import tiny


@pytest.fixture
def config(tmp_path):
    """`config(**changes)`: settings; nothing is loaded."""
    return lambda **changes: settings.read(tiny.config(tmp_path, **changes))


@pytest.fixture
def directory(tmp_path, config):
    with rundir.RunDirectory(tmp_path / "run", config(seeds=(0, 1, 2))) as made:
        yield made


def test_rows_are_added_to_those_that_there_are(directory):
    for seed in (2, 0):
        directory.finish({"seed": seed, "score": seed / 2})
    assert directory.results() == {2: {"seed": 2, "score": 1.0}, 0: {"seed": 0, "score": 0.0}}
    assert directory.unfinished((0, 1, 2)) == [1]


def test_a_finished_seed_leaves_no_state(directory):
    state = directory.seed(1) / "state"
    state.mkdir(parents=True)
    (directory.seed(1) / "kept").touch()
    directory.finish({"seed": 1})
    assert not state.exists()
    assert (directory.seed(1) / "kept").exists()


def test_a_line_that_a_kill_cut_off_is_no_row(directory):
    directory.finish({"seed": 0})
    with (directory.path / "results.jsonl").open("a") as file:
        file.write('{"seed": 1}')
    assert directory.results().keys() == {0}


def test_a_row_of_another_config_is_refused(directory):
    directory.finish({"seed": 0, "fingerprint": directory.settings.fingerprint})
    with (directory.path / "results.jsonl").open("a") as file:
        file.write('{"seed": 1, "fingerprint": "abc"}\n')
    with pytest.raises(
        InputError, match=r"results\.jsonl:2: its row is of config abc, this run's is [0-9a-f]{12}; delete"
    ):
        directory.results()


def test_numbers_that_json_does_not_know_are_null(directory):
    directory.finish({"seed": 0, "loss": math.nan, "scores": {"best": -math.inf, "last": 0.5}})
    (line,) = (directory.path / "results.jsonl").read_text().splitlines()
    assert json.loads(line) == {"seed": 0, "loss": None, "scores": {"best": None, "last": 0.5}}


def test_a_write_that_fails_leaves_the_old_text(tmp_path, monkeypatch):
    """As a kill does: the new text is complete before it takes the old one's place."""
    file = tmp_path / "results.jsonl"
    rundir.write_whole(file, "old\n")

    def killed(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(rundir.os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        rundir.write_whole(file, "new and longer\n")
    assert file.read_text() == "old\n"


def test_a_directory_belongs_to_one_config(directory, config):
    directory.__exit__()
    with pytest.raises(InputError, match=r"learning_rate=0\.01, this one has 0\.02"):
        rundir.RunDirectory(directory.path, config(learning_rate=2e-2))
    rundir.RunDirectory(directory.path, config(cohort_size=2, keep="none")).__exit__()


def test_a_directory_of_before_a_field_existed_goes_on(directory, config):
    directory.__exit__()
    file = directory.path / "config.json"
    now = json.loads(file.read_text())
    then = {name: value for name, value in now.items() if FIELDS[name].before is None}
    assert len(then) < len(now)
    file.write_text(json.dumps(then))
    with pytest.raises(InputError, match="patience=0, this one has 3"):
        rundir.RunDirectory(directory.path, config(patience=3, gradient="whole"))
    with pytest.raises(InputError, match="gradient='whole', this one has 'parts'"):
        rundir.RunDirectory(directory.path, config())
    rundir.RunDirectory(directory.path, config(gradient="whole")).__exit__()
    assert json.loads(file.read_text()) == now | {"gradient": "whole"}


def test_seeds_that_were_asked_for_before_are_remembered(directory, config):
    directory.__exit__()
    rundir.RunDirectory(directory.path, config(seeds=(7, 1))).__exit__()
    assert json.loads((directory.path / "config.json").read_text())["seeds"] == [0, 1, 2, 7]


def test_a_directory_belongs_to_one_process(directory, config):
    with pytest.raises(InputError, match="in use by another process"):
        rundir.RunDirectory(directory.path, config())


def test_a_directory_belongs_to_one_set_of_data(tmp_path, config):
    data = Digest("a" * 16, {"train": 3})
    rundir.RunDirectory(tmp_path / "run", config(), data).__exit__()
    rundir.RunDirectory(tmp_path / "run", config(), data).__exit__()
    with pytest.raises(InputError, match="other data"):
        rundir.RunDirectory(tmp_path / "run", config(), data._replace(digest="b" * 16))


@pytest.mark.parametrize(("evaluated", "scores"), [(2, [2]), (4, [2, 4])])
def test_a_resumed_run_does_not_keep_what_it_does_again(tmp_path, evaluated, scores):
    """A save may lie between a segment's last step and its evaluation."""
    file = rundir.MetricsFile(tmp_path, 0, 0)
    for step in range(1, 7):
        file.add([{"step": step, "loss": 0.5}])
        if step % 2 == 0:
            file.add([{"step": step, "split": "validation", "accuracy": 0.5}])
    kept = rundir.read_lines(rundir.MetricsFile(tmp_path, 4, evaluated).path)
    assert [row["step"] for row in kept if "split" not in row] == [1, 2, 3, 4]
    assert [row["step"] for row in kept if "split" in row] == scores


def test_an_adopted_seed_takes_the_place_of_what_was_there(directory, tmp_path):
    made = tmp_path / "elsewhere"
    made.mkdir()
    rundir.save_predictions(made, {"test": np.ones(2)})
    left = directory.seed(1)
    left.mkdir()
    (left / "half").touch()
    directory.adopt({"seed": 1}, rundir.pack(made))
    assert [file.name for file in left.iterdir()] == ["predictions.npz"]
    assert directory.results().keys() == {1}
