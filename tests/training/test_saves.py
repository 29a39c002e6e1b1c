"""Saves that are damaged, renamed, half written or of a run that diverged: none is used without a word."""

import json
import shutil

import numpy as np
import pytest

from stablefit.errors import InputError
from stablefit.serve import model
from stablefit.training import checkpoints, host, job, loop, manifest, order, rundir
from tests.serve import making
from tests.training.test_loop import assert_same_bits, run, traces
from tests.training.watching import StopAfter

STATE = {"w": np.arange(3.0, dtype=np.float32), "v": np.ones((4, 5), np.float32)}
WHOSE = {"seed": 3, "fingerprint": "f" * 12}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The state of seed 3 after steps 2 and 4, its best parameters and its predictions."""
    folder = tmp_path_factory.mktemp("saves") / "seed_3"
    for step in (2, 4):
        checkpoints.save_state(folder / "state", step, scaled(step), {"score": float(step)}, **WHOSE)
    checkpoints.save_params(folder / "best", STATE, step=2, **WHOSE)
    rundir.save_predictions(folder, {"test": np.arange(4)}, step=4, **WHOSE)
    return folder


def scaled(step):
    return {name: value * step for name, value in STATE.items()}


def newest(folder, **whose):
    """What a run would go on from, and the reasons why newer saves were passed over."""
    why = []
    for step in reversed(checkpoints.saved_steps(folder / "state")):
        try:
            return step, *checkpoints.restore_state(folder / "state", step, STATE, **whose), why
        except InputError as error:
            why.append(str(error))
    return 0, None, None, why


def flip(file, random):
    content = bytearray(file.read_bytes())
    content[random.integers(len(content))] ^= 1 << random.integers(8)
    file.write_bytes(content)


def test_no_flipped_bit_is_used_and_none_is_fatal(saved, tmp_path):
    random = np.random.default_rng(0)
    files = [file for file in sorted((saved / "state" / "4").rglob("*")) if file.is_file() and file.stat().st_size]
    assert len(files) > 5
    for file in files:
        for _ in range(3):
            copy = shutil.copytree(saved, tmp_path / "seed_3")
            flip(copy / file.relative_to(saved), random)
            step, state, record, why = newest(copy)
            assert (step, record) == (2, {"score": 2.0}), file
            np.testing.assert_array_equal(state["w"], 2 * STATE["w"])
            assert len(why) == 1
            assert "state/4 cannot be read (its " in why[0]
            shutil.rmtree(copy)


def test_no_flipped_bit_of_parameters_or_predictions_is_used(saved, tmp_path):
    random = np.random.default_rng(1)
    files = [file for file in sorted((saved / "best").rglob("*")) if file.is_file() and file.stat().st_size]
    for file in [*files, *saved.glob("predictions*")]:
        for _ in range(3):
            copy = shutil.copytree(saved, tmp_path / "seed_3")
            flip(copy / file.relative_to(saved), random)
            with pytest.raises(InputError, match="is not used: its "):
                manifest.check(copy / ("predictions.npz" if file.parent == saved else "best"), "")
            if file.parent != saved:
                with pytest.raises(InputError, match="is not used: its "):
                    checkpoints.load_params(copy / "best")
            shutil.rmtree(copy)


def test_files_that_are_gone_are_missed(saved, tmp_path):
    copy = shutil.copytree(saved, tmp_path / "seed_3")
    gone = next(file for file in (copy / "best").rglob("d/*"))
    gone.unlink()
    with pytest.raises(InputError, match=f"its file .*{gone.name} is gone"):
        checkpoints.load_params(copy / "best")


def test_an_older_save_under_a_newer_name_is_refused(saved, tmp_path):
    copy = shutil.copytree(saved, tmp_path / "seed_3")
    (copy / "state" / "2").rename(copy / "state" / "6")
    step, _, _, why = newest(copy)
    assert step == 4
    assert "it is of step 2, not 6" in why[0]


def test_the_saves_of_another_seed_are_refused(saved, tmp_path):
    copy = shutil.copytree(saved, tmp_path / "seed_5")
    step, _, _, why = newest(copy)
    assert step == 0
    assert all("it is of seed 3, not 5" in one for one in why)
    for read in (lambda: checkpoints.load_params(copy / "best"), lambda: manifest.check(copy / "predictions.npz", "")):
        with pytest.raises(InputError, match="it is of seed 3, not 5"):
            read()
    step, _, _, why = newest(saved, seed=3, fingerprint="0" * 12)
    assert step == 0
    assert "it is of fingerprint ffffffffffff, not 000000000000" in why[0]


def test_the_last_parameters_are_not_taken_for_the_best(saved, tmp_path):
    shutil.copytree(saved / "best", tmp_path / "last")
    with pytest.raises(InputError, match="it is of part best, not last"):
        checkpoints.load_params(tmp_path / "last")


def test_saves_of_before_there_were_manifests_are_read(saved, tmp_path):
    copy = shutil.copytree(saved, tmp_path / "seed_3")
    for file in copy.rglob(f"*{manifest.NAME}"):
        file.unlink()
    assert newest(copy, **WHOSE)[0] == 4
    np.testing.assert_array_equal(checkpoints.load_params(copy / "best")["w"], STATE["w"])
    manifest.check(copy / "predictions.npz", "")


def test_a_save_whose_manifest_was_not_written_is_passed_over(saved, tmp_path):
    copy = shutil.copytree(saved, tmp_path / "seed_3")
    (copy / "state" / "4" / manifest.NAME).unlink()
    step, _, _, why = newest(copy)
    assert step == 2
    assert "has no manifest" in why[0]


def test_a_save_takes_the_place_of_a_damaged_one_and_of_later_ones(saved, tmp_path):
    copy = shutil.copytree(saved, tmp_path / "seed_3")
    flip(next(file for file in (copy / "state" / "4").rglob("d/*")), np.random.default_rng(0))
    checkpoints.save_state(copy / "state", 4, scaled(40), {}, **WHOSE)
    assert newest(copy)[0] == 4
    np.testing.assert_array_equal(newest(copy)[1]["w"], 40 * STATE["w"])
    checkpoints.save_state(copy / "state", 3, scaled(3), {}, **WHOSE)
    assert checkpoints.saved_steps(copy / "state") == [2, 3]


def test_no_flipped_bit_of_a_model_that_a_fit_keeps_is_used(tmp_path, tiny_root):
    random = np.random.default_rng(2)
    made = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"), members=2)
    files = [file for file in sorted((made / "model").rglob("*")) if file.is_file()]
    assert {"0.safetensors", "1.safetensors", "bundle.json", manifest.NAME} <= {file.name for file in files}
    for file in files:
        whole = file.read_bytes()
        for _ in range(2):
            flip(file, random)
            with pytest.raises(InputError):
                model.load(made)
            file.write_bytes(whole)
    (made / "model" / manifest.NAME).write_text('{"name": "of something else"}')
    with pytest.raises(InputError, match=r"its manifest\.json is damaged"):
        model.load(made)


# --- runs


def test_a_save_that_is_passed_over_is_said_with_quiet_too(prepare, tmp_path, monkeypatch, capsys):
    the_job = prepare(seeds=(0,), checkpoint_minutes=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(order, "PIECE_SECONDS", 0.0)
        with pytest.raises(loop.Interrupted):
            run(the_job, tmp_path / "run", [StopAfter(5)])
    state = tmp_path / "run" / "seed_0" / "state"
    stored = json.loads((state / "5" / manifest.NAME).read_text())
    assert (stored["step"], stored["seed"], stored["fingerprint"]) == (5, 0, the_job.settings.fingerprint)
    flip(next(file for file in (state / "5").rglob("d/*")), np.random.default_rng(0))
    capsys.readouterr()
    [row] = run(the_job, tmp_path / "run")
    said = capsys.readouterr().err
    assert "state/5 cannot be read (its file" in said
    assert said.endswith("; the save before it is used\n")
    assert said.count("\n") == 1
    run(the_job, tmp_path / "whole")
    assert_same_bits(traces(tmp_path / "run"), traces(tmp_path / "whole"))
    for name, step in (("best", row["best_step"]), ("last", row["steps"])):
        stored = json.loads((tmp_path / "run" / "seed_0" / name / manifest.NAME).read_text())
        assert (stored["step"], stored["part"]) == (step, name)
    assert json.loads((tmp_path / "run" / "seed_0" / "predictions.manifest.json").read_text())["seed"] == 0


@pytest.mark.parametrize("damage", ["gone", "empty", "a line of zeros", "cut short"])
def test_a_log_that_lost_steps_is_said(prepare, tmp_path, monkeypatch, capsys, damage):
    the_job = prepare(seeds=(0,), checkpoint_minutes=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(order, "PIECE_SECONDS", 0.0)
        with pytest.raises(loop.Interrupted):
            run(the_job, tmp_path / "run", [StopAfter(5)])
    log = tmp_path / "run" / "seed_0" / "metrics.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    if damage == "gone":
        log.unlink()
    else:
        second = ["\0" * len(lines[1]) + "\n"]
        kept = {"empty": [], "a line of zeros": [lines[0], *second, *lines[2:]], "cut short": lines[:3]}[damage]
        log.write_text("".join(kept))
    lost = {"gone": 5, "empty": 5, "a line of zeros": 1, "cut short": 5 - sum("split" not in one for one in lines[:3])}
    capsys.readouterr()
    run(the_job, tmp_path / "run")
    said = capsys.readouterr().err
    assert (
        said
        == f"stablefit: {log}: {lost[damage]} of 5 steps have no line that can be read; the run goes on without them\n"
    )
    assert [row["step"] for row in rundir.read_lines(log) if "split" not in row][-1] == the_job.total_steps


def test_a_row_says_how_many_cores_there_were(prepare, monkeypatch):
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda _: {0, 3, 5})
    assert prepare(seeds=(0,)).provenance["cores"] == 3


# --- cohorts

COHORT = {"seeds": (0, 1, 2), "cohort_size": 2, "checkpoint_minutes": 0.0}


@pytest.fixture(scope="module")
def cohorts(prepare, tmp_path_factory):
    """Three seeds in programs of two and of one."""
    path = tmp_path_factory.mktemp("cohorts") / "run"
    return path, run(prepare(**COHORT), path)


def same_as(cohorts, path, rows):
    for row, other in zip(rows, cohorts[1], strict=True):
        assert row["layout"] == other["layout"]
        assert {**row, "seconds": 0} == {**other, "seconds": 0}
        assert_same_bits(traces(path, row["seed"]), traces(cohorts[0], row["seed"]))
    assert not list(path.glob("seed_*/row.json"))


class Killed(Exception):
    pass


def killed_at(monkeypatch, where, name, n):
    """The n-th call of a function of a save is not done."""
    whole, calls = getattr(where, name), []

    def call(*given, **named):
        calls.append(1)
        if len(calls) == n:
            raise Killed
        return whole(*given, **named)

    monkeypatch.setattr(where, name, call)


@pytest.mark.parametrize(
    ("where", "name", "n"),
    [
        (checkpoints, "save_state", 2),  # between the members' first saves
        (checkpoints, "save_params", 3),
        (rundir.RunDirectory, "promise", 2),
        (rundir.RunDirectory, "finish", 1),
        (rundir.RunDirectory, "finish", 2),  # between their rows
        (rundir.RunDirectory, "finish", 3),
    ],
)
def test_a_kill_does_not_split_a_cohort(cohorts, prepare, tmp_path, monkeypatch, where, name, n):
    with monkeypatch.context() as patch:
        killed_at(patch, where, name, n)
        with pytest.raises(Killed):
            run(prepare(**COHORT), tmp_path / "run")
    same_as(cohorts, tmp_path / "run", run(prepare(**COHORT), tmp_path / "run"))


def test_a_cohort_is_dealt_as_it_was_though_fewer_runs_are_left(prepare, tmp_path, monkeypatch):
    """Five runs in twos; with three left a device might be given all at once."""
    the_job = prepare(seeds=(0, 1, 2, 3, 4), max_steps=2, evaluations=1)
    monkeypatch.setattr(job.Job, "cohort_size", lambda self, runs: 2 if runs == 5 else runs)
    with monkeypatch.context() as patch:
        killed_at(patch, checkpoints, "save_params", 5)
        with pytest.raises(Killed):
            run(the_job, tmp_path / "run")
    rows = run(the_job, tmp_path / "run")
    assert [row["layout"]["members"] for row in rows] == [2, 2, 2, 2, 1]


def test_a_cohort_that_cannot_be_put_together_is_said(prepare, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(order, "PIECE_SECONDS", 0.0)
        with pytest.raises(loop.Interrupted):
            run(prepare(**COHORT), tmp_path / "run", [StopAfter(2)])
    capsys.readouterr()
    run(prepare(**COHORT), tmp_path / "run", seeds=[1])
    said = capsys.readouterr().err
    assert "seed 1 began in one program with runs that are not at hand now" in said
    assert said.count("\n") == 1
