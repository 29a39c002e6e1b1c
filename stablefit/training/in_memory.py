"""A run on texts and labels that a program holds in memory."""

import contextlib
import json
import re
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stablefit.data.tables import given
from stablefit.errors import InputError
from stablefit.paths import Tree
from stablefit.training import bundle, checkpoints, host, job, loop, settings
from stablefit.training.files import write_whole
from stablefit.training.observer import Observer
from stablefit.training.progress import Progress
from stablefit.training.rundir import RunDirectory
from stablefit.training.signals import Interrupted

_FILES = {"train": "train.jsonl", "validation": "dev.jsonl", "test": "test.jsonl"}
_OWN = ("data_dir", "data_file", "text_columns", "label_column", "join_texts", "id_column", "group_column")


class Finished(NamedTuple):
    """What a run gives."""

    rows: list[dict[str, Any]]  # of each seed, as results.jsonl has them
    params: list[Tree]  # of each seed, of the best step on validation; empty where config.keep is 'none', and {} of a
    # seed that diverged before it was first scored
    labels: tuple[str, ...]  # what the outputs stand for; empty for a number


def run(
    config: Mapping[str, Any],
    data: Mapping[str, tuple[Any, Any]],
    *,
    workdir: str | Path | None = None,
    observers: Sequence[Observer] = (),
    quiet: bool = True,
) -> Finished:
    """Fine-tunes one setting over its seeds, as `stablefit run` does, on texts and labels.

    Args:
        config: every field, such as `stablefit.configs.own.get_config()` gives; those that say where the data lies and
            what its columns are stay as they are.
        data: part -> texts and labels. 'train'; 'test' and 'validation' if there are such, else `config.folds` cuts
            them from it. Texts are strings or pairs of strings. Labels are strings or whole numbers, one a text or a
            list or set of them; or numbers, of which one is no whole number (else set `config.label_kind`).
        workdir: where results go and stay, for predict, export and report, and to go on from; the texts lie beside it.
            None: nowhere.
        observers: who is told of it as it goes on.
        quiet: show no progress.

    Raises:
        InputError: something given cannot be used.
        KeyboardInterrupt: the run was stopped; with a workdir the same call goes on from there.
    """
    host.prepare_unless_set()
    values = dict(config)
    for name in _OWN:
        if values.get(name):
            raise InputError(f"config field {name} is {values[name]!r}; the data is given: leave it as it is")
    if "train" not in data or not data.keys() <= _FILES.keys():
        raise InputError(
            f"data has {', '.join(map(repr, data))}; it must have 'train', and may have 'validation', 'test'"
        )
    with _place(workdir) as (folder, results):
        texts: dict[str, str] = {}
        for part in sorted(data, key=list(_FILES).index):
            lines, values["label_kind"] = _lines(part, *data[part], values.get("label_kind", "auto"))
            texts[_FILES[part]] = "".join(json.dumps(line) + "\n" for line in lines)
            values["text_columns"] = "text,text_b" if "text_b" in lines[0] else "text"
        _write(texts, folder, results)
        values |= {"task": "texts", "data_file": str(folder), "label_column": "label"}
        read = settings.read(values)
        try:
            ready = job.load(read)
        except InputError as error:
            raise InputError(_of_data(str(error), folder)) from None
        return _run(ready, results, observers, quiet)


def _run(ready: job.Job, results: Path, observers: Sequence[Observer], quiet: bool) -> Finished:
    try:
        with RunDirectory(results, ready.settings, ready.digest) as directory:
            bundle.ensure(results, ready)
            total = loop.planned_steps(ready, list(directory.results().values()))
            with Progress(total, quiet=quiet) as display:
                rows = loop.run(ready, directory, display, observers=observers)
    except Interrupted as stop:
        if stop.signum == signal.SIGINT:
            raise KeyboardInterrupt from None
        raise SystemExit(128 + stop.signum) from None
    kept = ready.values["keep"] != "none"
    folders = [results / f"seed_{row['seed']}" / "best" for row in rows] if kept else []
    lost = [row["diverged"] and not folder.is_dir() for row, folder in zip(rows, folders, strict=False)]
    params = [{} if gone else checkpoints.load_params(folder) for folder, gone in zip(folders, lost, strict=True)]
    return Finished(rows, params, tuple(ready.objective.labels))


def _write(texts: Mapping[str, str], folder: Path, results: Path) -> None:
    """Writes the files that a run reads; what an earlier run has read stays."""
    there = {file.name: file.read_text() for file in folder.glob("*.jsonl")}
    if there and there != texts:
        raise InputError(f"workdir {results} holds a run on other data; give another workdir, or the data of then")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        if name not in there:
            write_whole(folder / name, text)


@contextlib.contextmanager
def _place(workdir: str | Path | None) -> Iterator[tuple[Path, Path]]:
    """The folders of the data and of the results."""
    if workdir is not None:
        results = Path(workdir).expanduser()
        yield results.with_name(results.name + "_data"), results
        return
    with tempfile.TemporaryDirectory(prefix="stablefit_") as place:
        yield Path(place) / "data", Path(place) / "run"


def _lines(part: str, texts: Any, labels: Any, kind: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of a JSON-lines file, and the kind of their labels."""
    try:
        found = given.texts(texts, training=True)
        kind, values = _labels(labels, kind)
        given.check_lengths(len(found), len(values))
    except InputError as error:
        raise InputError(f"data[{part!r}]: {error}") from None
    lines = [{"text": text, "label": label} for text, label in zip(found.first, values, strict=True)]
    if found.second is not None:
        lines = [{**line, "text_b": text} for line, text in zip(lines, found.second, strict=True)]
    return lines, kind


def _labels(labels: Any, kind: str) -> tuple[str, list[Any]]:
    listed = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    several = any(isinstance(one, (set, frozenset, list, tuple)) for one in listed)
    fraction = any(isinstance(one, float) and not one.is_integer() for one in listed)
    if kind == "regression" or (kind == "auto" and not several and fraction):
        return "regression", given.numbers(labels)
    if kind == "multilabel" or (kind == "auto" and several):
        if not all(isinstance(one, (set, frozenset, list, tuple)) for one in listed):
            raise InputError("y has one label where others are several; give a list of labels for each text")
        return "multilabel", [sorted(map(str, one)) for one in listed]
    return "classification", [str(one) for one in listed]


def _of_data(message: str, folder: Path) -> str:
    """A message with the data's own places for those in files that the caller has not written."""
    for part, name in _FILES.items():
        message = re.sub(
            re.escape(str(folder / name)) + r":(\d+)",
            lambda found, part=part: f"data[{part!r}], row {int(found[1]) - 1}",
            message,
        )
        message = message.replace(str(folder / name), f"data[{part!r}]")
    return message.replace(str(folder), "data")
