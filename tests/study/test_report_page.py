"""What a reader of the page sees and in which order, in which colours; and what is there to paste."""

import csv
import io
import itertools
import json
import math
import re

import numpy as np
import pytest

from stablefit.study import (
    document,
    drawing,
    figures,
    findings,
    forest,
    overview,
    pack,
    paste,
    reading,
    report,
    statistics,
    words,
)
from stablefit.training.files import line_of
from tests.study.written import HOSTILE, write_cell, write_study

CELLS = {
    "standard": {"sd": 0.01},
    "helps": {"mean": 0.70, "speed": 2.0, "learning_rate": 1e-4},
    "helps, and more": {"mean": 0.699, "learning_rate": 1e-4, "mixout_rate": 0.1},
    "nothing": {"mixout_rate": 0.2},
    "fails": {"failing": range(6), "reinit_layers": 1},
    HOSTILE: {"mean": 0.655, "reinit_layers": 2},
    "a control": {"mean": 0.72, "reinit_layers": 3},
}


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """The study above, and its page in both forms."""
    return written(tmp_path_factory.mktemp("page") / "study", CELLS, controls=["a control"])[0]


@pytest.fixture(scope="module")
def drawings(group):
    return figures.draw_all(group)


@pytest.fixture(scope="module")
def page(group, drawings, tmp_path_factory):
    study = reading.Study(tmp_path_factory.mktemp("x") / "name", [s.cell for s in group.settings], "", [], "", {})
    blocks = report.build(study, [group], {"rte": drawings})
    return document.to_html(blocks), document.to_markdown(blocks)


def written(workdir, cells, **record):
    """The groups of a study of these cells, which is left in workdir."""
    write_study(workdir, cells)
    (workdir / "study.json").write_text(json.dumps(record))
    return findings.analyse(reading.load(workdir))


# --- the order, and the elements


def test_the_sentence_comes_first_then_the_plot_then_the_verdicts(page):
    html, markdown = page
    said = [
        html.index(part) for part in ('<p class="headline">', "<figure", "<table", ">Stability<", ">Ready to paste<")
    ]
    assert said == sorted(said)
    shown = re.sub(r"<details>.*?</details>", "", html, flags=re.DOTALL)
    for heading in ("Every verdict in words", "All scores", "All tests", "The best of several seeds", "Convergence"):
        assert heading in html
        assert heading in markdown
        assert heading not in shown
    assert html.count("<table") == len(re.findall(r"^\| ---", markdown, re.MULTILINE))


def test_a_headline_has_names_and_intervals(group):
    said = words.headline(group)
    assert re.match(r"Helps \(\+0\.0\d\d, 0\.0\d\d to 0\.\d\d\d\) did better than standard\. ", said)
    part = r"“helps, and more” \(\+0\.0\d\d\) did no better than helps \(\+0\.0\d\d\), which is part of it\."
    assert re.search(part, said)
    assert re.search(r"Fails \(−0\.\d+, −0\.\d+ to −0\.\d+; .*fails more often\) did worse\.", said)
    assert "Of 2 other settings no difference was found." in said
    assert "control" not in said


