"""Cells that share programs: one cohort has runs of several, and every row is as if its cell were alone."""

import contextlib
from types import SimpleNamespace

import numpy as np
import pytest

from stablefit.study import launch
from stablefit.training import checkpoints, job, loop, order, progress, rundir, settings, signals, steps
from tests import tiny
from tests.training.test_fields import with_small_network
from tests.training.test_loop import assert_same_bits, traces
from tests.training.test_stopping import without_times
from tests.training.watching import StopAfter

BASE = {"max_steps": 8, "evaluations": 4, "seeds": (0, 1), "weight_decay": 0.1}
CELLS = {"slow": {"learning_rate": 3e-3}, "fast": {"learning_rate": 2e-2, "weight_decay": 0.5, "init_seed": 7}}
QUIET = progress.Progress(0, quiet=True)


@pytest.fixture(scope="module")
def load(tiny_root):
    """`load(**changes)`: a job of eight steps with four evaluations."""
    return lambda **changes: job.load(settings.read(tiny.config(tiny_root, **BASE | changes)))


@pytest.fixture(scope="module")
def cells(load):
    """`cells(**changes)`: two cells that differ in what is traced and in a held stream, with a small network."""
    return lambda **changes: {name: with_small_network(load(**own | changes)) for name, own in CELLS.items()}


def run(jobs, path, display=QUIET, observers=()):
    """The rows of each cell."""
    with contextlib.ExitStack() as stack:
        folders = {
            name: stack.enter_context(rundir.RunDirectory(path / name, one.settings)) for name, one in jobs.items()
        }
        assert launch.here(jobs, folders, display, observers) == []
    return {name: rundir.read_lines(path / name / "results.jsonl") for name in jobs}


@pytest.fixture(scope="module")
def alone(cells, tmp_path_factory):
    """Each run on its own: the folder and the rows."""
    path = tmp_path_factory.mktemp("alone")
    return path, {name: run({name: one}, path)[name] for name, one in cells().items()}


@pytest.fixture(scope="module")
def together(cells, tmp_path_factory):
    """All four in one program."""
    path = tmp_path_factory.mktemp("together")
    return path, run(cells(cohort_size=4), path)


def assert_close(ours, theirs):
    """Two folders with their rows are the same within rounding."""
    for name in CELLS:
        for row, other in zip(ours[1][name], theirs[1][name], strict=True):
            assert all(row[key] == other[key] for key in ("seed", "fingerprint", "steps", "best_step", "failed"))
            for score in ("test_best", "test_last", "validation"):
                assert row[score] == pytest.approx(other[score], rel=1e-3)
            a, b = (traces(path / name, row["seed"]) for path in (ours[0], theirs[0]))
            np.testing.assert_allclose([line["loss"] for line in a[0]], [line["loss"] for line in b[0]], rtol=1e-4)
            for split in ("validation", "test_best", "test_last"):
                np.testing.assert_allclose(a[1][split], b[1][split], atol=1e-3)


def test_a_run_is_the_same_whoever_else_is_in_the_cohort(alone, together):
    assert_close(together, alone)
    for name, rows in together[1].items():
        assert [row["seed"] for row in rows] == [0, 1], name
        assert {row["layout"]["members"] for row in rows} == {4}
    losses = [[line["loss"] for line in traces(together[0] / name, seed)[0]] for name in CELLS for seed in (0, 1)]
    assert min(np.abs(np.subtract(a, b)).max() for i, a in enumerate(losses) for b in losses[:i]) > 1e-2


@pytest.mark.parametrize("after", [1, 4, 7])
def test_an_interrupted_cohort_goes_on(together, cells, tmp_path, monkeypatch, after):
    jobs = cells(cohort_size=4)
    with monkeypatch.context() as patch:
        patch.setattr(order, "PIECE_SECONDS", 0.0)  # one step a piece
        with pytest.raises(signals.Interrupted):
            run(jobs, tmp_path, observers=[StopAfter(after)])
    assert all(
        checkpoints.saved_steps(tmp_path / name / f"seed_{s}/state")[-1] == after for name in CELLS for s in (0, 1)
    )
    watch = StopAfter()
    rows = run(jobs, tmp_path, observers=[watch])
    assert watch.seen == 8 - after
    for name in CELLS:
        assert without_times(rows[name]) == without_times(together[1][name])
        for seed in (0, 1):
            assert_same_bits(traces(together[0] / name, seed), traces(tmp_path / name, seed))


