"""A run from the host's side: pieces of segments, evaluations, the best parameters, what is saved when."""

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stablefit.data.packing import Layout
from stablefit.errors import InputError
from stablefit.paths import Tree, key_for
from stablefit.training import checkpoints, dealing, host, ledger_rows, processes, stopping
from stablefit.training.cohort import Cohort
from stablefit.training.evaluation import Evaluation, of_member, table
from stablefit.training.job import Job
from stablefit.training.member import Member, Run, ledger_row, predictions
from stablefit.training.observer import Display, JsonLines, Observer, TensorBoard
from stablefit.training.order import Order, part_rows, usual_rows
from stablefit.training.progress import Progress
from stablefit.training.rundir import RunDirectory, save_predictions
from stablefit.training.signals import Interrupted, Signals
from stablefit.training.steps import TrainState


def run(
    job: Job,
    directory: RunDirectory,
    progress: Progress,
    seeds: Sequence[int] | None = None,
    observers: Sequence[Observer] = (),
) -> list[dict[str, Any]]:
    """Trains every seed that the directory does not hold yet, and returns the rows of all, in the order of the config.

    Args:
        job: what to run.
        directory: where; rows that it has are not made again.
        progress: the display, which may be of more than this run.
        seeds: only these.
        observers: who else is told of it as it goes on.

    Raises:
        Interrupted: SIGINT or SIGTERM came; the same call goes on from there.
    """
    seeds = job.settings.seeds if seeds is None else seeds
    ledger_rows.check(directory.results().values(), job.task, directory.path / "results.jsonl")
    run_together(job, {"": directory}, progress, seeds, observers)
    rows = directory.results()
    return [rows[seed] for seed in seeds]


def run_together(
    job: Job,
    cells: Mapping[str, RunDirectory],
    progress: Progress,
    seeds: Sequence[int] | None = None,
    observers: Sequence[Observer] = (),
) -> None:
    """Trains every seed that the directories do not hold yet, of cells that can share programs.

    Args:
        job: of any of the cells: what `Settings.program` makes the same is the same for all.
        cells: name of each cell -> where; an empty name is not shown.
        progress, seeds, observers: as in `run`.

    Raises:
        Interrupted: as `run`.
    """
    assert all(directory.settings.program == job.settings.program for directory in cells.values())
    if job.comparison_step and len(cells) > 1:  # else the states of all seeds of all cells would lie on disk at once
        for name, directory in cells.items():
            run_together(job, {name: directory}, progress, seeds, observers)
        return
    shown: dict[Run, int] = {}  # how many steps of a run the display knows of
    heading: list[str] = []
    progress.weight = job.step_work

    def train(part: Job, runs: Sequence[Run], do: Callable[[_CohortRun], None]) -> None:
        names = list(dict.fromkeys(run.cell for run in runs))
        if any(names) and names != heading:
            heading[:] = names
            progress.line(", ".join(names))
        cohort = job.cohort(len(runs), part.total_steps)
        running = _CohortRun(part, cohort, runs, progress, signals, observers)
        progress.skip(sum(running.step - shown.get(run, 0) for run in runs))
        do(running)
        shown.update(dict.fromkeys(runs, running.step))

    def train_each(runs: Sequence[Run], do: Callable[[_CohortRun], None], stage: str = "end") -> None:
        for part, own in job.parts(sorted({run.seed for run in runs})):
            ready = [run for run in runs if run.seed in own]
            for cohort in dealing.deal(part, cells, ready, stage, _warn(progress)):
                train(part, cohort, do)  # the arrays of a cohort are gone before the next's are there

    def unfinished() -> list[Run]:
        return [
            Run(name, directory, seed)
            for name, directory in cells.items()
            for seed in directory.unfinished(directory.settings.seeds if seeds is None else seeds)
        ]

    def to_the_end(running: _CohortRun) -> None:
        running.train(running.job.total_steps)
        running.finish()

    dealing.complete(cells)
    tell_of_damage(cells.values(), progress)
    with Signals() as signals:
        if job.comparison_step:
            (directory,) = cells.values()
            _compare_seeds(job, directory, unfinished, train_each)
        train_each(unfinished(), to_the_end)


