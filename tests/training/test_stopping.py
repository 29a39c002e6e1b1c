"""Runs that end early: by patience, and because other seeds were better; whole and after SIGTERM, the same bits."""

import json
import signal

import numpy as np
import pytest

from stablefit.errors import InputError
from stablefit.objectives import metrics
from stablefit.training import job, loop, order, progress, rundir, settings, stopping
from tests import tiny
from tests.training.test_fields import with_small_network
from tests.training.test_loop import assert_same_bits, traces
from tests.training.watching import StopAfter

LONG = {"max_steps": 12, "evaluations": 6}


@pytest.fixture(scope="module", autouse=True)
def scores_that_differ():
    """The tiny run has few examples, and most accuracies tie; so the score is by the loss."""
    compute = metrics.compute

    def by_loss(kind, logits, labels):
        scores = compute(kind, logits, labels)
        return scores | {"accuracy": 1 - scores["loss"]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "compute", by_loss)
        yield


@pytest.fixture(scope="module")
def prepare(tiny_root):
    """`prepare(**changes)`: a job of twelve steps with six evaluations, with a network that compiles fast."""
    return lambda **changes: with_small_network(job.load(settings.read(tiny.config(tiny_root, **LONG | changes))))


def run(the_job, path, display=None, observers=()):
    with rundir.RunDirectory(path, the_job.settings) as directory:
        return loop.run(the_job, directory, display or progress.Progress(0, quiet=True), observers=observers)


def run_and_stop(the_job, path, after, monkeypatch, interrupt=signal.SIGTERM):
    """The steps that are done until the signal, which comes after this many; one step a piece."""
    stop = StopAfter(after, interrupt)
    with monkeypatch.context() as patch:
        patch.setattr(order, "PIECE_SECONDS", 0.0)
        if after:
            with pytest.raises(loop.Interrupted):
                run(the_job, path, observers=[stop])
        else:
            run(the_job, path, observers=[stop])
    return stop.seen


def validation(path, seed):
    lines = rundir.read_lines(path / f"seed_{seed}" / "metrics.jsonl")
    return {line["step"]: line["accuracy"] for line in lines if "split" in line}


