"""The report of a study, or of a single run.

python -m stablefit.report runs/methods_on_rte
"""

from collections.abc import Sequence
from pathlib import Path

from stablefit import program
from stablefit.errors import InputError

USAGE = """\
usage: stablefit report WORKDIR [--out=DIR]

Writes report.md, report.html (one page with everything in it) and the figures
as PNG and SVG. `python -m stablefit.report` is the same command.

  WORKDIR      the --workdir of a study or of a single run; a study that still
               runs is reported as far as it is
  --out=DIR    where to; default WORKDIR/report
  --help       this text

Needs matplotlib: pip install 'stablefit[report]'
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the report and returns the exit code: 0 done, 2 bad input."""
    return program.run(USAGE, _run, argv)


def _run(argv: Sequence[str]) -> int:
    workdir, out = _read(argv)
    from stablefit.study import report

    for file in report.write(workdir, out):
        print(file)
    return 0


def _read(argv: Sequence[str]) -> tuple[Path, Path]:
    """The study, and where the report goes."""
    folders = [argument for argument in argv if not argument.startswith("-")]
    outs = [argument.removeprefix("--out=") for argument in argv if argument.startswith("--out=")]
    unknown = [argument for argument in argv if argument.startswith("-") and not argument.startswith("--out=")]
    if unknown:
        raise InputError(f"flag {unknown[0]!r} is unknown; there is --out=DIR")
    if len(folders) != 1 or "" in (*folders, *outs):
        raise InputError(f"{len(folders)} directories are given; give one WORKDIR, and --out=DIR for where to write")
    workdir = Path(folders[0])
    return workdir, Path(outs[-1]) if outs else workdir / "report"


if __name__ == "__main__":
    program.leave(main())
