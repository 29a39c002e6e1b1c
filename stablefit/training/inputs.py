"""The only loader of data: a config's task -> an objective with its encoded examples."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stablefit import factors
from stablefit.data import cross_validation, encoding, splits, tasks, texts
from stablefit.data.digest import Digest, digest_of
from stablefit.data.encoding import Encoded
from stablefit.data.readers import Examples
from stablefit.data.tags import tagging, tagging_encoding, tagging_splits
from stablefit.data.tags.ner import TaggedExamples, label_set
from stablefit.data.tags.tagging_encoding import EncodedTags
from stablefit.data.tasks import Task
from stablefit.errors import InputError
from stablefit.fields import FIELDS, Spec
from stablefit.objectives.classification import Classification
from stablefit.objectives.multilabel import Multilabel
from stablefit.objectives.objective import Objective
from stablefit.objectives.regression import Regression
from stablefit.objectives.tagging import Tagging
from stablefit.training.settings import Settings

_OF_TAGGING, _OF_TEXTS, _OF_SEQUENCES = (
    {name: field.default for name, field in FIELDS.items() if field.only == kind}
    for kind in ("tagging", "texts", "sequences")
)
_OF_OWN_TAGS = ("text_columns", "label_column", "skip_bad")  # the columns by their numbers
_SEEN = 64  # with nothing held out, so many training rows are scored in its place


class Inputs(NamedTuple):
    """What a run is trained and scored on."""

    task: Task
    objective: Objective
    digest: Digest
    n_skipped: int  # broken rows of the files, which are left out
    columns: Mapping[str, Any]  # of own texts: which columns hold what
    pieces: str  # how the tokenizer cuts, in words


class Texts(NamedTuple):
    """What was read for a task of one answer a text."""

    task: Task
    parts: dict[str, Examples]  # 'train', and 'validation' and 'test' if there is a file, or a part of one, for them
    said: tuple[tuple[str, str], ...]  # for the announcement
    n_skipped: int
    columns: dict[str, Any]
    subsets: tuple[np.ndarray, ...] = ()  # of several training subsets: the rows of 'train' that each has


def read(settings: Settings) -> Callable[[Path, int], Inputs]:
    """Reads the files, without a look at the model; what is returned encodes them with the model's tokenizer.

    Raises:
        InputError: a file cannot be used, or a field is set that this kind of task does not have.
    """
    spec = settings.spec
    task = tasks.get_task(spec.task)
    _check_fields(task, settings.values)
    if task.kind == "tagging":
        _documents(*_tagged_source(task, spec))
        return functools.partial(_tags, task, settings)
    found = _texts(*_source(task, settings))
    return functools.partial(_sequences, found, settings)


def examples(settings: Settings) -> Mapping[str, Examples]:
    """The texts and labels of each part, as they were read; of tasks of one answer a text.

    In cross-validation 'train' is what all folds are cut from.
    """
    return _texts(*_source(tasks.get_task(settings.spec.task), settings)).parts


def _check_fields(task: Task, values: Mapping[str, Any]) -> None:
    """Refuses fields that would be ignored."""
    other: dict[str, Any] = {}
    if task.name != "texts":
        shared = _OF_OWN_TAGS if task.kind == "tagging" and not task.folder else ()
        other |= {name: default for name, default in _OF_TEXTS.items() if name not in shared}
    other |= _OF_SEQUENCES if task.kind == "tagging" else _OF_TAGGING
    for name, default in other.items():
        if values[name] not in (default, FIELDS[name].off):
            raise InputError(f"config field {name} is {values[name]!r}; task {task.name} has no use for it: leave it")
    if values["data_dir"] and (task.name == "texts" or task.name == "reviews"):
        instead = "set data_file" if task.name == "texts" else "it is embedded; for your own file set task=texts"
        raise InputError(
            f"config field data_dir is {values['data_dir']!r}; task {task.name} does not read it: {instead}"
        )


def _factors(settings: Settings) -> list[tuple[str, str]]:
    """What varies between the seeds, for the announcement."""
    found, n = settings.spec.factors, factors.combinations(settings.spec.factors)
    if not found:
        return []
    told = ", ".join(f"{factor.title} ({factor.levels})" for factor in found)
    return [("factors", f"{told}: seeds 0 to {n - 1} are every combination once")]


# A study asks for the same files once a cell; nobody changes what was read.


def _source(task: Task, settings: Settings) -> tuple[Any, ...]:
    spec = settings.spec
    own = tuple((name, getattr(spec, name)) for name in _OF_TEXTS)
    return task, spec.data_dir, (spec.train_examples, settings.subset_seeds), spec.folds, own


@functools.lru_cache(maxsize=2)
def _texts(task: Task, data_dir: str, drawn: tuple[int, tuple[int, ...]], folds: int, own: tuple[Any, ...]) -> Texts:
    train_examples, seeds = drawn
    if task.name == "texts":
        read = texts.read_own(**dict(own), train_examples=train_examples, subset_seeds=seeds)
        return Texts(read.task, read.parts, read.said, read.n_skipped, read.columns, read.subsets)
    found = splits.load_splits(task, data_dir, train_examples=train_examples, subset_seeds=seeds)
    parts = {"train": found.train, "validation": found.validation, "test": found.test}
    said = found.said
    if folds:
        parts = {"train": found.train}
        said = (("unread", "the examples for validation and test: folds are cut from the training examples"),)
    return Texts(task, parts, said, found.n_skipped, {}, found.subsets)


@functools.lru_cache(maxsize=2)
def _encoded_texts(source: tuple[Any, ...], directory: Path, vocab_size: int, max_length: int) -> dict[str, Encoded]:
    tokenizer = _tokenizer(directory, vocab_size)
    parts = _texts(*source).parts
    return {name: encoding.encode(part, tokenizer, max_length) for name, part in parts.items()}


def _chosen(found: Texts, spec: Spec, encoded: Mapping[str, Encoded]) -> list[dict[str, np.ndarray]]:
    """Which of the training table's rows are for what; empty where the tables are the splits."""
    has_validation = spec.train_on_all or ("validation" in encoded and not spec.folds)
    if has_validation and not spec.folds and not spec.train_on_all:
        return [{"train": rows} for rows in found.subsets]
    if not (spec.folds or spec.train_on_all or "test" in encoded):
        raise InputError(
            f"{spec.data_file} has no rows to test on; set config field folds, such as folds=5, for "
            "cross-validation, or give a folder with a test table"
        )
    labels, groups = encoded["train"].labels, found.parts["train"].groups
    chosen = []
    for rows in found.subsets or (np.arange(len(labels)),):
        own = None if groups is None else groups[rows]
        parts = cross_validation.choose(labels[rows], found.task.kind, own, spec.folds, has_validation)
        chosen += [{name: rows[part] for name, part in one.items()} for one in parts]
    for part in chosen if spec.train_on_all else ():
        part["validation"] = part["train"][:_SEEN]
        if not spec.folds and "test" not in encoded:
            part["test"] = part["validation"]
    return chosen


