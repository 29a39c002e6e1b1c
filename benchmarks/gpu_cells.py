"""Studies on one GPU in a few minutes: the cells of several sweeps, each a process of its own, side by side.

    python -m benchmarks.gpu_cells --out=DIR --seconds=400

On a card a cell trains for seconds, and its programs compile for a minute or two, each on a core or two of the host. So
as many cells as the host has cores compile at a time. A process has its share of the card's memory and trains five
seeds at a time. When the time is over what is not done is killed; the same command goes on with it.

DIR/STUDY is the working directory of the sweep. When its last cell is done `python -m stablefit.grid` is called with
the whole sweep, which finds all done, tells the table, and records its own command; then the study is packed. A cell
that DIR/STUDY.CELL.done or build/gpu/done/STUDY.CELL.done stands for is not run; of the latter another machine has the
results, to which these are put by hand.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from stablefit.study import grid

PACK = Path("build/gpu")
SHARE = 0.85  # of the card's memory, for all processes together
COHORT = 5
SAME_PROGRAM = ("learning_rate", "reinit_layers", "head_start")  # fields that change no training program


class Study(NamedTuple):
    """A sweep with the variables and fields it is run with."""

    name: str
    sweep: str
    variables: Mapping[str, str]
    fields: Sequence[str]


def few_sample(task: str, rate: str) -> Study:
    """Read by the mean; the rate is the one of learning_rate_mean_TASK with the best scores on validation."""
    fields = (f"--config.data_dir={PACK}/data", "--config.pooling=mean")
    return Study(f"few_sample_mean_{task}", f"experiments/{task}_few_sample.py", {"RATE": rate}, fields)


def fifty(task: str) -> Study:
    """Fifty seeds of the paper's methods."""
    return Study(f"fifty_{task}", "experiments/fifty_seeds.py", {"SETS": task}, (f"--config.data_dir={PACK}/data",))


def own(name: str, sweep: str, sets: str) -> Study:
    """A sweep whose sets and data are named by variables."""
    variables = {"SETS": sets, "STABLEFIT_DATA": f"{PACK}/data"}
    return Study(name, f"experiments/{sweep}.py", variables, ("--config.keep=none",))


STUDIES = (
    own("pooling_clinc10", "pooling", "clinc10"),
    own("head_start", "head_start", "sst2,clinc5,mrpc,stsb"),
    few_sample("stsb", "2e-4"),
    few_sample("sst2", "1e-4"),
    few_sample("cola", "2e-4"),
)
LATER = (fifty("SST-2"), fifty("STS-B"))


WHOLE = -1


class Work(NamedTuple):
    """One cell of a study: how many before it there have the same training program, and its number, or `WHOLE`."""

    study: Study
    rank: int
    cell: int

    def __str__(self) -> str:
        return f"{self.study.name}.{self.cell}"


def cells(study: Study) -> Iterator[Work]:
    """Those of a study, in its order."""
    before: list[dict] = []
    for number, cell in enumerate(_expanded(study)):
        same = {name: value for name, value in cell.changes.items() if name not in SAME_PROGRAM}
        yield Work(study, before.count(same), number)
        before.append(same)


def _expanded(study: Study) -> list[grid.Cell]:
    kept = dict(os.environ)
    os.environ.update(study.variables)
    try:
        return grid.expand(Path(study.sweep))
    finally:
        os.environ.clear()
        os.environ.update(kept)


def in_order(studies: Sequence[Study]) -> list[Work]:
    """First those that compile what no cell before them does; the studies as they come."""
    return sorted((work for study in studies for work in cells(study)), key=lambda work: work.rank)


class Running(NamedTuple):
    """A process at work on a cell."""

    work: Work
    process: subprocess.Popen
    since: float


def started(work: Work, out: Path, at_once: int, fields: Sequence[str]) -> Running:
    """A process for the cell, or for the whole of a study that is done; its output is in OUT/STUDY.CELL.log."""
    study, workdir = work.study, out / work.study.name
    variables = {
        **study.variables,
        "SWEEP": study.sweep,
        "CELL": str(work.cell),
        "XLA_FLAGS": "--xla_gpu_autotune_level=0",  # timings would tell nothing beside others
        "XLA_PYTHON_CLIENT_MEM_FRACTION": f"{SHARE / at_once:.4f}",
    }
    fields = [*study.fields, f"--config.model={PACK}/model", f"--config.cohort_size={COHORT}", *fields]
    sweep = study.sweep if work.cell == WHOLE else "benchmarks/gpu_cell.py"
    python = [sys.executable, "-m"]
    command = [*python, "stablefit.grid", f"--sweep={sweep}", "--quiet", f"--workdir={workdir}", *fields]
    if work.cell == WHOLE:
        pack = shlex.join([*python, "stablefit", "pack", str(workdir), f"{workdir}.packed"])
        command = ["bash", "-c", f"{shlex.join(command)} && {pack}"]
    with (out / f"{work}.log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **variables})
    return Running(work, process, time.monotonic())


def is_done(work: Work, out: Path) -> bool:
    """Whether a process ended well with it, here or on another machine."""
    return (out / f"{work}.done").exists() or (PACK / "done" / f"{work}.done").exists()


def completes(work: Work, out: Path) -> bool:
    """Whether this was the last cell of a study that this machine has all of."""
    elsewhere = any((PACK / "done").glob(f"{work.study.name}.*"))
    return work.cell != WHOLE and not elsewhere and all(is_done(other, out) for other in cells(work.study))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="when what is at work is killed")
    parser.add_argument("--at-once", type=int, default=14)
    parser.add_argument("--only", default="", help="studies with this in their names")
    options, fields = parser.parse_known_args()
    begin, out = time.monotonic(), options.out
    out.mkdir(parents=True, exist_ok=True)
    waiting = [work for work in [*in_order(STUDIES), *in_order(LATER)]
               if options.only in work.study.name and not is_done(work, out)]  # fmt: skip
    running: list[Running] = []
    failed = 0
    while waiting or running:
        over = time.monotonic() - begin > options.seconds
        while waiting and len(running) < options.at_once and not over:
            running.append(started(waiting.pop(0), out, options.at_once, fields))
        for one in list(running):
            if over:  # killed, not asked to end: that would save what no second machine can go on from
                one.process.kill()
            if (code := one.process.wait() if over else one.process.poll()) is not None:
                running.remove(one)
                if code == 0:
                    (out / f"{one.work}.done").touch()
                    if completes(one.work, out):
                        waiting.insert(0, one.work._replace(cell=WHOLE))
                failed += code != 0
                took, at = time.monotonic() - one.since, time.monotonic() - begin
                print(f"{one.work}: exit code {code} after {took:.0f} s, at {at:.0f} s", flush=True)
        if over:
            break
        time.sleep(0.2)
    print(f"{failed} cells failed or were killed, {len(waiting)} were not begun")
    return 1 if failed or waiting else 0


if __name__ == "__main__":
    sys.exit(main())
