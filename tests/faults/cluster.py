"""A study on a Ray cluster of two nodes: workers, nodes and drivers die, a node is slow, a task fails for good.

    python -m tests.faults.cluster OUT.json      # part of make faults-full

After each fault, and the same command again where that is what a person would do, every run must be in the ledger once,
with the bits of a study on this machine alone.
"""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stablefit.training.rundir import read_lines
from tests import tiny
from tests.faults import runs
from tests.faults.trials import Row, Told, row_of

ROOT = Path(__file__).parent.parent.parent
SIZE = {"num_cpus": 1, "object_store_memory": 80 << 20}
SECONDS = 300.0  # after which a command is given up
SWEEP = """\
from pathlib import Path
from tests import tiny

CONFIG = {config!r}


def sweep(add):
    for rate in (0.01, 0.02):
        add(config=CONFIG, name=f"at {{rate}}", seeds=(0, 1), learning_rate=rate)
"""
# Run in the driver alone: what the first cell says of its weights ends whatever process reads it.
DEADLY = """

import dataclasses, os
from stablefit.training import job


class Deadly(str):
    def __reduce__(self):
        return os._exit, (1,)


load = job.load


def loaded(settings):
    one = load(settings)
    deadly = one.values["learning_rate"] == 0.01
    return dataclasses.replace(one, source=Deadly(one.source)) if deadly else one


job.load = loaded
"""


class Place(NamedTuple):
    """Where one fault is tried."""

    cluster: Any
    nodes: list[Any]
    root: Path
    workdir: Path

    def driver(self, sweep: str = "sweep") -> "subprocess.Popen[str]":
        """The command of a person, at work."""
        argv = [f"--sweep={self.root / 'configs' / sweep}.py", f"--workdir={self.workdir}", "--launcher=ray"]
        return subprocess.Popen(
            [sys.executable, "-m", "stablefit.grid", *argv],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def rows(self) -> int:
        """Runs that the ledgers hold."""
        return sum(file.read_text().count("\n") for file in self.workdir.glob("cells/*/results.jsonl"))

    def workers(self) -> dict[int, int]:
        """Processes that do a task of ours at this moment -> the raylet of their node."""
        raylets = {str(node.all_processes["raylet"][0].process.pid) for node in self.nodes}
        found = {}
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError):
                parent = status.read_text().split("PPid:\t", 1)[1].split("\n", 1)[0]
                if parent in raylets and "ray::_work" in (status.parent / "cmdline").read_text():
                    found[int(status.parent.name)] = int(parent)
        return found

    def at_work(self, driver: "subprocess.Popen[str]", rows: int, after: float) -> dict[int, int]:
        """Waits until so many rows are there and a task is being done, and `after` seconds more; empty if all ended."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline and driver.poll() is None:
            if self.rows() >= rows and self.workers():
                time.sleep(after)
                return self.workers()
            time.sleep(0.05)
        return {}


def worker_killed(place: Place, driver: Any, busy: dict[int, int]) -> None:
    os.kill(next(iter(busy)), signal.SIGKILL)


def node_lost(place: Place, driver: Any, busy: dict[int, int]) -> None:
    raylet = next(iter(busy.values()))
    node = next(node for node in place.nodes if node.all_processes["raylet"][0].process.pid == raylet)
    place.nodes.remove(node)
    place.cluster.remove_node(node, allow_graceful=False)
    place.nodes.append(place.cluster.add_node(**SIZE))


def driver_killed(place: Place, driver: Any, busy: dict[int, int]) -> None:
    driver.kill()


def worker_stands_still(place: Place, driver: Any, busy: dict[int, int]) -> None:
    _still(next(iter(busy)))


def node_stands_still(place: Place, driver: Any, busy: dict[int, int]) -> None:
    _still(next(iter(busy.values())))


def _still(process: int, seconds: float = 8.0) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(process, signal.SIGCONT)


FAULTS: dict[str, tuple[Callable[..., None], int]] = {
    "a worker killed": (worker_killed, 8),
    "a node lost, and another comes": (node_lost, 7),
    "the driver killed; the same command again": (driver_killed, 7),
    "a worker that stands still for eight seconds": (worker_stands_still, 3),
    "a node that stands still for eight seconds": (node_stands_still, 3),
}
PROMISE = "every run is in the ledger once, with the bits of a study on one machine"


def one_fault(place: Place, fault: Callable[..., None], i: int, expected: dict[str, str]) -> str:
    """What was wrong; empty if nothing."""
    driver = place.driver()
    busy = place.at_work(driver, rows=i % 3, after=0.5 * (i // 3))
    if busy:
        fault(place, driver, busy)
    code, err = _ended(driver)
    if not busy:
        return f"no task was at work at moment {i}: code {code}: {err[-300:]}"
    if fault is driver_killed:
        code, err = _ended(place.driver())
    return _as_expected(place, code, err, expected)


def fails_for_good(place: Place, expected: dict[str, str]) -> str:
    """One cell's tasks end every process that they are given: it is told, the other cell is done, and then this one."""
    code, err = _ended(place.driver("deadly"))
    if code != 1 or err.count("4 times the node or process died") < 2 or "Traceback" in err:
        return f"code {code}: {err[-500:]}"
    if place.rows() != 2:
        return f"{place.rows()} runs of the other cell's two"
    return _as_expected(place, *_ended(place.driver()), expected)