def test_headings_go_down_by_one_and_tables_are_named(page):
    html, _ = page
    levels = [int(level) for level in re.findall(r"<h([1-6])>", html)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert html.count("<table") == html.count("<caption>")
    assert not re.search(r"<caption>\s*</caption>", html)
    assert not re.search(r"<th(?! scope=\"(?:col|row)\")[ >]", html)
    for scrolling in re.findall(r'<div class="wide"[^>]*tabindex[^>]*>', html):
        assert re.search(r'role="region" aria-label="[^"]+"', scrolling)
    assert html.count("<details>") == html.count("<summary>")


def test_every_picture_says_what_it_shows(page):
    html, markdown = page
    said = re.findall(r'<svg role="img" aria-label="([^"]*)"', html)
    assert len(said) == html.count("<svg") == 5  # the plot for wide and for narrow screens, and three more
    assert "helps +0.0" in said[0]
    assert all(re.search(r"\d", text) for text in said)
    assert all(re.search(r"\d", text) for text in re.findall(r"!\[([^\]]*)\]\(", markdown))


def test_a_narrow_screen_keeps_the_verdict_and_drops_what_it_can_do_without(page):
    html, _ = page
    head = re.search(r"<thead>.*?</thead>", html, re.DOTALL)[0]
    names = re.findall(r'<th scope="col"(?: class="([^"]*)")?>([^<]*)<', head)
    assert [name for _, name in names] == ["setting", "verdict", "difference (95\u00a0%)", "mean", "SD", "n"]
    assert [name for kind, name in names if "spare" in kind] == ["mean", "SD", "n"]
    narrow = html[html.index("@media (max-width: 40rem)") : html.index("@media print {\n")]
    assert ".spare { display: none; }" in narrow
    assert "figure.both svg + svg { display: block; }" in narrow


def test_the_page_is_small(page):
    assert len(page[0].encode()) < 300_000


def test_a_warning_stands_below_the_sentence(tmp_path):
    groups = written(tmp_path, {"standard": {"seeds": range(5), "asked": range(6)}, "other": {"reinit_layers": 1}})
    study = reading.load(tmp_path)
    blocks = report.build(study, groups, {"rte": []})
    kinds = [block.kind for block in blocks if isinstance(block, document.Paragraph)]
    assert kinds[:2] == ["headline", "warning"]


# --- colours; test_report_colours.py says that they are told apart


def test_pictures_take_the_colours_of_the_theme(page):
    html, _ = page
    pictures = "".join(re.findall(r"<svg.*?</svg>", html, re.DOTALL))
    assert "var(--better)" in pictures
    assert not re.findall(r"#[0-9a-f]{6}\b(?=[;\"])", pictures)
    for theme in (drawing.LIGHT, drawing.DARK):
        assert all(f"--{name}: {colour};" in html for name, colour in theme.items())


def test_a_colour_in_a_name_stays_a_name(tmp_path):
    name = f'"{drawing.LIGHT["better"]};" <b style="fill: {drawing.LIGHT["worse"]};">'
    [group] = written(tmp_path, {"standard": {}, name: {"reinit_layers": 1}})
    picture = forest.drawn(group).inline()[0]
    assert f'>"{drawing.LIGHT["better"]};" &lt;b' in picture


@pytest.mark.parametrize("bits", [-1, 1])
def test_the_last_bit_of_a_coordinate_changes_no_file(group, bits):
    """It differs between processors; the clip path's id is a hash of it."""
    figure = drawing.drawn("few-differences", lambda: forest.draw(group, wide=True))
    assert figure is not None
    first = drawing.svg_of(figure)
    assert 'clip-path="url(#few-differences-' in first
    for axes in figure.axes:
        axes.set_position([float(edge) * (1 + bits * 2**-50) for edge in axes.get_position().bounds])
    assert drawing.svg_of(figure) == first


# --- the plot


def test_settings_are_in_the_order_of_their_differences(group):
    lines = forest.rows(group)
    names = [line.setting.name for line in lines]
    assert (names[0], names[1], names[-1]) == ("standard", "helps", "a control")
    differences = [line.difference for line in lines[1:-1]]
    assert differences == sorted(differences, reverse=True)


def test_a_point_is_a_pair(group):
    baseline, helps = forest.rows(group)[:2]
    assert helps.setting.comparison.paired
    scores = [setting.cell.runs().scores for setting in group.settings[:2]]
    np.testing.assert_allclose(helps.points, scores[1] - scores[0])
    np.testing.assert_allclose(baseline.points, scores[0] - scores[0].mean())
    assert helps.points.mean() == pytest.approx(helps.difference)


def test_seeds_that_are_not_shared_are_held_against_the_mean(tmp_path):
    cells = {"standard": {"seeds": range(8)}, "other": {"seeds": range(20, 27), "failing": (21,), "reinit_layers": 1}}
    [group] = written(tmp_path, cells)
    base, other = (setting.cell.runs().scores for setting in group.settings)
    line = forest.rows(group)[1]
    np.testing.assert_allclose(line.points, other - base.mean())
    assert line.failed.tolist() == [False, True, *[False] * 5]
    assert "against the baseline's mean" in forest.caption(group, forest.rows(group))


def test_failed_runs_do_not_squash_the_axis(group):
    lines = forest.rows(group)
    at = next(i for i, line in enumerate(lines) if line.setting.name == "fails")
    line = lines[at]
    lines[at] = line._replace(difference=line.difference - 1, low=line.low - 1, high=-0.9, points=line.points - 1)
    low, high = forest.limits(lines)
    assert low > -0.3
    others = [line for line in lines[1:] if line.setting.name != "fails"]
    assert all(low < line.low and line.high < high for line in others)
    assert "Arrow: something lies beyond the axis." in forest.caption(group, lines)


def test_what_was_found_better_is_on_the_axis(group):
    lines = [line for line in forest.rows(group) if not line.setting.control]
    far = lines[1]._replace(high=5.0)
    assert forest.limits([lines[0], far, *lines[2:]])[1] > 5.0
    worse = lines[-1]._replace(low=-5.0)
    assert forest.limits([*lines[:-1], worse])[0] > -1.0


def test_losses_are_of_settings_with_a_verdict_on_a_log_axis(group, drawings):
    assert [setting.name for setting in figures.shown_losses(group)][:2] == ["helps", "helps, and more"]
    assert {setting.judged.outcome for setting in figures.shown_losses(group)} == {"better", "worse"}
    svg = next(one.svg for one in drawings if one.name == "rte-loss")
    assert ">nothing</text>" not in svg
    assert ">helps</text>" in svg
    assert ">0.5</text>" in svg


# --- stability


def test_the_probability_of_a_run_worse_than_the_median_one(group):
    median = float(np.median(group.settings[0].cell.runs().scores))
    assert overview.threshold(group, None) == median
    share, interval = overview.below(group.settings[0], median)
    assert share == 0.5
    assert interval == statistics.share_interval(5, 10)
    assert overview.below(group.settings[0], group.settings[0].summary.minimum)[0] == 0.0  # as good is not worse
    failing = next(setting for setting in group.settings if setting.name == "fails")
    scores = failing.cell.runs().scores
    assert overview.below(failing, 0.6)[0] == np.mean(scores < 0.6) == 0.6
    [table, note] = overview.stability(group, 0.6)
    assert "a run below 0.600 (95\u00a0%)" in table.header
    row = next(row for row in table.rows if row[0] == "fails")
    assert (row[2], row[3].replace("\u00a0", " ")) == ("6\u00a0of\u00a010", "0.60 (0.26 to 0.88)")
    assert "given with --worse-than" in note.text
    assert "fails more often" in row[1]


def test_folds_are_no_independent_runs(tmp_path):
    """No best of k across folds, and no interval of a share that takes runs for independent."""
    cells = {"standard": {"folds": 5}, "other": {"mean": 0.72, "reinit_layers": 1, "folds": 5}}
    write_study(tmp_path, cells)
    for file in tmp_path.glob("cells/*/results.jsonl"):
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(line_of({**row, "fold": row["seed"] % 5}) for row in rows))
    [group] = findings.analyse(reading.load(tmp_path))
    assert group.settings[0].judged.unit == "folds"
    assert len(forest.rows(group)[1].points) == 5
    assert "rte-best-of-k" not in [one.name for one in figures.draw_all(group)]
    assert math.isnan(overview.below(group.settings[1], 0.65)[1].low)
    [table, note] = overview.stability(group, None)
    assert "95" not in table.header[3]
    assert "Clopper" not in note.text
    assert "folds, of each the mean" in paste.paragraph(group)


