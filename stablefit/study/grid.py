"""A sweep -> cells -> runs: many settings over many seeds, each exactly once.

A cell is a setting. It is named by the hash of its resolved config, which is also its folder, so a study that is killed
and started again, or made larger, does what is not done yet.
"""

import ast
import contextlib
import datetime
import json
import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from stablefit import factors, program
from stablefit.data import tasks
from stablefit.errors import InputError
from stablefit.factors import Factor
from stablefit.study import comparison, launch, looks, verdicts
from stablefit.study.looks import Look
from stablefit.study.verdicts import Judged, Scored
from stablefit.training import bundle, ledger_rows, loop, plan, processes, rundir
from stablefit.training.files import write_whole
from stablefit.training.job import Job
from stablefit.training.progress import Progress
from stablefit.training.rundir import RunDirectory, seed_rows


class Cell(NamedTuple):
    """One call of `add` in a sweep."""

    name: str
    config: str
    changes: dict[str, Any]
    control: bool = False


def expand(sweep: Path) -> list[Cell]:
    """The cells of a sweep file, which defines `sweep(add)`.

    `add(config="configs/rte.py", name="mixout", seeds=range(10), mixout_rate=0.1)` adds a cell: a config and changes of
    its fields. The first cell is the baseline of the comparisons. The name is for people; without one it is the
    config's own and the changes. `control=True` marks a cell that only shows what a comparison means, such as the
    baseline once more: it is judged apart, and takes nothing from the verdicts on the others.

    Raises:
        InputError: no such file, no function `sweep`, no cell, or a name twice.
    """
    if not sweep.is_file():
        raise InputError(f"sweep {str(sweep)!r} is not a file; give one, such as experiments/methods_on_rte.py")
    defined = _of_theirs(sweep, lambda: runpy.run_path(str(sweep)))
    if not callable(defined.get("sweep")):
        raise InputError(f"{sweep}: no function sweep(add); a sweep file defines one")
    cells: list[Cell] = []

    def add(*, config: str, name: str = "", control: bool = False, **changes: Any) -> None:
        said = " ".join(f"{field}={value}" for field, value in changes.items() if field != "seeds")
        cells.append(Cell(" ".join((name or f"{Path(config).stem} {said}").split()), config, changes, control))

    _of_theirs(sweep, lambda: defined["sweep"](add))
    names = [cell.name for cell in cells]
    twice = [name for name in names if names.count(name) > 1]
    if not cells or twice:
        raise InputError(f"{sweep}: {f'two cells are called {twice[0]!r}' if twice else 'sweep adds no cell'}")
    return cells


def common_fields(cells: Sequence[Cell], names: Sequence[str], sweep: Path) -> list[str]:
    """Those of the fields that all cells set to the same value: not what the sweep is about, so another may be given.

    Args:
        names: of the fields that the command line gives.
        sweep: the file, for messages.

    Raises:
        InputError: all cells set a field themselves, to different values: what is given for it would change nothing.
    """
    found = []
    for name in names:
        values = [repr(cell.changes[name]) for cell in cells if name in cell.changes]
        if len(values) < len(cells):
            continue
        if len(set(values)) > 1:
            raise InputError(
                f"--config.{name} would change nothing: every cell of {sweep} sets it itself, the first to "
                f"{values[0]}; leave it out, or change the sweep"
            )
        found.append(name)
    return found


def _of_theirs(sweep: Path, call: Callable[[], Any]) -> Any:
    """What a person's own program gives; a mistake in it is one line."""
    try:
        return call()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(program.of_their_program(error, sweep)) from None


def record(workdir: Path, sweep: Path, command: str, controls: Sequence[str] = ()) -> None:
    """Writes study.json, what a report says of how the study was made: its question, its commands, its start.

    Args:
        workdir: of the study; a command that is not in its study.json yet is added.
        sweep: its docstring is the question.
        command: as the user gave it.
        controls: the cells that are marked so.
    """
    file = workdir / "study.json"
    old = _recorded(file) if file.is_file() else {}
    before = old.get("commands")
    commands = [one for one in before if one != command] if isinstance(before, list) else []
    new = {
        "question": ast.get_docstring(ast.parse(sweep.read_bytes())) or "",
        "commands": [*commands, command],
        "started": old.get("started") or datetime.datetime.now(datetime.UTC).isoformat(" ", "minutes"),
        **({"controls": list(controls)} if controls else {}),
        **({"looks": old["looks"]} if "looks" in old else {}),
    }
    workdir.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(new, indent=2) + "\n")


