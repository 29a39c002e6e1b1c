"""A run from start to rows: the same bits twice, after an interruption, and beside other seeds."""

import json
import shutil
import signal

import numpy as np
import pytest

from stablefit.errors import InputError
from stablefit.study import launch
from stablefit.training import checkpoints, job, loop, order, processes, progress, rundir, settings
from tests import tiny
from tests.training.watching import StopAfter


def run(the_job, path, observers=(), seeds=None):
    with rundir.RunDirectory(path, the_job.settings) as directory:
        return loop.run(the_job, directory, progress.Progress(0, quiet=True), observers=observers, seeds=seeds)


def traces(path, seed=0):
    """Everything numeric that a seed leaves behind."""
    folder = path / f"seed_{seed}"
    best, last = (checkpoints.load_params(folder / name) for name in ("best", "last"))
    predictions = dict(np.load(folder / "predictions.npz"))
    return rundir.read_lines(folder / "metrics.jsonl"), predictions, best, last


def assert_same_bits(one, other):
    import jax

    assert one[0] == other[0]
    for a, b in zip(one[1:], other[1:], strict=True):
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def whole(prepare, tmp_path_factory):
    """A run of two seeds, and its rows."""
    path = tmp_path_factory.mktemp("whole") / "run"
    return path, run(prepare(seeds=(0, 1)), path)


def test_rows_and_files(whole, prepare):
    path, rows = whole
    assert [row["seed"] for row in rows] == [0, 1]
    assert rows[0]["steps"] == 6  # 42 examples in batches of 8: the last has two
    metrics, predictions, best, last = traces(path)
    training = [row for row in metrics if "split" not in row]
    assert [row["step"] for row in training] == [1, 2, 3, 4, 5, 6]
    assert [row["step"] for row in metrics if row.get("split") == "validation"] == [3, 6]
    assert predictions["test_last"].shape == (12, 2)
    assert set(best) == set(last) == {"encoder", "head"}
    assert not (path / "seed_0" / "state").exists()


def test_reported_scores_are_those_of_the_stored_predictions(whole):
    path, rows = whole
    for row in rows:
        predictions = np.load(path / f"seed_{row['seed']}" / "predictions.npz")
        for name in ("test_best", "test_last"):
            accuracy = (predictions[name].argmax(1) == predictions["test_labels"]).mean()
            assert row[name]["accuracy"] == pytest.approx(accuracy)


def test_best_is_the_first_of_the_best(whole):
    path, rows = whole
    for row in rows:
        metrics = rundir.read_lines(path / f"seed_{row['seed']}" / "metrics.jsonl")
        scores = {m["step"]: m["accuracy"] for m in metrics if m.get("split") == "validation"}
        best = max(scores.values())
        assert row["best_step"] == min(step for step, score in scores.items() if score == best)


def on_ray(the_job, path):
    with rundir.RunDirectory(path, the_job.settings) as directory:
        assert launch.on_ray({"": the_job}, {"": directory}, progress.Progress(0, quiet=True)) == []
        return list(directory.results().values())


@pytest.mark.parametrize(
    ("harm", "command"),
    [("changed", run), ("gone", run), ("changed", on_ray)],
    ids=["changed", "gone", "changed, on Ray"],
)
def test_changed_predictions_of_a_finished_seed_are_told(harm, command, whole, prepare, tmp_path, capsys):
    """Their row stands."""
    pytest.importorskip("ray")
    path = shutil.copytree(whole[0], tmp_path / "run")
    file = path / "seed_1" / "predictions.npz"
    if harm == "changed":
        file.write_bytes(file.read_bytes()[:-1])
    else:
        file.unlink()
    assert command(prepare(seeds=(0, 1)), path) == whole[1]
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{file}: its file predictions.npz " in said
    assert "remove the folder of the seed and its row" in said


def test_the_same_command_twice_gives_the_same_bits(whole, prepare, tmp_path):
    run(prepare(seeds=(0, 1)), tmp_path / "run")
    for seed in (0, 1):
        assert_same_bits(traces(whole[0], seed), traces(tmp_path / "run", seed))


def test_seeds_differ(whole):
    assert traces(whole[0], 0)[0] != traces(whole[0], 1)[0]


