"""The arithmetic of the benchmark of predictions, and its texts; no PyTorch, no timing that means anything."""

import json
from pathlib import Path

import pytest

from benchmarks import load, predict


def test_the_ratio_is_taken_round_by_round_against_the_best_way():
    taken = {("ours", "-"): [1.0, 2.0], ("theirs", "8"): [2.0, 6.0], ("theirs", "32"): [5.0, 5.0]}
    both = [("theirs", "8"), ("theirs", "32")]
    assert predict.ratio(taken, both) == {"ratio": 2.5, "least": 2.0, "most": 3.0, "best_batch": 8}
    clocks = {"seconds": taken, "cpu_s": {way: [1.0, 1.0] for way in taken}}
    assert predict.ratios(clocks, both) == {**predict.ratio(taken, both), "cpu_ratio": 1.0}
    assert predict.ratios(clocks, []) == {}


def test_long_texts_are_joined_short_ones():
    short, long = (predict.texts_of(name, 20) for name in predict.SETS)
    assert len(short) == len(long) == 20
    assert long[0].startswith(short[0])
    assert sum(map(len, long)) > 2 * sum(map(len, short))


@pytest.mark.parametrize("pooling", predict.POOLINGS)
def test_our_side_answers(tmp_path, pooling):
    predict.write_model(tmp_path, pooling=pooling)
    assert (tmp_path / "exported" / "model.safetensors").is_file()
    labels = predict.ours(tmp_path)(["a text", "another one"], "-")
    assert set(labels) <= {"rotten", "fresh"}


def test_the_time_of_a_fresh_process(tmp_path, tiny_root, monkeypatch):
    """Each part is measured, and none of it in this process."""
    from tests.serve import making

    made = making.write_fit(tmp_path / "fit", making.bundle(tiny_root / "model"))
    found = load.fresh(made, tmp_path / "programs")
    assert list(found) == list(load.PARTS)
    assert all(seconds > 0 for seconds in found.values())
    assert found["next_predict_s"] < found["first_predict_s"]
    assert json.dumps(load.summary([found, found]))


def test_the_page_has_the_measured_numbers():
    results = Path(predict.__file__).parent / "results"
    page = (results.parents[1] / "docs" / "benchmarks.md").read_text()
    found = json.loads((results / "predict.json").read_text())["mean"]
    assert all(found[name]["ratio"] >= 1.5 for name in predict.SETS), "the goal"
    for name in predict.SETS:
        one, speeds = found[name], found[name]["texts_per_s"]
        cells = []
        for way, mark in ((one, ""), (one["sorted"], "s")):
            best = f"theirs {way['best_batch']}{mark}"
            cells.append(f"{speeds[best]:.0f} | {way['ratio']:.2f}")
        assert f"| {speeds['ours -']:.0f} | {' | '.join(cells)} |" in page
    times = json.loads((results / "load.json").read_text())
    medians = [times[of]["after_import_s"]["median"] for of in ("fit of 1 seed", "fit of 5 seeds", "exported")]
    assert max(medians) < 2, "the goal"
    said = "a fit of one seed {:.2f}, of five\n{:.2f}, an exported directory {:.2f};".format(*medians)
    assert said in page