def _compare_seeds(
    job: Job, directory: RunDirectory, unfinished: Callable[[], list[Run]], train_each: Callable[..., None]
) -> None:
    """Trains all seeds to where they are compared, and finishes those that are not kept.

    Every score is on disk before the first seed is left behind, so that it is the same ones whatever is killed when.
    """

    def to_the_comparison(running: _CohortRun) -> None:
        running.train(job.comparison_step)
        running.save()
        directory.compare({member.run.seed: member.best_score for member in running.members})
        if not running.going:
            running.finish()

    def leave(running: _CohortRun) -> None:
        running.train(job.comparison_step)  # a save may lie before its evaluation
        running.finish("seeds")

    compared = directory.compared()
    train_each([run for run in unfinished() if run.seed not in compared], to_the_comparison, "compare")
    kept = stopping.kept(directory.compared(), job.values["keep_seeds"])
    train_each([run for run in unfinished() if run.seed not in kept], leave, "leave")


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


def _part_rows(job: Job, cohort: Cohort) -> int:
    """Rows of a part of a batch, the same for all parts of the data; 0: a batch is one part."""
    if not cohort.sums_parts:
        return 0
    return part_rows(job.pool.lengths, job.pool.tokens.shape[1], job.spec.batch_size, cohort.row_quantum)


def _least_rows(job: Job, cohort: Cohort) -> int:
    """Rows of nearly every batch, the same for all parts of the data; 0: each has what it needs."""
    if not cohort.rows_alike:
        return 0
    return usual_rows(job.pool.lengths, job.pool.tokens.shape[1], job.spec.batch_size)


