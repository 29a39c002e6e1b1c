"""The report of a study: what it says of synthetic runs, what it escapes, what it refuses."""

import json
import math
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stablefit import report as entry
from stablefit.errors import InputError
from stablefit.study import document, figures, findings, grid, reading, report, statistics, words
from tests.study.written import HOSTILE, write_cell, write_study

ROOT = Path(__file__).parents[2]

# A study as the paper's: one method that helps, failed runs that it removes, one that does nothing, and a torn one.
CELLS = {
    "standard": {"failing": (2, 5, 7)},
    "re-init of the top block": {"mean": 0.69, "speed": 2.5, "reinit_layers": 1},
    "re-init of the top 2 blocks": {"mean": 0.70, "speed": 3.0, "reinit_layers": 2},
    "re-init of the top 3 blocks, the name of which goes on for a good while": {"mean": 0.64, "reinit_layers": 3},
    HOSTILE: {"failing": (1,), "diverged": (4,), "mixout_rate": 0.1, "model": "<b>$x_1$|*y*</b>"},
    "few seeds": {"seeds": range(3), "asked": range(10), "learning_rate": 1e-4},
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The study above and its report: the workdir, the page, the Markdown."""
    workdir = write_study(tmp_path_factory.mktemp("study") / "<i>rte|", CELLS)
    record = {
        "question": "Does <b>it</b> help?\n\n    python -m x --sweep=<y>\n",
        "commands": ["grid <z>"],
        "started": "t",
    }
    (workdir / "study.json").write_text(json.dumps(record))
    files = report.write(workdir, workdir / "report")
    assert all(file.stat().st_size > 500 for file in files)
    assert {file.name for file in files} == {
        "report.md", "report.html", "verdicts.csv", "verdicts.tex", "rte-differences.pdf", "rte-loss.pdf",
        *(f"rte-{kind}.{end}" for kind in ("differences", "reinit", "loss", "best-of-k") for end in ("png", "svg")),
    }  # fmt: skip
    return workdir, (workdir / "report/report.html").read_text(), (workdir / "report/report.md").read_text()


def verdicts(workdir):
    """What is said of each setting of the first task."""
    group = findings.analyse(reading.load(workdir))[0]
    return {setting.name: words.verdict(setting, group) for setting in group.settings}


def test_verdicts_in_words(written):
    said = verdicts(written[0])
    assert re.fullmatch(r"the baseline; mean 0\.6\d\d, SD 0\.0\d\d over 10 seeds, 3 of them failed\.", said["standard"])
    better = r"better by 0\.\d\d\d \(0\.\d\d\d to 0\.\d\d\d; p [=<] 0\.0\d\d\); a run of it beats"
    assert re.match(better, said["re-init of the top 2 blocks"])
    assert "0 of 10 runs failed, of the baseline's 3 of 10" in said["re-init of the top 2 blocks"]
    assert "no difference found (−" in said[HOSTILE]
    assert re.search(r"with 10 seeds a difference of 0\.\d\d\d would have been found four times in five", said[HOSTILE])
    few = r"cannot be decided \([+−]0\.\d\d\d\) with 3 seeds, and 10 seeds of the baseline; 5 of each would do\."
    assert re.fullmatch(few, said["few seeds"])


def test_runs_that_all_fail_are_not_praised_for_being_alike(tmp_path):
    wide = {"sd": 0.06, "failing": ()}
    cells = {"standard": wide, "steady": {"sd": 0.001}, "none works": {"failing": range(10)}}
    said = verdicts(write_study(tmp_path, cells))
    assert "Its scores spread less" in said["steady"]
    assert "10 of 10 runs failed" in said["none works"]
    assert "spread" not in said["none works"]


class Tags(HTMLParser):
    """Notes every element and attribute, and that all are closed."""

    def __init__(self, page):
        super().__init__()
        self.seen, self.attributes, self.open, self.text = set(), [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes += attrs
        if tag not in ("meta", "path", "use", "rect", "circle", "image"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_one_file_without_a_script(written):
    tags = Tags(written[1])
    assert tags.open == []
    assert not tags.seen & {"script", "b", "i", "img", "link", "iframe", "a", "metadata"}
    assert HOSTILE in "".join(tags.text)
    for name, value in tags.attributes:
        assert not name.startswith("on")
        if name in ("href", "xlink:href", "src"):
            assert value.startswith("#")
    assert not re.search(r"url\((?!#)|@import", written[1])
    ids = [value for name, value in tags.attributes if name == "id"]
    assert len(set(ids)) == len(ids)
    text = " ".join(" ".join(tags.text).split())
    assert "Does <b>it</b> help?" in text
    assert "python -m x --sweep=<y>" in text
    assert "Not finished: seeds are missing in few seeds (7 of 10)." in text


def test_markdown_is_escaped(written):
    page = written[2]
    assert not re.search(r"<[a-z/]", re.sub(r"^ {4}.*", "", page, flags=re.MULTILINE))
    assert r"&lt;script&gt;alert(1)&lt;/script&gt;\|x" in page
    assert r"model=&lt;b&gt;\$x_1\$\|\*y\*&lt;/b&gt;" in page
    tables = [block.split("\n") for block in page.strip().split("\n\n") if block.startswith("| ")]
    assert len(tables) == 8
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert re.search(
        r"^!\[Difference in test accuracy on RTE from standard\. .*\]\(rte-differences\.svg\)$", page, re.M
    )


def test_diverged_runs_and_missing_seeds_are_counted(written):
    group = findings.analyse(reading.load(written[0]))[0]
    hostile, few = group.settings[4:]
    assert (hostile.curve.n, hostile.curve.n_diverged, hostile.curve.n_missing) == (9, 1, 0)
    assert (hostile.agreement.n, few.agreement.n) == (9, 3)
    assert hostile.summary.n_failed == 2
    assert few.cell.missing == list(range(3, 10))
    assert "1 diverged" in written[1]


def test_convergence_is_against_the_baseline(written):
    standard, _, faster, *_ = findings.analyse(reading.load(written[0]))[0].settings
    assert 57 <= standard.curve.reaches <= 60  # of its own last loss, but for the slack
    assert faster.curve.reaches < 40
    assert faster.curve.n_reaching == 10


def test_a_moving_average_is_of_the_last_batches(tmp_path):
    write_cell(tmp_path, "0" * 12, seeds=(0,), steps=60)
    group = findings.analyse(reading.load(tmp_path))[0]
    losses = reading.losses(group.settings[0].cell).losses_RxS[0]
    curve = group.settings[0].curve
    assert (group.window, curve.steps[0], curve.steps[-1]) == (5, 5, 60)
    assert curve.median[[0, -1]] == pytest.approx([losses[:5].mean(), losses[-5:].mean()])


def test_a_single_run_is_a_study_of_one_cell(tmp_path):
    write_cell(tmp_path / "one", "0" * 12, seeds=range(2))
    report.write(tmp_path / "one", tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert page.startswith("# Run: one\n")
    assert re.search(r"- \*\*one\*\*: mean 0\.\d+, SD 0\.\d+ over 2 seeds\.", page)
    assert "difference" not in page
    assert "a run below" not in page


def test_tasks_are_not_compared_with_each_other(tmp_path):
    cells = {
        "rte": {}, "stsb": {"task": "stsb", "mean": 0.8}, "cola": {"task": "cola", "diverged": range(10)},
        "rte, faster": {"learning_rate": 1e-4},
    }  # fmt: skip
    groups = findings.analyse(reading.load(write_study(tmp_path, cells)))
    assert [[setting.name for setting in group.settings] for group in groups] == [
        ["rte", "rte, faster"],
        ["stsb"],
        ["cola"],
    ]
    assert groups[1].metric == "spearman"
    assert math.isnan(groups[1].settings[0].agreement.kappa)
    assert groups[2].settings[0].curve is None
    names = {file.name for file in report.write(tmp_path, tmp_path / "out")}
    assert {"rte-differences.png", "stsb-scores.png", "cola-scores.png"} <= names
    assert "cola-loss.png" not in names


STARTED = {"left": range(10, 20), "stop_seeds_at": 0.4, "keep_seeds": 0.5}


def test_chosen_seeds_are_one_result_and_no_sample(tmp_path):
    """Nothing that needs independent runs is said of them: no mean, no p-value, no figure."""
    cells = {
        "standard": {"seeds": range(16), "mean": 0.65},
        "better": {"seeds": range(16), "mean": 0.72, "reinit_layers": 1},
        "of twenty": {"seeds": range(20), "mean": 0.72, "learning_rate": 1e-4, **STARTED},
    }  # fmt: skip
    group = findings.analyse(reading.load(write_study(tmp_path, cells)))[0]
    chosen = group.settings[2]
    assert (chosen.summary, chosen.comparison, chosen.curve, chosen.agreement) == (None, None, None, None)
    alone = findings.analyse(reading.load(write_study(tmp_path / "without", dict(list(cells.items())[:2]))))[0]
    both = [repr(one.settings[1].comparison) for one in (group, alone)]
    assert both[0] == both[1], "a setting of chosen seeds costs the others nothing"
    rows = [row for row in chosen.cell.rows if not row["stopped"]]
    best = max(rows, key=lambda row: row["validation"]["accuracy"])
    s = chosen.selection
    assert (s.n_started, s.n_finished, s.step, s.cost) == (20, 10, 30, 15.0)
    assert (s.validation, s.test) == (best["validation"]["accuracy"], best["test_best"]["accuracy"])
    baseline = group.settings[0].cell
    mean, sd = statistics.best_by_validation(baseline.validation(), baseline.runs().scores)
    assert s.equal == (15, mean[14], sd[14])
    report.write(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "**of twenty**: no verdict: of 20 seeds the 10 best on validation at step 30 were finished." in page
    assert "The best of 15 runs of the baseline, by validation, has 0." in page
    assert re.search(r"^\*\*Better \(\+0\.\d+, 0\.\d+ to 0\.\d+\) did better than standard\.\*\*$", page, re.M)
    assert "| of twenty | no verdict: chosen seeds | – |" in page
    assert "## The best of many started seeds" in page
    assert "of twenty" not in (tmp_path / "out" / "rte-differences.svg").read_text()


def test_a_baseline_of_chosen_seeds_is_compared_with_nothing(tmp_path):
    cells = {"of twenty": {"seeds": range(20), **STARTED}, "other": {"reinit_layers": 1}}
    said = verdicts(write_study(tmp_path / "both", cells))
    assert said["of twenty"].startswith("the baseline, without a sample of runs: of 20 seeds the 10 best")
    assert said["other"].startswith("no verdict: seeds of the baseline were stopped")
    report.write(tmp_path / "both", tmp_path / "out")
    del cells["other"]
    cells["of twenty"]["seeds"] = range(12)
    cells["of twenty"]["asked"] = range(20)
    said = verdicts(write_study(tmp_path / "alone", cells))
    assert said["of twenty"] == "no result yet: it is known when the last seed is finished."
    report.write(tmp_path / "alone", tmp_path / "out2")
    assert "(8 of 20)" in (tmp_path / "out2" / "report.md").read_text()


def test_runs_stopped_by_patience_are_runs(tmp_path):
    """Each is what training with patience gives, so all is said of them, and how many there are."""
    cells = {"standard": {}, "patient": {"patient": range(4), "patience": 3, "mean": 0.72}}
    group = findings.analyse(reading.load(write_study(tmp_path, cells)))[0]
    assert group.settings[1].summary.n == 10
    assert group.settings[1].comparison.verdict == "better"
    assert (group.settings[1].curve.n, group.settings[1].curve.steps[-1]) == (10, 30)
    report.write(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "Stopped by patience: 4 of patient runs." in page
    assert "30–60" in page


@pytest.mark.parametrize("started", [False, True])
def test_a_study_that_has_no_runs_yet(tmp_path, started):
    cells = {
        "standard": {"seeds": (), "asked": range(5)},
        "other": {"seeds": range(6 if started else 0), "asked": range(6)},
    }
    report.write(write_study(tmp_path, cells), tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "**standard**: no finished run yet." in page
    assert ("**other**: no verdict: the baseline has no finished run yet." in page) == started


def test_what_the_grid_records_is_reported(tmp_path):
    """The question, every command once, and the first start."""
    sweep = tmp_path / "sweep.py"
    sweep.write_text('"""Does it\nhelp?\n\n    make <it>\n"""\n\n\ndef sweep(add):\n    pass\n')
    write_study(tmp_path, {"a": {"seeds": range(2)}, "b": {"seeds": range(2), "reinit_layers": 1}})
    for command in ("grid one", "grid two", "grid one"):
        grid.record(tmp_path, sweep, command)
    study = reading.load(tmp_path)
    assert (study.question, study.commands) == ("Does it\nhelp?\n\n    make <it>", ["grid two", "grid one"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d\+00:00", study.started)
    blocks = report.build(study, findings.analyse(study), {"rte": figures.draw_all(findings.analyse(study)[0])})
    assert document.Paragraph("Does it help?", "question") in blocks
    made = next(block for block in blocks if isinstance(block, document.Folded) and block.title == "How it was made")
    assert document.Paragraph("Does it help?") in made.blocks
    assert document.Code("make <it>") in made.blocks
    assert document.Code("grid two\ngrid one") in made.blocks


def test_without_metrics_and_predictions_the_scores_remain(tmp_path):
    write_cell(tmp_path, "0" * 12)
    for seed in range(10):
        (tmp_path / f"seed_{seed}" / "metrics.jsonl").unlink()
        (tmp_path / f"seed_{seed}" / "predictions.npz").unlink()
    report.write(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "## All scores" in page
    assert "## Training loss" not in page
    assert "Convergence" not in page
    assert "Agreement" not in page


def test_a_report_is_the_same_each_time(tmp_path):
    write_study(tmp_path / "study", {"a": {"seeds": range(5)}, "b": {"seeds": range(5), "reinit_layers": 1}})
    first = {file.name: file.read_bytes() for file in report.write(tmp_path / "study", tmp_path / "out")}
    assert {"rte-differences.pdf", "rte-differences.png", "rte-loss.svg", "report.html"} <= first.keys()
    assert {file.name: file.read_bytes() for file in report.write(tmp_path / "study", tmp_path / "out")} == first


def test_names_in_figures_are_text_and_no_formula(tmp_path):
    cells = {'$x^2$ <g id="y"> & \u4e2d\u6587': {"seeds": range(5)}, "a\x07b": {"seeds": range(2), "reinit_layers": 1}}
    drawings = figures.draw_all(findings.analyse(reading.load(write_study(tmp_path, cells)))[0])
    for drawing in drawings:
        for picture in drawing.inline():
            Tags(picture)
            assert "metadata" not in picture
        if drawing.name != "rte-loss":  # of the baseline alone, which needs no name there
            assert "$x^2$ &lt;g id=" in drawing.svg
    assert "a\ufffdb" in drawings[0].svg


def test_figures_name_what_they_mark(written, tmp_path):
    """The legend and the labels; letters are letters in the SVG."""
    plot = (written[0] / "report" / "rte-differences.svg").read_text()
    words_in_plot = ("3 of 10", "failed", "one run", "better", "no difference found", "cannot decide")
    for text in (*words_in_plot, "standard (baseline)"):
        assert f">{text}</text>" in plot, text
    reinit = (written[0] / "report" / "rte-reinit.svg").read_text()
    assert ">re-initialised layers</text>" in reinit
    write_cell(tmp_path / "one", "0" * 12, failing=(2, 5, 7), diverged=(3,))
    drawing = figures.draw_all(findings.analyse(reading.load(tmp_path / "one"))[0])[0]
    for text in ("n = 10, 4 failed", "failed run", "diverged, score 0", "majority class 0.530", "mean"):
        assert f">{text}</text>" in drawing.svg, text
    write_cell(tmp_path / "two", "0" * 12, task="stsb", mean=0.8)
    drawing = figures.draw_all(findings.analyse(reading.load(tmp_path / "two"))[0])[0]
    assert ">test Spearman correlation</text>" in drawing.svg
    assert ">chance 0.000 (off the axis)</text>" in drawing.svg
    assert drawing.png.startswith(b"\x89PNG")
    assert drawing.pdf.startswith(b"%PDF")


def test_a_row_cut_off_by_a_kill_is_no_row(tmp_path):
    write_cell(tmp_path, "0" * 12, seeds=range(2))
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"seed": 2, "st')
    assert len(reading.load(tmp_path).cells[0].rows) == 2


def test_without_matplotlib(tmp_path, monkeypatch):
    write_cell(tmp_path, "0" * 12, seeds=(0,))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'stablefit\[report\]'"):
        report.write(tmp_path, tmp_path / "out")


def test_the_entry_point(tmp_path, capsys):
    write_cell(tmp_path, "0" * 12, seeds=range(2))
    assert entry.main([str(tmp_path), "--worse-than=0.9"]) == 0
    assert str(tmp_path / "report" / "report.html") in capsys.readouterr().out
    assert "a run below 0.900" in (tmp_path / "report" / "report.html").read_text()
    assert entry.main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: stablefit report")


def test_help_and_the_report_import_no_jax(tmp_path):
    heavy = {"jax", "flax", "matplotlib", "scipy", "numpy"}
    code = f"import sys; from stablefit import report; report.main(['--help']); print({heavy} & set(sys.modules))"
    clock = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("set()\n")
    assert time.monotonic() - clock < 5
    write_cell(tmp_path, "0" * 12, seeds=range(2))
    code = f"import sys; from stablefit import report; report.main([{str(tmp_path)!r}]); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("False\n"), done.stderr
