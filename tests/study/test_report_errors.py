"""What a report refuses: damaged files, arguments that mean nothing, places that cannot be written."""

import re

import pytest

from stablefit import report as entry
from tests.study.written import write_cell


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("results.jsonl", '{"seed": 0\n', r"results\.jsonl:1: is not a JSON object"),
        ("results.jsonl", "[1]\n", r"results\.jsonl:1: is not a JSON object"),
        ("results.jsonl", '{"seed": 0}\n', r"results\.jsonl:1: field steps is None"),
        ("results.jsonl", '{"seed": "../../x"}\n', r"results\.jsonl:1: field seed is '\.\./\.\./x'"),
        ("config.json", "[]", "config.json is not a JSON object"),
        ("config.json", '{"task": "rte"', "config.json is not JSON"),
        ("config.json", '{"task": "rte", "seeds": []}', "has no task or no seeds"),
        ("config.json", '{"task": "other", "seeds": [0]}', "task 'other' is not known"),
        ("seed_0/metrics.jsonl", '{"step": 1, "loss": "x"}\n', r"metrics\.jsonl:1: loss is 'x'"),
        ("seed_0/predictions.npz", b"PK\x03\x04 torn", r"predictions\.npz: holds no predictions"),
        ("cells.txt", "../../../etc  x\n", r"cells\.txt:1: is '../../../etc x'"),
        ("cells.txt", "", "names no cell"),
        ("cells.txt", "0123456789ab  gone\n", "has no config.json"),
        ("study.json", "1", "study.json is not a JSON object"),
    ],
)
def test_damaged_files_are_oneline_of(tmp_path, capsys, file, text, message):
    write_cell(tmp_path, "0" * 12, seeds=range(2))
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / file).write_bytes(data)
    assert entry.main([str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert said.startswith("stablefit: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"seed": 1', '"seed": true', "field seed is True, which no finished run writes"),
        (
            '"fingerprint": "000000000000"',
            '"fingerprint": "abc"',
            "its row is of config 'abc', the cell's is 000000000000",
        ),
        ('"accuracy": 0.', '"accuracy": 7.', "accuracy is 7.*, which no run can have"),
    ],
)
def test_a_row_that_no_run_of_the_cell_can_have_made_is_refused(tmp_path, capsys, old, new, message):
    cell = tmp_path / "cells" / ("0" * 12)
    write_cell(cell, "0" * 12, seeds=range(2))
    (tmp_path / "cells.txt").write_text(f"{'0' * 12}  one\n")
    first, second = (cell / "results.jsonl").read_text().splitlines(keepends=True)
    assert old in second
    (cell / "results.jsonl").write_text(first + second.replace(old, new))
    assert entry.main([str(tmp_path)]) == 2
    assert re.search(rf"results\.jsonl:2: .*{message}", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "'nowhere' is no study"),
        (["a", "b"], "2 directories are given"),
        (["--out=x"], "0 directories are given"),
        (["a", "--outt=x"], "flag '--outt=x' is unknown"),
        (["a", "--worse-than=many"], "--worse-than=many is no score"),
        (["a", "--worse-than=nan"], "--worse-than=nan is no score"),
    ],
)
def test_bad_arguments(capsys, arguments, message):
    assert entry.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_place_that_cannot_be_written(tmp_path, capsys):
    write_cell(tmp_path, "0" * 12, seeds=(0,))
    assert entry.main([str(tmp_path), f"--out={tmp_path / 'config.json'}"]) == 2
    assert "cannot write the report to" in capsys.readouterr().err
