"""The report of a study, or of a single run.

python -m stablefit.report runs/methods_on_rte
"""

import math
from collections.abc import Sequence
from pathlib import Path

from stablefit import program
from stablefit.errors import InputError

USAGE = """\
usage: stablefit report WORKDIR [--out=DIR] [--worse-than=X]

Writes report.html (one page with everything in it), report.md, the figures as
SVG, PNG and PDF, and the verdicts as verdicts.csv and verdicts.tex.
`python -m stablefit.report` is the same command.

  WORKDIR          the --workdir of a study or of a single run, or the folder
                   of stablefit pack; a study that still runs is reported as
                   far as it is
  --out=DIR        where to; default WORKDIR/report
  --worse-than=X   the score for the probability that a single run is worse;
                   default: that of the median run of the baseline
  --help           this text

Needs matplotlib: pip install 'stablefit[report]'
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the report and returns the exit code: 0 done, 2 bad input."""
    return program.run(USAGE, _run, argv)


def _run(argv: Sequence[str]) -> int:
    workdir, out, worse_than = _read(argv)
    from stablefit.study import report

    for file in report.write(workdir, out, worse_than):
        print(file)
    return 0


def _read(argv: Sequence[str]) -> tuple[Path, Path, float | None]:
    """The study, where the report goes, and the score to hold single runs against."""
    folders = [argument for argument in argv if not argument.startswith("-")]
    outs = [argument.removeprefix("--out=") for argument in argv if argument.startswith("--out=")]
    limits = [argument.removeprefix("--worse-than=") for argument in argv if argument.startswith("--worse-than=")]
    known = ("--out=", "--worse-than=")
    unknown = [argument for argument in argv if argument.startswith("-") and not argument.startswith(known)]
    if unknown:
        raise InputError(f"flag {unknown[0]!r} is unknown; there are --out=DIR and --worse-than=X")
    if len(folders) != 1 or "" in (*folders, *outs):
        raise InputError(f"{len(folders)} directories are given; give one WORKDIR, and --out=DIR for where to write")
    workdir = Path(folders[0])
    return workdir, Path(outs[-1]) if outs else workdir / "report", _score(limits[-1]) if limits else None


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"--worse-than={text} is no score; give a number, such as --worse-than=0.8")
    return value


if __name__ == "__main__":
    program.leave(main())
