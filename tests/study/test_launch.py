"""A study on a Ray cluster: real nodes on this machine, one of which dies on the way."""

import contextlib
import dataclasses
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from stablefit import grid as entry
from stablefit.errors import InputError
from stablefit.study import grid, launch
from stablefit.training import job, loop, progress, rundir, settings
from tests import tiny

# Ray starts its processes by fork and exec, and JAX warns of every fork.
pytestmark = pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")

STEPS = 20
SIZE = {"num_cpus": 1, "object_store_memory": 80 << 20, "include_dashboard": False}
ROOT = __file__.rsplit("/tests/", 1)[0]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head of one CPU, and another such node, of which there can be more; RAY_ADDRESS names the head."""
    cluster_utils = pytest.importorskip("ray.cluster_utils", reason="Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        # What the workers inherit.
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")  # else they wait for everything that runs beside the tests
        patch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
        patch.setenv("STABLEFIT_CACHE", f"{ROOT}/.cache/programs")
        patch.setenv("PYTHONPATH", ROOT)
        on_sigterm = signal.getsignal(signal.SIGTERM)
        whole = cluster_utils.Cluster(initialize_head=True, head_node_args=SIZE)
        patch.setenv("RAY_ADDRESS", whole.address)
        yield whole, [whole.add_node(**SIZE)]
        whole.shutdown()
        signal.signal(signal.SIGTERM, on_sigterm)  # each node put its own in place


@pytest.fixture
def make(tiny_root):
    """`make(**changes)`: a tiny job."""

    def make(**changes):
        return job.load(settings.read(tiny.config(tiny_root, **{"max_steps": STEPS, "keep": "best"} | changes)))

    return make


@pytest.fixture
def driver(monkeypatch):
    """`driver(action)`: calls it with the study each time that the driver looks at its tasks."""

    wait = launch._Study.wait

    def install(action):
        def wait_and_act(self):
            wait(self)
            action(self)

        monkeypatch.setattr(launch._Study, "wait", wait_and_act)

    return install


@pytest.fixture
def folders(tmp_path):
    """`folders(jobs)`: a run directory for each."""
    with contextlib.ExitStack() as stack:

        def make(jobs):
            return {n: stack.enter_context(rundir.RunDirectory(tmp_path / n, job.settings)) for n, job in jobs.items()}

        yield make


def comparable(workdir):
    """The rows of every cell without their times, and whether each has its files."""
    cells = {}
    for file in sorted(workdir.glob("cells/*/results.jsonl")):
        rows = sorted(rundir.read_lines(file), key=lambda row: row["seed"])
        cells[file.parent.name] = [{k: v for k, v in row.items() if k != "seconds"} for row in rows]
        for row in rows:
            seed = file.parent / f"seed_{row['seed']}"
            assert (seed / "best").is_dir()
            assert (seed / "predictions.npz").is_file()
            assert not (seed / "state").exists()
    return cells


def works(node):
    """Whether a process of the node does one of our tasks at this moment."""
    raylet = node.all_processes["raylet"][0].process.pid
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"PPid:\t{raylet}\n" in status.read_text() and "ray::_work" in (status.parent / "cmdline").read_text():
                return True
    return False


@pytest.mark.slow
def test_a_node_dies_and_every_row_is_there_once(cluster, make, tmp_path, driver, capfd):
    """The same rows as on this machine, bit for bit, in one display."""
    whole, nodes = cluster
    jobs = {"standard": make(seeds=(0, 1)), "re-init": make(seeds=(0, 1), reinit_layers=1)}
    died_with = []

    def kill_at_work(study):
        if nodes and works(nodes[0]):
            died_with.append(len(study.pending))
            whole.remove_node(nodes.pop(), allow_graceful=False)

    driver(kill_at_work)
    assert grid.run(jobs, tmp_path / "ray", launcher=launch.on_ray) == []
    nodes.append(whole.add_node(**SIZE))
    shown = capfd.readouterr()
    assert died_with, "no node was killed"
    assert "Ray: 4 tasks, 2 at a time, with 1 CPU each" in shown.err
    assert "re-init  seed 1  step 20/20" in shown.err
    assert shown.out == ""
    assert grid.run(jobs, tmp_path / "here", quiet=True) == []
    ours = comparable(tmp_path / "ray")
    assert ours == comparable(tmp_path / "here")
    assert [[row["seed"] for row in rows] for rows in ours.values()] == [[0, 1]] * 2
    assert {row["data"] for rows in ours.values() for row in rows} == {jobs["standard"].digest.digest}


def test_a_task_that_begins_again_takes_its_steps_back(capsys):
    """What a dead attempt told counts no more, nor what comes from it late."""
    study = launch._Study.__new__(launch._Study)
    study.progress = progress.Progress(100)
    study.jobs = {"cell": SimpleNamespace(step_work=1.0)}
    study.pieces = [launch._Piece("cell", [3])]
    told = [
        (0, "first", "skip", (0,)),
        (0, "first", "advance", (30, "cell  seed 3", 0.5, "")),
        (0, "second", "skip", (0,)),
        (0, "second", "advance", (10, "cell  seed 3", 0.5, "")),
        (0, "first", "advance", (20, "cell  seed 3", 0.5, "")),
        (0, "second", "line", ("cell  done",)),
    ]
    study.board = SimpleNamespace(take=SimpleNamespace(remote=lambda: told))
    study.ray = SimpleNamespace(get=lambda value, timeout: value, exceptions=SimpleNamespace(RayError=OSError))
    study.show()
    assert study.progress.done == study.pieces[0].steps == 10
    shown = capsys.readouterr().err
    assert "cell: seed 3 begins again: the node or process died" in shown
    assert "cell  done  [10/100 steps" in shown


@pytest.mark.slow
def test_an_interrupted_study_goes_on(cluster, make, tmp_path, driver):
    """SIGINT ends the tasks; what is finished stays, and the same call does the rest."""
    jobs = {"standard": make(seeds=(0, 1, 2, 3))}
    driver(lambda study: signal.raise_signal(signal.SIGINT) if len(study.pending) == 2 else None)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(loop.Interrupted) as stop:
        grid.run(jobs, tmp_path, quiet=True, launcher=launch.on_ray)
    assert stop.value.signum == signal.SIGINT
    assert signal.getsignal(signal.SIGTERM) == before
    (results,) = tmp_path.glob("cells/*/results.jsonl")
    first = results.read_text().splitlines()
    assert len(first) == 2
    driver(lambda study: None)
    assert grid.run(jobs, tmp_path, quiet=True, launcher=launch.on_ray) == []
    assert results.read_text().splitlines()[:2] == first
    assert sorted(row["seed"] for row in rundir.read_lines(results)) == [0, 1, 2, 3]


@pytest.mark.slow
def test_the_tasks_of_an_interrupted_study_end(cluster, make, tmp_path, driver):
    import ray

    driver(lambda study: signal.raise_signal(signal.SIGTERM) if any(p.steps for p in study.pieces) else None)
    jobs = {"long": make(seeds=(0, 1), learning_rate=1e-3, evaluations=1, max_steps=10**6)}
    with pytest.raises(loop.Interrupted):
        grid.run(jobs, tmp_path, quiet=True, launcher=launch.on_ray)
    with launch._connection(ray):
        deadline = time.monotonic() + 30
        while ray.available_resources().get("CPU", 0) < 2:
            assert time.monotonic() < deadline, "the CPUs are free again"
            time.sleep(0.2)


@pytest.mark.slow
def test_what_a_worker_refuses_is_one_line(cluster, make, folders, capsys, monkeypatch):
    """An InputError of a task is the driver's: one line, exit code 2."""
    fine = make(seeds=(0, 1))
    spec = dataclasses.replace(fine.spec, reinit_patterns=("nothing",))
    bad = dataclasses.replace(fine, settings=fine.settings._replace(spec=spec))
    monkeypatch.setattr(grid, "run", lambda *_: launch.on_ray({"bad": bad}, folders({"bad": bad}), QUIET))
    monkeypatch.setattr(grid, "expand", lambda _: [])
    monkeypatch.setattr(grid, "record", lambda *_: None)
    assert entry.main(["--sweep=any.py", "--launcher=ray"]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("stablefit: pattern 'nothing' matches no parameter")


@pytest.mark.slow
def test_a_task_that_kills_its_process_is_given_up(cluster, make, folders):
    """After some retries it is a line; the other cell is finished."""
    fine = make(seeds=(0,))
    deadly = dataclasses.replace(make(seeds=(0, 1), weight_decay=0.5), pretrained={"encoder": Deadly()})
    jobs = {"deadly": deadly, "fine": fine}
    cells = folders(jobs)
    lost = launch.on_ray(jobs, cells, QUIET)
    assert sorted(line.split(" not run: ")[0] for line in lost) == ["deadly: seed 0", "deadly: seed 1"]
    assert "4 times the node or process died" in lost[0]
    assert list(cells["fine"].results()) == [0]
    assert not cells["deadly"].results()


@pytest.mark.slow
def test_a_task_of_several_seeds_on_an_accelerator(cluster, make, folders):
    """A node that says it has a GPU: tasks are larger, and each has its own process."""
    whole, _ = cluster
    node = whole.add_node(**SIZE | {"num_cpus": 0, "num_gpus": 1})
    try:
        jobs = {"standard": make(seeds=(0, 1, 2))}
        cells = folders(jobs)
        assert launch.on_ray(jobs, cells, QUIET) == []
        assert sorted(cells["standard"].results()) == [0, 1, 2]
    finally:
        whole.remove_node(node)


def test_a_task_leaves_it_to_the_driver_when_there_is_a_line(monkeypatch):
    """However long it runs: else the log of the driver would have a line for every step."""
    told, now = [], iter(range(0, 10_000, 100))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    board = SimpleNamespace(tell=SimpleNamespace(remote=lambda *message: told.append(message[2])))
    teller = launch._Teller(board, 0, "standard")
    for step in range(3):
        teller.advance(2, f"step {2 * step}", 0.5)
    assert told == ["advance"] * 3
    assert teller.done == 6


def test_workers_keep_freed_memory_from_their_beginning():
    """In a worker that is there already the settings come too late."""
    asked = {}
    ray = SimpleNamespace(init=asked.update, shutdown=lambda: None)
    with launch._connection(ray):
        assert asked["runtime_env"]["env_vars"]["MALLOC_ARENA_MAX"] == "1"


class Deadly:
    """Weights whose reading ends the process."""

    def __reduce__(self):
        return os._exit, (1,)


QUIET = progress.Progress(0, quiet=True)


def test_ray_that_is_not_installed_is_named(make, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'stablefit\[ray\]'"):
        launch.on_ray({}, {}, QUIET)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([{"CPU": 4}, {"CPU": 4}], ("CPU", 4, 2)),
        ([{"CPU": 2}, {"CPU": 32}, {"CPU": 32}, {}], ("CPU", 32, 2)),
        ([{"CPU": 8}, {"CPU": 32, "GPU": 8}, {"CPU": 32, "GPU": 4}], ("GPU", 1, 12)),
        ([{"CPU": 8}, {"CPU": 96, "TPU": 4, "GPU": 0}], ("TPU", 1, 4)),
    ],
)
def test_what_a_task_takes(nodes, expected):
    assert launch._resource(nodes) == expected


