"""The command `stablefit predict`: a table in, the same table with answers out."""

import sys
from collections.abc import Sequence
from typing import Any

from stablefit import program
from stablefit.errors import InputError

USAGE = """\
stablefit predict DIR new.csv --out=labelled.csv

usage: stablefit predict DIR FILE [--out=FILE] [--text=COLUMN[,COLUMN]]
                         [--skip-bad]

Writes the rows of FILE with what the model in DIR says of them: the label,
its probability, p_NAME of each class, and the agreement of the members where
there are several; a number and the members' spread; several labels; or
entities, as JSON, with the exact probability of each from the CRF. The
columns that are there stay as they are. CSV becomes CSV, JSON lines become
JSON lines, Excel and Parquet become CSV; files may be larger than memory.

  DIR                  a fit's folder, a run's, one of its seeds, or what
                       `stablefit export` wrote
  FILE                 the table, or - for standard input
  --out=FILE           where to write; without it to standard output
  --text=COLUMN        where the text is; the default is as in training; two
                       of a pair with a comma between
  --skip-bad           leave rows out that cannot be read, and count them
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 written, 2 bad input, 130 interrupted."""
    return program.run(USAGE, _predict, argv)


def _predict(argv: Sequence[str]) -> int:
    arguments = program.Arguments()
    arguments.add_argument("model")
    arguments.add_argument("file")
    arguments.add_argument("--out", default="-")
    arguments.add_argument("--text", default="")
    arguments.add_argument("--skip-bad", action="store_true")
    asked = arguments.parse_args(argv)
    columns = tuple(name.strip() for name in asked.text.split(",")) if asked.text else ()
    if not all(columns):
        raise InputError(f"--text={asked.text}: a name is empty; give --text=COLUMN, or two with a comma between")

    from stablefit.training import host

    host.prepare()
    from stablefit.serve import model, predict

    whole = model.load(asked.model)
    predict.say(whole.said)
    bar = _Bar()
    try:
        said = predict.predict(whole, asked.file, asked.out, columns, asked.skip_bad, bar)
    except KeyboardInterrupt:
        program.tell("interrupted; no file was written")
        return program.SIGNALLED + 2
    except BrokenPipeError:  # whoever read standard output has enough
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115 -- so that the interpreter's own flush says nothing
        return 0
    finally:
        bar.close()
    predict.say(said)
    return 0


class _Bar:
    """A progress bar on standard error, if a person looks at it."""

    def __init__(self):
        self._bar: Any = None

    def __call__(self, position: int, size: int, rows: int) -> None:
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            from tqdm import tqdm

            # Of a file the bytes are known, and not the rows.
            self._bar = tqdm(total=size or None, unit="B" if size else " rows", unit_scale=True, dynamic_ncols=True)
        self._bar.update((position if size else rows) - self._bar.n)
        self._bar.set_postfix_str(f"{rows:,} rows" if size else "")

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
