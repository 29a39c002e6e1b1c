"""The report of a study with factors: where the spread comes from, and what holds on other training sets."""

import dataclasses
import json
import re

import numpy as np
import pytest

from stablefit.errors import InputError
from stablefit.study import document, findings, grid, origins, reading, report
from stablefit.study.document import Paragraph, Table
from stablefit.training.files import line_of
from tests.study.written import write_study


@pytest.fixture
def drawn(tmp_path):
    """A study of six draws and four seeds, in which the draws differ much."""
    design = {"factors": "subset=6 seed=4", "seeds": range(24), "train_examples": 1000}
    write_study(tmp_path, {"standard": design, "other": {"mean": 0.72, "reinit_layers": 1, **design}})
    for file in tmp_path.glob("cells/*/results.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        for row in rows:
            row["test_best"]["accuracy"] += 0.03 * (row["seed"] % 6)
        file.write_text("".join(map(line_of, rows)))
    return tmp_path


def test_where_the_spread_comes_from_and_what_holds_elsewhere(drawn):
    [group] = findings.analyse(reading.load(drawn))
    text = document.to_markdown(report.build(reading.load(drawn), [group], {"rte": []}))
    assert "24 runs a setting (6 training draws × 4 seeds)" in text
    assert "Each setting has 24 runs (6 training draws × 4 seeds)." in text
    assert "## On other training sets" in text
    assert "on training sets like these" in text.lower()
    assert re.search(r"Of the variance of standard \d+\s% \(\d+ to \d+\) comes from the training draw", text)
    split = group.settings[0].judged.split
    assert split.components[0].sd == pytest.approx(0.03 * np.std(range(6), ddof=1), rel=0.3)
    blocks = origins.sections(group, 2)
    [elsewhere, spread] = [block for block in blocks if isinstance(block, Table)]
    assert [row[0] for row in elsewhere.rows] == ["other"]
    assert elsewhere.rows[0][1::2] == ("better", group.settings[1].judged.elsewhere.verdict)
    assert [row[:2] for row in spread.rows[:4]] == [
        ("standard", name) for name in ("training draw", "seed", "the rest", "all together")
    ]  # fmt: skip


def test_a_setting_that_differs_elsewhere_alone_is_told(drawn):
    """Many draws with few seeds may decide of draws what they do not of runs."""
    [group] = findings.analyse(reading.load(drawn))
    base, other = group.settings
    undecided = dataclasses.replace(other, judged=other.judged._replace(outcome="no difference found"))
    [said, *_] = [
        block.text
        for block in origins.sections(dataclasses.replace(group, settings=[base, undecided]), 2)
        if isinstance(block, Paragraph)
    ]
    assert said.startswith("On training sets like these other is better than standard (+0.0")


def test_a_study_without_factors_says_nothing_of_them(tmp_path):
    write_study(tmp_path, {"standard": {}, "other": {"mean": 0.72, "reinit_layers": 1}})
    [group] = findings.analyse(reading.load(tmp_path))
    assert origins.sections(group, 2) == []
    assert origins.designed(group) == ""


def test_the_table_of_the_terminal_has_both(drawn, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    cells = {cell.name: cell for cell in reading.load(drawn).cells}
    table = grid.study_table(
        {name: cell.rows for name, cell in cells.items()}, designs={name: cell.design for name, cell in cells.items()}
    )
    assert max(map(len, table.splitlines())) <= 80
    assert "sd from" in table
    assert "on other training sets" in table


def test_a_config_with_broken_factors_is_one_line(drawn):
    file = next(drawn.glob("cells/*/config.json"))
    file.write_text(file.read_text().replace("subset=6", "subset=x"))
    with pytest.raises(InputError, match=f"{file} is no config of a run: config field factors has 'subset=x'"):
        reading.load(drawn)
