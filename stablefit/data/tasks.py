"""What a task is: its labels, columns, files and metrics."""

import dataclasses
from pathlib import Path
from typing import Literal

from stablefit.errors import InputError

Kind = Literal["classification", "regression", "multilabel", "tagging"]
Column = tuple[str, ...] | int  # header names in the order they are looked for, or an index where there is no header


@dataclasses.dataclass(frozen=True)
class Columns:
    """Where a row holds its texts and its label; `text_b` is None for tasks of one text."""

    text_a: Column
    text_b: Column | None
    label: Column


@dataclasses.dataclass(frozen=True)
class Files:
    """File names looked for in the task's folder, in this order."""

    train: tuple[str, ...] = ("train.tsv", "train_subsample.tsv", "train.csv")
    dev: tuple[str, ...] = ("dev.tsv", "train_heldout.tsv", "dev.csv")
    test: tuple[str, ...] = ()  # looked for by tagging tasks; the others make their test set of `dev`


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set and how it is scored.

    Args:
        name: what configs call it.
        kind: classification over `labels`, regression to one number, multilabel: any number of `labels`, or tagging:
            finding entities of several types.
        labels: label strings as the files write them; a label's position is its id. Empty for regression, and for
            tagging, whose types are those of the training file.
        columns: where a row holds texts and label; None for a task that is not read from a folder.
        folder: the task's folder inside a data root; empty for a task that is not read from a folder.
        selection_metric: what the best evaluation on validation is chosen by.
        report_metric: what results are reported in.
        small: the dev set is halved into validation and test (the paper's four small sets).
        score_range: smallest and largest score of a regression task.
        skips_broken_rows: rows of the wrong width or without text are left out and counted; else they are errors.
        unit: what a tagging task gives a tag to.
        validation_tail: so many last examples of a tagging task's training file are its validation set by custom.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    columns: Columns | None
    folder: str
    selection_metric: str
    report_metric: str
    small: bool = False
    files: Files = Files()
    score_range: tuple[float, float] | None = None
    skips_broken_rows: bool = False
    unit: Literal["character", "word"] = "word"
    validation_tail: int = 0

    @property
    def n_outputs(self) -> int:
        """How many numbers the head gives for an example: one a class, or one score; of tagging only its job knows."""
        return len(self.labels) or 1

    @property
    def n_classes(self) -> int:
        """How many classes there are; 0 for regression and tagging."""
        return len(self.labels)


def _tagging(
    name: str, folder: str, unit: Literal["character", "word"], files: Files | None = None, tail: int = 0
) -> Task:
    endings = ("jsonl", "bio", "conll", "txt")
    parts = (("train",), ("validation", "valid", "dev"), ("test",))
    own = Files(*(tuple(f"{part}.{ending}" for part in names for ending in endings) for names in parts))
    metric = "entity_f1_strict"
    return Task(name, "tagging", (), None, folder, metric, metric, files=files or own, unit=unit, validation_tail=tail)


_SENTENCES = Columns(text_a=("sentence1",), text_b=("sentence2",), label=("label",))
_BINARY = ("0", "1")
_ENTAILMENT = ("entailment", "not_entailment")

# Label order is that of the processors the paper's code used, so that a head of theirs means the same here.
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("rte", "classification", _ENTAILMENT, _SENTENCES, "RTE", "accuracy", "accuracy", small=True),
        Task(
            "mrpc",
            "classification",
            _BINARY,
            Columns(("#1 String",), ("#2 String",), ("Quality",)),
            "MRPC",
            selection_metric="accuracy",
            report_metric="f1",
            small=True,
        ),
        Task("cola", "classification", _BINARY, Columns(3, None, 1), "CoLA", "matthews", "matthews", small=True),
        Task(
            "stsb",
            "regression",
            (),
            Columns(("sentence1",), ("sentence2",), ("score",)),
            "STS-B",
            selection_metric="spearman",
            report_metric="spearman",
            small=True,
            score_range=(0.0, 5.0),
        ),
        Task(
            "sst2", "classification", _BINARY, Columns(("sentence",), None, ("label",)), "SST-2", "accuracy", "accuracy"
        ),
        Task(
            "qnli",
            "classification",
            _ENTAILMENT,
            # GLUE's files say question and sentence; re-exports say sentence1 and sentence2.
            Columns(("question", "sentence1"), ("sentence", "sentence2"), ("label",)),
            "QNLI",
            selection_metric="accuracy",
            report_metric="accuracy",
        ),
        Task(
            "qqp",
            "classification",
            _BINARY,
            Columns(("question1", "sentence1"), ("question2", "sentence2"), ("is_duplicate", "label")),
            "QQP",
            selection_metric="accuracy",
            report_metric="accuracy",
            # GLUE's QQP has a few rows that a stray newline cut in two; everybody who reads it leaves them out.
            skips_broken_rows=True,
        ),
        Task(
            "mnli",
            "classification",
            ("contradiction", "entailment", "neutral"),
            Columns(("sentence1",), ("sentence2",), ("gold_label", "label")),
            "MNLI",
            selection_metric="accuracy",
            report_metric="accuracy",
            files=Files(dev=("dev_matched.tsv", "dev.tsv", "train_heldout.tsv", "dev.csv")),
        ),
        Task("reviews", "classification", ("rotten", "fresh"), None, "", "accuracy", "accuracy"),
        # What it is depends on the file: data/own.py finds it out.
        Task("texts", "classification", (), None, "", "accuracy", "accuracy"),
        # The tags of train.bio are those of train.jsonl with short names; there is no gold test set.
        _tagging("ccks", "CCKS2020_military", "character", Files(("train.bio", "train.jsonl"), (), ())),
        _tagging("msra", "MSRA_NER", "character", Files(("msra_train_bio.txt",), (), ("msra_test_bio.txt",)), 3000),
        _tagging("tagging", "", "word"),
        _tagging("tagging_characters", "", "character"),
    )
}


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        InputError: there is none; the message names those there are.
    """
    if name not in TASKS:
        raise InputError(f"task {name!r} is not known; known tasks: {', '.join(TASKS)}")
    return TASKS[name]


def task_folder(task: Task, data_dir: str | Path) -> Path:
    """The task's own folder: `data_dir` itself if it holds the training file, else its sub-folder named after the task.

    Raises:
        InputError: neither holds a training file.
    """
    root = Path(data_dir).expanduser()
    if not root.is_dir():
        right = f"give the {task.folder} folder or one that holds it" if task.folder else "give a file or a folder"
        raise InputError(f"data_dir {str(data_dir)!r} is not a folder; {right}")
    for folder in (root / task.folder, root):
        if any((folder / name).is_file() for name in task.files.train):
            return folder
    inside = f" and in its folder {task.folder}" if task.folder else ""
    raise InputError(
        f"data_dir {str(data_dir)!r} holds no training file of task {task.name}; looked in it{inside} for "
        f"{', '.join(task.files.train)}"
    )


Part = Literal["train", "dev", "test"]


def task_file(task: Task, data_dir: str | Path, part: Part) -> Path:
    """The file of one part of the task.

    Raises:
        InputError: no file has one of the names looked for.
    """
    file = find_file(task, data_dir, part)
    if file is None:
        looked = ", ".join(getattr(task.files, part))
        raise InputError(f"{task_folder(task, data_dir)}: no {part} file of task {task.name}; looked for {looked}")
    return file


def find_file(task: Task, data_dir: str | Path, part: Part) -> Path | None:
    """The file of one part of the task; None if there is none.

    Of a tagging task without a folder of its own, `data_dir` may be the training file itself, under any name.

    Raises:
        InputError: two of a person's own files could be meant.
    """
    own = task.kind == "tagging" and not task.folder
    if own and Path(data_dir).expanduser().is_file():
        return Path(data_dir).expanduser() if part == "train" else None
    folder = task_folder(task, data_dir)
    there = [folder / name for name in getattr(task.files, part) if (folder / name).is_file()]
    if own and len(there) > 1:
        raise InputError(f"{folder}: {' and '.join(file.name for file in there)} are both for {part}; keep one of them")
    return there[0] if there else None
