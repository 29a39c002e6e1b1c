"""A table in, the same table with answers out, a thousand rows at a time."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from stablefit import program
from stablefit.data.tables.rows import counted, shown
from stablefit.data.tables.table import STANDARD_INPUT
from stablefit.errors import InputError
from stablefit.serve.model import Model
from stablefit.serve.stream import Row, Sink, Source, open_table

CHUNK = 1024  # rows at a time
_SUFFIX = "_predicted"  # of an added column whose name the table has already
_FORMS = {"csv": (".csv", ".tsv", ".txt", ".tab"), "json": (".jsonl", ".json", ".ndjson")}


def predict(
    model: Model,
    path: str,
    out: str,
    text: Sequence[str] = (),
    skip_bad: bool = False,
    progress: Callable[[int, int, int], None] | None = None,
) -> list[str]:
    """Writes a table with the model's answers.

    Args:
        model: that answers.
        path: CSV, JSON lines, or what `read_table` reads; `-` is standard input.
        out: a file, in the form of the input; `-` is standard output.
        text: the columns of the text, in place of those the model was trained on.
        skip_bad: rows that cannot be read are left out and counted.
        progress: called with bytes read, bytes in all (0: unknown) and rows done.

    Returns:
        what is to be said: renamed columns, rows without a text, rows left out.

    Raises:
        InputError: the table cannot be used, or the output not be written; then no file is left.
    """
    source = open_table(path, skip_bad=skip_bad)
    _check_out(path, out, source)
    columns = _text_columns(model, source, tuple(text))
    names = _answer_names(model)
    added = _free_names(names, source.columns)
    said = list(source.said)
    renamed = [f"{name} is written as {new}" for name, new in zip(names, added, strict=True) if name != new]
    if renamed:
        said.append(f"the table has columns of these names: {', '.join(renamed)}")
    n_rows, without = 0, 0
    with Sink(out, source, added) as sink:
        while chunk := list(itertools.islice(source.rows, CHUNK)):
            kept, texts = _texts(model, source, columns, chunk)
            full = [i for i, parts in enumerate(texts) if any(part.strip() for part in parts)]
            asked_texts, lists = [texts[i] for i in full], source.form == "json"
            values = iter(_values(model, asked_texts, len(names), _joined(model, columns), lists))
            asked = set(full)
            for i, row in enumerate(kept):
                _check_row(source, row, added)
                sink.write(row, next(values) if i in asked else (None,) * len(names))
            n_rows, without = n_rows + len(kept), without + len(kept) - len(full)
            sink.flush()
            if progress is not None:
                progress(source.position(), source.size, n_rows)
        if not n_rows:
            raise InputError(f"{source.name}: no rows below the header; expected one example a row")
    if without:
        said.append(f"{counted(without, 'row')} without a text: no answer")
    if source.n_bad:
        said.append(f"{counted(source.n_bad, 'bad row')} left out")
    where = "" if out == STANDARD_INPUT else f" in {out}"
    return [*said, f"{counted(n_rows, 'row')}{where}"]


def _check_out(path: str, out: str, source: Source) -> None:
    if out == STANDARD_INPUT:
        return
    place = Path(out).expanduser()
    if place.is_dir():
        raise InputError(f"--out={out} is a folder; give a file")
    if not place.parent.is_dir():
        raise InputError(f"--out={out}: there is no folder {place.parent}; make it first")
    if path != STANDARD_INPUT and place.exists() and place.samefile(Path(path).expanduser()):
        raise InputError(f"--out={out} is the input itself; give another file")
    other = next((form for form, suffixes in _FORMS.items() if place.suffix.lower() in suffixes), None)
    if place.suffix.lower() in (".xlsx", ".parquet", ".pq", ".xls") or (other is not None and other != source.form):
        kind, right = ("CSV", ".csv") if source.form == "csv" else ("JSON lines", ".jsonl")
        raise InputError(f"--out={out}: what is read from {source.name} is written as {kind}; give a name with {right}")


def _text_columns(model: Model, source: Source, given: tuple[str, ...]) -> tuple[str, ...]:
    """The columns that hold the text, or the two texts."""
    b = model.bundle
    columns = given or b.text_columns
    how = "--text" if given else "the model's training data"
    if not columns:
        columns, how = ("text",), "taggers' files"
        if b.kind != "tagging":
            columns = ("sentence1", "sentence2") if b.pair else ("text",)
            how = "a model whose data had no names for them; --text=COLUMN gives another"
    if b.pair and len(columns) != 2:
        raise InputError(f"--text={','.join(columns)}: this model reads pairs; give two columns")
    if len(columns) > 1 and not b.pair and not b.join_texts:
        raise InputError(f"--text={','.join(columns)}: this model reads one text; give one column")
    for name in columns:
        if name not in source.columns:
            there = ", ".join(map(str, source.columns))
            raise InputError(
                f"{source.name}: no column {shown(name)}, as in {how}; there are {there}"
                + ("" if given else "; --text=COLUMN names another")
            )
    return columns


def _texts(
    model: Model, source: Source, columns: tuple[str, ...], rows: list[Row]
) -> tuple[list[Row], list[tuple[str, ...]]]:
    """The rows that can be used, and the text, or the texts, of each."""
    kept, texts = [], []
    for row in rows:
        cells = [row.cells.get(name) for name in columns]
        wrong = [n for n, cell in zip(columns, cells, strict=True) if not isinstance(cell, str | int | float | None)]
        if wrong:
            source.fault(row.line, f"{shown(wrong[0])} is a list or an object; expected a text")
            continue
        parts = tuple("" if cell is None else cell if isinstance(cell, str) else str(cell) for cell in cells)
        if not all(_is_whole(part) for part in parts):
            source.fault(row.line, "the text holds half of a surrogate pair; write both halves")
            continue
        kept.append(row)
        texts.append(parts)
    return kept, texts


def _is_whole(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _joined(model: Model, columns: tuple[str, ...]) -> bool:
    return len(columns) > 1 and not model.bundle.pair


def _answer_names(model: Model) -> tuple[str, ...]:
    """The columns that are added."""
    b, several = model.bundle, len(model.members) > 1
    if b.kind == "tagging":
        return ("entities",)
    if b.kind == "regression":
        return ("prediction", "spread") if several else ("prediction",)
    first = ("labels",) if b.kind == "multilabel" else ("label", "probability")
    return (*first, *(f"p_{name}" for name in b.labels), *(("agreement",) if several else ()))


def _free_names(names: tuple[str, ...], taken: Sequence[str]) -> tuple[str, ...]:
    """The names, with a suffix where the table, or a column before, has them already."""
    used = set(taken)
    out = []
    for name in names:
        new = name if name not in used else name + _SUFFIX
        for number in itertools.count(2):
            if new not in used:
                break
            new = f"{name}{_SUFFIX}_{number}"
        used.add(new)
        out.append(new)
    return tuple(out)


def _check_row(source: Source, row: Row, added: tuple[str, ...]) -> None:
    """An object of JSON lines may have a field that the first one had not."""
    if source.form == "json" and (twice := [name for name in added if name in row.cells]):
        raise InputError(f"{source.name}:{row.line}: has a field {shown(twice[0])}, which is written; rename it")


def _values(
    model: Model, texts: list[tuple[str, ...]], width: int, joined: bool, lists: bool
) -> Iterator[tuple[Any, ...]]:
    """The added cells of each row; several labels as a list where the form has lists."""
    if not texts:
        return iter(())
    first = [" ".join(part for part in parts if part.strip()) if joined else parts[0] for parts in texts]
    if model.bundle.kind == "tagging":
        return ((_entities(found),) for found in model.tag(first))
    found = model.answer(first, [parts[1] for parts in texts] if model.bundle.pair else None)
    separator = str(model.bundle.settings.get("label_separator") or ";")
    columns: list[list[Any]] = []
    if model.bundle.kind == "multilabel":
        columns.append([list(labels) if lists else separator.join(labels) for labels in found.values])
    else:
        columns.append([value if isinstance(value, str) else _number(value) for value in found.values])
    if found.probabilities is not None:
        if model.bundle.kind == "classification":
            columns.append([_number(value) for value in found.probabilities.max(1)])
        columns += [[_number(value) for value in column] for column in found.probabilities.T]
    for further in (found.agreement, found.spread):
        if further is not None:
            columns.append([_number(value) for value in further])
    assert len(columns) == width
    return zip(*columns, strict=True)


def _entities(found: Sequence[Any]) -> list[dict[str, Any]]:
    """Entities as JSON, under the names that files of entities have; those of one member have no agreement."""
    rows = []
    for one in found:
        place = {"start": one.start, "end": one.end, "label": one.type, "text": one.text}
        agreement = {} if one.agreement is None else {"agreement": _number(one.agreement)}
        rows.append({**place, "probability": _number(one.probability), **agreement})
    return rows


def _number(value: Any) -> float:
    """Six digits: float32 has no more to say."""
    return float(f"{float(value):.6g}")


def say(sentences: Sequence[str]) -> None:
    """On standard error: standard output may be the table."""
    for sentence in sentences:
        program.tell(sentence)