def _recorded(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InputError(f"{file}: is damaged; put back a copy of the file, or delete it")
    return found


def check_data(jobs: Mapping[str, Job], workdir: Path) -> None:
    """Refuses a study with a cell, finished or not, on other data than was begun; writes nothing.

    Args:
        jobs: name of each cell -> what to run.
        workdir: of the study.
    """
    for job in jobs.values():
        rundir.check_data(workdir / "cells" / job.settings.fingerprint, job.digest)


def announcement(jobs: Mapping[str, Job], workdir: Path) -> str:
    """What the study will cost: its cells, runs and steps, and how much of it the ledger holds already.

    Args:
        jobs: name of each cell -> what to run.
        workdir: of the study; only read.
    """
    rows = read_rows(workdir, {job.settings.fingerprint: job.settings.seeds for job in jobs.values()})
    table: list[tuple[str, ...]] = [("cell", "config", "runs", "done", "steps a run", "steps to do")]
    totals = [0, 0, 0]
    for name, job in jobs.items():
        done = rows[job.settings.fingerprint]
        counts = [len(job.settings.seeds), len(done), loop.planned_steps(job, done)]
        totals = [a + b for a, b in zip(totals, counts, strict=True)]
        runs, finished, steps = (f"{count:,}" for count in counts)
        table.append((name, job.settings.fingerprint, runs, finished, f"{job.total_steps:,}", steps))
    runs, finished, steps = totals
    most = "at most " if any(job.values["patience"] for job in jobs.values()) else ""
    lines = [
        f"study    {len(jobs)} cells, {runs:,} runs",
        f"done     {finished:,} runs are in {workdir} already",
        f"to do    {runs - finished:,} runs, {most}{steps:,} steps{_time(jobs, rows)}",
        f"disk     {plan.disk(jobs.values())}",
    ]
    return "\n".join([*lines, *_decidable(jobs)]) + "\n\n" + plan.aligned(table)


def _decidable(jobs: Mapping[str, Job]) -> list[str]:
    """What verdicts so many seeds can give, said before anything runs: one line a task with something to compare."""
    seeds: dict[str, list[int]] = {}
    for job in jobs.values():
        folds = int(job.values["folds"])
        n = len(job.settings.seeds)
        seeds.setdefault(job.task.name, []).append(min(n, folds) if folds else n)
    lines = []
    for name, counts in seeds.items():
        if len(counts) > 1:
            of = f" of {name}" if len(seeds) > 1 else ""
            lines.append(f"verdict  {comparison.foretold(min(counts), len(counts) - 1)}{of}")
    draws = {factors.n_subsets(job.spec.factors) for job in jobs.values()}
    if len(jobs) > 1 and (fewest := min(draws)):
        limit = comparison.pairing_limit(verdicts.ALPHA)
        told = comparison.foretold(
            fewest, len(jobs) - 1, within_from=limit, unit="training draws", spread="a draw's mean"
        )
        lines.append(f"draws    on other training sets {told}")
    return lines


def _time(jobs: Mapping[str, Job], rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """How long that takes, if finished runs tell."""
    told = plan.minutes((job, rows[job.settings.fingerprint]) for job in jobs.values())
    return f"; {told}, as the finished ones took" if told else "; the time left is shown as it runs"


def run(
    jobs: Mapping[str, Job], workdir: Path, quiet: bool = False, launcher: Callable[..., list[str]] = launch.here
) -> list[str]:
    """Runs what is not done yet, with one display.

    Args:
        jobs: name of each cell -> what to run.
        workdir: of the study; a cell is in the folder `cells/FINGERPRINT`, and `cells.txt` says which is which.
        quiet: no display.
        launcher: of `launch`: where the runs are done.

    Returns:
        a line for everything that could not be run.

    Raises:
        InputError: two cells are the same setting, or a folder cannot be used.
        Interrupted: a signal came; the same call goes on from there.
    """
    marks = {name: job.settings.fingerprint for name, job in jobs.items()}
    names = {mark: name for name, mark in marks.items()}
    for name, mark in marks.items():
        if names[mark] != name:
            raise InputError(f"cells {name!r} and {names[mark]!r} of the sweep are one setting; change one of them")
    workdir.mkdir(parents=True, exist_ok=True)
    write_whole(workdir / "cells.txt", "".join(f"{mark}  {name}\n" for name, mark in marks.items()))
    with contextlib.ExitStack() as stack:
        folders = {
            name: stack.enter_context(RunDirectory(workdir / "cells" / mark, jobs[name].settings, jobs[name].digest))
            for name, mark in marks.items()
        }
        for name, folder in folders.items():
            ledger_rows.check(folder.results().values(), jobs[name].task, folder.path / "results.jsonl")
        steps = {name: loop.planned_steps(job, list(folders[name].results().values())) for name, job in jobs.items()}
        work = sum(steps[name] * job.step_work for name, job in jobs.items())
        progress = stack.enter_context(
            Progress(sum(steps.values()), quiet=quiet or not processes.is_first(), work=work)
        )
        for name, job in jobs.items():
            bundle.ensure(folders[name].path, job)
            if steps[name]:
                write_whole(folders[name].path / "parameters.txt", plan.parameter_table(job))
        return launcher(jobs, folders, progress)


def read_rows(workdir: Path, seeds: Mapping[str, Sequence[int]]) -> dict[str, list[dict[str, Any]]]:
    """The rows of every cell, in the order of the sweep.

    Args:
        workdir: of the study.
        seeds: fingerprint of each cell -> the seeds it asks for.
    """
    table = {}
    for fingerprint, wanted in seeds.items():
        file = workdir / "cells" / fingerprint / "results.jsonl"
        rows = {row["seed"]: row for row in seed_rows(file)} if file.is_file() else {}
        table[fingerprint] = [rows[seed] for seed in wanted if seed in rows]
    return table


def study_table(
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    known: Mapping[str, tasks.Task] = tasks.TASKS,
    record: Mapping[str, Any] | None = None,
    designs: Mapping[str, Sequence[Factor]] = MappingProxyType({}),
) -> str:
    """One line a cell: its test scores over the seeds, and what they say against the first cell of the same task.

    Args:
        rows: name of each cell -> its rows; the score reported is the task's own, of the best step on validation.
        known: name of each task -> it; own files are tasks of their own.
        record: study.json, for the cells that are controls and the earlier looks.
        designs: name of a cell -> what varies between its runs.
    """
    record = record or {}
    controls, looked = record.get("controls", ()), looks.read(record.get("looks"))
    groups: dict[str, list[Scored]] = {}
    for name, cell in rows.items():
        if cell:
            scored = Scored(name, cell, cell[0].get("started", 0), name in controls, designs.get(name, ()))
            groups.setdefault(cell[0]["task"], []).append(scored)
    return "\n\n".join(_task_table(known[task], cells, looked) for task, cells in groups.items())


def _task_table(task: tasks.Task, cells: Sequence[Scored], looked: Sequence[Look]) -> str:
    judged = verdicts.judge(cells, task, looked)
    metric = f"{task.name} test {task.report_metric}"
    lines: list[tuple[str, ...]] = [
        ("setting", "seeds", "failed", metric, "sd", "min", "max", "difference", "95 %", "p", "verdict")
    ]
    for cell in cells:
        one = judged[cell.name]
        s, c = one.summary, one.comparison
        if s is None:  # seeds that were kept because they were best are no sample
            best = "-" if one.best is None else f"{one.best['test_best'][task.report_metric]:.4f}"
            lines.append((cell.name, str(len(cell.rows)), "-", best, "-", "-", "-", "-", "-", "-", one.said))
            continue
        sd = "-" if s.n == 1 else f"{s.sd:.4f}"
        numbers = (f"{s.mean:.4f}", sd, f"{s.minimum:.4f}", f"{s.maximum:.4f}")
        against = ("", "", "")
        if c is not None:
            decided = c.verdict != "cannot decide"
            interval = f"{c.interval.low:+.4f} to {c.interval.high:+.4f}" if decided else "-"
            against = (f"{c.difference:+.4f}", interval, f"{c.p_value:.3f}" if decided else "-")
        lines.append((cell.name, str(s.n), str(s.n_failed), *numbers, *against, one.said))
    return plan.fitted(lines, cut=7) + _of_factors(cells, judged)


def _of_factors(cells: Sequence[Scored], judged: Mapping[str, Judged]) -> str:
    """Where each setting's spread comes from, and the verdicts on other training sets; empty without factors."""
    sources: list[tuple[str, ...]] = []
    elsewhere: list[tuple[str, ...]] = []
    for cell in cells:
        found, c = judged[cell.name].split, judged[cell.name].elsewhere
        if found:
            header = ("sd from", *(part.name for part in found.components), "all together")
            parts = [*((part.sd, part.interval) for part in found.components), (found.sd, found.interval)]
            sources += [] if header in sources else [header]
            sources.append((cell.name, *(f"{sd:.4f} ({low:.4f} to {high:.4f})" for sd, (low, high) in parts)))
        if c is not None:
            between = "-" if c.verdict == "cannot decide" else f"{c.interval.low:+.4f} to {c.interval.high:+.4f}"
            elsewhere += [] if elsewhere else [("on other training sets", "difference", "95 %", "verdict")]
            elsewhere.append((cell.name, f"{c.difference:+.4f}", between, c.verdict))
    return "".join(f"\n\n{plan.fitted(rows, cut=3)}" for rows in (sources, elsewhere) if rows)
