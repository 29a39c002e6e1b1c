"""The report of a study: what it says of synthetic runs, what it escapes, what it refuses."""

import json
import math
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from stablefit import report as entry
from stablefit.errors import InputError
from stablefit.study import document, figures, findings, grid, reading, report, statistics
from stablefit.training.files import line_of

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert(1)</script>|x"
MAJORITY = 0.53


def write_cell(
    folder: Path, mark: str, seeds=range(10), asked=None, mean=0.65, sd=0.015, failing=(), diverged=(), steps=60,
    speed=1.0, left=(), patient=(), **changes,
):  # fmt: skip
    """A run directory as `rundir` leaves it: scores around a mean, failed runs at the majority, losses that fall.

    Seeds that are left behind, or stopped by patience, end after a half of the steps.
    """
    config = {
        "task": "rte", "model": "a model", "seeds": list(asked or seeds), "learning_rate": 5e-5, "reinit_layers": 0,
        "mixout_rate": 0.0, "component_clip_norm": math.inf, "keep": "none",
    } | changes  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    metric = {"rte": "accuracy", "cola": "matthews", "stsb": "spearman"}[config["task"]]
    majority = MAJORITY if metric == "accuracy" else 0.0
    rows = []
    for seed in seeds:
        rng = np.random.default_rng([seed, *mark.encode()])
        stopped = "seeds" if seed in left else "patience" if seed in patient else ""
        end = steps // 2 if stopped else steps
        bad, lost = seed in failing, seed in diverged
        test = 0.0 if lost else MAJORITY if bad else rng.normal(mean, sd)
        validation = {} if lost else {metric: test + rng.normal(0, 0.01), "loss": 0.6}
        loss = np.full(steps, 0.69) if bad else 0.69 * np.exp(-speed * np.arange(steps) / steps)
        loss = loss + rng.normal(0, 0.02, steps)
        loss[steps // 2 :] = math.nan if lost else loss[steps // 2 :]
        lines = [{"step": i + 1, "loss": float(value), "grad_norm": 1.0} for i, value in enumerate(loss[:end])]
        (folder / f"seed_{seed}").mkdir(exist_ok=True)
        (folder / f"seed_{seed}" / "metrics.jsonl").write_text(
            "".join(map(line_of, [*lines, {"step": steps, "split": "validation", "loss": 0.6, **validation}]))
        )
        labels = np.arange(40) % 2
        wide = (40, 1) if config["task"] == "stsb" else (40, 2)
        logits = rng.normal(0, 1, wide) + (0 if bad else 1.5) * np.stack([1 - labels, labels], 1)[:, : wide[1]]
        np.savez(folder / f"seed_{seed}" / "predictions.npz", test_best=logits.astype(np.float32))
        rows.append({
            "seed": seed, "fingerprint": mark, "steps": end, "best_step": end, "validation": validation,
            "stopped": stopped, "total_steps": steps,
            "test_best": {metric: test, "loss": 0.6}, "test_last": {metric: test}, "majority": majority,
            "failed": bad or lost, "diverged": lost, "seconds": 90.0 + seed, "model": "a model", "task": config["task"],
            "layout": {"members": 1, "mesh": {"member": 1, "data": 1}}, "device": "1 x cpu",
            "versions": {"stablefit": "0.1.0", "jax": "0.10.2"},
        })  # fmt: skip
    (folder / "results.jsonl").write_text("".join(map(line_of, rows)))


def write_study(workdir: Path, cells: dict[str, dict]) -> Path:
    """A study of named cells, each with the arguments of `write_cell`."""
    marks = {name: f"{i:012x}" for i, name in enumerate(cells)}
    for name, arguments in cells.items():
        write_cell(workdir / "cells" / marks[name], marks[name], **arguments)
    (workdir / "cells.txt").write_text("".join(f"{mark}  {name}\n" for name, mark in marks.items()))
    return workdir


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
        "report.md", "report.html",
        *(f"rte-{kind}.{end}" for kind in ("scores", "reinit", "loss", "best-of-k") for end in ("png", "svg")),
    }  # fmt: skip
    return workdir, (workdir / "report/report.html").read_text(), (workdir / "report/report.md").read_text()


def verdicts(workdir):
    """What is said of each setting of the first task."""
    group = findings.analyse(reading.load(workdir))[0]
    return {setting.name: findings.verdict(setting, group) for setting in group.settings}


