"""A study: many settings over many seeds.

python -m stablefit.grid --sweep=experiments/methods_on_rte.py --config.data_dir=DIR --workdir=DIR
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from stablefit import program

USAGE = """\
usage: stablefit grid --sweep=FILE [--config.FIELD=VALUE ...] [--workdir=DIR]
                      [--launcher=ray] [--distributed] [--plan] [--quiet]

Runs every cell of a sweep over its seeds, and prints one row a cell with its
comparison to the first. `python -m stablefit.grid` is the same command.

  --sweep=FILE            a file that defines sweep(add), such as
                          experiments/methods_on_rte.py
  --config.FIELD=VALUE    another value for a field, in all cells; not in those
                          that set it themselves where others do not, and where
                          all set it to different values it is refused
  --workdir=DIR           where results go; default runs/SWEEP. What it holds
                          already is not run again; if that was on other data,
                          the study is refused
  --launcher=ray          as tasks of a Ray cluster: the one of RAY_ADDRESS, or
                          of this node; docs/clusters.md
  --distributed           one of several processes that do it together, as on a
                          TPU slice
  --plan                  say what would be done and how much disk it takes, and
                          stop
  --quiet                 no progress display
  --help                  this text

Sweeps and config files are Python programs: run only those you trust.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the study; returns the exit code: 0 done, 1 runs or a host lost, 2 bad input, 128 + N ended by signal N."""
    return program.run(USAGE, _run, argv)


def _run(argv: Sequence[str]) -> int:
    from stablefit import flags

    own = flags.parse_grid(argv)
    from stablefit.training import host, settings

    process = host.prepare()
    from stablefit.study import grid, launch, looks
    from stablefit.training import job, processes, signals

    sweep = Path(own.sweep)
    sys.path.append(str(sweep.resolve().parent.parent))  # at the end: a jax.py of theirs is not jax
    cells = {}
    swept = grid.expand(sweep)
    given = grid.common_fields(swept, own.fields, sweep)
    for cell in swept:
        config = flags.parse([f"--config={cell.config}", *own.overrides]).config.to_dict()
        changes = {name: value for name, value in cell.changes.items() if name not in given}
        cells[cell.name] = settings.read({**config, **changes})
    with processes.joined(Path(own.workdir or Path("runs") / sweep.stem), own.distributed) as workdir:
        try:
            # All are loaded before any runs: a mistake in the last cell is found now.
            jobs = {name: job.load(cell) for name, cell in cells.items()}
            grid.check_data(jobs, workdir)
            print(f"{grid.announcement(jobs, workdir)}\n\nprocess  {process}", end="\n\n", flush=True)
            if own.plan:
                return 0
            command = shlex.join(["python", "-m", "stablefit.grid", *argv])
            grid.record(workdir, sweep, command, [cell.name for cell in swept if cell.control])
            lost = grid.run(jobs, workdir, own.quiet, launch.on_ray if own.launcher == "ray" else launch.here)
        except signals.Interrupted as stop:
            return program.interrupted(workdir, stop.signum)
    if own.distributed and not processes.is_first():
        return 0
    rows = grid.read_rows(workdir, {cell.fingerprint: cell.seeds for cell in cells.values()})
    known = {one.task.name: one.task for one in jobs.values()}
    by_name = {name: rows[cell.fingerprint] for name, cell in cells.items()}
    record = looks.record(workdir, {name: len(own) for name, own in by_name.items()})
    designs = {name: cell.spec.factors for name, cell in cells.items()}
    print(grid.study_table(by_name, known, record, designs))
    print(f"\nresults in {workdir}")
    for line in lost:
        program.tell(line)
    return 1 if lost else 0


if __name__ == "__main__":
    program.leave(main())
