"""A person's own labelled texts: a table, or a folder of tables for training, validation and test."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stablefit.data import cross_validation, splits
from stablefit.data.readers import Examples
from stablefit.data.tables import own
from stablefit.data.tags import own_tags
from stablefit.data.tasks import Task
from stablefit.errors import InputError

_NAMES = {"train": ("train",), "validation": ("dev", "validation", "valid", "val"), "test": ("test",)}
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xlsx", ".txt")


class OwnSplits(NamedTuple):
    """What was read."""

    task: Task
    parts: dict[str, Examples]  # 'train', and 'validation' and 'test' if there are tables for them
    said: tuple[tuple[str, str], ...]  # name and text of lines for the announcement
    n_skipped: int  # rows left out
    columns: dict[str, Any]  # which columns hold what
    subsets: tuple[np.ndarray, ...] = ()  # of several training subsets: the rows of 'train' that each has


def read_own(
    data_file: str,
    text_columns: str,
    join_texts: bool,
    label_column: str,
    group_column: str,
    id_column: str,
    label_kind: str,
    label_separator: str,
    skip_bad: bool,
    *,
    train_examples: int = 0,
    subset_seeds: Sequence[int] = (0,),
) -> OwnSplits:
    """Reads the table, or the tables of a folder; arguments are the config's fields.

    Raises:
        InputError: a table is missing or cannot be used.
    """
    if not data_file:
        raise InputError("config field data_file is not set; task texts needs a table, such as data_file=tickets.csv")
    choice = own.Choice(
        text=_names(text_columns),
        join=join_texts,
        label=_names(label_column),
        group=group_column,
        id=id_column,
        kind=label_kind,
        separator=label_separator,
    )
    parts: dict[str, Examples] = {}
    said: list[tuple[str, str]] = []
    first: own.OwnTexts | None = None
    n_skipped = 0
    for part, file in files(data_file).items():
        try:
            table, found = own.read(file, choice, like=first, skip_bad=skip_bad)
        except InputError:
            if label_kind == "auto" and own_tags.holds_tags(file):
                raise _entities(data_file, file) from None
            raise
        first = first or found
        parts[part] = found.examples
        n_skipped += found.examples.n_skipped
        said += [("found" if part == "train" else part, text) for text in (*table.found, *found.said)]
    assert first is not None
    if "validation" in parts and "test" not in parts:
        parts["test"] = parts.pop("validation")
        said.append(("test", "is the table for validation; a tenth of the training rows chooses the best step"))
    subsets: tuple[np.ndarray, ...] = ()
    if train_examples:
        labels, kind = parts["train"].labels, first.task.kind
        drawn = [cross_validation.subset(labels, kind, train_examples, seed) for seed in subset_seeds]
        every, subsets = splits.together(drawn)
        parts["train"] = parts["train"].subset(every)
    task = dataclasses.replace(first.task, name=Path(data_file).name)  # results of two files are of two tasks
    columns = {
        "text_columns": list(first.choice.text),
        "label_columns": list(first.choice.label),
        "id_column": first.choice.id,
        "group_column": first.choice.group,
        "join_texts": first.choice.join,
        "pair": first.examples.texts_b is not None,
    }
    return OwnSplits(task, parts, tuple(said), n_skipped, columns, subsets)


def _entities(data_file: str, file: str) -> InputError:
    return InputError(
        f"{file}: holds entities and is no table of texts; give --config=own_tags --config.data_dir={data_file}, or "
        "stablefit fit the file"
    )


def files(data_file: str) -> dict[str, str]:
    """The table of each part, the training table first: `data_file` itself, or those of a folder by their names.

    Raises:
        InputError: it is not there, or a folder holds no training table, or two for one part.
    """
    place = Path(data_file).expanduser()
    if data_file == "-" or not place.is_dir():
        return {"train": data_file if data_file == "-" else str(place)}
    found: dict[str, str] = {}
    for part, stems in _NAMES.items():
        there = [file for file in sorted(place.iterdir()) if file.stem in stems and file.suffix.lower() in _SUFFIXES]
        if len(there) > 1:
            raise InputError(f"{place}: {' and '.join(f.name for f in there)} are both for {part}; keep one of them")
        if there:
            found[part] = str(there[0])
    if "train" not in found:
        names = ", ".join(sorted(file.name for file in place.iterdir())[:8]) or "nothing"
        raise InputError(f"{place}: no table called train.csv, .tsv, .jsonl, .parquet or .xlsx; it holds {names}")
    return found


def _names(columns: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in columns.split(",") if name.strip())
