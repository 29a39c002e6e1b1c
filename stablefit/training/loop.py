"""A run from the host's side: pieces of segments, evaluations, the best parameters, what is saved when."""

import dataclasses
import itertools
import math
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from stablefit.data import packing
from stablefit.data.encoding import Encoded
from stablefit.data.packing import Layout
from stablefit.errors import InputError
from stablefit.paths import Tree, key_for
from stablefit.training import checkpoints, metrics, processes, stopping
from stablefit.training.cohort import Cohort
from stablefit.training.job import Job
from stablefit.training.order import Order
from stablefit.training.progress import Progress
from stablefit.training.rundir import MetricsFile, RunDirectory, save_predictions, tensorboard_writer
from stablefit.training.steps import Table, TrainState


class Interrupted(Exception):
    """A signal ended the run; everything done is saved."""

    def __init__(self, signum: int):
        self.signum = signum


class Signals:
    """Notes SIGINT and SIGTERM for the loop to act on; a second one acts at once, as if it were not noted."""

    def __init__(self):
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Signals":
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _note(self, signum: int, _: object) -> None:
        self.received = signum
        self.__exit__()


@dataclasses.dataclass
class Member:
    """What the host knows of one seed; saved beside its arrays."""

    seed: int
    best_score: float = -math.inf
    best_step: int = 0
    best_validation: dict[str, float] = dataclasses.field(default_factory=dict)
    evaluated: int = 0  # the step of the last evaluation
    waited: int = 0  # evaluations since the best one
    stopped: bool = False  # by patience; it then stays as it is, whatever the others of its cohort do
    seconds: float = 0.0
    diverged: bool = False


def run(
    job: Job, directory: RunDirectory, progress: Progress, seeds: Sequence[int] | None = None
) -> list[dict[str, Any]]:
    """Trains every seed that the directory does not hold yet, and returns the rows of all, in the order of the config.

    Args:
        job: what to run.
        directory: where; rows that it has are not made again.
        progress: the display, which may be of more than this run.
        seeds: only these.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the same call goes on from there.
    """
    seeds = job.settings.seeds if seeds is None else seeds
    shown: dict[int, int] = {}  # how many steps of a seed the display knows of
    progress.weight = job.step_work

    def train(part: Job, group: Sequence[int], do: Callable[[_CohortRun], None]) -> None:
        cohort = job.cohort(len(group), part.total_steps)
        running = _CohortRun(part, cohort, group, directory, progress, signals)
        progress.skip(sum(running.step - shown.get(seed, 0) for seed in group))
        do(running)
        shown.update(dict.fromkeys(group, running.step))

    def train_each(seeds: Sequence[int], do: Callable[[_CohortRun], None]) -> None:
        for part, own in job.parts(seeds) if seeds else ():
            size = processes.largest(part.cohort_size(len(own)))
            for i in range(0, len(own), size):
                train(part, own[i : i + size], do)  # a cohort's arrays are gone when it returns, before the next's

    def to_the_end(running: _CohortRun) -> None:
        running.train(running.job.total_steps)
        running.finish()

    with Signals() as signals:
        if job.comparison_step:
            _compare_seeds(job, directory, train_each)
        train_each(directory.unfinished(seeds), to_the_end)
    rows = directory.results()
    return [rows[seed] for seed in seeds]


def _compare_seeds(job: Job, directory: RunDirectory, train_each: Callable[..., None]) -> None:
    """Trains all seeds to where they are compared, and finishes those that are not kept.

    Every score is on disk before the first seed is left behind, so that it is the same ones whatever is killed when.
    """

    def to_the_comparison(running: _CohortRun) -> None:
        running.train(job.comparison_step)
        running.save()
        directory.compare({member.seed: member.best_score for member in running.members})
        if not running.going:
            running.finish()

    def leave(running: _CohortRun) -> None:
        running.train(job.comparison_step)  # a save may lie before its evaluation
        running.finish("seeds")

    seeds, compared = job.settings.seeds, directory.compared()
    train_each([seed for seed in directory.unfinished(seeds) if seed not in compared], to_the_comparison)
    kept = stopping.kept(directory.compared(), job.values["keep_seeds"])
    train_each([seed for seed in directory.unfinished(seeds) if seed not in kept], leave)


