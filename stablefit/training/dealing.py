"""Which runs go into one program together: dealt once, written down, and dealt the same after a kill.

A program of other members rounds otherwise. So what a kill has parted, or left some members' first saves or rows of, is
put together again as it was.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stablefit.training import checkpoints, processes
from stablefit.training.job import Job
from stablefit.training.member import Run
from stablefit.training.rundir import RunDirectory

Name = tuple[str, int]  # fingerprint and seed of a run


def deal(
    job: Job, cells: Mapping[str, RunDirectory], runs: Sequence[Run], stage: str, say: Callable[[str], None]
) -> list[list[Run]]:
    """The cohorts of runs that are not finished: as they are written down in their folders, else dealt anew.

    Args:
        job: what the runs share.
        cells: all that there are; each is told of cohorts that are new.
        runs: of this stage.
        stage: of the training: cohorts of one say nothing of those of another.
        say: told, in a line, of cohorts that cannot be put together again.
    """
    how = {"cohort_size": job.values["cohort_size"], "device": job.provenance["device"]}
    left = {_name(run): run for run in runs}
    cohorts: list[list[Run]] = []
    for names in _written(cells, how, stage):
        here = [name for name in names if name in left]
        if len(here) == len(names):
            cohorts.append([left.pop(name) for name in names])
        elif here and any(checkpoints.saved_steps(left[name].state) for name in here):
            seeds = ", ".join(str(seed) for _, seed in here)
            say(f"seed {seeds} began in one program with runs that are not at hand now: the bits will be others")
    new: list[list[Run]] = []
    for ready in _from_one_step(list(left.values())):
        size = processes.largest(job.cohort_size(len(ready)))
        new += [ready[i : i + size] for i in range(0, len(ready), size)]
    if any(len(cohort) > 1 for cohort in new):
        _write(cells, how, stage, new)
    place = {_name(run): i for i, run in enumerate(runs)}
    return sorted([*cohorts, *new], key=lambda cohort: place[_name(cohort[0])])


def complete(cells: Mapping[str, RunDirectory]) -> None:
    """Adds the rows of cohorts that were finished when a kill came between their rows.

    Every member's row lies in its folder before the first is in a ledger. Where one is missing there, none is used.
    """
    runs = [Run(name, directory, seed) for name, directory in cells.items() for seed in directory.promised()]
    rows = {_name(run): run.directory.promised()[run.seed] for run in runs}
    finished = {(directory.settings.fingerprint, seed) for directory in cells.values() for seed in directory.results()}
    here = {directory.settings.fingerprint for directory in cells.values()}
    for run in runs:
        others = [(mark, seed) for mark, seed in rows[_name(run)]["cohort"] if mark in here]
        if all(other in rows or other in finished for other in others):
            run.directory.finish(rows[_name(run)]["row"])
        else:
            run.directory.withdraw(run.seed)


def _name(run: Run) -> Name:
    return run.settings.fingerprint, run.seed


def _written(cells: Mapping[str, RunDirectory], how: Mapping[str, Any], stage: str) -> list[list[Name]]:
    """The cohorts that the cells know of, each once, and no run in two."""
    found: list[list[Name]] = []
    seen: set[Name] = set()
    for directory in cells.values():
        record = directory.dealt()
        for names in record.get("stages", {}).get(stage, []) if record.get("how") == how else []:
            cohort = [(str(mark), int(seed)) for mark, seed in names]
            if not seen.intersection(cohort):
                seen.update(cohort)
                found.append(cohort)
    return found


def _write(cells: Mapping[str, RunDirectory], how: Mapping[str, Any], stage: str, new: Sequence[Sequence[Run]]) -> None:
    """All of them into each cell, so that the first that is written tells of all."""
    fresh = [[_name(run) for run in cohort] for cohort in new]
    taken = set(itertools.chain(*fresh))
    for directory in cells.values():
        record = directory.dealt()
        stages = dict(record["stages"]) if record.get("how") == how else {}
        stages[stage] = [
            *(names for names in stages.get(stage, []) if not taken.intersection(map(tuple, names))),
            *fresh,
        ]
        directory.deal({"how": how, "stages": stages})


def _from_one_step(runs: Sequence[Run]) -> list[list[Run]]:
    """The runs by where they can go on together: those that begin, and those that have a save in common."""
    groups: list[list[Run]] = []
    common: list[set[int]] = []
    for run in runs:
        steps = set(checkpoints.saved_steps(run.state)) or {0}
        i = next((i for i, others in enumerate(common) if others & steps), len(groups))
        if i == len(groups):
            groups.append([])
            common.append(steps)
        groups[i].append(run)
        common[i] &= steps
    return groups