def test_a_kill_between_two_rows(together, cells, tmp_path, monkeypatch):
    """Rows that are there stay; the others were ready, and are added as they were."""
    finish, rows = rundir.RunDirectory.finish, []

    def finish_three(self, row):
        if len(rows) == 3:
            raise KeyboardInterrupt
        rows.append(row)
        finish(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(rundir.RunDirectory, "finish", finish_three)
        with pytest.raises(KeyboardInterrupt):
            run(cells(cohort_size=4), tmp_path)
    again = run(cells(cohort_size=4), tmp_path)
    assert [row["layout"]["members"] for name in CELLS for row in again[name]] == [4, 4, 4, 4]
    for name in CELLS:
        assert without_times(again[name]) == without_times(together[1][name])


def test_a_cell_that_comes_later_costs_the_others_nothing(cells, tmp_path, monkeypatch):
    """The first cell goes on from where it was killed, though the second has nothing to go on from."""
    jobs = cells(cohort_size=4)
    with monkeypatch.context() as patch:
        patch.setattr(order, "PIECE_SECONDS", 0.0)
        with pytest.raises(signals.Interrupted):
            run({"slow": jobs["slow"]}, tmp_path, observers=[StopAfter(6)])
    watch = StopAfter()
    run(jobs, tmp_path, observers=[watch])
    assert watch.seen == 2 + 8


def test_seeds_are_compared_within_their_cell(cells, tmp_path):
    changes = {"seeds": (0, 1, 2), "stop_seeds_at": 0.3, "keep_seeds": 0.3}
    whole, each = cells(**changes), tmp_path / "each"
    rows = run(whole, tmp_path / "all")
    for name, one in whole.items():
        assert sorted(row["steps"] for row in rows[name]) == [4, 4, 8]
        assert without_times(rows[name]) == without_times(run({name: one}, each)[name])


def test_the_display_says_which_cell(cells, tmp_path, capsys):
    display = progress.Progress(32)
    run(cells(cohort_size=4), tmp_path / "all", display)
    shown = capsys.readouterr().err
    assert shown.startswith("slow, fast  [0/32 steps]\n")
    assert "fast  seed 1  step 8/8  validation accuracy" in shown
    assert display.done == 32
    run(cells(), tmp_path / "each", progress.Progress(32))
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "slow  [0/32 steps]"
    assert sum(line.startswith("fast") for line in shown) == 1, "a heading"
    assert sum(line.startswith("seed 1  step 8/8  validation") for line in shown) == 2


@pytest.mark.parametrize("size", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_cell_that_shares_programs_compiles_nothing(cells, tmp_path, monkeypatch, size):
    """Runs one after another in one process trace each program once, however many cells there are."""
    step, traced = steps.train_step, []

    def train_step(*arguments, **options):
        traced.append(1)
        return step(*arguments, **options)

    monkeypatch.setattr(steps, "train_step", train_step)
    jobs = cells(cohort_size=size)
    run({"slow": jobs["slow"]}, tmp_path / "one")
    first = len(traced)
    run(cells(cohort_size=size), tmp_path / "two")
    assert first > 0
    assert len(traced) == 2 * first


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"weight_decay": 0.0}),  # left out of the program
        ({}, {"mixout_rate": 0.1, "mixout_with_dropout": True}),
        ({}, {"reinit_layers": 1}),
        ({}, {"bias_correction": "none"}),
        ({}, {"b2": 0.98}),
        ({}, {"dropout": 0.0}),
        ({}, {"warmup_ratio": 0.2}),
        ({}, {"max_steps": 6}),
        ({}, {"train_examples": 20}),
        ({}, {"patience": 2}),
        ({}, {"lr_multipliers": "head/.*=10"}),
    ],
)
def test_cells_of_other_programs_are_apart(load, tmp_path, monkeypatch, one, other):
    jobs = {"one": load(**one), "other": load(**other), "third": load(**one, learning_rate=1e-3, seeds=(5,))}
    groups = []
    monkeypatch.setattr(
        loop, "run_together", lambda leader, cells, display, observers: groups.append((leader, list(cells)))
    )
    with contextlib.ExitStack() as stack:
        folders = {
            name: stack.enter_context(rundir.RunDirectory(tmp_path / name, job.settings)) for name, job in jobs.items()
        }
        launch.here(jobs, folders, QUIET)
        monkeypatch.undo()
        assert groups == [(jobs["one"], ["one", "third"]), (jobs["other"], ["other"])]
        with pytest.raises(AssertionError):
            loop.run_together(jobs["one"], folders, QUIET)


def test_runs_of_one_fold_are_together(tmp_path, tiny_root, monkeypatch):
    """Runs of different folds have other data, whichever cell they are of."""
    tiny.write_tagging(tmp_path / "data")
    changes = {"task": "tagging", "data_dir": str(tmp_path / "data"), "folds": 2, "seeds": (0, 1, 2), "cohort_size": 2}
    dealt = []

    class Recorder(SimpleNamespace):
        def __init__(self, part, cohort, runs, *_):
            assert cohort.members == len(runs)
            assert cohort.total_steps == part.total_steps
            dealt.append((part.part, [(run.cell, run.seed) for run in runs]))
            super().__init__(job=part, step=0, train=lambda until: None, finish=lambda: None)

    monkeypatch.setattr(loop, "_CohortRun", Recorder)
    rates = {"a": 1e-3, "b": 2e-3}
    jobs = {
        name: job.load(settings.read(tiny.config(tiny_root, **changes, learning_rate=rate)))
        for name, rate in rates.items()
    }
    with contextlib.ExitStack() as stack:
        folders = {n: stack.enter_context(rundir.RunDirectory(tmp_path / n, one.settings)) for n, one in jobs.items()}
        launch.here(jobs, folders, QUIET)
    assert dealt == [(0, [("a", 0), ("a", 2)]), (0, [("b", 0), ("b", 2)]), (1, [("a", 1), ("b", 1)])]