def _sequences(found: Texts, settings: Settings, directory: Path, vocab_size: int) -> Inputs:
    task, spec = found.task, settings.spec
    source = _source(tasks.get_task(spec.task), settings)
    encoded = _encoded_texts(source, directory, vocab_size, spec.max_length)
    train, said = encoded["train"], list(found.said)
    chosen = _chosen(found, spec, encoded)
    if spec.train_on_all:
        said.append(("steps", "none is chosen: validation is of rows that are trained on, and the last step counts"))
    unread = [name for name in encoded if name != "train" and (spec.folds or (spec.train_on_all and name != "test"))]
    said += [("unread", f"the table for {' and for '.join(unread)}")] if unread else []
    if spec.folds:
        said.append(("folds", f"{spec.folds}: seed s is tested on fold s mod {spec.folds}"))
        encoded = {"train": train}
    said += _factors(settings)
    kind = {"classification": Classification, "regression": Regression, "multilabel": Multilabel}[task.kind]
    further = {"standardised": True} if task.kind == "regression" and spec.task == "texts" else {}
    if spec.class_weights == "balanced" and task.kind != "classification":
        raise InputError(f"config field class_weights is 'balanced'; {task.kind} has no classes: set it to none")
    objective = kind(
        task, encoded, tuple(chosen), spec.pooling, tuple(said), spec.class_weights == "balanced", **further
    )
    digest = digest_of(encoded if settings.n_parts or spec.train_on_all else objective.data(0), task.labels)
    pieces = encoding.described(_tokenizer(directory, vocab_size), directory)
    return Inputs(task, objective, digest, found.n_skipped, found.columns, pieces)


