"""Where the runs of a study are done: this machine, or a Ray cluster.

Here, cells that can share programs are done together. On Ray a task is a piece of one cell: some of its seeds. Weights
and data travel to it through Ray's object store; it works in a temporary folder and hands rows and files back. The
driver alone writes to the study, a row after its files: the nodes need no shared file system, and a row is in the
ledger once. What a node had not finished when it died begins again.
"""

import contextlib
import dataclasses
import functools
import math
import os
import signal
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stablefit.errors import InputError
from stablefit.models.vocabulary import Vocabulary
from stablefit.training import host, loop, signals
from stablefit.training.job import Job
from stablefit.training.observer import Observer
from stablefit.training.progress import Progress
from stablefit.training.rundir import RunDirectory, pack

MAX_RETRIES = 3  # of a task whose node or process died


def here(
    jobs: Mapping[str, Job],
    folders: Mapping[str, RunDirectory],
    progress: Progress,
    observers: Sequence[Observer] = (),
) -> list[str]:
    """Runs the cells in this process, those that can share programs together.

    A cohort then has runs of several cells, as many as the device takes. On a CPU it takes one: the cells follow each
    other, and the programs of the first do for all.

    Args:
        jobs: name of each cell -> what to run.
        folders: name of each cell -> where; seeds that it has are not run again.
        progress: the display.
        observers: who else is told as it goes on.

    Returns:
        a line for everything that could not be run: none.
    """
    groups: dict[tuple, list[str]] = {}
    for name, job in jobs.items():
        groups.setdefault(job.settings.program, []).append(name)
    for names in groups.values():
        loop.run_together(jobs[names[0]], {name: folders[name] for name in names}, progress, observers=observers)
        host.return_memory()
    return []


def on_ray(jobs: Mapping[str, Job], folders: Mapping[str, RunDirectory], progress: Progress) -> list[str]:
    """The same as tasks of the Ray cluster that `ray.init()` finds: RAY_ADDRESS, this node's, or a new one here.

    A task has runs of one cell, and shares compiled programs with others only by its node's cache of them. It takes a
    TPU chip; where the cluster has none a GPU; where it has none all CPUs of a node.

    Returns:
        a line for every task whose node died again and again.

    Raises:
        InputError: Ray is missing, or a run was refused on its node.
        Interrupted: SIGINT or SIGTERM came; what is finished is stored, the rest begins anew.
    """
    try:
        import ray
    except ImportError:
        raise InputError("--launcher=ray needs a package: pip install 'stablefit[ray]'") from None
    loop.tell_of_damage(folders.values(), progress)
    if not any(folders[name].unfinished(job.settings.seeds) for name, job in jobs.items()):
        return []
    with _connection(ray), signals.Signals() as noted:
        study = _Study(ray, jobs, folders, progress)
        while study.pending:
            study.wait()
            if noted.received is not None:
                study.cancel()
                raise signals.Interrupted(noted.received)
        study.show()
        return study.lost


@contextlib.contextmanager
def _connection(ray: Any) -> Iterator[None]:
    """Ray while the study runs; what it prints of its own is left out: the display says which tasks began again."""
    import stablefit

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    # Ray says on stdout, whatever it is told, that a node died; the display is on stderr. JAX warns of every fork, and
    # Ray starts its own processes by fork and exec.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)
        try:
            # The nodes get this package as it is here, so that all run the same code.
            everywhere = {"py_modules": [stablefit], "env_vars": host.environment()}
            ray.init(log_to_driver=False, logging_level="CRITICAL", runtime_env=everywhere)
        except (ConnectionError, RuntimeError, ValueError) as error:  # nothing there, another version, no address
            raise InputError(f"no Ray cluster at RAY_ADDRESS={os.environ.get('RAY_ADDRESS', '')!r}: {error}") from None
        signal.signal(signal.SIGTERM, on_sigterm)  # Ray has put its own in place
        try:
            yield
        finally:
            ray.shutdown()


@dataclasses.dataclass
class _Piece:
    """The seeds of one task."""

    name: str
    seeds: list[int]
    attempts: list[str] = dataclasses.field(default_factory=list)  # Ray may start a task more than once
    steps: int = 0  # that the last attempt has told of

    @property
    def title(self) -> str:
        return f"{self.name}: {'seeds' if len(self.seeds) > 1 else 'seed'} {', '.join(map(str, self.seeds))}"


