"""The command `stablefit`: a verb -> the entry point that does it.

A verb's module is imported when the verb is asked for, so that help and a mistyped verb are answered at once.
"""

import difflib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from stablefit import program
from stablefit.errors import InputError

VERBS = {
    "fit": "stablefit.commands.fit",
    "check": "stablefit.commands.check",
    "predict": "stablefit.commands.predict",
    "export": "stablefit.commands.export",
    "run": "stablefit.main",
    "grid": "stablefit.grid",
    "report": "stablefit.report",
    "pack": "stablefit.commands.pack",
    "clean": "stablefit.commands.clean",
}

USAGE = """\
stablefit fit tickets.csv --out=DIR

usage: stablefit VERB [ARGUMENT ...]        stablefit VERB --help says more

Your own labelled texts
  fit FILE --out=DIR            check the file, estimate by cross-validation
                                over seeds, compare with cheap baselines,
                                train the model to keep, write a page
  check FILE                    say what is wrong with the file
  predict DIR FILE --out=FILE   label new texts with what fit or run has left
  export DIR FOLDER             write it as a Hugging Face directory

Studies
  run --config=NAME             fine-tune one setting over its seeds
  grid --sweep=FILE             many settings over many seeds
  report WORKDIR                a page with figures and verdicts
  pack WORKDIR OUT              a study as a few files, to be handed on
  clean WORKDIR                 remove the parameters of finished runs

  stablefit --version           the version
  stablefit --help              this text
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Does what the verb says and returns its exit code: 0 done, 2 bad input; others are the verb's own."""
    words = sys.argv[1:] if argv is None else list(argv)
    return program.guarded(lambda: _do(words))


def _do(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("--help", "-h", "help"):
        print(USAGE, end="")
        return 0
    if argv[0] == "--version":
        import stablefit

        print(f"stablefit {stablefit.__version__}")
        return 0
    if argv[0] not in VERBS:
        raise _unknown(argv[0])
    return importlib.import_module(VERBS[argv[0]]).main(argv[1:])


def entry() -> None:
    """The console command: leaves as soon as the work is done."""
    program.leave(main())


def _unknown(verb: str) -> InputError:
    known = f"the verbs are {', '.join(VERBS)}"
    if verb.startswith("-"):
        return InputError(f"{verb!r} stands before a verb, such as run in `stablefit run --config=reviews`; {known}")
    if Path(verb).is_file():
        return InputError(f"{verb!r} is a file and no verb; did you mean `stablefit fit {verb}`?")
    near = difflib.get_close_matches(verb.lower(), VERBS, n=1, cutoff=0.5)
    return InputError(f"verb {verb!r} is unknown; {f'did you mean {near[0]}?' if near else known}")
