"""`stablefit fit --launcher=ray`: the runs are done on a cluster, and what comes of them is the same."""

import signal
from pathlib import Path

import pytest

from stablefit.commands import fit
from stablefit.study import launch
from stablefit.training import inputs
from tests import tiny

ROOT = Path(__file__).parents[2]
# As in tests/study/test_launch.py: Ray forks, and JAX warns of it.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")]


@pytest.fixture
def cluster():
    """A node of two CPUs; RAY_ADDRESS names it."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        # What the workers inherit.
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        patch.setenv("STABLEFIT_CACHE", "")
        patch.setenv("PYTHONPATH", str(ROOT))
        on_sigterm = signal.getsignal(signal.SIGTERM)
        size = {"num_cpus": 2, "object_store_memory": 80 << 20, "include_dashboard": False}
        whole = cluster_utils.Cluster(initialize_head=True, head_node_args=size)
        patch.setenv("RAY_ADDRESS", whole.address)
        yield whole
        whole.shutdown()
        signal.signal(signal.SIGTERM, on_sigterm)


@pytest.mark.parametrize(
    ("write", "file", "columns", "lines"),
    [
        (tiny.write_own, "train.csv", ["--text=text", "--label=label"], 49),
        (lambda folder: tiny.write_tagging(folder, train=30), "train.bio", [], 125),
    ],
    ids=["classes", "tags"],
)
def test_rows_say_the_same_byte_for_byte(cluster, tmp_path, monkeypatch, write, file, columns, lines):
    tiny.write_model(tmp_path / "model", blocks=1)
    write(tmp_path / "own")
    given = [str(tmp_path / "own" / file), *columns, f"--model={tmp_path / 'model'}"]
    given += ["--steps=3", "--folds=2", "--repeats=2", "--quiet"]
    on_ray, asked = launch.on_ray, []

    def watched(jobs, *further):
        asked.append(sorted(len(job.settings.seeds) for job in jobs.values()))
        return on_ray(jobs, *further)

    monkeypatch.setattr(launch, "on_ray", watched)
    for out, more in (("here", []), ("ray", ["--launcher=ray"])):
        inputs.forget()
        assert fit.main([*given, f"--out={tmp_path / out}", *more]) == 0
        assert bool(asked) == (out == "ray")
    assert sum(asked[0]) >= 4  # two folds, twice, and the models to keep
    here, there = ((tmp_path / out / "out_of_fold.csv").read_bytes() for out in ("here", "ray"))
    assert here == there
    assert here.count(b"\n") == lines
    kept = [sorted((tmp_path / out / "model" / "members").iterdir()) for out in ("here", "ray")]
    assert [one.name for one in kept[0]] == [one.name for one in kept[1]] != []
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*kept, strict=True))