class _Study:
    """The tasks of a study, from the driver's side."""

    def __init__(self, ray, jobs, folders, progress):
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.ray, self.progress = ray, progress
        self.folders: Mapping[str, RunDirectory] = folders
        self.jobs: Mapping[str, Job] = jobs
        self.lost: list[str] = []
        kind, amount, workers = _resource([node["Resources"] for node in ray.nodes() if node["Alive"]])
        self.pieces = _pieces(jobs, folders, workers, kind)
        at_a_time = min(workers, len(self.pieces))
        progress.line(f"Ray: {len(self.pieces)} tasks, {at_a_time} at a time, with {amount} {kind} each")
        self.needed, self.nothing_left = {kind: amount}, False
        beside_us = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.board = ray.remote(num_cpus=0, scheduling_strategy=beside_us)(_Board).remote()
        # A process keeps the accelerator that it has seen first, so there each task has its own. Ray would ask for a
        # CPU too, and a task would wait for ever on a node that offers none.
        options = {"CPU": {}, "GPU": {"num_gpus": amount}, "TPU": {"resources": {"TPU": amount}}}[kind]
        options |= {"num_cpus": amount if kind == "CPU" else 0}
        task = ray.remote(
            **options,
            max_calls=0 if kind == "CPU" else 1,
            max_retries=MAX_RETRIES,
            retry_exceptions=[signals.Interrupted],  # a node that is told to stop tells its tasks
        )(_work)
        parts = _ship(ray, jobs)
        self.pending = {
            task.remote([parts[piece.name]], piece.seeds, piece.name, number, self.board): piece
            for number, piece in enumerate(self.pieces)
        }

    def wait(self) -> None:
        """Half a second, or less: shows what the tasks tell, stores what they have done."""
        ready, _ = self.ray.wait(list(self.pending), timeout=0.5)
        self.show()
        self._look_for_nodes()
        for task in ready:
            piece = self.pending[task]
            try:
                row, files = self.ray.get(next(task))
                if row["seed"] in self.folders[piece.name].unfinished(piece.seeds):
                    self.folders[piece.name].adopt(row, files)
            except StopIteration:
                del self.pending[task]
            except self.ray.exceptions.RayError as error:
                raised = isinstance(error, self.ray.exceptions.RayTaskError)
                if raised and not isinstance(error.cause, signals.Interrupted):
                    self.cancel()
                    raise InputError(str(error.cause)) if isinstance(error.cause, InputError) else error from None
                del self.pending[task]
                self.lost.append(
                    f"{piece.title} not run: {MAX_RETRIES + 1} times the node or process died; the same command tries "
                    "again"
                )
                self.progress.line(self.lost[-1])

    def _look_for_nodes(self) -> None:
        """Says it, once, when the last node that could do a task is gone: the tasks wait for another."""
        there = self.ray.cluster_resources()
        gone = any(there.get(kind, 0) < amount for kind, amount in self.needed.items())
        if gone and not self.nothing_left:
            self.progress.line("Ray: all nodes for the tasks are gone; the tasks wait for new ones")
        self.nothing_left = gone

    def cancel(self) -> None:
        """Ends all tasks."""
        for task in self.pending:
            self.ray.cancel(task)

    def show(self) -> None:
        try:
            told = self.ray.get(self.board.take.remote(), timeout=10)
        except self.ray.exceptions.RayError:
            return  # the display is late; that is no reason to end a study
        for number, attempt, method, arguments in told:
            piece = self.pieces[number]
            self.progress.weight = self.jobs[piece.name].step_work
            if attempt not in piece.attempts:
                if piece.attempts:
                    self.progress.skip(-piece.steps)
                    self.progress.line(f"{piece.title} begins again: the node or process died")
                piece.attempts.append(attempt)
                piece.steps = 0
            if attempt == piece.attempts[-1]:  # the others are dead, whatever was still under way from them
                piece.steps += arguments[0] if method in ("advance", "skip") else 0
                getattr(self.progress, method)(*arguments)


class _Board:
    """What the tasks tell and the driver has not taken yet; an actor beside the driver."""

    def __init__(self):
        self._told: list[tuple] = []

    def tell(self, *what: Any) -> None:
        self._told.append(what)

    def take(self) -> list[tuple]:
        taken, self._told = self._told, []
        return taken