# --- several data sets


def test_a_line_across_data_sets(tmp_path):
    cells = {
        "RTE at 1": {}, "RTE at 2": {"mean": 0.72, "learning_rate": 1e-4}, "RTE at 3": {"learning_rate": 2e-4},
        "STS-B at 1": {"task": "stsb"}, "STS-B at 2": {"task": "stsb", "mean": 0.8, "learning_rate": 1e-4},
        "STS-B at 3": {"task": "stsb", "mean": 0.5, "learning_rate": 2e-4},
    }  # fmt: skip
    line, table = overview.across(written(tmp_path, cells))
    assert line.text == (
        "Across 2 data sets: learning_rate=0.0001 better in 2 of 2; learning_rate=0.0002 worse in 1 of 2."
    )
    assert table.rows == [
        ("learning_rate=0.0001", "2", "0", "0", "0", "2"),
        ("learning_rate=0.0002", "0", "1", "1", "0", "2"),
    ]


# --- to paste


def test_latex_is_escaped(group):
    assert paste.latex_text(r"a\b{c}$&#^_%~<>|") == (
        r"a\textbackslash{}b\{c\}\$\&\#\textasciicircum{}\_\%\textasciitilde{}\textless{}\textgreater{}\textbar{}"
    )
    assert paste.latex_text("[a] *b") == "{[}a{]} {*}b"  # behind the end of a line these would be its arguments
    table = paste.latex_table(group)
    rows = table[table.index(r"\midrule") : table.index(r"\bottomrule")].strip().split("\n")[1:]
    assert len(rows) == len(group.settings)
    for row in rows:
        assert len(re.findall(r"(?<!\\)&", row)) == 5
        assert row.endswith(r" \\")
        assert not re.match(r"\s*[\[*]", row)
    assert r"\textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{}\textbar{}x & " in table
    assert table.count("{") == table.count("}")
    assert table.isascii()
    assert {row.removesuffix(r" \\").split(" & ")[-1] for row in rows} >= {"baseline", "better", "--"}  # it is narrow
    assert paste.latex_text("5 draws × 4") == r"5 draws $\times$ 4"


