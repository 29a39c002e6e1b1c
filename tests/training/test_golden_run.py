"""Runs of the tiny model against what they were when `tests/golden/runs.json` was made, to rounding.

What is asked of a run elsewhere is that changing a field changes it, or that it is the same twice. Here it is that no
number has moved: no loss, no score, in no step.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from stablefit.data import packing
from stablefit.training import checkpoints, job, settings
from stablefit.training.steps import Table
from tests import tiny
from tests.golden import make_runs

GOLDEN = json.loads((Path(make_runs.__file__).with_name("runs.json")).read_text())


def assert_as_it_was(one, golden, where="run"):
    """Equal names, strings and counts; numbers equal to rounding."""
    if isinstance(golden, dict):
        assert one.keys() == golden.keys(), where
        for name in golden:
            assert_as_it_was(one[name], golden[name], f"{where}/{name}")
    elif isinstance(golden, list):
        assert len(one) == len(golden), where
        for i, value in enumerate(golden):
            assert_as_it_was(one[i], value, f"{where}/{i}")
    elif isinstance(golden, float):
        assert one == pytest.approx(golden, rel=1e-5, abs=1e-6), where
    else:
        assert one == golden, where


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The plain run: its folder, metrics and row."""
    place = tmp_path_factory.mktemp("plain")
    return place, *make_runs.run("plain", place)


def test_the_plain_run(plain):
    _, metrics, row = plain
    assert_as_it_was({"metrics": metrics, "row": row}, GOLDEN["plain"])


# The optimised run below is of the same methods.
@pytest.mark.parametrize("name", ["tagging", pytest.param("methods", marks=pytest.mark.slow)])
def test_a_run(name, tmp_path):
    metrics, row = make_runs.run(name, tmp_path)
    assert_as_it_was({"metrics": metrics, "row": row}, GOLDEN[name])


def test_a_run_with_the_optimisations_that_users_have(tmp_path):
    """In a process of its own: all others have what `tests/conftest.py` asks of the compiler, to be quick."""
    told = "from tests.golden import make_runs; print(json.dumps(make_runs.run('methods', pathlib.Path(sys.argv[1]))))"
    command = [sys.executable, "-c", f"import json, pathlib, sys; {told}", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, check=True, capture_output=True, text=True)
    metrics, row = json.loads(done.stdout.splitlines()[-1])
    assert_as_it_was({"metrics": metrics, "row": row}, GOLDEN["methods"])


def test_the_golden_runs_can_tell_the_best_parameters_from_the_last():
    for golden in GOLDEN.values():
        row = golden["row"]
        assert row["best_step"] < row["steps"]
        assert row["test_best"] != row["test_last"]


def test_scores_and_predictions_are_of_the_parameters_they_are_said_to_be_of(plain):
    """Those that are saved as best, and those that are saved as last, give what is said of each on the test set."""
    place, _, row = plain
    the_job = job.load(settings.read(tiny.config(place, **make_runs.COMMON)))
    data = the_job.data["test"]
    width = data.tokens.shape[1]
    layout, order = packing.evaluation_layout(data.lengths, width, 8, 1)
    predict = the_job.cohort(1, the_job.total_steps).predict
    table = Table(data.tokens, data.types, data.labels)
    with np.load(place / "run" / "seed_0" / "predictions.npz") as kept:
        said = dict(kept)
    for name in ("best", "last"):
        params = checkpoints.load_params(place / "run" / "seed_0" / name)
        used = jax.tree.map(lambda x: x[None], compacted(the_job, params))
        outputs = np.asarray(predict(used, table, layout)).reshape(-1, 2)[order]
        np.testing.assert_allclose(said[f"test_{name}"], outputs, rtol=1e-5, atol=1e-6)
        assert row[f"test_{name}"]["accuracy"] == pytest.approx((outputs.argmax(1) == data.labels).mean())
    assert np.abs(said["test_best"] - said["test_last"]).max() > 1e-3


def compacted(the_job, params):
    """Saved parameters with the embeddings of those pieces alone that the job trains."""
    if the_job.words is None:
        return params
    embeddings = params["encoder"]["embeddings"]
    table = the_job.pretrained["encoder"]["embeddings"]["word_embeddings"]["embedding"]
    rows = np.zeros(table.shape, np.float32)
    pieces = np.asarray(the_job.words.pieces)
    rows[: len(pieces)] = embeddings["word_embeddings"]["embedding"][pieces]
    encoder = {**params["encoder"], "embeddings": {**embeddings, "word_embeddings": {"embedding": rows}}}
    return {**params, "encoder": encoder}