def planned_steps(job: Job, rows: Collection[Mapping[str, Any]]) -> int:
    """The steps of the seeds that have no row yet, from their first; patience may make them fewer.

    Args:
        rows: those that there are.
    """
    finished = {row["seed"] for row in rows}
    unfinished = [seed for seed in job.settings.seeds if seed not in finished]
    if not job.comparison_step:
        return sum(part.total_steps * len(own) for part, own in job.parts(unfinished))
    n, ended = len(job.settings.seeds), sum(row["stopped"] == "seeds" for row in rows)
    left = min(len(unfinished), n - stopping.n_kept(n, job.values["keep_seeds"]) - ended)
    return left * job.comparison_step + (len(unfinished) - left) * job.total_steps


class _CohortRun:
    """The members of one cohort from their first step, or their last save, to their rows."""

    def __init__(self, job, cohort, seeds, directory, progress, signals):
        self.job: Job = job
        self.cohort: Cohort = cohort
        self.directory: RunDirectory = directory
        self.progress: Progress = progress
        self.signals: Signals = signals
        self.streams = [job.settings.stream_seeds(seed) for seed in seeds]
        self.traced = cohort.traced()
        self.tables = {name: cohort.put(Table(d.tokens, d.types, d.labels, d.further)) for name, d in job.data.items()}
        self.evaluations = {name: self._evaluation(job.data[name]) for name in ("validation", "test")}
        self.order = Order(
            [s.data for s in self.streams],
            job.data["train"].lengths,
            job.data["train"].tokens.shape[1],
            job.spec.batch_size,
            job.total_steps,
            cohort.row_quantum,
        )
        self.noise_keys = _keys(cohort, [s.noise for s in self.streams], "noise")
        self.state, self.best, self.step, self.members = self._start(seeds)
        self.best_said: dict[int, np.ndarray] = {}  # predictions of each member on validation
        # The last parameters of members that have stopped; what a save has of them are these.
        self.last = _copy(self.state.params) if job.values["patience"] and len(seeds) > 1 else None
        self.files = [MetricsFile(directory.seed(m.seed), self.step, m.evaluated) for m in self.members]
        self.boards = [tensorboard_writer(directory.seed(m.seed)) for m in self.members if job.values["tensorboard"]]
        self.saved_at = time.monotonic()

    def _evaluation(self, data: Encoded) -> tuple[Layout, np.ndarray]:
        batches, order = packing.evaluation_layout(
            data.lengths, data.tokens.shape[1], self.job.spec.eval_batch_size, self.cohort.mesh.shape["data"]
        )
        return self.cohort.put_batches(batches, by_member=False), order

    @property
    def going(self) -> list[Member]:
        """Those that have not stopped."""
        return [member for member in self.members if not member.stopped]

    def train(self, until: int) -> None:
        """Trains to the evaluation at this step, or until every member has stopped."""
        owed = (until - self.step) * len(self.members)
        done = self.progress.done
        marks = [0, *self.job.evaluation_steps]
        for begin, end in itertools.pairwise(marks):
            # A save may lie between a segment's last step and its evaluation.
            if max(member.evaluated for member in self.members) < end <= until and self.going:
                for batches, count in self.order.pieces(max(begin, self.step), end):
                    self._train(batches, count)
                self._evaluate()
        self.progress.skip(owed - (self.progress.done - done))

    def _train(self, batches: Layout, count: int) -> None:
        clock = time.monotonic()
        batches = self.cohort.put_batches(batches, by_member=True)
        self.state, records = self.cohort.train(
            self.state, self.tables["train"], batches, self.noise_keys, count, self.traced
        )
        records = {name: np.asarray(x)[:, :count].tolist() for name, x in processes.read(records).items()}
        for i, member in enumerate(self.members):
            if member.stopped:
                continue
            rows = [dict(zip(records, row, strict=True)) for row in zip(*(r[i] for r in records.values()), strict=True)]
            member.seconds += (time.monotonic() - clock) / len(self.members)
            member.diverged |= not np.isfinite(records["loss"][i]).all()
            self._log(i, [{"step": self.step + s, **row} for s, row in enumerate(rows, start=1)])
        self.step += count
        last = [losses[-1] for losses, member in zip(records["loss"], self.members, strict=True) if not member.stopped]
        self._show(count, float(np.mean(last)))
        signum = processes.largest(self.signals.received or 0)
        if signum:
            self.save()
            raise Interrupted(signum)

    def _evaluate(self) -> None:
        scores, said = self._score(self.state.params, "validation")
        name, total, patience = self.job.task.selection_metric, self.job.total_steps, self.job.values["patience"]
        going = np.array([not member.stopped for member in self.members])
        improved = going & [s[name] > m.best_score for s, m in zip(scores, self.members, strict=True)]
        for i, member in enumerate(self.members):
            if member.stopped:
                continue
            member.evaluated, member.waited, score = self.step, member.waited + 1, scores[i]
            if improved[i]:
                member.best_score, member.best_step, member.best_validation = score[name], self.step, score
                member.waited = 0
                self.best_said[i] = said[i]
            member.stopped = 0 < patience <= member.waited and self.step < total
            self._log(i, [{"step": self.step, "split": "validation", **score}])
            note = "  best so far" if improved[i] else "  stopped by patience" if member.stopped else ""
            self.progress.line(
                f"seed {member.seed}  step {self.step}/{total}  validation {name} {score[name]:.4f}"
                f"  loss {score['loss']:.4f}{note}"
            )
        if improved.any():
            self.best = self.cohort.keep_better(self.best, self.state.params, self.cohort.put(improved, "member"))
        if self.last is not None:  # those that stop now have theirs for the last time
            self.last = self.cohort.keep_better(self.last, self.state.params, self.cohort.put(going, "member"))
        overdue = time.monotonic() - self.saved_at > 60 * self.job.values["checkpoint_minutes"]
        if processes.largest(overdue) and self.step < total:
            self.save()

    def _score(self, params: Tree, split: str) -> tuple[list[dict[str, float]], list[np.ndarray]]:
        batches, order = self.evaluations[split]
        outputs = np.asarray(processes.read(self.cohort.predict(params, self.tables[split], batches)))
        outputs = outputs.reshape(len(self.members), -1, *outputs.shape[3:])[:, order]
        heads = {name: tree for name, tree in params.items() if name != "encoder"}
        data, score = self.job.data[split], self.job.objective.score
        scores, predictions = zip(*(score(_member(heads, i), one, data) for i, one in enumerate(outputs)), strict=True)
        return list(scores), list(predictions)

    def finish(self, stopped: str = "") -> None:
        """Scores the members on the test set and adds their rows.

        Args:
            stopped: what ended those that neither patience nor the last step did.
        """
        last_params = self.state.params if self.last is None else self.last
        last, last_said = self._score(last_params, "test")
        same = all(member.best_step == member.evaluated for member in self.members)
        best, best_said = (last, last_said) if same else self._score(self.best, "test")
        if len(self.best_said) < len(self.members):  # it is not saved, and the best step was in another process
            self.best_said = dict(enumerate(self._score(self.best, "validation")[1]))
        for i, member in enumerate(self.members):
            folder = self.directory.seed(member.seed)
            predictions = {
                "labels": np.array(self.job.objective.labels, np.str_),
                "validation": self.best_said[i],
                "validation_labels": self.job.data["validation"].targets,
                "test_best": best_said[i],
                "test_last": last_said[i],
                "test_labels": self.job.data["test"].targets,
            }
            save_predictions(folder, predictions)
            if self.job.values["keep"] != "none":
                checkpoints.save_params(folder / "best", self.job.whole(_member(self.best, i)))
            if self.job.values["keep"] == "best_and_last":
                checkpoints.save_params(folder / "last", self.job.whole(_member(last_params, i)))
            self.directory.finish(self._row(member, best[i], last[i], "patience" if member.stopped else stopped))

    def _row(self, member: Member, best: dict[str, float], last: dict[str, float], stopped: str) -> dict[str, Any]:
        name = self.job.task.report_metric
        majority = self.job.objective.majority(self.job.data["test"])
        return {
            "seed": member.seed,
            "fingerprint": self.job.settings.fingerprint,
            "steps": member.evaluated,
            "total_steps": self.job.total_steps,
            "stopped": stopped,
            **({"started": len(self.job.settings.seeds)} if self.job.comparison_step else {}),
            "best_step": member.best_step,
            "validation": member.best_validation,
            "test_best": best,
            "test_last": last,
            "majority": majority,
            "failed": bool(member.diverged or metrics.is_failed(best[name], majority)),
            "diverged": member.diverged,
            "seconds": round(member.seconds, 2),
            "layout": {"members": self.cohort.members, "mesh": dict(self.cohort.mesh.shape)},
            **self.job.provenance,
        }

    def _start(self, seeds: list[int]) -> tuple[TrainState, Tree, int, list[Member]]:
        """Fresh members, or the newest save that all of them have and that can be read."""
        keys = _keys(self.cohort, [s.init for s in self.streams], "init")
        state = self.cohort.init(keys, self.cohort.put(self.job.pretrained), self.traced)
        best = _copy(state.params)
        folders = [self.directory.seed(seed) / "state" for seed in seeds]
        like = _member((state, best), 0)
        common = set.intersection(*(set(checkpoints.saved_steps(folder)) for folder in folders))
        for step in sorted(common, reverse=True):
            try:
                saved = [checkpoints.restore_state(folder, step, like) for folder in folders]
            except InputError as damage:
                if step == min(common):
                    raise
                self.progress.line(f"{damage}; the save before it is used")
                continue
            arrays = jax.tree.map(lambda *xs: np.stack([np.asarray(x) for x in xs]), *(tree for tree, _ in saved))
            state, best = self.cohort.put(arrays, "member")
            return state, best, step, [Member(**record) for _, record in saved]
        return state, best, 0, [Member(seed) for seed in seeds]

    def save(self) -> None:
        """Puts on disk what the members can go on from."""
        for i, member in enumerate(self.members):
            folder = self.directory.seed(member.seed) / "state"
            state, best = _member((self.state, self.best), i)
            if member.stopped and self.last is not None:
                state = state.replace(params=_member(self.last, i))
            checkpoints.save_state(folder, self.step, (state, best), dataclasses.asdict(member))
        self.saved_at = time.monotonic()

    def _show(self, steps: int, loss: float) -> None:
        going, name = self.going, self.job.task.selection_metric
        first, final = going[0], going[-1]
        seeds = f"seed {first.seed}" if len(going) == 1 else f"seeds {first.seed}..{final.seed}"
        score = f"best {name} {first.best_score:.4f}" if first.best_validation else ""
        where = f"{seeds} step {self.step}/{self.job.total_steps}"
        self.progress.advance(steps * len(going), where, loss, score)

    def _log(self, i: int, rows: list[dict[str, Any]]) -> None:
        self.files[i].add(rows)
        for board in self.boards[i : i + 1]:
            for row in rows:
                prefix = row.get("split", "train")
                for name in row.keys() - {"step", "split"}:
                    board.add_scalar(f"{prefix}/{name}", row[name], row["step"])


def _copy(tree: Tree) -> Tree:
    return jax.tree.map(lambda x: x.copy(), tree)


def _member(tree: Tree, i: int) -> Tree:
    return processes.read(jax.tree.map(lambda x: x[i], tree))


def _keys(cohort: Cohort, seeds: list[int], stream: str) -> jax.Array:
    data = [np.asarray(jax.random.key_data(key_for(jax.random.key(seed), stream))) for seed in seeds]
    # JAX puts only plain numbers on the devices of several processes.
    return jax.random.wrap_key_data(cohort.put(np.stack(data), "member"))
