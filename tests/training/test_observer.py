"""Observers: they are told what the files say, in their order, and change no number."""

import io
import re

import pytest

from stablefit.training import job, loop, progress, rundir, settings
from stablefit.training.observer import Observer
from tests import tiny
from tests.training.test_fields import with_small_network
from tests.training.test_loop import assert_same_bits, traces
from tests.training.watching import Told


@pytest.fixture(scope="module")
def prepare(tiny_root):
    common = {"max_steps": 6, "evaluations": 3, "seeds": (0, 1), "cohort_size": 2}
    return lambda **changes: with_small_network(job.load(settings.read(tiny.config(tiny_root, **common | changes))))


def run(the_job, path, observers=(), display=None):
    with rundir.RunDirectory(path, the_job.settings) as directory:
        return loop.run(the_job, directory, display or progress.Progress(0, quiet=True), observers=observers)


@pytest.fixture(scope="module")
def watched(prepare, tmp_path_factory):
    told, path = Told(), tmp_path_factory.mktemp("watched") / "run"
    return told, path, run(prepare(), path, [told, Observer()])


def test_it_is_told_what_the_files_say(watched):
    told, path, rows = watched
    for i, seed in enumerate((0, 1)):
        said = []
        for what, who, given in told.events:
            assert who == [("", 0), ("", 1)]
            said += [] if what == "end" else given[i] if what == "step" else [given[i]]
        assert said == rundir.read_lines(path / f"seed_{seed}" / "metrics.jsonl")
        assert [row["step"] for row in said if "split" in row] == [2, 4, 6]
    assert told.events[-1] == ("end", [("", 0), ("", 1)], rows)


def test_it_changes_no_number(watched, prepare, tmp_path):
    rows = run(prepare(), tmp_path / "run")
    for seed in (0, 1):
        assert_same_bits(traces(watched[1], seed), traces(tmp_path / "run", seed))
    assert [row["test_best"] for row in rows] == [row["test_best"] for row in watched[2]]


def test_a_run_that_stops_is_told_of_no_more(prepare, tmp_path):
    told = Told()
    rows = run(prepare(patience=1, evaluations=6, learning_rate=1e-9), tmp_path / "run", [told])
    ends = [row["steps"] for row in rows]
    assert min(ends) < 6
    for seed, end in zip((0, 1), ends, strict=True):
        steps = [own[-1]["step"] for what, who, given in told.events if what == "step"
                 for (_, one), own in zip(who, given, strict=True) if one == seed]  # fmt: skip
        assert max(steps) == end


def test_the_display_is_one(prepare, tmp_path):
    log = io.StringIO()
    run(prepare(), tmp_path / "run", display=progress.Progress(12, stream=log))
    lines = [line for line in log.getvalue().splitlines() if "validation" in line]
    assert len(lines) == 6
    assert lines[0].startswith("seed 0  step 2/6  validation accuracy ")
    assert "best so far" in lines[0]
    assert lines[1].startswith("seed 1  step 2/6")


def test_rows_that_were_trained_on_have_no_score_of_validation(prepare, tmp_path):
    log = io.StringIO()
    run(prepare(train_on_all=True, evaluations=1), tmp_path / "run", display=progress.Progress(12, stream=log))
    lines = [line for line in log.getvalue().splitlines() if "step 6/6" in line]
    for seed, line in enumerate(lines):
        assert re.fullmatch(rf"seed {seed}  step 6/6  loss 0\.\d{{4}} on rows seen  \[12/12 steps.*\]", line)
    assert len(lines) == 2


def test_an_error_of_its_own_ends_the_run_which_can_go_on(watched, prepare, tmp_path):
    class Fails(Observer):
        def evaluation(self, members, rows):
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        run(prepare(), tmp_path / "run", [Fails()])
    run(prepare(), tmp_path / "run")
    assert_same_bits(traces(watched[1]), traces(tmp_path / "run"))
