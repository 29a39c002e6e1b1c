"""Train, validation and test of a tagging task: from its files, or by k-fold cross-validation of one file."""

from pathlib import Path

import numpy as np

from stablefit.data.ner import TaggedExamples, check_labels, label_set, read_columns, read_spans
from stablefit.data.splits import balanced_subset, k_fold
from stablefit.data.tagging import Scheme
from stablefit.data.tasks import Task, find_file, task_file
from stablefit.errors import InputError

FOLDS_SEED = 0  # one cut for every run: seeds of runs must not change the data
VALIDATION_SHARE = 10  # one document in so many of those that are not held out chooses the best step


def read_documents(task: Task, data_dir: str, folds: int, scheme: Scheme) -> dict[str, TaggedExamples]:
    """The documents of each file that a run needs: 'train', and without folds 'test', and 'dev' if it is there.

    Raises:
        InputError: a file is missing or cannot be read, or has a type of entity that the training file does not have.
    """
    if not data_dir:
        holder = f"the folder {task.folder} or one that holds it" if task.folder else "the folder of its files"
        raise InputError(f"data_dir is not set; task {task.name} needs {holder}")
    files = {"train": task_file(task, data_dir, "train")}
    if not folds:
        test, dev = (find_file(task, data_dir, part) for part in ("test", "dev"))
        if test is None:
            looked = f"looked for {', '.join(task.files.test)}; " if task.files.test else ""
            raise InputError(
                f"task {task.name} has no test file in {files['train'].parent}; {looked}set config field folds, such "
                "as folds=5, for cross-validation"
            )
        files |= {"test": test} | ({"dev": dev} if dev else {})
    documents = {part: _read(task, file, scheme) for part, file in files.items()}
    types = label_set(documents["train"])
    if not types:
        raise InputError(f"{files['train']}: no entities in it, so there is nothing to learn")
    for part in documents.values():
        check_labels(part, types)
    return documents


def _read(task: Task, file: Path, scheme: Scheme) -> TaggedExamples:
    if file.suffix == ".jsonl":
        return read_spans(file, task.unit)
    return read_columns(file, scheme, characters=task.unit == "character")


def choose(
    n: int, train_examples: int, folds: int, fold: int, validation_tail: int = 0, has_dev: bool = False
) -> dict[str, np.ndarray]:
    """Which of the n documents of the training file are for what: ascending indices.

    With folds, those of one fold are the test set. Validation, which chooses the best step, is a tenth of the others,
    so that the test set chooses nothing. Without folds it is a tenth of all, unless there is a file of its own, or the
    last `validation_tail` documents by custom.

    Args:
        n: documents of the training file.
        train_examples: how many of those left for training are taken; 0 for all.
        folds: 0 for none.
        fold: in 0 <= fold < folds.
        validation_tail: less than n.
        has_dev: whether there is a file of validation documents.

    >>> {part: indices.tolist() for part, indices in choose(8, 3, folds=4, fold=1).items()}
    {'test': [0, 3], 'validation': [4], 'train': [1, 2, 5]}
    """
    chosen: dict[str, np.ndarray] = {}
    train = np.arange(n)
    if folds:
        train, chosen["test"] = k_fold(n, folds, FOLDS_SEED)[fold]
    if len(train) < 2 + (0 if folds else validation_tail):
        raise InputError(f"{n} documents are too few for training and validation; there must be more")
    if validation_tail and not folds:
        train, chosen["validation"] = train[:-validation_tail], train[-validation_tail:]
    elif not has_dev:
        kept, validation = k_fold(len(train), min(VALIDATION_SHARE, len(train)), FOLDS_SEED)[0]
        train, chosen["validation"] = train[kept], train[validation]
    if train_examples:
        train = train[balanced_subset(np.zeros(len(train)), train_examples, 0)]
    return {**chosen, "train": train}
