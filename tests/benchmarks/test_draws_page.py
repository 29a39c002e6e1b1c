"""What docs/reports.md says of several training sets stands in benchmarks/results/draws.json."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOUND = json.loads((ROOT / "benchmarks" / "results" / "draws.json").read_text())


def rate(draws, settings, interaction, gain, how="paired"):
    rows = [row for row in FOUND["elsewhere"] if (row["draws"], row["settings"]) == (draws, settings)]
    [row] = [row for row in rows if (row["interaction"], row["gain"]) == (interaction, gain)]
    return row[how][0]


def shown(value):
    return f"{value:.3f}".removeprefix("0")


def test_the_page_is_of_the_results():
    page = " ".join((ROOT / "docs" / "reports.md").read_text().split())
    power, unpaired = rate(5, 2, 0.3, 1.0), rate(5, 2, 0.3, 1.0, "among all")
    assert f"is found in {shown(power)}; without pairs of draws in {shown(unpaired)}" in page
    level, ten, seven = (
        max(rate(*of, interaction, 0.0) for interaction in (0.0, 0.5)) for of in ((5, 2), (10, 2), (5, 7))
    )
    told = f"have a verdict, with ten draws {shown(ten)} or fewer, with seven settings {shown(seven)} or fewer"
    assert f"{shown(level)} {told}" in page
    held = [row[name][0] for row in FOUND["intervals"] for name in ("draw", "seed", "rest", "together")]
    assert f"hold the true SD in {shown(min(held))} to {shown(max(held))}" in page
    assert FOUND["command"] in page


def test_levels_are_kept_and_pairs_find_more():
    assert all(row["paired"][0] <= 0.07 for row in FOUND["elsewhere"] if not row["gain"])
    assert all(row["paired"][0] > row["among all"][0] for row in FOUND["elsewhere"] if row["gain"])
    assert min(row[name][0] for row in FOUND["intervals"] for name in ("draw", "seed", "rest")) > 0.92


def test_the_study_is_told_as_it_is():
    report = (ROOT / "experiments" / "results" / "sst2_draws" / "report" / "report.md").read_text()
    share = re.search(r"Of the variance of standard (\d+)\s%\s\((\d+) to (\d+)\) comes from the training draw", report)
    assert share
    for file in ("README.md", "experiments/results/README.md"):
        text = (ROOT / file).read_text()
        assert f"{share[1]} %" in text, file
        assert f"({share[2]} to {share[3]})" in text, file
