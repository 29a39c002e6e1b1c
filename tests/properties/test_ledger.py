"""The files of a run directory: what is written is read back, what is damaged is refused or left out, and said."""

import json
import math

from hypothesis import example, given
from hypothesis import strategies as st

from stablefit.training import files, manifest, rundir
from tests.fuzz import targets
from tests.properties.profile import ALL, ANY_BYTES, FEW, STARTS, VALUES, lines, objects

START = {name: bytes([70 + i]) for i, name in enumerate(targets._LEDGER)}  # 70 is a multiple of their number
FINITE = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
ROW = st.dictionaries(st.text(max_size=5), FINITE | st.text(max_size=5) | st.lists(FINITE, max_size=2), max_size=4)


@ALL
@given(STARTS, ANY_BYTES)
def test_any_bytes(start, content):
    targets.ledger(start + content)


@ALL
@given(st.lists(objects("seed", "fingerprint", "score", "test_best"), max_size=4))
@example([{"seed": 0}])
@example([{"seed": [0], "score": {}}])
@example([{"seed": 0, "score": "high"}])
@example([{"seed": 0, "x": [math.nan, {"y": [math.inf]}]}])
def test_any_rows(rows):
    targets.ledger(START["results.jsonl"] + lines(rows))
    targets.ledger(START["results.jsonl"] + lines([{**row, "seed": i} for i, row in enumerate(rows)]))
    targets.ledger(START["compared.jsonl"] + lines(rows))


@ALL
@given(st.lists(objects("step", "split", "loss") | VALUES, max_size=4))
@example([{"step": "one"}])
@example([{"step": 1, "loss": [math.nan]}])
@example([{"step": None}, {"step": [1], "split": 0}, {"step": True}, {"step": math.nan}])
def test_any_metrics(rows):
    targets.ledger(START["seed_0/metrics.jsonl"] + lines(rows))


@ALL
@given(objects("seeds", "task", "stop_seeds_at", "learning_rate") | VALUES, objects("digest", "examples") | VALUES)
@example({"seeds": 5}, {})
@example({"seeds": [0, "1"], "stop_seeds_at": 0.5}, {"digest": "0" * 12, "examples": {"train": math.inf}})
@example({"seeds": None}, {"digest": "0" * 12, "examples": {"train": "9" * 5000}})
def test_any_record_of_a_run(config, data):
    targets.ledger(START["config.json"] + json.dumps(config).encode())
    if isinstance(config, dict):
        same = {**targets._SETTINGS.values, **{name: config[name] for name in config.keys() & {"seeds"}}}
        targets.ledger(START["config.json"] + json.dumps(same).encode())
    targets.ledger(START["data.json"] + json.dumps(data).encode())


@FEW
@given(objects("row", "cohort", "stage", "how"))
@example({"row": {}})
@example({"row": {"seed": "0"}, "cohort": []})
def test_any_sealed_record(content):
    for name in ("cohorts.json", "seed_0/row.json"):
        targets.ledger(START[name] + manifest.sealed(content).encode())


@ALL
@given(st.lists(ROW, max_size=5))
def test_lines_are_read_as_they_were_written(rows):
    file = targets.PLACE / "lines.jsonl"
    files.write_whole(file, "".join(map(files.line_of, rows)))
    assert files.read_lines(file) == rows
    with file.open("a") as opened:  # as a kill leaves it
        opened.write('{"seed": 3, "tes')
    assert files.read_lines(file) == rows


@ALL
@given(st.dictionaries(st.text(max_size=3), VALUES, max_size=3))
def test_a_line_is_json_of_any_value(row):
    text = files.line_of(row)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    json.loads(text, parse_constant=lambda name: (_ for _ in ()).throw(AssertionError(name)))


@ALL
@given(objects("a", "b"), st.integers(0, 10**6), st.integers(1, 255))
def test_a_sealed_text_is_as_it_was_or_none(content, place, change):
    text = bytearray(manifest.sealed(content).encode())
    found = manifest.unsealed(bytes(text))
    assert found is not None
    assert manifest.sealed(found) == manifest.sealed(content)
    text[place % len(text)] ^= change
    assert manifest.unsealed(bytes(text)) is None
    assert manifest.unsealed(bytes(text[: place % len(text)])) is None


@FEW
@given(st.dictionaries(st.integers(0, 2**32 - 1), ROW, min_size=1, max_size=4))
def test_every_finished_seed_is_in_the_ledger_once(finished):
    folder = targets.PLACE / "finished"
    targets.shutil.rmtree(folder, ignore_errors=True)
    with rundir.RunDirectory(folder, targets._SETTINGS) as directory:
        for seed, row in finished.items():
            directory.finish({**row, "fingerprint": targets._SETTINGS.fingerprint, "seed": seed})
            directory.finish({**row, "fingerprint": targets._SETTINGS.fingerprint, "seed": seed})
        found = directory.results()
        assert list(found) == list(finished)
        for seed, row in finished.items():
            assert found[seed] == {**row, "fingerprint": targets._SETTINGS.fingerprint, "seed": seed}
        assert directory.unfinished([*finished, -1]) == [-1]
