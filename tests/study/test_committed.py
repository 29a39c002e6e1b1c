"""What is committed under experiments/results is enough: it loads, and its reports can be made again to the byte."""

import json
import re

import numpy as np
import pytest

import stablefit
from experiments import reports
from stablefit import flags
from stablefit.study import drawing, packed, reading
from stablefit.study.grid import expand
from stablefit.training import settings

STUDIES = sorted(file.parent.name for file in reports.RESULTS.glob("*/runs.csv"))
# Runs, losses of steps, and runs with predictions, of each.
HELD = {
    "ablation_local": (48, 2106, 0), "ccks": (110, 47520, 0), "ccks_tuning": (8, 2376, 0),
    "cola_few_sample": (140, 14400, 0), "demo": (5, 0, 0), "keep": (20, 3500, 20), "learning_rate": (36, 3456, 0),
    "methods_on_rte": (28, 1440, 0), "msra": (1, 1317, 0), "reactions": (42, 5200, 42), "recipe": (140, 9340, 140),
    "pooling_cola": (40, 3840, 40), "pooling_sst2": (40, 3840, 40), "pooling_stsb": (40, 3840, 40),
    "pooling_clinc10": (40, 18800, 40), "pooling_reviews": (40, 2080, 40),
    "head_start": (30, 3000, 30),
    "fifty_seeds_sst2": (50, 4800, 50), "fifty_seeds_stsb": (50, 4800, 50),
    "demo_mean": (5, 260, 5), "learning_rate_mean_cola": (10, 960, 10), "learning_rate_mean_stsb": (10, 960, 10),
    "learning_rate_mean_sst2": (10, 960, 10),
    "rte_minilm": (3, 0, 0), "sst2_draws": (75, 9600, 75),
    "sst2_few_sample": (140, 14400, 0), "stsb_few_sample": (140, 14400, 0),
}  # fmt: skip


def test_the_studies_are_those():
    assert set(STUDIES) == HELD.keys()
    assert set(reports.studies()) <= set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_a_few_files_and_whole(name):
    folder = reports.RESULTS / name
    files = {file.name for file in folder.iterdir()}
    known = {packed.STUDY, packed.RUNS, packed.CURVES, packed.PREDICTIONS, "report", "table.json"}
    assert files <= known
    cells = reading.load(folder).cells
    runs = [(cell, row["seed"]) for cell in cells for row in cell.rows]
    steps = sum("split" not in line for cell, seed in runs for _, line in cell.files.metrics(seed)[1])
    n_said = sum(cell.files.said(seed, cell.task.kind) is not None for cell, seed in runs)
    assert (len(runs), steps, n_said) == HELD[name]
    for cell in cells:
        assert all(row["fingerprint"] == cell.fingerprint for row in cell.rows)
    for file in (packed.STUDY, packed.RUNS):
        assert not re.search(r"(?<!\w)/(work|tmp|home|root)/", (folder / file).read_text()), "a path of a machine"


SWEEPS = {
    "fifty_seeds_sst2": "fifty_seeds",
    "fifty_seeds_stsb": "fifty_seeds",
    "pooling_clinc10": "pooling",
    "pooling_cola": "pooling",
    "pooling_reviews": "pooling",
    "pooling_sst2": "pooling",
    "pooling_stsb": "pooling",
}
WITHOUT = {
    "demo_mean",
    "demo",
    "learning_rate_mean_cola",
    "learning_rate_mean_sst2",
    "learning_rate_mean_stsb",
    "msra",
    "rte_minilm",
}  # README.md has the flags
OF_THE_MACHINE = {"cohort_size", "data_dir", "data_file", "keep", "model", "seeds"}


@pytest.mark.parametrize("name", [name for name in STUDIES if name not in WITHOUT])
def test_a_sweep_still_says_what_its_study_did(name, monkeypatch):
    """A better default changes what others get, and not this. Fields that are newer than a study are left out."""
    monkeypatch.setenv("REACTIONS", "reactions")
    sweep = reports.RESULTS.parent / f"{SWEEPS.get(name, name)}.py"
    said = {cell.name: flags.load_config(*cell.config.split(":")).to_dict() | cell.changes for cell in expand(sweep)}
    monkeypatch.chdir(reports.RESULTS.parents[1])
    for cell in reading.load(reports.RESULTS / name).cells:
        now, then = json.loads(json.dumps(settings.read(said[cell.name]).values)), {"pooling": "pooler", **cell.config}
        assert {field for field in now.keys() & then if now[field] != then[field]} <= OF_THE_MACHINE


def test_stored_predictions_give_the_scores_of_the_ledger():
    study = stablefit.load_study(reports.RESULTS / "keep")
    said = study.predictions.merge(study.runs[["cell", "seed", "task", "test_best.accuracy"]], on=["cell", "seed"])
    said = said[said["task"].isin(["reviews", "sst2"])]
    right = said.assign(right=said["said"] == said["label"]).groupby(["cell", "seed"])
    assert len(right) == 10
    assert np.allclose(right["right"].mean(), right["test_best.accuracy"].first())


@pytest.mark.parametrize(("task", "metric", "far"), [("sst2", "accuracy", 0.019), ("stsb", "spearman", 0.081)])
def test_a_seed_on_a_gpu_is_the_seed_on_a_cpu(task, metric, far):
    """Other sums, weights rounded to float16, and the same draws: as it is said of them."""
    card, processor = (
        stablefit.load_study(reports.RESULTS / name).runs.query("cell.str.endswith('standard')").set_index("seed")
        for name in (f"fifty_seeds_{task}", f"{task}_few_sample")
    )
    apart = (card[f"test_best.{metric}"] - processor[f"test_best.{metric}"]).dropna().abs().sort_values()
    assert len(apart) == 10
    assert apart.iloc[8] < 0.004
    assert round(apart.iloc[9], 3) == far


def test_the_table_of_reactions_is_made_again(tmp_path, monkeypatch, capsys):
    from experiments import reactions_table

    monkeypatch.setattr("sys.argv", ["", str(reports.RESULTS / "reactions"), str(tmp_path / "table.json")])
    reactions_table.main()
    assert len(capsys.readouterr().out.splitlines()) == 5  # an ensemble, two settings at two sizes
    made, committed = (
        json.loads((folder / "table.json").read_text()) for folder in (tmp_path, reports.RESULTS / "reactions")
    )
    assert made == committed


def test_the_shortest_report_is_made_again():
    assert reports.changed("ccks_tuning") == []


@pytest.mark.parametrize("name", reports.studies())
def test_the_words_and_tables_of_every_report_are_made_again(name, monkeypatch):
    monkeypatch.setattr(drawing, "saved", lambda figure, kind: b"")  # what takes most of the time
    assert reports.changed(name, drawn=False) == []


@pytest.mark.slow  # a minute
@pytest.mark.parametrize("name", reports.studies())
def test_every_report_is_made_again(name):
    """To the byte; the figures only with the version of matplotlib that drew them, in constraints.txt."""
    assert reports.changed(name) == []


def test_the_notebook_runs(monkeypatch):
    """Every cell, from the folder that it lies in; and it is committed without what it printed."""
    file = reports.ROOT / "examples" / "study.ipynb"
    monkeypatch.chdir(file.parent)
    cells = [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    defined: dict = {}
    for cell in cells:
        exec("".join(cell["source"]), defined)
    assert defined["scores"].loc["standard", "mean"] == pytest.approx(0.799, abs=5e-4)
    assert defined["scores"].loc["no bias correction", "failed"] == 3
    assert 0.5 < (defined["votes"] == 1).mean() < 1
