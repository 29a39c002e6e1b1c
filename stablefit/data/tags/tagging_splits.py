"""Train, validation and test of a tagging task: from its files, or by k-fold cross-validation of one file."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stablefit.data.readers import read_text
from stablefit.data.splits import SUBSET_SEED, balanced_subset, k_fold
from stablefit.data.tags import column_files, json_documents
from stablefit.data.tags.ner import TaggedExamples, check_labels, label_set, read_columns, read_spans
from stablefit.data.tags.tagging import Scheme
from stablefit.data.tags.words import Unit
from stablefit.data.tasks import Part, Task, find_file, task_file
from stablefit.errors import InputError

_LOOKED_AT = 2000  # sentences that show what the columns hold
FOLDS_SEED = 0  # one cut for every run: seeds of runs must not change the data
VALIDATION_SHARE = 10  # one document in so many of those that are not held out chooses the best step


class Reading(NamedTuple):
    """How files are read.

    Args:
        scheme: of the tags of column files.
        word, tag: the numbers of these columns, from 1; "" for the first and the last one.
        skip_bad: examples that cannot be read are left out and counted.
    """

    scheme: Scheme = "iob2"
    word: str = ""
    tag: str = ""
    skip_bad: bool = False

    def column(self, name: str) -> int:
        """A column counted from 0, or from the last one, which is -1.

        Raises:
            InputError: it is no number from 1.
        """
        value = getattr(self, name)
        field = {"word": "text_columns", "tag": "label_column"}[name]
        if value and not (value.isascii() and value.isdecimal() and int(value)):
            raise InputError(f"config field {field} is {value!r}; a file of tags has numbers of columns, from 1")
        return int(value) - 1 if value else {"word": 0, "tag": -1}[name]


def read_documents(
    task: Task, data_dir: str, folds: int, how: Reading, train_on_all: bool = False
) -> dict[str, TaggedExamples]:
    """The documents of each file that a run needs: 'train', and without folds 'test', and 'dev' if it is there.

    With `train_on_all` there need be no 'test', and 'dev' is not read: nothing is chosen by it.

    Raises:
        InputError: a file is missing or cannot be read, or has a type of entity that the training file does not have.
    """
    if not data_dir:
        holder = f"the folder {task.folder} or one that holds it" if task.folder else "the folder of its files"
        raise InputError(f"data_dir is not set; task {task.name} needs {holder}")
    files = {"train": task_file(task, data_dir, "train")}
    if not folds:
        test, dev = (find_file(task, data_dir, part) for part in ("test", "dev"))
        if test is None and not train_on_all:
            looked = f"looked for {', '.join(task.files.test)}; " if task.files.test else ""
            raise InputError(
                f"task {task.name} has no test file in {files['train'].parent}; {looked}set config field folds, such "
                "as folds=5, for cross-validation"
            )
        files |= {"test": test} if test else {}
        files |= {"dev": dev} if dev and not train_on_all else {}
    documents = {part: read_file(file, task.unit, how) for part, file in files.items()}
    types = label_set(documents["train"])
    if not types:
        raise InputError(f"{files['train']}: no entities in it, so there is nothing to learn")
    for part in documents.values():
        check_labels(part, types)
    return documents


def unread(task: Task, data_dir: str, parts: Sequence[Part] = ("dev", "test")) -> tuple[str, ...]:
    """The names of the files of these parts that there are, which cross-validation has no use for."""
    files = (find_file(task, data_dir, part) for part in parts)
    return tuple(file.name for file in files if file is not None)


def read_file(file: Path, unit: Unit, how: Reading, *, units16: bool = False) -> TaggedExamples:
    """A file of columns, or of JSON objects, whatever it is called.

    Args:
        units16: whether the offsets of JSON lines count UTF-16 units.

    Raises:
        InputError: it cannot be read.
    """
    if holds_objects(file):
        return read_spans(file, unit, units16=units16, skip_bad=how.skip_bad)
    word, tag = how.column("word"), how.column("tag")
    characters = unit == "character"
    return read_columns(file, how.scheme, characters=characters, word=word, tag=tag, skip_bad=how.skip_bad)


def described(file: Path, how: Reading) -> str:
    """What is read of a file that has been read so, in words; of a file of columns which ones."""
    if holds_objects(file):
        return json_documents.described(file)
    sentences = column_files.sentences(read_text(file), comments=how.column("word") > 0)
    found = list(itertools.islice(sentences, _LOOKED_AT))
    width = len(found[0].rows[0])
    word, tag = how.column("word"), how.column("tag") % width
    others = tuple(column for column in column_files.tag_columns(found) if column not in (word, tag))
    return column_files.described(column_files.Layout(word, tag, width, others), "label_column")


def holds_objects(file: Path) -> bool:
    """Whether a file is one of JSON objects, a line each or in an array."""
    return file.suffix in (".jsonl", ".json") or (file.is_file() and _begins_with_an_object(file))


def _begins_with_an_object(file: Path) -> bool:
    with file.open("rb") as stream:
        return json_documents.begin(stream.read(200).removeprefix(b"\xef\xbb\xbf"))


def units(groups: Sequence[int], folds: int) -> np.ndarray:
    """What is held out as one: int64 [n], equal for examples that stay together.

    The sentences of a document share names, so a document is kept whole: else the score would be of names that were
    seen in training. Where there are too few documents for that, every example is its own.

    Args:
        groups: the document of each example.
        folds: 0 for none.

    >>> units([0, 0, 1], folds=2).tolist()
    [0, 1, 2]
    """
    _, document = np.unique(np.asarray(groups, np.int64), return_inverse=True)
    enough = document.max(initial=0) + 1 >= VALIDATION_SHARE + folds
    return document if enough else np.arange(len(document))


def choose(
    unit: np.ndarray,
    train_examples: int,
    folds: int,
    fold: int,
    validation_tail: int = 0,
    has_dev: bool = False,
    seen: int = 0,
    subset_seed: int = SUBSET_SEED,
) -> dict[str, np.ndarray]:
    """Which of the n examples of the training file are for what: ascending indices.

    With folds, those of one fold are the test set. Validation, which chooses the best step, is a tenth of the others,
    so that the test set chooses nothing. Without folds it is a tenth of all, unless there is a file of its own, or the
    last `validation_tail` examples by custom.

    Args:
        unit: [n], from `units`.
        train_examples: how many of those left for training are taken; 0 for all.
        folds: 0 for none.
        fold: in 0 <= fold < folds.
        validation_tail: less than n.
        has_dev: whether there is a file of validation examples.
        seen: with folds, so many training examples stand in for validation, and none is set aside for it.
        subset_seed: which `train_examples` are drawn.

    >>> {part: indices.tolist() for part, indices in choose(np.arange(8), 3, folds=4, fold=1).items()}
    {'test': [0, 3], 'validation': [4], 'train': [1, 2, 5]}
    """
    chosen: dict[str, np.ndarray] = {}
    train = np.arange(len(unit))
    if folds:
        train, chosen["test"] = _parts(unit, folds)[fold]
    if len(train) < 2 + (0 if folds else validation_tail):
        raise InputError(f"{len(unit)} documents are too few for training and validation; there must be more")
    if validation_tail and not folds:
        train, chosen["validation"] = train[:-validation_tail], train[-validation_tail:]
    elif not has_dev and not (folds and seen):
        most = len(np.unique(unit[train]))
        kept, validation = _parts(unit[train], min(VALIDATION_SHARE, most))[0]
        train, chosen["validation"] = train[kept], train[validation]
    if train_examples:
        train = train[balanced_subset(np.zeros(len(train)), train_examples, 0, subset_seed)]
    if folds and seen:
        chosen["validation"] = train[:seen]
    return {**chosen, "train": train}


def everything(
    n: int, train_examples: int, seen: int, has_test: bool, subset_seed: int = SUBSET_SEED
) -> dict[str, np.ndarray]:
    """Indices for a model to keep: all n examples train it, and the first of these stand in for what is held out.

    Args:
        n: examples of the training file.
        train_examples: how many of them are taken; 0 for all.
        seen: how many are scored in place of validation, and of test where there is no file of it.
        has_test: whether there is one.
        subset_seed: which `train_examples` are drawn.

    >>> {part: indices.tolist() for part, indices in everything(3, 0, seen=2, has_test=False).items()}
    {'train': [0, 1, 2], 'validation': [0, 1], 'test': [0, 1]}
    """
    train = balanced_subset(np.zeros(n), train_examples, 0, subset_seed) if train_examples else np.arange(n)
    held = {"validation": train[:seen]} if has_test else {"validation": train[:seen], "test": train[:seen]}
    return {"train": train, **held}


def _parts(unit: np.ndarray, k: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """`k_fold` of the units, as indices of examples."""
    _, unit = np.unique(unit, return_inverse=True)
    return [
        (np.flatnonzero(np.isin(unit, kept)), np.flatnonzero(np.isin(unit, held_out)))
        for kept, held_out in k_fold(int(unit.max(initial=-1)) + 1, k, FOLDS_SEED)
    ]