@pytest.mark.parametrize("step", [1, 3, 5, 6, 8])
def test_an_interrupted_run_goes_on_with_the_same_bits(whole, prepare, tmp_path, monkeypatch, step):
    """SIGTERM inside a segment, at its last step, at the last of all, and in the second seed."""
    the_job, path = prepare(seeds=(0, 1)), tmp_path / "run"
    watch, handler = StopAfter(step), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(order, "PIECE_SECONDS", 0.0)  # one step a piece
    with pytest.raises(loop.Interrupted) as stop:
        run(the_job, path, [watch])
    assert stop.value.signum == signal.SIGTERM
    assert watch.seen == step
    monkeypatch.undo()
    assert signal.getsignal(signal.SIGTERM) == handler
    rows = run(the_job, path)
    assert [row["test_best"] for row in rows] == [row["test_best"] for row in whole[1]]
    for seed in (0, 1):
        assert_same_bits(traces(whole[0], seed), traces(path, seed))


def test_a_damaged_save_is_not_used(whole, prepare, tmp_path, monkeypatch):
    """The save before it is, and the bits are those of the whole run; if there is none, one line says what to do."""
    the_job, path = prepare(seeds=(0, 1), checkpoint_minutes=0.0), tmp_path / "run"
    monkeypatch.setattr(order, "PIECE_SECONDS", 0.0)
    with pytest.raises(loop.Interrupted):
        run(the_job, path, [StopAfter(5)])
    monkeypatch.undo()
    state = path / "seed_0" / "state"
    assert checkpoints.saved_steps(state) == [3, 5]
    restore, read = checkpoints.restore_state, []
    monkeypatch.setattr(checkpoints, "restore_state", lambda *of, **whose: read.append(of[1]) or restore(*of, **whose))
    run(the_job, shutil.copytree(path, tmp_path / "whole"))
    assert read == [5]  # the newest
    monkeypatch.undo()
    for step in (5, 3):
        for file in (state / str(step)).rglob("*"):
            if file.is_file() and file.name in ("_METADATA", "manifest.ocdbt"):
                file.write_bytes(b"")
        if step == 5:
            run(the_job, shutil.copytree(path, tmp_path / "resumed"))
            assert_same_bits(traces(whole[0]), traces(tmp_path / "resumed"))
    with pytest.raises(InputError, match=r"state/3 cannot be read .*; delete it to start"):
        run(the_job, path)


def test_seeds_can_be_added(whole, prepare, tmp_path):
    run(prepare(seeds=(1,)), tmp_path / "run")
    rows = run(prepare(seeds=(0, 1)), tmp_path / "run")
    assert [row["test_last"] for row in rows] == [row["test_last"] for row in whole[1]]
    assert json.loads((tmp_path / "run" / "config.json").read_text())["seeds"] == [0, 1]


def test_a_directory_of_another_run_is_refused(whole, prepare):
    other = prepare(seeds=(0, 1), learning_rate=5e-3)
    before = sorted((p, p.stat().st_mtime_ns) for p in whole[0].rglob("*"))
    with pytest.raises(InputError, match=r"learning_rate=0\.01, this one has 0\.005"):
        rundir.RunDirectory(whole[0], other.settings)
    assert before == sorted((p, p.stat().st_mtime_ns) for p in whole[0].rglob("*"))


def test_the_digest_is_of_the_data_not_of_how_it_is_used(prepare, one_block_root, monkeypatch):
    """Word pieces that are left out are an inner choice; a length limit that cuts examples makes other data."""
    one = prepare(seeds=(0, 1))
    assert one.words is not None
    assert prepare(seeds=(5,), cohort_size=3, learning_rate=1.0, batch_size=4).digest == one.digest
    assert prepare(max_length=8).digest.digest != one.digest.digest
    monkeypatch.setattr(job, "_rest_follows", lambda _: False)
    whole = job.load(settings.read(tiny.config(one_block_root)))
    assert whole.words is None
    assert whole.digest == one.digest
    assert whole.digest.examples == {name: len(part) for name, part in whole.data.items()}