def without_times(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


# --- patience


@pytest.fixture(scope="module")
def patient(prepare, tmp_path_factory):
    """Two runs with a patience of two evaluations: the rows and the folder."""
    path = tmp_path_factory.mktemp("patient") / "run"
    return path, run(prepare(seeds=(0, 1), patience=2), path)


def test_patience_stops_after_so_many_evaluations_without_a_better_score(patient, prepare, tmp_path):
    path, (first, second) = patient
    assert (second["stopped"], second["steps"], second["total_steps"], second["best_step"]) == ("patience", 6, 12, 2)
    scores = validation(path, 1)
    assert list(scores) == [2, 4, 6]
    assert scores[2] >= max(scores[4], scores[6])
    assert (first["stopped"], first["steps"], first["best_step"]) == ("patience", 10, 6)
    run(prepare(seeds=(1,)), tmp_path / "run")
    whole, stopped = (traces(folder, 1)[0] for folder in (tmp_path / "run", path))
    assert stopped == [line for line in whole if line["step"] <= 6], "the learning rates are those of all 12 steps"
    assert len(whole) > len(stopped)
    predictions = np.load(path / "seed_1" / "predictions.npz")
    assert not np.array_equal(predictions["test_best"], predictions["test_last"])


@pytest.mark.parametrize("after", [1, 4, 5, 6, 9])
def test_a_resumed_run_keeps_its_patience(patient, prepare, tmp_path, monkeypatch, after):
    """SIGTERM inside a segment, at the last step before an evaluation, and at that before the last evaluation."""
    the_job = prepare(seeds=(1, 0), patience=2)
    run_and_stop(the_job, tmp_path / "run", after, monkeypatch)
    rows = run(the_job, tmp_path / "run")
    assert without_times(rows) == without_times(patient[1][::-1])
    for seed in (0, 1):
        assert_same_bits(traces(patient[0], seed), traces(tmp_path / "run", seed))


@pytest.fixture(scope="module")
def together(prepare, tmp_path_factory):
    """The same two seeds in one program."""
    path = tmp_path_factory.mktemp("together") / "run"
    return path, run(prepare(seeds=(0, 1), patience=2, cohort_size=2), path)


def test_a_stopped_member_of_a_cohort_stays_as_it_was(patient, together):
    for alone, other in zip(patient[1], together[1], strict=True):
        assert [alone[name] for name in ("steps", "stopped", "best_step")] == [
            other[name] for name in ("steps", "stopped", "best_step")
        ]
    for seed in (0, 1):
        alone, other = traces(patient[0], seed), traces(together[0], seed)
        assert [line["step"] for line in alone[0]] == [line["step"] for line in other[0]]
        np.testing.assert_allclose([line["loss"] for line in alone[0]], [line["loss"] for line in other[0]], rtol=1e-4)
        for name in ("test_best", "test_last"):
            np.testing.assert_allclose(alone[1][name], other[1][name], atol=1e-3)
        last = [trace[3]["encoder"]["layer_0"]["attention"]["output"]["kernel"] for trace in (alone, other)]
        np.testing.assert_allclose(*last, rtol=1e-3, atol=1e-4)


def test_a_cohort_with_a_stopped_member_goes_on(together, prepare, tmp_path, monkeypatch):
    """SIGTERM after one of the two has stopped, at step 6, and the other has not."""
    the_job = prepare(seeds=(0, 1), patience=2, cohort_size=2)
    run_and_stop(the_job, tmp_path / "run", 9, monkeypatch)
    assert list(validation(tmp_path / "run", 1)) == [2, 4, 6]
    run(the_job, tmp_path / "run")
    for seed in (0, 1):
        assert_same_bits(traces(together[0], seed), traces(tmp_path / "run", seed))


def test_the_display_counts_what_patience_saves(prepare, tmp_path):
    display = progress.Progress(24, quiet=True)
    run(prepare(seeds=(0, 1), patience=2), tmp_path / "run", display)
    assert display.done == 24


# --- seeds that are compared

COMPARED = {"seeds": (3, 0, 2, 1), "stop_seeds_at": 0.3, "keep_seeds": 0.5}


@pytest.fixture(scope="module")
def compared(prepare, tmp_path_factory):
    """Four seeds, of which two go on from step 4."""
    path = tmp_path_factory.mktemp("compared") / "run"
    display = progress.Progress(0, quiet=True)
    rows = run(prepare(**COMPARED), path, display)
    assert display.done == loop.planned_steps(prepare(**COMPARED), []) == 2 * 4 + 2 * 12
    return path, rows


def test_the_best_seeds_go_on_and_every_seed_has_a_row(compared, prepare, tmp_path):
    path, rows = compared
    assert [row["seed"] for row in rows] == [3, 0, 2, 1]
    scores = {row["seed"]: max(v for step, v in validation(path, row["seed"]).items() if step <= 4) for row in rows}
    kept = sorted(scores, key=lambda seed: -scores[seed])[:2]
    for row in rows:
        assert (row["stopped"], row["steps"]) == (("", 12) if row["seed"] in kept else ("seeds", 4))
        assert (row["started"], row["total_steps"]) == (4, 12)
        assert row["validation"]["accuracy"] == max(validation(path, row["seed"]).values())
    with rundir.RunDirectory(path, prepare(**COMPARED).settings) as directory:
        assert directory.compared() == scores
    assert not list(path.glob("seed_*/state"))
    run(prepare(seeds=(0, 1, 2, 3)), tmp_path / "whole")
    for row in rows:
        whole, part = (traces(folder, row["seed"]) for folder in (tmp_path / "whole", path))
        assert part[0] == [line for line in whole[0] if line["step"] <= row["steps"]]
        if not row["stopped"]:
            assert_same_bits(whole, part)


@pytest.mark.parametrize("after", [3, 4, 16, 17, 28])
def test_the_same_seeds_are_kept_whatever_is_killed_when(compared, prepare, tmp_path, monkeypatch, after):
    """SIGTERM in the first part, at its last steps, and in the second; no step is done twice."""
    the_job = prepare(**COMPARED)
    done = run_and_stop(the_job, tmp_path / "run", after, monkeypatch)
    done += run_and_stop(the_job, tmp_path / "run", 0, monkeypatch)
    assert done == 2 * 4 + 2 * 12
    rows = run(the_job, tmp_path / "run")
    assert without_times(rows) == without_times(compared[1])
    for seed in (0, 1, 2, 3):
        assert_same_bits(traces(compared[0], seed), traces(tmp_path / "run", seed))


def test_a_kill_between_two_rows_of_seeds_that_are_left(compared, prepare, tmp_path, monkeypatch):
    """The scores are on disk before the first row, so that the rest of the rows are of the same seeds."""
    the_job, finish, rows = prepare(**COMPARED), rundir.RunDirectory.finish, []

    def finish_one(self, row):
        if rows:
            raise KeyboardInterrupt
        rows.append(row)
        finish(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(rundir.RunDirectory, "finish", finish_one)
        with pytest.raises(KeyboardInterrupt):
            run(the_job, tmp_path / "run")
    assert [row["stopped"] for row in rows] == ["seeds"]
    assert loop.planned_steps(the_job, rows) == 4 + 2 * 12
    assert without_times(run(the_job, tmp_path / "run")) == without_times(compared[1])


def test_both_rules_together(prepare, tmp_path):
    """Seed 1 has stopped by patience before seeds are compared; its row says so whether it is kept or not."""
    path = tmp_path / "run"
    rows = run(prepare(seeds=(0, 1, 2), stop_seeds_at=0.6, keep_seeds=0.3, patience=2), path)
    assert {row["seed"]: (row["stopped"], row["steps"]) for row in rows}[1] == ("patience", 6)
    assert sum(row["steps"] == 12 for row in rows) <= 1
    assert all(row["started"] == 3 for row in rows)


def test_other_seeds_are_another_run(compared, prepare):
    """What a row says depends on the seeds that it was compared with."""
    more = prepare(**COMPARED | {"seeds": (0, 1, 2, 3, 4)}).settings
    again = prepare(**COMPARED | {"seeds": (0, 1, 2, 3)}).settings
    assert more.fingerprint != again.fingerprint == prepare(**COMPARED).settings.fingerprint
    with pytest.raises(InputError, match=r"seeds=\(0, 1, 2, 3\), which stop_seeds_at compares .*, this one has \(0, 1"):
        rundir.RunDirectory(compared[0], more)
    with rundir.RunDirectory(compared[0], again):
        pass
    assert sorted(json.loads((compared[0] / "config.json").read_text())["seeds"]) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stop_seeds_at": 0.9, "seeds": (0, 1)}, r"stop_seeds_at is 0\.9, and no evaluation .* 2, 4, 6, 8, 10, 12"),
        ({"stop_seeds_at": 0.3}, r"stop_seeds_at=0\.3 and keep_seeds=0\.5 keep all of 1 seeds; give more seeds"),
        ({"stop_seeds_at": 1.0}, r"stop_seeds_at is 1\.0; it must be a number in \[0, 1\)"),
        ({"keep_seeds": 1.0}, r"keep_seeds is 1\.0; it must be a number in \(0, 1\)"),
        ({"patience": -1}, "patience is -1; it must be an integer from 0"),
    ],
)
def test_what_cannot_be(prepare, changes, message):
    with pytest.raises(InputError, match=message):
        prepare(**changes)


def test_which_seeds_and_when():
    assert stopping.comparison_step((2, 4, 6), 0.33) == 2
    assert stopping.comparison_step((2, 4, 6), 0.34) == 4
    assert [stopping.n_kept(n, 0.1) for n in (1, 10, 11, 30)] == [1, 1, 2, 3]
    assert stopping.kept({5: 0.7, 9: 0.8, 2: 0.7, 4: 0.1}, 0.5) == {9, 2}
