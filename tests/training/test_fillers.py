"""Seven members on four devices: one filler keeps the layout of eight, and nobody sees it."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from stablefit.training import checkpoints, cohort, rundir
from tests import tiny

_RUNS = """
import json, sys
from pathlib import Path
import jax
jax.config.update("jax_num_cpu_devices", 4)
from stablefit.training import job, loop, progress, rundir, settings
from tests import tiny
root = Path(sys.argv[1])
for n in (7, 8):
    changes = {"seeds": tuple(range(n)), "cohort_size": n, "max_steps": 4, "patience": 1, "mixout_rate": 0.1}
    the_job = job.load(settings.read(tiny.config(root, dropout=0.0, **changes)))
    with rundir.RunDirectory(root / str(n), the_job.settings) as directory:
        loop.run(the_job, directory, progress.Progress(0, quiet=True))
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A folder with the runs of seven seeds and of eight, each a cohort on four devices."""
    root = tmp_path_factory.mktemp("fillers")
    tiny.write_model(root / "model", blocks=1)
    tiny.write_rte(root)
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    command = [sys.executable, "-c", _RUNS, str(root)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    return root


@pytest.mark.slow
def test_seven_members_keep_four_devices_busy(both):
    for n in (7, 8):
        rows = rundir.read_lines(both / str(n) / "results.jsonl")
        assert [row["seed"] for row in rows] == list(range(n)), "a filler has no row"
        assert all(row["layout"] == {"members": n, "mesh": {"member": 4, "data": 1}} for row in rows)


@pytest.mark.slow
def test_a_filler_changes_no_bit(both):
    """A member is on its device with the same neighbour, but for the seventh, whose neighbour is itself."""
    rows = [rundir.read_lines(both / str(n) / "results.jsonl") for n in (7, 8)]
    for seven, eight in zip(*rows, strict=False):
        seed = f"seed_{seven['seed']}"
        for name in ("validation", "test_best", "test_last", "steps", "best_step"):
            assert seven[name] == eight[name], (seed, name)
        one, two = (checkpoints.load_params(both / n / seed / "last") for n in ("7", "8"))
        jax.tree.map(np.testing.assert_array_equal, one, two)
        lines = [(both / n / seed / "metrics.jsonl").read_text().splitlines() for n in ("7", "8")]
        losses = [[json.loads(line).get("loss") for line in own] for own in lines]
        assert losses[0] == losses[1]
        assert len(losses[0]) >= 4


@pytest.mark.parametrize(
    ("members", "devices", "batch", "mesh"),
    [
        (7, 4, 32, (4, 1)),  # eight places
        (3, 4, 32, (4, 1)),
        (5, 4, 32, (2, 2)),  # of eight places five would be busy, of six they are
        (5, 8, 32, (2, 4)),
        (6, 4, 32, (4, 1)),
        (9, 8, 32, (4, 2)),  # of sixteen places nine would be, of twelve they are
        (1, 4, 32, (1, 4)),
        (2, 4, 32, (2, 2)),
        (8, 4, 32, (4, 1)),
        (300, 16, 32, (16, 1)),
        (1, 4, 2, (1, 2)),  # two rows cannot be dealt to four
    ],
)
def test_the_mesh(monkeypatch, members, devices, batch, mesh):
    monkeypatch.setattr(jax, "make_mesh", lambda shape, *_, **__: shape)
    assert cohort.make_mesh(members, batch, list(range(devices))) == mesh