def test_a_directory_without_a_digest_goes_on_and_has_one_from_then_on(prepare, tmp_path):
    the_job = prepare(seeds=(0,))
    with rundir.RunDirectory(tmp_path / "run", the_job.settings):
        pass
    assert not (tmp_path / "run" / "data.json").exists()
    with rundir.RunDirectory(tmp_path / "run", the_job.settings, the_job.digest):
        pass
    other = the_job.digest._replace(digest="0" * 12)
    with pytest.raises(InputError, match=r"on other data \(as many examples then as now, but not the same ones\)"):
        rundir.RunDirectory(tmp_path / "run", the_job.settings, other)
    (tmp_path / "run" / "data.json").write_text("{}")
    with pytest.raises(InputError, match=r"data\.json is no record of a run's data"):
        rundir.RunDirectory(tmp_path / "run", the_job.settings, the_job.digest)


def test_processes_with_different_data_are_refused_in_each(prepare, tmp_path, monkeypatch):
    """The first one's directory and data count, and one that differs ends all."""
    the_job = prepare(seeds=(0,))
    mine, first = the_job.digest, the_job.digest._replace(digest="0" * 12)

    def told(where, stored, now):
        said = json.loads(json.dumps([where, stored, now]))
        monkeypatch.setattr(processes, "from_first", lambda value: said if len(value) == 3 else value)
        with rundir.RunDirectory(tmp_path / "run", the_job.settings, mine):
            pass

    told("w", None, mine)
    told("w", mine, mine)
    with pytest.raises(InputError, match="the processes of this run have read different data"):
        told("w", None, first)
    with pytest.raises(InputError, match="workdir w holds a run on other data"):
        told("w", first, first)
    monkeypatch.setattr(processes, "largest", lambda number: 1)
    with pytest.raises(InputError, match="the processes of this run have read different data"):
        told("w", mine, mine)


def test_a_directory_in_use_is_refused(whole, prepare):
    with (
        rundir.RunDirectory(whole[0], prepare(seeds=(0, 1)).settings),
        pytest.raises(InputError, match="in use by another process"),
    ):
        rundir.RunDirectory(whole[0], prepare(seeds=(0, 1)).settings)


def test_a_directory_with_something_else_is_refused(prepare, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="holds no run"):
        rundir.RunDirectory(tmp_path, prepare(seeds=(0, 1)).settings)


def test_a_cohort_of_members_agrees_with_single_runs(whole, prepare, tmp_path):
    """Two seeds in one program, as on an accelerator: the same within rounding."""
    rows = run(prepare(seeds=(0, 1), cohort_size=2), tmp_path / "run")
    assert rows[0]["layout"]["members"] == 2
    for seed in (0, 1):
        alone, together = traces(whole[0], seed), traces(tmp_path / "run", seed)
        for a, b in zip(alone[0], together[0], strict=True):
            assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
        np.testing.assert_allclose(alone[1]["test_last"], together[1]["test_last"], atol=1e-3)


def test_streams_can_be_held(prepare, tmp_path):
    """With every stream held, seeds are the same run; with one free, they are not."""
    held = run(prepare(seeds=(0, 1), init_seed=3, data_seed=3, noise_seed=3), tmp_path / "held")
    assert held[0]["test_last"] == held[1]["test_last"]
    free = run(prepare(seeds=(0, 1), init_seed=3, data_seed=3), tmp_path / "free")
    assert free[0]["test_last"] != free[1]["test_last"]


def test_an_intermediate_run_is_the_start(whole, prepare, tmp_path):
    """The encoder of a finished run, and its head, since the labels are as many; the optimizer starts anew."""
    the_job = prepare(init_from=str(whole[0] / "seed_0"))
    best = traces(whole[0])[2]
    np.testing.assert_array_equal(
        the_job.pretrained["encoder"]["layer_0"]["output"]["kernel"], best["encoder"]["layer_0"]["output"]["kernel"]
    )
    np.testing.assert_array_equal(the_job.pretrained["head"]["kernel"], best["head"]["kernel"])
    rows = run(the_job, tmp_path / "run")
    first = traces(tmp_path / "run")[0][0]
    assert first["step"] == 1
    assert rows[0]["model"].endswith("seed_0")


def test_a_missing_intermediate_run_is_named(prepare, tmp_path):
    with pytest.raises(InputError, match="nothing/best is not there"):
        prepare(init_from=str(tmp_path / "nothing"))


def test_a_cut_off_result_line_is_not_a_row(whole, tmp_path):
    text = (whole[0] / "results.jsonl").read_text()
    (tmp_path / "results.jsonl").write_text(text[: len(text) - 20])
    assert len(rundir.read_lines(tmp_path / "results.jsonl")) == 1
