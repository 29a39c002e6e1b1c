"""The code of docs/recipes.md runs, block after block, and gives what the page says."""

import dataclasses
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablefit import methods
from stablefit.data.tasks import get_task
from stablefit.training import job, loop, progress, rundir, settings
from tests import tiny

PAGE = Path(__file__).parents[1] / "docs" / "recipes.md"


@pytest.fixture(scope="module")
def names(tmp_path_factory):
    """What the blocks have defined at the end."""
    root = tmp_path_factory.mktemp("recipes")
    tiny.write_model(root / "model", blocks=1)
    config = tiny.config(root, data_dir="", max_steps=4, evaluations=2, seeds=(0,))
    found = {"config": config, "folder": root / "run", "root": root}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 7
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), found)
    return found


def test_a_run(names):
    assert len(names["accuracy"]) == 1
    assert names["head"].shape == (8, 2)


def test_an_observer(names):
    assert len(names["losses"].seen[0]) == 4


def test_a_method(names):
    def forward(params, key):
        return methods.Pass(params["w"] ** 2, params["w"], jnp.zeros(2), jnp.ones(2))

    noisy, params, key = names["noisy_loss"], {"w": jnp.ones(2)}, jax.random.key(0)
    assert noisy(0) == methods.same_loss()
    assert noisy(0.5).apply(forward, params, key).loss != forward(params, key).loss


def test_a_method_in_a_run_without_a_change_of_the_package(names, tmp_path):
    root = tiny.write_rte(names["root"])
    losses = []
    for kind in (job.Job, names["WithNoise"]):
        read = settings.read(tiny.config(root, max_steps=2, evaluations=1, keep="none"))
        plain = job.load(read)
        ready = kind(**{field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)})
        folder = tmp_path / kind.__name__
        with rundir.RunDirectory(folder, read) as directory:
            loop.run(ready, directory, progress.Progress(0, quiet=True))
        losses.append([row["loss"] for row in rundir.read_lines(folder / "seed_0" / "metrics.jsonl")])
    assert losses[0] != losses[1]


def test_a_metric(names):
    assert 0.5 <= names["confidence"] <= 1


def test_a_kind_of_task(names):
    z, labels = jnp.array([[2.0, -1.0]]), jnp.array([0])
    task = get_task("rte")
    smoothed, plain = (kind(task).losses({}, z, labels) for kind in (names["Smoothed"], names["Classification"]))
    p = np.exp(np.asarray(z[0])) / np.exp(np.asarray(z[0])).sum()
    np.testing.assert_allclose(smoothed, [-0.95 * np.log(p[0]) - 0.05 * np.log(p[1])], rtol=1e-5)
    assert smoothed > plain
