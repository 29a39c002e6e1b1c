"""docs/encoders.md shows what benchmarks/results/parity.json holds, and every family has a row that meets the goals."""

import json

from benchmarks import parity_page
from stablefit.models.families import FAMILIES


def test_the_page_is_made_from_the_results():
    rows = json.loads(parity_page.RESULTS.read_text())["rows"]
    text = parity_page.PAGE.read_text()
    assert parity_page.page(text, rows) == text
    assert {row["family"] for row in rows.values()} == {family.title for family in FAMILIES}


def test_the_goals_are_met_or_float32_is_the_reason():
    for name, row in json.loads(parity_page.RESULTS.read_text())["rows"].items():
        assert row["hidden"] <= 2e-5, name
        assert row["logits"] <= 1e-5, name
        assert row["gradient"] <= 1e-5 or row["gradient_f64"] <= 2 * row["torch_gradient_f64"], name
        assert row["bf16"] <= 1.0, name
        assert row["exact"], name
        assert row["opened"], name
