"""A run that diverges: it stops at the first loss or gradient that is not finite, and those beside it do not notice."""

import contextlib
import io

import numpy as np
import pytest

from stablefit.training import checkpoints, loop, order, progress, rundir
from tests.training.test_loop import assert_same_bits, run, traces
from tests.training.watching import StopAfter


def together(jobs, path, observers=(), stream=None):
    """Two cells of one seed in one program: their rows."""
    display = progress.Progress(0, quiet=stream is None, stream=stream)
    with contextlib.ExitStack() as stack:
        cells = {
            name: stack.enter_context(rundir.RunDirectory(path / name, one.settings)) for name, one in jobs.items()
        }
        loop.run_together(next(iter(jobs.values())), cells, display, observers=observers)
        return {name: directory.results()[0] for name, directory in cells.items()}


def pair(prepare, rate):
    both = {"seeds": (0,), "cohort_size": 2, "max_steps": 6, "evaluations": 2}
    return {"sound": prepare(**both), "other": prepare(**both, learning_rate=rate)}


@pytest.fixture(scope="module")
def diverged(prepare, tmp_path_factory):
    """A sound run beside one whose weights overflow in its first updates, and what the display said."""
    path, stream = tmp_path_factory.mktemp("diverged"), io.StringIO()
    return path, together(pair(prepare, 1e30), path, stream=stream), stream.getvalue()


def test_a_member_stops_where_it_diverges(diverged):
    path, rows, said = diverged
    row, step = rows["other"], rows["other"]["diverged_at"]
    assert 1 <= step <= 3
    assert (row["diverged"], row["failed"], row["steps"], row["total_steps"]) == (True, True, step, 6)
    lines = rundir.read_lines(path / "other" / "seed_0" / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(1, step + 1))
    assert None in (lines[-1]["loss"], lines[-1]["grad_norm"])
    assert not any(None in line.values() for line in lines[:-1])
    assert (row["best_step"], row["test_best"]["accuracy"], row["test_last"]["diverged"]) == (0, 0.0, 1.0)
    assert row["validation"]["accuracy"] == 0.0
    assert not {"best", "last"} & {folder.name for folder in (path / "other" / "seed_0").iterdir()}
    assert f"step {step}/6  diverged: the loss or the gradient is not finite; it stops here" in said
    assert not any("best so far" in line for line in said.splitlines() if line.startswith("other"))


def test_the_others_go_on_with_the_same_bits(diverged, prepare, tmp_path):
    path, rows, _ = diverged
    beside = together(pair(prepare, 2e-2), tmp_path)
    assert "diverged_at" not in rows["sound"]
    assert {**rows["sound"], "seconds": 0} == {**beside["sound"], "seconds": 0}
    assert_same_bits(traces(path / "sound"), traces(tmp_path / "sound"))


def test_a_cohort_with_a_diverged_member_goes_on_after_a_signal(diverged, prepare, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(order, "PIECE_SECONDS", 0.0)
        with pytest.raises(loop.Interrupted):
            together(pair(prepare, 1e30), tmp_path, [StopAfter(4)])
    rows = together(pair(prepare, 1e30), tmp_path)
    for name, row in rows.items():
        assert {**row, "seconds": 0} == {**diverged[1][name], "seconds": 0}
    assert_same_bits(traces(diverged[0] / "sound"), traces(tmp_path / "sound"))


def test_a_run_that_diverges_alone_is_not_trained_to_its_end(prepare, tmp_path):
    watch = StopAfter()
    the_job = prepare(seeds=(0,), max_steps=1000, evaluations=500, learning_rate=1e30)
    [row] = run(the_job, tmp_path / "run", [watch])
    assert watch.seen == row["diverged_at"] == row["steps"] < 10


def test_what_was_best_before_a_run_diverged_stays(prepare, tmp_path, monkeypatch):
    """The loss of step 5 is made infinite, after the evaluation at step 3."""
    train = loop._CohortRun._train

    def broken(self, batches, count):
        whole = self.cohort.train
        step = self.step

        def of_step_five(*given):
            state, records = whole(*given)
            at = np.arange(records["loss"].shape[1]) + step + 1 == 5
            return state, {**records, "loss": np.where(at, np.inf, np.asarray(records["loss"]))}

        object.__setattr__(self.cohort, "train", of_step_five)
        try:
            train(self, batches, count)
        finally:
            object.__setattr__(self.cohort, "train", whole)

    the_job = prepare(seeds=(0,))
    run(the_job, tmp_path / "whole")
    monkeypatch.setattr(loop._CohortRun, "_train", broken)
    [row] = run(the_job, tmp_path / "run")
    assert (row["diverged_at"], row["best_step"], row["steps"]) == (5, 3, 5)
    assert row["test_best"]["accuracy"] > 0
    assert row["test_last"]["diverged"] == 1.0
    folder = tmp_path / "run" / "seed_0"
    assert np.isfinite(checkpoints.load_params(folder / "best")["head"]["kernel"]).all()
    assert not (folder / "last").exists()
    whole = rundir.read_lines(tmp_path / "whole" / "seed_0" / "metrics.jsonl")
    assert [line["step"] for line in rundir.read_lines(folder / "metrics.jsonl")] == [1, 2, 3, 3, 4, 5]
    assert rundir.read_lines(folder / "metrics.jsonl")[:5] == whole[:5]


def test_seeds_that_diverge_before_they_are_compared(prepare, tmp_path):
    the_job = prepare(seeds=(0, 1), max_steps=8, evaluations=4, learning_rate=1e30, stop_seeds_at=0.3, keep_seeds=0.5)
    rows = run(the_job, tmp_path / "run")
    assert [row["diverged"] for row in rows] == [True, True]
    with rundir.RunDirectory(tmp_path / "run", the_job.settings) as directory:
        assert directory.compared() == {0: -np.inf, 1: -np.inf}