def _ended(driver: "subprocess.Popen[str]") -> tuple[int, str]:
    try:
        _, err = driver.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        driver.kill()
        _, err = driver.communicate()
        return -1, f"did not end: {err}"
    return driver.returncode, err


def _as_expected(place: Place, code: int, err: str, expected: dict[str, str]) -> str:
    if code or "Traceback" in err:
        return f"code {code}: {err[-500:]}"
    for ledger in place.workdir.glob("cells/*/results.jsonl"):
        seeds = [row["seed"] for row in read_lines(ledger)]
        if sorted(seeds) != [0, 1]:
            return f"{ledger.parent.name}: seeds {seeds}"
    apart = runs.differences(expected, runs.left(place.workdir))
    return f"other bits: {', '.join(apart)}" if apart else ""


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[Any, list[Any]]]:
    """A head that does no tasks, and two nodes of one CPU."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "PYTHONPATH": str(ROOT),
        "STABLEFIT_CACHE": str(ROOT / ".cache" / "faults"),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**SIZE, "num_cpus": 0, "include_dashboard": False})
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield cluster, [cluster.add_node(**SIZE) for _ in range(2)]
    finally:
        cluster.shutdown()


def prepared(root: Path) -> None:
    """The tiny model and data, and the sweeps."""
    tiny.write_model(root / "model")
    tiny.write_rte(root)
    configs = root / "configs"
    configs.mkdir()
    (configs / "cell.py").write_text(
        "from pathlib import Path\nfrom tests import tiny\n\n\ndef get_config():\n"
        f"    return tiny.config(Path({str(root)!r}), max_steps=40, keep='best')\n"
    )
    sweep = SWEEP.format(config=str(configs / "cell.py"))
    (configs / "sweep.py").write_text(sweep)
    (configs / "deadly.py").write_text(sweep + DEADLY)


def main(out: Path) -> int:
    """Tries them one after another; the file has a row a kind as soon as it is done."""
    table: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="faults_ray_") as folder, two_nodes() as (cluster, nodes):
        root = Path(folder)
        prepared(root)
        here = [f"--sweep={root / 'configs' / 'sweep.py'}", f"--workdir={root / 'here'}", "--quiet"]
        subprocess.run([sys.executable, "-m", "stablefit.grid", *here], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        expected = runs.left(root / "here")

        def tried(fault: str, promise: str, trials: Sequence[Callable[[], str]]) -> None:
            wrong, clock = [], time.monotonic()
            for i, trial in enumerate(trials):
                said = trial()
                print(f"{fault} {i}: {said or 'clean'}", file=sys.stderr, flush=True)
                wrong += [f"moment {i}: {said}"] if said else []
            told = Told(len(trials), wrong)
            table.append(row_of("ray", f"Ray: {fault}", promise, told, time.monotonic() - clock))
            out.write_text(json.dumps(table, indent=1) + "\n")

        for fault, (act, n) in FAULTS.items():
            places = [Place(cluster, nodes, root, root / f"{act.__name__}_{i}") for i in range(n)]
            moments = [functools.partial(one_fault, p, act, i, expected) for i, p in enumerate(places)]
            tried(fault, PROMISE, moments)
        places = [Place(cluster, nodes, root, root / f"deadly_{i}") for i in range(2)]
        promise = f"it is told after four attempts, exit code 1, the rest is done; mended, {PROMISE}"
        tried(
            "a task that ends every process", promise, [functools.partial(fails_for_good, p, expected) for p in places]
        )
    return 1 if any(row["wrong"] for row in table) else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