def _resource(nodes: list[dict[str, float]]) -> tuple[str, int, int]:
    """What a task takes of the nodes: which resource, how much of it, and how many tasks there can be at a time.

    Members do not communicate, so an accelerator is best alone. One member fills all cores of a CPU; of nodes of
    different sizes the large ones are used.
    """
    for kind in ("TPU", "GPU"):
        count = sum(int(node.get(kind, 0)) for node in nodes)
        if count:
            return kind, 1, count
    cpus = [int(node.get("CPU", 0)) for node in nodes]
    if not any(cpus):
        raise InputError("the Ray cluster has no TPU, no GPU and no CPU for tasks; start its worker nodes first")
    return "CPU", max(cpus), sum(n // max(cpus) for n in cpus)


def _pieces(jobs: Mapping[str, Job], folders: Mapping[str, RunDirectory], workers: int, kind: str) -> list[_Piece]:
    """Cuts what is not done into tasks: a seed each on CPUs; else large, even, and about two a worker or more.

    An accelerator gains from many seeds at once; how many of a task's fit into one program its worker finds out. Seeds
    that are compared with each other on the way are one task.
    """
    todo = {name: folders[name].unfinished(job.settings.seeds) for name, job in jobs.items()}
    most = 1 if kind == "CPU" else math.ceil(sum(map(len, todo.values())) / (2 * workers))
    pieces = []
    for name, seeds in todo.items():
        if seeds and jobs[name].values.get("stop_seeds_at"):
            pieces.append(_Piece(name, list(jobs[name].settings.seeds)))
        elif seeds:
            parts = np.array_split(np.array(seeds), math.ceil(len(seeds) / most))
            pieces.extend(_Piece(name, part.tolist()) for part in parts)
    return pieces


def _ship(ray: Any, jobs: Mapping[str, Job]) -> dict[str, Any]:
    """Puts the jobs into the object store; arrays and data that cells share only once."""
    tables = {name: None if job.words is None else job.words.table for name, job in jobs.items()}
    values = {id(x): x for job in jobs.values() for x in (job.data, *jax.tree.leaves(job.pretrained))}
    values |= {id(table): table for table in tables.values()}
    once = functools.cache(lambda key: ray.put(values[key]))
    parts = {}
    for name, job in jobs.items():
        bare = dataclasses.replace(job, pretrained={}, data={}, words=None)
        weights = jax.tree.map(lambda x: once(id(x)), job.pretrained)
        pieces = None if job.words is None else job.words.pieces
        parts[name] = ray.put((bare, weights, once(id(job.data)), pieces, once(id(tables[name]))))
    return parts


# What follows is done on a worker.


def _work(parts: list[Any], seeds: list[int], name: str, number: int, board: Any) -> Iterator[tuple[dict, bytes]]:
    """The row and the packed files of each seed.

    The job comes in a list: Ray would fetch it anew for each task if it were the argument itself.
    """
    host.prepare()
    job = _job(*parts)
    with tempfile.TemporaryDirectory() as folder, RunDirectory(Path(folder) / "run", job.settings) as directory:
        teller = _Teller(board, number, name)
        rows = loop.run(job, directory, teller, seeds)
        teller.flush()
        for row in rows:
            yield row, pack(directory.seed(row["seed"]))


@functools.lru_cache(maxsize=1)
def _job(parts: Any) -> Job:
    """The job of a cell; the next task of the cell in this process finds it, with its compiled programs."""
    import ray

    job, weights, data, pieces, table = ray.get(parts)
    words = None if pieces is None else Vocabulary(pieces, ray.get(table))
    return dataclasses.replace(job, pretrained=jax.tree.map(ray.get, weights), data=ray.get(data), words=words)


class _Teller(Progress):
    """Tells the board, in order, and does not wait for it."""

    def __init__(self, board: Any, number: int, name: str):
        super().__init__(0, quiet=True)
        self._name = name
        self._tell = functools.partial(board.tell.remote, number, uuid.uuid4().hex)

    def skip(self, steps: int) -> None:
        super().skip(steps)
        self._tell("skip", (steps,))

    def advance(self, steps: int, where: str, loss: float, score: str = "") -> None:
        super().skip(steps)  # counts them: the driver says when there is a line
        self._tell("advance", (steps, f"{self._name}  {where}", loss, score))

    def line(self, text: str) -> None:
        self._tell("line", (f"{self._name}  {text}",))

    def warn(self, text: str) -> None:
        self.line(text)

    def flush(self) -> None:
        """Waits until the board has all of it, or not for long."""
        import ray

        ray.wait([self._tell("skip", (0,))], timeout=10)