class _CohortRun:
    """The members of one cohort from their first step, or their last save, to their rows."""

    def __init__(
        self,
        job: Job,
        cohort: Cohort,
        runs: Sequence[Run],
        progress: Progress,
        signals: Signals,
        observers: Sequence[Observer],
    ):
        self.job = job  # what they share; what is theirs alone is in the settings of each
        self.cohort, self.progress, self.signals = cohort, progress, signals
        self.streams = [run.settings.stream_seeds(run.seed) for run in runs]
        self.traced = cohort.traced([run.settings.hypers for run in runs])
        self.table = table(job, cohort, job.data["train"])
        self.validation, self.test = (Evaluation(job, cohort, split) for split in ("validation", "test"))
        self.order = Order(
            [s.data for s in self.streams],
            job.data["train"].lengths,
            job.data["train"].tokens.shape[1],
            job.spec.batch_size,
            job.total_steps,
            cohort.row_quantum,
            _part_rows(job, cohort),
            job.objective.weights(job.data["train"]),
            _least_rows(job, cohort),
        )
        self.noise_keys = _keys(cohort, [s.noise for s in self.streams], "noise")
        self.state, self.best, self.step, self.members = self._start(runs)
        self.best_said: dict[int, np.ndarray] = {}  # predictions of each member on validation
        # The last parameters of members that have stopped; what a save has of them are these.
        self.last = _copy(self.state.params) if job.values["patience"] and len(runs) > 1 else None
        several = len({run.cell for run in runs}) > 1
        log = JsonLines(self.members, self.step)
        for gap in log.gaps:
            _warn(progress)(f"{gap}; the run goes on without them")
        self.observers: list[Observer] = [
            log,
            *([TensorBoard(self.members)] if job.values["tensorboard"] else []),
            Display(progress, job.task.selection_metric, job.total_steps, several, job.spec.train_on_all),
            *observers,
        ]
        self.saved_at = time.monotonic()

    @property
    def going(self) -> list[Member]:
        """Those that neither patience nor divergence has ended."""
        return [member for member in self.members if member.going]

    def train(self, until: int) -> None:
        """Trains to the evaluation at this step, or until every member has stopped."""
        owed = (until - self.step) * len(self.members)
        done = self.progress.done
        marks = [0, *self.job.evaluation_steps]
        for begin, end in itertools.pairwise(marks):
            # A save may lie between a segment's last step and its evaluation.
            if self.going and max(member.evaluated for member in self.going) < end <= until:
                for batches, count in self.order.pieces(max(begin, self.step), end):
                    if self.going:
                        self._train(batches, count)
                        host.return_memory_if_short()
                if self.going:
                    self._evaluate()
        self.progress.skip(owed - (self.progress.done - done))

    def _train(self, batches: Layout, count: int) -> None:
        clock = time.monotonic()
        batches = self.cohort.put_batches(batches, by_member=True)
        self.state, records = self.cohort.train(self.state, self.table, batches, self.noise_keys, count, self.traced)
        records = {name: np.asarray(x)[:, :count].tolist() for name, x in processes.read(records).items()}
        told: list[list[dict[str, Any]]] = []
        trained = self.going
        for i, member in enumerate(self.members):
            if not member.going:
                continue
            rows = [dict(zip(records, row, strict=True)) for row in zip(*(r[i] for r in records.values()), strict=True)]
            member.seconds += (time.monotonic() - clock) / len(self.members)
            if bad := [s for s, row in enumerate(rows, start=1) if not np.isfinite(list(row.values())).all()]:
                rows = rows[: bad[0]]
                member.diverges(self.step + bad[0])
            told.append([{"step": self.step + s, **row} for s, row in enumerate(rows, start=1)])
        self.step += count
        for observer in self.observers:
            observer.step(trained, told)
        signum = processes.largest(self.signals.received or 0)
        if signum:
            self.save()
            raise Interrupted(signum)

    def _evaluate(self) -> None:
        scores, said = self.validation.score(self.state.params)
        name, total, patience = self.job.task.selection_metric, self.job.total_steps, self.job.values["patience"]
        going = np.array([member.going for member in self.members])
        finite = going & [np.isfinite(score["loss"]) for score in scores]
        improved = finite & [s[name] > m.best_score for s, m in zip(scores, self.members, strict=True)]
        evaluated = self.going
        for i, member in enumerate(self.members):
            if not member.going:
                continue
            if not finite[i]:
                member.diverges(self.step)
            member.evaluated, member.waited, score = self.step, member.waited + 1, scores[i]
            if improved[i]:
                member.best_score, member.best_step, member.best_validation = score[name], self.step, score
                member.waited = 0
                self.best_said[i] = said[i]
            member.stopped = 0 < patience <= member.waited and self.step < total and not member.diverged_at
        rows = [{"step": self.step, "split": "validation", **scores[i]} for i in np.flatnonzero(going)]
        for observer in self.observers:
            observer.evaluation(evaluated, rows)
        if improved.any():
            self.best = self.cohort.keep_better(self.best, self.state.params, self.cohort.put(improved, "member"))
        if self.last is not None:  # those that stop now have theirs for the last time
            self.last = self.cohort.keep_better(self.last, self.state.params, self.cohort.put(going, "member"))
        overdue = time.monotonic() - self.saved_at > 60 * self.job.values["checkpoint_minutes"]
        if processes.largest(overdue) and self.step < total:
            self.save()

    def finish(self, stopped: str = "") -> None:
        """Scores the members on the test set and adds their rows.

        Args:
            stopped: what ended those that neither patience nor the last step did.
        """
        last_params = self.state.params if self.last is None else self.last
        data, objective = self.job.data["test"], self.job.objective
        diverged = {i for i, member in enumerate(self.members) if member.diverged_at}
        never = {i for i in diverged if not self.members[i].best_validation}  # it came before the first evaluation
        outputs = self.test.outputs(last_params, diverged)
        last, last_said = zip(*(objective.score(*one, data) for one in outputs), strict=True)
        beside = [{f"test_{name}": x for name, x in objective.beside(*one, data).items()} for one in outputs]
        same = diverged == never and all(member.best_step == member.evaluated for member in self.members)
        best, best_said = (last, last_said) if same else self.test.score(self.best, never)
        if len(self.best_said) < len(self.members):  # it is not saved, and the best step was in another process
            scores, said = self.validation.score(self.best, never)
            self.best_said = dict(enumerate(said))
            for i in never:
                self.members[i].best_validation = scores[i]
        kept = {"none": {}, "best": {"best": self.best}, "best_and_last": {"best": self.best, "last": last_params}}
        layout = {"members": self.cohort.members, "mesh": dict(self.cohort.mesh.shape)}
        rows: list[dict[str, Any]] = []
        for i, member in enumerate(self.members):
            folder, ended = member.run.folder, "patience" if member.stopped else stopped
            steps = {"best": member.best_step, "last": member.diverged_at or member.evaluated}
            said = predictions(self.job, self.best_said[i], best_said[i], last_said[i])
            save_predictions(folder, said | beside[i], step=steps["last"], **member.run.of)
            for name, params in kept[self.job.values["keep"]].items():
                if i not in {"best": never, "last": diverged}[name]:
                    whole = self.job.network.whole(of_member(params, i))
                    checkpoints.save_params(folder / name, whole, step=steps[name], **member.run.of)
            rows.append(ledger_row(self.job, member, best[i], last[i], ended, layout))
        self._add(rows)
        for observer in self.observers:
            observer.end(self.members, rows)

    def _add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Adds the rows of a cohort: after a kill all are added, or all are made again."""
        cohort = [(member.run.settings.fingerprint, member.run.seed) for member in self.members]
        for member, row in zip(self.members, rows, strict=True):
            if len(cohort) > 1:
                member.run.directory.promise(row, cohort)
        for member, row in zip(self.members, rows, strict=True):
            member.run.directory.finish(row)

    def _start(self, runs: Sequence[Run]) -> tuple[TrainState, Tree, int, list[Member]]:
        """Fresh members, or the newest save that all of them have and that can be read."""
        keys = _keys(self.cohort, [s.init for s in self.streams], "init")
        state = self.cohort.init(keys, self.cohort.put(self.job.beginning), self.traced)
        best = _copy(state.params)
        common = set.intersection(*(set(checkpoints.saved_steps(run.state)) for run in runs))
        like = of_member((state, best), 0) if common else None
        for step in sorted(common, reverse=True):
            try:
                saved = [checkpoints.restore_state(run.state, step, like, **run.of) for run in runs]
            except InputError as damage:
                if step == min(common):
                    raise
                _warn(self.progress)(f"{damage}; the save before it is used")
                continue
            arrays = jax.tree.map(lambda *xs: np.stack([np.asarray(x) for x in xs]), *(tree for tree, _ in saved))
            state, best = self.cohort.put(arrays, "member")
            return state, best, step, [Member.restored(run, told) for run, (_, told) in zip(runs, saved, strict=True)]
        return state, best, 0, [Member(run) for run in runs]

    def save(self) -> None:
        """Puts on disk what the members can go on from."""
        for i, member in enumerate(self.members):
            state, best = of_member((self.state, self.best), i)
            if member.stopped and self.last is not None:  # those that diverged have no last ones
                state = state.replace(params=of_member(self.last, i))
            checkpoints.save_state(member.run.state, self.step, (state, best), member.record, **member.run.of)
        self.saved_at = time.monotonic()


def tell_of_damage(directories: Iterable[RunDirectory], progress: Progress) -> None:
    """Says which finished seeds have predictions that are not as they were written."""
    for directory in directories:
        for said in directory.damaged_predictions():
            _warn(progress)(said)


def _warn(progress: Progress) -> Callable[[str], None]:
    """Says a line that quiet does not hide, in one of several processes."""
    return progress.warn if processes.is_first() else progress.line


_copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))  # one program, not one for each shape


def _keys(cohort: Cohort, seeds: list[int], stream: str) -> jax.Array:
    data = [np.asarray(jax.random.key_data(key_for(jax.random.key(seed), stream))) for seed in seeds]
    # JAX puts only plain numbers on the devices of several processes.
    return jax.random.wrap_key_data(cohort.put(np.stack(data), "member"))
