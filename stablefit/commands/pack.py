"""Makes a study small enough to be handed on.

stablefit pack runs/sst2_few_sample results/sst2_few_sample
"""

from collections.abc import Sequence
from pathlib import Path

from stablefit import program

USAGE = """\
usage: stablefit pack WORKDIR OUT

Writes a study, or a single run, as a few files that are made to be committed,
sent and opened elsewhere. `stablefit report OUT` and stablefit.load_study(OUT)
read them as they read WORKDIR, which stays as it is.

  runs.csv         a row a run: scores, and the settings that differ
  curves.npz       losses and evaluations of every step
  predictions.npz  what the runs say of the test examples, where it was stored
  study.json       the question, the commands, the settings

  WORKDIR      the --workdir of a study or of a single run; runs that are not
               finished, and all parameters, are left out
  OUT          a place where nothing is yet
  --help       this text
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Packs and returns the exit code: 0 done, 2 bad input."""
    return program.run(USAGE, _run, argv)


def _run(argv: Sequence[str]) -> int:
    parser = program.Arguments()
    parser.add_argument("workdir", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args(argv)
    from stablefit.study import pack

    for file in pack.pack(given.workdir, given.out):
        print(f"{file}  {file.stat().st_size / 1000:,.0f} kB")
    return 0