def test_a_paragraph_names_the_test(group):
    said = paste.paragraph(group)
    assert said.startswith("On RTE we compared 6 settings with standard (test accuracy 0.6")
    for part in (
        "step-down max-t permutation test (Westfall and Young, 1993)", "labels exchanged within seeds",
        "The familywise level was 0.05", "of which there was one", "Each setting has 10 runs with different seeds.",
        "The 6 failed runs are included.",
    ):  # fmt: skip
        assert part in said
    assert paste.latex_text(said) in paste.latex([group])


def test_looks_are_said_everywhere(tmp_path):
    cells = {"standard": {}, "other": {"mean": 0.72, "reinit_layers": 1}}
    looks = [{"when": "2026-01-01", "runs": {"standard": 5, "other": 5}}]
    groups = written(tmp_path, cells, looks=looks)
    assert "of which there were 2" in paste.paragraph(groups[0])
    blocks = report.build(reading.load(tmp_path), groups, {"rte": []})
    assert document.Paragraph(words.looked(groups[0]), "lead") in blocks
    assert "look number 2" in words.looked(groups[0])
    assert "2026-01-01 at 10 runs" in document.to_markdown(blocks)


def test_a_report_is_a_look_at_a_working_directory_and_none_at_what_was_handed_on(tmp_path, monkeypatch):
    written(tmp_path / "work", {"standard": {}, "other": {"reinit_layers": 1}})
    pack.pack(tmp_path / "work", tmp_path / "packed")
    monkeypatch.setattr(figures, "draw_all", lambda group: [])
    kept = (tmp_path / "packed" / "study.json").read_bytes()
    for folder in ("work", "work", "packed"):
        report.write(tmp_path / folder, tmp_path / "out")
    looks = json.loads((tmp_path / "work" / "study.json").read_text())["looks"]
    assert [look["runs"] for look in looks] == [{"standard": 10, "other": 10}]
    assert (tmp_path / "packed" / "study.json").read_bytes() == kept


def test_the_table_of_numbers(group):
    rows = list(csv.DictReader(io.StringIO(paste.table([group], 0.6))))
    assert [row["setting"] for row in rows] == [setting.name for setting in group.settings]
    assert rows[0]["difference"] == ""
    helps, c = rows[1], group.settings[1].comparison
    numbers = {"difference": c.difference, "low": c.interval.low, "high": c.interval.high, "p": c.p_value}
    numbers |= {"p_spread": c.p_spread, "sd_ratio": c.spread_ratio, "looks": 1, "worse_than": 0.6, "share_worse": 0.0}
    assert {name: float(helps[name]) for name in numbers} == pytest.approx(numbers, rel=1e-5)
    assert (helps["verdict"], helps["n"], helps["failed"]) == ("better", "10", "0")


def test_a_study_that_compares_nothing_has_nothing_to_paste(tmp_path):
    write_cell(tmp_path / "run", "0" * 12, seeds=range(3))
    names = {file.name for file in report.write(tmp_path / "run", tmp_path / "out")}
    assert not {"verdicts.csv", "verdicts.tex"} & names
    assert "Ready to paste" not in (tmp_path / "out" / "report.md").read_text()
