"""What a study left on disk, in a working directory and packed."""

import io
import json
import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from stablefit.study import packed, reading, runs_table
from tests.fuzz import targets
from tests.properties.profile import ALL, ANY_BYTES, FEW, STARTS, VALUES, changed, lines, objects

START = {name: bytes([48 + i]) for i, name in enumerate(targets._STUDY)}
PACKED = {name: bytes([48 + i]) for i, name in enumerate(targets._PACKED)}
CELL = "cells/000000000000/"


@ALL
@given(STARTS, ANY_BYTES)
def test_any_bytes(start, content):
    targets.study(start + content)
    targets.few(start + content)


@ALL
@given(st.lists(changed(targets._ROW), max_size=3), objects("accuracy", "f1"))
@example([{**targets._ROW, "test_best": {"accuracy": 10**400}}], {})
@example([{**targets._ROW, "majority": math.nan, "seconds": -math.inf}], {})
@example([{**targets._ROW, "validation": {"accuracy": True}}], {})
def test_any_ledger(rows, scores):
    targets.study(START[CELL + "results.jsonl"] + lines([*rows, {**targets._ROW, "test_best": scores}]))


@ALL
@given(
    objects("task", "seeds", "factors", "stop_seeds_at", "keep_seeds"),
    objects("question", "commands", "started", "agreement", "looks", "controls"),
)
@example({"task": "rst2", "seeds": [0]}, {})
@example({"task": "rte", "seeds": [[0], {}]}, {"looks": 5, "commands": 5})
@example({"task": "rte", "seeds": [0], "factors": "subset=" + "9" * 5000}, {"agreement": {"one": {"n": 10**400}}})
@example({"task": "rte", "seeds": [0], "factors": [1]}, {"commands": None, "looks": [{}]})
def test_any_record(config, record):
    targets.study(START[CELL + "config.json"] + json.dumps(config).encode())
    targets.study(START["study.json"] + json.dumps(record).encode())


@ALL
@given(st.lists(objects("step", "loss", "split"), max_size=3))
@example([{"step": 1, "loss": 10**400}, {"step": 2, "loss": 1}])
@example([{"step": 1, "loss": True}, {"step": 2, "loss": 1}])
def test_any_losses(rows):
    targets.study(START[CELL + "seed_0/metrics.jsonl"] + lines(rows))


ARRAYS = st.sampled_from(
    [
        np.zeros(0),
        np.array(3),
        np.array([1, 2]),
        np.array([[1.0, 2], [3, 4]]),
        np.array(["a"]),
        np.array([-1, 3]),
        np.array([True]),
        np.array(np.nan),
        np.array([2, 2], np.uint64),
        np.array(["2026-01-01"], "M8[D]"),
        np.array([1j]),
    ]
)


def npz(arrays: dict) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


@ALL
@given(
    st.dictionaries(st.sampled_from(["test_best", "test_labels", "test_ids", "labels"]), ARRAYS, max_size=3),
    st.dictionaries(
        st.sampled_from(
            [
                "steps",
                "evaluations",
                "steps/loss",
                "absent/steps/loss",
                "total",
                "runs/0",
                "runs/x",
                "said/0",
                "labels/0",
                "ids/0",
                "classes/0",
            ]
        ),
        ARRAYS,
    ),
)
@example({}, {"steps": np.array(3)})
@example({}, {"steps": np.array([-1, 3]), "steps/loss": np.array([1.0, 2])})
@example({}, {"total": np.array([1, 2])})
@example({}, {"total": np.array(2), "runs/x": np.array([0]), "said/x": np.array([0])})
@example({"test_best": np.array(3)}, {})
def test_any_arrays(predictions, arrays):
    targets.study(START[CELL + "seed_0/predictions.npz"] + npz(predictions))
    targets.few(PACKED[packed.CURVES] + npz(arrays))
    targets.few(PACKED[packed.PREDICTIONS] + npz(arrays))


@FEW
@given(st.integers(0, 10**6), st.integers(1, 255), st.integers(0, 8))
def test_any_damage_to_arrays(place, change, more):
    """A byte of an archive is another, or it is cut."""
    for start, content in (
        (PACKED[packed.CURVES], {"steps": np.arange(2), "evaluations": np.arange(2)}),
        (PACKED[packed.PREDICTIONS], {"total": np.array(2)}),
    ):
        whole = bytearray(npz(content))
        whole[place % len(whole)] ^= change
        targets.few(start + bytes(whole))
        targets.few(start + bytes(whole[: len(whole) - more]))
        targets.study(START[CELL + "seed_0/predictions.npz"] + bytes(whole))


