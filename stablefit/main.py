"""The main job: fine-tune one setting over its seeds.

python -m stablefit.main --config=configs/rte_reinit4.py --config.data_dir=DIR --config.seeds=0,1,2 --workdir=DIR
"""

from collections.abc import Sequence
from pathlib import Path

from stablefit import program

USAGE = """\
usage: stablefit run --config=NAME[:ARGUMENT] [--config.FIELD=VALUE ...]
                     [--workdir=DIR] [--plan] [--distributed] [--quiet]

Fine-tunes one setting over its seeds and prints one row a seed, then their
statistics. `python -m stablefit.main` is the same command.

  --config=NAME           a name, such as reviews, rte_reinit4 or own, or a
                          file, such as configs/rte_reinit4.py. What may follow
                          a colon: method=reinit,layers=4 and other methods;
                          examples=1000; runlocal, which shrinks it for a laptop
  --config.FIELD=VALUE    another value for a field; docs/fields.md, made from
                          stablefit/fields.py, lists them all
                          --config.data_file=FILE    --config.data_dir=DIR
                          --config.model=DIR | HUB_ID | package:NAME
                          --config.seeds=0-4         --config.learning_rate=5e-5
  --workdir=DIR           where results go; default runs/NAME. An unfinished run
                          in it goes on where it was; a run of another config,
                          or on other data, in it is refused
  --plan                  say what would be done and how much disk it takes, and
                          stop
  --distributed           one of several processes that do it together, as on a
                          TPU slice; docs/clusters.md
  --quiet                 no progress display
  --help                  this text

A config file is a Python program: run only those you trust.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the job; returns the exit code: 0 done, 1 another host was lost, 2 bad input, 128 + N ended by signal N."""
    return program.run(USAGE, _run, argv)


def _run(argv: Sequence[str]) -> int:
    from stablefit.flags import parse

    flags = parse(argv)
    # Only now what takes seconds to import; --help and a mistyped field are answered at once.
    from stablefit.training import host, settings

    config = settings.read(flags.config)
    process = host.prepare()
    from stablefit.training import bundle, loop, plan, processes, progress, rundir, signals
    from stablefit.training import job as jobs

    with processes.joined(Path(flags.workdir or Path("runs") / flags.name), flags.distributed) as workdir:
        job = jobs.load(config)
        print(plan.announcement(job, process), end="\n\n", flush=True)
        if flags.plan:
            file = workdir / "results.jsonl"
            rows = [row for row in rundir.seed_rows(file) if row["seed"] in config.seeds] if file.is_file() else []
            if rows:
                left = plan.minutes([(job, rows)])
                print(
                    f"done     {len(rows)} of {len(config.seeds)} seeds" + (f"; the rest takes {left}" if left else "")
                )
            return 0
        try:
            with rundir.RunDirectory(workdir, config, job.digest) as directory:
                rundir.write_whole(workdir / "parameters.txt", plan.parameter_table(job))
                bundle.ensure(workdir, job)
                total = loop.planned_steps(job, list(directory.results().values()))
                with progress.Progress(total, quiet=flags.quiet or not processes.is_first()) as display:
                    rows = loop.run(job, directory, display)
        except signals.Interrupted as stop:
            return program.interrupted(workdir, stop.signum)
        print(plan.result_table(rows, job.task.selection_metric, job.task.report_metric))
        print(f"\nresults in {workdir}")
        return 0


if __name__ == "__main__":
    program.leave(main())