def _tagged_source(task: Task, spec: Spec) -> tuple[Task, str, int, tagging_splits.Reading, bool]:
    how = tagging_splits.Reading(spec.tag_scheme, spec.text_columns, spec.label_column, spec.skip_bad)
    return task, spec.data_dir, spec.folds, how, spec.train_on_all


@functools.lru_cache(maxsize=2)
def _documents(
    task: Task, data_dir: str, folds: int, how: tagging_splits.Reading, train_on_all: bool
) -> dict[str, TaggedExamples]:
    return tagging_splits.read_documents(task, data_dir, folds, how, train_on_all)


@functools.lru_cache(maxsize=2)
def _described(task: Task, data_dir: str, how: tagging_splits.Reading) -> str:
    return tagging_splits.described(tasks.task_file(task, data_dir, "train"), how)


@functools.lru_cache(maxsize=2)
def _encoded_tags(
    source: tuple[Task, str, int, tagging_splits.Reading, bool],
    directory: Path,
    vocab_size: int,
    max_length: int,
    pieces: tagging_encoding.Pieces,
) -> dict[str, EncodedTags]:
    documents = _documents(*source)
    tokenizer = _tokenizer(directory, vocab_size)
    tags = tagging.tag_names(label_set(documents["train"]), "iob2")
    return {
        name: tagging_encoding.encode_tags(part, tags, tokenizer, max_length, source[0].unit, pieces)
        for name, part in documents.items()
    }


def _tags(task: Task, settings: Settings, directory: Path, vocab_size: int) -> Inputs:
    spec = settings.spec
    source = _tagged_source(task, spec)
    encoded = _encoded_tags(source, directory, vocab_size, spec.max_length, spec.pieces)
    types = label_set(encoded["train"].documents)
    unread: tuple[str, ...] = ()
    if spec.folds or spec.train_on_all:
        unread = tagging_splits.unread(task, spec.data_dir, ("dev", "test") if spec.folds else ("dev",))
    seen = _SEEN if spec.train_on_all else 0
    shared = spec.pieces == "text"
    # What is read of a person's own file; the files of a set with a name are known.
    read = "" if task.folder else _described(task, spec.data_dir, source[3])
    how = spec.train_examples, spec.folds, spec.crf, shared, unread, seen, read, settings.subset_seeds
    objective = Tagging(task, encoded, types, *how, tuple(_factors(settings)))
    digest = digest_of(encoded if settings.n_parts or spec.train_on_all else objective.data(0), objective.labels)
    pieces = encoding.described(_tokenizer(directory, vocab_size), directory)
    return Inputs(task, objective, digest, sum(part.n_skipped for part in _documents(*source).values()), {}, pieces)


@functools.lru_cache(maxsize=2)
def _tokenizer(directory: Path, vocab_size: int) -> encoding.Tokenizer:
    return encoding.load_tokenizer(directory, vocab_size)


def forget() -> None:
    """Drops what was read, for files that have changed since."""
    for cached in (_texts, _encoded_texts, _documents, _described, _encoded_tags):
        cached.cache_clear()