@ALL
@given(
    objects("format", "config", "cells", "agreement"),
    st.lists(objects("name", "fingerprint", "config", "task"), max_size=2),
)
def test_any_packed_record(record, cells):
    setting = {"name": "one", "fingerprint": "0" * 12, "config": {}}
    for listed in (cells, [{**setting, **cell} for cell in cells]):
        content = {"format": 1, "config": {"task": "rte", "seeds": [0, 1]}, "cells": listed}
        targets.few(PACKED[packed.STUDY] + json.dumps(content).encode())
        targets.few(PACKED[packed.STUDY] + json.dumps({**content, **record}).encode())


FIELD = st.text(st.characters(exclude_categories=("Cs",)), max_size=6).filter(lambda name: name != "cell")
FLAT = st.dictionaries(FIELD, VALUES.filter(lambda value: "\\ud" not in json.dumps(value)), max_size=4)


@ALL
@given(st.lists(FLAT, max_size=4))
def test_a_table_of_runs_is_read_as_it_was_written(rows):
    rows = [{"cell": f"c{i}", **row} for i, row in enumerate(rows)]
    file = targets.PLACE / "runs.csv"
    runs_table.write(file, rows)
    found = list(runs_table.read(file))
    assert [number for number, _ in found] == sorted({number for number, _ in found})
    assert [json.dumps(row, sort_keys=True) for _, row in found] == [json.dumps(row, sort_keys=True) for row in rows]


NAME = st.text("ab_é", min_size=1, max_size=3)
NESTED = st.recursive(
    VALUES.filter(lambda value: not isinstance(value, dict)),
    lambda inner: st.dictionaries(NAME, inner, max_size=3),
    max_leaves=5,
)


@ALL
@given(st.dictionaries(NAME, NESTED, max_size=4))
def test_flat_rows_are_nested_again(row):
    assert json.dumps(runs_table.nested(dict(runs_table.flat(row)))) == json.dumps(row)


NUMBER = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
LINES = st.lists(
    st.fixed_dictionaries(
        {"step": st.integers(0, 2**40), "loss": st.floats() | st.none()},
        optional={"split": st.sampled_from(["test", "validation"]), "f1": NUMBER},
    ),
    max_size=4,
)


@FEW
@given(st.lists(LINES, min_size=1, max_size=3), st.data())
def test_a_packed_study_is_read_as_it_was(metrics, data):
    """The bits of every number, NaN and infinity as null."""
    for line in (line for one in metrics for line in one if isinstance(line.get("f1"), int)):
        line["f1"] = float(line["f1"])
    setting = packed.Setting("one", "0" * 12, {"task": "rte", "seeds": list(range(len(metrics)))}, {})
    said = [data.draw(st.none() | st.lists(st.integers(0, 9), max_size=3).map(np.array)) for _ in metrics]
    none = np.zeros(0)
    runs = [
        packed.Run(
            {**targets._ROW, "seed": i, "majority": data.draw(st.floats(0, 1))},
            one,
            None if said[i] is None else packed.Said(said[i].astype(int), none, none, none),
        )
        for i, one in enumerate(metrics)
    ]
    targets.shutil.rmtree(targets._FEW, ignore_errors=True)
    targets._FEW.mkdir()
    packed.write(targets._FEW, {"question": "a"}, [(setting, runs)])
    [cell] = reading.load(targets._FEW).cells
    assert [json.dumps(row) for row in cell.rows] == [json.dumps(run.row) for run in runs]
    for i, one in enumerate(metrics):
        wanted = sorted(one, key=lambda line: "split" in line)
        found = [line for _, line in cell.files.metrics(i)[1]]
        assert [sorted(_null(line).items()) for line in found] == [sorted(_null(line).items()) for line in wanted]
        read = cell.files.said(i, "classification")
        assert (read is None) == (said[i] is None)
        assert read is None or read.said.tolist() == said[i].tolist()


def _null(line: dict) -> dict:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in line.items()}
