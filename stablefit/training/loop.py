"""A run from the host's side: pieces of segments, evaluations, the best parameters, what is saved when."""

import dataclasses
import itertools
import math
import signal
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from stablefit.data import packing
from stablefit.data.encoding import Encoded
from stablefit.data.packing import Layout
from stablefit.errors import InputError
from stablefit.paths import Tree, key_for
from stablefit.training import checkpoints, metrics, processes
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
    todo = directory.unfinished(seeds)
    size = processes.largest(job.cohort_size(len(todo))) if todo else 1
    groups = [todo[i : i + size] for i in range(0, len(todo), size)]
    with Signals() as signals:
        for group in groups:
            for row in _CohortRun(job, job.cohort(len(group)), group, directory, progress, signals).finish():
                directory.finish(row)
    rows = directory.results()
    return [rows[seed] for seed in seeds]


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
        self.tables = {name: cohort.put(Table(d.tokens, d.types, d.labels)) for name, d in job.data.items()}
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
        self.files = [MetricsFile(directory.seed(m.seed), self.step) for m in self.members]
        self.boards = [tensorboard_writer(directory.seed(m.seed)) for m in self.members if job.values["tensorboard"]]
        self.saved_at = time.monotonic()
        progress.skip(self.step * len(seeds))

    def _evaluation(self, data: Encoded) -> tuple[Layout, np.ndarray]:
        batches, order = packing.evaluation_layout(
            data.lengths, data.tokens.shape[1], self.job.spec.eval_batch_size, self.cohort.row_quantum
        )
        return self.cohort.put_batches(batches, by_member=False), order

    def finish(self) -> list[dict[str, Any]]:
        """Trains to the end, evaluates on the test set, and returns the rows."""
        marks = [0, *self.job.evaluation_steps]
        for begin, end in itertools.pairwise(marks):
            if end > self.members[0].evaluated:  # a save may lie between a segment's last step and its evaluation
                for batches, count in self.order.pieces(max(begin, self.step), end):
                    self._train(batches, count)
                self._evaluate()
        return self._rows()

    def _train(self, batches: Layout, count: int) -> None:
        clock = time.monotonic()
        batches = self.cohort.put_batches(batches, by_member=True)
        self.state, records = self.cohort.train(
            self.state, self.tables["train"], batches, self.noise_keys, count, self.traced
        )
        records = {name: np.asarray(x)[:, :count].tolist() for name, x in processes.read(records).items()}
        for i, member in enumerate(self.members):
            rows = [dict(zip(records, row, strict=True)) for row in zip(*(r[i] for r in records.values()), strict=True)]
            member.seconds += (time.monotonic() - clock) / len(self.members)
            member.diverged |= not np.isfinite(records["loss"][i]).all()
            self._log(i, [{"step": self.step + s, **row} for s, row in enumerate(rows, start=1)])
        self.step += count
        self._show(count, float(np.mean([losses[-1] for losses in records["loss"]])))
        signum = processes.largest(self.signals.received or 0)
        if signum:
            self._save()
            raise Interrupted(signum)

    def _evaluate(self) -> None:
        scores, _ = self._score(self.state.params, "validation")
        name = self.job.task.selection_metric
        improved = np.array([s[name] > m.best_score for s, m in zip(scores, self.members, strict=True)])
        for i, (member, score) in enumerate(zip(self.members, scores, strict=True)):
            member.evaluated = self.step
            if improved[i]:
                member.best_score, member.best_step, member.best_validation = score[name], self.step, score
            self._log(i, [{"step": self.step, "split": "validation", **score}])
            self.progress.line(
                f"seed {member.seed}  step {self.step}/{self.job.total_steps}  validation {name} {score[name]:.4f}"
                f"  loss {score['loss']:.4f}" + ("  best so far" if improved[i] else "")
            )
        if improved.any():
            self.best = self.cohort.keep_better(self.best, self.state.params, self.cohort.put(improved, "member"))
        overdue = time.monotonic() - self.saved_at > 60 * self.job.values["checkpoint_minutes"]
        if processes.largest(overdue) and self.step < self.job.total_steps:
            self._save()

    def _score(self, params: Tree, split: str) -> tuple[list[dict[str, float]], np.ndarray]:
        batches, order = self.evaluations[split]
        logits = np.asarray(processes.read(self.cohort.predict(params, self.tables[split], batches)))
        logits = logits.reshape(len(self.members), -1, logits.shape[-1])[:, order]
        labels = self.job.data[split].labels
        return [metrics.compute(self.job.task.kind, one, labels) for one in logits], logits

    def _rows(self) -> list[dict[str, Any]]:
        last, last_logits = self._score(self.state.params, "test")
        same = all(member.best_step == self.step for member in self.members)
        best, best_logits = (last, last_logits) if same else self._score(self.best, "test")
        _, validation_logits = self._score(self.best, "validation")
        rows = []
        for i, member in enumerate(self.members):
            folder = self.directory.seed(member.seed)
            predictions = {
                "validation": validation_logits[i],
                "validation_labels": self.job.data["validation"].labels,
                "test_best": best_logits[i],
                "test_last": last_logits[i],
                "test_labels": self.job.data["test"].labels,
            }
            save_predictions(folder, predictions)
            if self.job.values["keep"] != "none":
                checkpoints.save_params(folder / "best", _member(self.best, i))
            if self.job.values["keep"] == "best_and_last":
                checkpoints.save_params(folder / "last", _member(self.state.params, i))
            rows.append(self._row(member, best[i], last[i]))
        return rows

    def _row(self, member: Member, best: dict[str, float], last: dict[str, float]) -> dict[str, Any]:
        name = self.job.task.report_metric
        majority = metrics.majority_score(name, self.job.data["test"].labels)
        return {
            "seed": member.seed,
            "fingerprint": self.job.settings.fingerprint,
            "steps": self.step,
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
        best = jax.tree.map(lambda x: x.copy(), state.params)
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

    def _save(self) -> None:
        for i, member in enumerate(self.members):
            folder = self.directory.seed(member.seed) / "state"
            checkpoints.save_state(folder, self.step, _member((self.state, self.best), i), dataclasses.asdict(member))
        self.saved_at = time.monotonic()

    def _show(self, steps: int, loss: float) -> None:
        first, name = self.members[0], self.job.task.selection_metric
        seeds = f"seed {first.seed}" if len(self.members) == 1 else f"seeds {first.seed}..{self.members[-1].seed}"
        score = f"best {name} {first.best_score:.4f}" if first.best_validation else ""
        where = f"{seeds} step {self.step}/{self.job.total_steps}"
        self.progress.advance(steps * len(self.members), where, loss, score)

    def _log(self, i: int, rows: list[dict[str, Any]]) -> None:
        self.files[i].add(rows)
        for board in self.boards[i : i + 1]:
            for row in rows:
                prefix = row.get("split", "train")
                for name in row.keys() - {"step", "split"}:
                    board.add_scalar(f"{prefix}/{name}", row[name], row["step"])


def _member(tree: Tree, i: int) -> Tree:
    return processes.read(jax.tree.map(lambda x: x[i], tree))


def _keys(cohort: Cohort, seeds: list[int], stream: str) -> jax.Array:
    data = [np.asarray(jax.random.key_data(key_for(jax.random.key(seed), stream))) for seed in seeds]
    # JAX puts only plain numbers on the devices of several processes.
    return jax.random.wrap_key_data(cohort.put(np.stack(data), "member"))