def test_verdicts_in_words(written):
    said = verdicts(written[0])
    assert re.fullmatch(r"the baseline; mean 0\.6\d\d, SD 0\.0\d\d over 10 seeds, 3 of them failed\.", said["standard"])
    assert re.match(r"better by 0\.\d\d\d \(p = 0\.0\d\d\); a run of it beats", said["re-init of the top 2 blocks"])
    assert "0 of 10 runs failed, of the baseline's 3 of 10" in said["re-init of the top 2 blocks"]
    assert "no difference found (−" in said[HOSTILE]
    assert re.search(r"with 10 seeds a difference of 0\.\d\d\d would have been found four times in five", said[HOSTILE])
    assert said["few seeds"] == "no verdict: 3 seeds, and 10 seeds of the baseline; at least 5 of each are needed."


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
    assert len(tables) == 6
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1
    assert "](rte-scores.svg)" in page


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
    assert "Against the baseline" not in page


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
    assert {"rte-scores.png", "stsb-scores.png", "cola-scores.png"} <= names
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
    assert group.settings[1].comparison == alone.settings[1].comparison, "Holm's method counts only what is compared"
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
    assert "1 better, 1 not compared" in page
    assert "## The best of many started seeds" in page
    assert "of twenty" not in (tmp_path / "out" / "rte-scores.svg").read_text()


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
    assert document.Paragraph("Does it help?") in blocks
    assert document.Code("make <it>") in blocks
    assert document.Code("grid two\ngrid one") in blocks


def test_without_metrics_and_predictions_the_scores_remain(tmp_path):
    write_cell(tmp_path, "0" * 12)
    for seed in range(10):
        (tmp_path / f"seed_{seed}" / "metrics.jsonl").unlink()
        (tmp_path / f"seed_{seed}" / "predictions.npz").unlink()
    report.write(tmp_path, tmp_path / "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert "## Scores" in page
    assert "## Convergence" not in page
    assert "## Agreement" not in page


def test_a_report_is_the_same_each_time(tmp_path):
    write_cell(tmp_path / "run", "0" * 12, seeds=range(5))
    first = [file.read_bytes() for file in report.write(tmp_path / "run", tmp_path / "out")]
    assert [file.read_bytes() for file in report.write(tmp_path / "run", tmp_path / "out")] == first


def test_names_in_figures_are_text_and_no_formula(tmp_path):
    cells = {'$x^2$ <g id="y"> & \u4e2d\u6587': {"seeds": range(5)}, "a\x07b": {"seeds": range(2), "reinit_layers": 1}}
    drawings = figures.draw_all(findings.analyse(reading.load(write_study(tmp_path, cells)))[0])
    for drawing in drawings:
        Tags(drawing.inline())
        assert "$x^2$ &lt;g id=" in drawing.svg
        assert "metadata" not in drawing.inline()
    assert "a\ufffdb" in drawings[0].svg


def test_figures_name_what_they_mark(written, tmp_path):
    """The legend and the labels; letters are letters in the SVG."""
    scores = (written[0] / "report" / "rte-scores.svg").read_text()
    for text in ("n = 10, 3 failed", "failed run", "diverged, score 0", "majority class 0.530", "mean", "n = 3"):
        assert f">{text}</text>" in scores
    reinit = (written[0] / "report" / "rte-reinit.svg").read_text()
    assert ">re-initialised layers</text>" in reinit
    write_cell(tmp_path, "0" * 12, task="stsb", mean=0.8)
    drawing = figures.draw_all(findings.analyse(reading.load(tmp_path))[0])[0]
    assert ">chance 0.000 (off the axis)</text>" in drawing.svg
    assert drawing.png.startswith(b"\x89PNG")


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


def test_a_row_cut_off_by_a_kill_is_no_row(tmp_path):
    write_cell(tmp_path, "0" * 12, seeds=range(2))
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write('{"seed": 2, "st')
    assert len(reading.load(tmp_path).cells[0].rows) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "'nowhere' is no study"),
        (["a", "b"], "2 directories are given"),
        (["--out=x"], "0 directories are given"),
        (["a", "--outt=x"], "flag '--outt=x' is unknown"),
    ],
)
def test_bad_arguments(capsys, arguments, message):
    assert entry.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_place_that_cannot_be_written(tmp_path, capsys):
    write_cell(tmp_path, "0" * 12, seeds=(0,))
    assert entry.main([str(tmp_path), f"--out={tmp_path / 'config.json'}"]) == 2
    assert "cannot write the report to" in capsys.readouterr().err


def test_without_matplotlib(tmp_path, monkeypatch):
    write_cell(tmp_path, "0" * 12, seeds=(0,))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'stablefit\[report\]'"):
        report.write(tmp_path, tmp_path / "out")


def test_the_entry_point(tmp_path, capsys):
    write_cell(tmp_path, "0" * 12, seeds=range(2))
    assert entry.main([str(tmp_path)]) == 0
    assert str(tmp_path / "report" / "report.html") in capsys.readouterr().out
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