def test_a_cluster_without_anything_is_refused():
    with pytest.raises(InputError, match="no TPU, no GPU and no CPU"):
        launch._resource([{"CPU": 0, "memory": 1e9}])


@pytest.mark.parametrize(
    ("kind", "workers", "pieces"),
    [
        ("CPU", 2, [[0], [1], [2], [3], [4], [0], [1]]),
        ("GPU", 1, [[0, 1, 2], [3, 4], [0, 1]]),  # seven seeds, four at most
        ("GPU", 8, [[0], [1], [2], [3], [4], [0], [1]]),
    ],
)
def test_the_pieces(make, folders, tmp_path, kind, workers, pieces):
    jobs = {"one": make(seeds=(0, 1, 2, 3, 4)), "two": make(seeds=(0, 1), weight_decay=0.5)}
    cells = folders(jobs)
    assert [piece.seeds for piece in launch._pieces(jobs, cells, workers, kind)] == pieces
    row = {"seed": 1}
    cells["two"].finish(row)
    assert [piece.seeds for piece in launch._pieces(jobs, cells, 1, "GPU")][-1] == [0]
    cells["two"].finish(row)
    assert len(cells["two"].results()) == 1
    assert (tmp_path / "two" / "results.jsonl").read_text() == '{"seed": 1}\n'


def test_seeds_that_are_compared_are_one_task(make, folders):
    one = make(seeds=(0, 1, 2))
    cells = folders({"cell": one})
    one.values["stop_seeds_at"] = 0.5
    cells["cell"].finish({"seed": 1})
    assert [piece.seeds for piece in launch._pieces({"cell": one}, cells, 8, "CPU")] == [[0, 1, 2]]
