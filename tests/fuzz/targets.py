"""What reads what a person wrote, each as a function of bytes: it gives a result or an InputError, or it is at fault.

A target puts the bytes where its reader looks, calls the reader, and looks at what comes back. Whatever else is raised
is a fault: another exception, a message that is no line, names no place, or a result that cannot be.
"""

import functools
import json
import logging
import re
import shutil
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from stablefit import declaring, factors, flags, paths
from stablefit.configs import base
from stablefit.data import readers, tasks
from stablefit.data.tables import own
from stablefit.data.tags import own_tags
from stablefit.fields import FIELDS
from stablefit.models import hf
from stablefit.models.config import EncoderConfig
from stablefit.study import grid, packed, reading
from stablefit.study.runs_table import flat
from stablefit.training import rundir, settings
from tests.fuzz.outcome import PLACE, choice, said, written
from tests.fuzz.programs import is_harmless

MOST = 20_000  # bytes that a target looks at

Target = Callable[[bytes], None]

# --- texts, sentences, documents

_SUFFIXES = [".csv", ".tsv", ".jsonl", ".json", ".txt", ".tab"]


def tables(data: bytes) -> None:
    """A person's own table; the first byte says how it is called."""
    suffix, content = choice(data, _SUFFIXES)
    file = written(f"table{suffix}", content)
    for skip_bad in (False, True):
        found = said(lambda skip_bad=skip_bad: own.read(file, skip_bad=skip_bad), file)
        if found is not None:
            check_texts(*found)


def check_texts(table: Any, texts: Any) -> None:
    """Every row that was read is an example, in its order, or was left out and counted."""
    examples = texts.examples
    n = len(examples.texts_a)
    assert n
    assert len(examples.labels) == len(examples.ids) == n == len(texts.lines)
    assert examples.texts_b is None or len(examples.texts_b) == n
    assert n + examples.n_skipped >= len(table.rows)
    assert len(table.rows) == len(table.lines)
    assert all(text.strip() for text in examples.texts_a) or texts.choice.join
    assert all(len(row) == len(table.columns) for row in table.rows)
    if len(texts.choice.text) == 1 and not texts.choice.join:
        there = dict(zip(table.lines, table.column(texts.choice.text[0]), strict=True))
        assert [there[line] for line in texts.lines] == examples.texts_a
    assert np.isfinite(examples.labels).all()
    for text in examples.texts_a:
        text.encode()


def workbook(data: bytes) -> None:
    """What is called a workbook, or a Parquet file."""
    suffix, content = choice(data, [".xlsx", ".parquet"])
    file = written(f"table{suffix}", content)
    said(lambda: own.read(file), file)


_TAG_ASKED = [
    own_tags.Asked(),
    own_tags.Asked(skip_bad=True),
    own_tags.Asked(word="2", tag="3"),
    own_tags.Asked(unit="word", scheme="iobes"),
    own_tags.Asked(tag="9" * 5000),
]


def tags(data: bytes) -> None:
    """A file of words and tags, or of documents with entities."""
    asked, content = choice(data, _TAG_ASKED)
    file = written("train.txt", content)
    said(lambda: own_tags.holds_tags(str(file)), file)
    found = said(lambda: own_tags.understand(file, asked), file, "--label", "--text", "--scheme")
    if found is None:
        return
    examples = found.examples
    assert len(examples.words) == len(examples.entities) == len(examples.ids) == len(examples.texts)
    for words, spans, text, bounds in zip(
        examples.words, examples.entities, examples.texts, examples.bounds, strict=True
    ):
        assert [text[start:end] for start, end in bounds.tolist()] == words
        ends = 0
        for span in spans:
            assert ends <= span.start < span.end <= len(words)
            assert span.type
            assert span.type.isprintable()
            ends = span.end


_GLUE = [task for task in tasks.TASKS.values() if task.columns is not None]


def glue(data: bytes) -> None:
    """A file of one of GLUE's tasks; the first byte says of which, and whether it is called .csv."""
    (task, suffix), content = choice(data, [(task, suffix) for task in _GLUE for suffix in (".tsv", ".csv")])
    file = written(f"train{suffix}", content)
    found = said(lambda: readers.read_examples(file, task), file)
    if found is not None:
        n = len(found.texts_a)
        assert n
        assert len(found.labels) == len(found.ids) == len(set(found.ids)) == n
        assert np.isfinite(found.labels).all()
        assert all(text.strip() for text in found.texts_a)


# --- the command line, and small languages


def overrides(data: bytes) -> None:
    """Arguments of the main job, a line each, behind a config that is there."""
    arguments = [line for line in data.decode("utf-8", "replace").split("\n") if line][:6]
    found = said(lambda: flags.parse(["--config=rte", *arguments]), "--", "config", "argument", "flag")
    if found is not None:
        values = found.config.to_dict()
        read = said(lambda: settings.read({**values, "model": "package:none", "pooling": "pooler"}), "config field")
        if read is not None:
            assert all(type(read.values[name]) is FIELDS[name].kind for name in FIELDS)
            json.dumps(read.values)
    said(lambda: flags.parse_grid(["--sweep=a.py", *arguments]), "--", "argument", "flag")


_TREE = {
    "embeddings": {"word": 0},
    "layer_0": {"attention": {"query": {"kernel": 0, "bias": 0}}, "LayerNorm": {"scale": 0}},
    "layer_1": {"attention": {"query": {"kernel": 0, "bias": 0}}, "LayerNorm": {"scale": 0}},
    "head": {"kernel": 0, "bias": 0},
}


def words(data: bytes) -> None:
    """Factors, factors of learning rates, patterns of names: what a config's field may say."""
    text = data.decode("utf-8", "replace")
    found = said(lambda: factors.parse(text), "config field factors")
    if found is not None:
        total = factors.combinations(found)
        several = {factors.levels(found, seed) for seed in range(min(total, 200))}
        assert len(several) == min(total, 200)
    rules = said(lambda: declaring.rules(text), "config field lr_multipliers")
    if rules is not None:
        assert all(np.isfinite(factor) and factor >= 0 for _, factor in rules)
    if len(text) <= 60:  # a pattern; what takes for ever is refused
        found = said(lambda: paths.select(_TREE, declaring.words(text)), "pattern")
        said(lambda: paths.find_stack(_TREE, block=text), "block", "pattern", "blocks")
        said(lambda: paths.find_stack(_TREE, stack=text), "stack", "blocks")


# --- weights

_SIZES = EncoderConfig(5, 4, 1, 2, 8, max_position_embeddings=6)
_WEIGHTS = PLACE / "weights"


def encoder_config(data: bytes) -> None:
    """config.json of an encoder."""
    file = written("config.json", data)
    config = said(lambda: hf.load_config(PLACE), file)
    if config is None or config.num_hidden_layers > 50:
        return
    again = type(config).from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config, (again, config)
    table = hf.name_table(config)
    assert len({entry.ours for entry in table}) == len({entry.in_file for entry in table}) == len(table)


def weights(data: bytes) -> None:
    """model.safetensors: the header is what the bytes say, and all that follows is there."""
    _WEIGHTS.mkdir(exist_ok=True)
    kind, content = choice(data, ["whole", "header", "index"])
    index = _WEIGHTS / "model.safetensors.index.json"
    index.unlink(missing_ok=True)
    file = _WEIGHTS / "model.safetensors"
    if kind == "index":
        file.unlink(missing_ok=True)
        index.write_bytes(content)
    else:
        file.write_bytes(len(content).to_bytes(8, "little") + content + bytes(2048) if kind == "header" else content)
    found = said(lambda: hf.load_encoder(_WEIGHTS, _SIZES), _WEIGHTS)
    if found is not None:
        assert found[1].num_parameters > 0
    said(lambda: hf.load_head(_WEIGHTS, _SIZES), _WEIGHTS)
    if kind != "index":
        said(lambda: hf.load_tree(file), file)


# --- the ledger and studies

_SETTINGS = settings.read(
    {**base.get_config().to_dict(), "model": "none", "pooling": "pooler", "seeds": (0, 1), "task": "rte"}
)
_RUN, _CELL, _FEW = PLACE / "run", PLACE / "cell", PLACE / "few"
_LEDGER = [
    "results.jsonl",
    "compared.jsonl",
    "config.json",
    "data.json",
    "seed_0/metrics.jsonl",
    "cohorts.json",
    "seed_0/row.json",
]


def ledger(data: bytes) -> None:
    """A file of a run directory; the first byte says which."""
    name, content = choice(data, _LEDGER)
    shutil.rmtree(_RUN, ignore_errors=True)
    with rundir.RunDirectory(_RUN, _SETTINGS):
        pass
    (_RUN / "seed_0").mkdir()
    (_RUN / name).write_bytes(content)

    def opened() -> None:
        with rundir.RunDirectory(_RUN, _SETTINGS, rundir.Digest("0" * 12, {"train": 3})) as directory:
            before, scores = directory.results(), directory.compared()
            assert all(type(seed) is int for seed in before)
            _ = directory.dealt(), directory.promised()
            if name == "seed_0/metrics.jsonl":
                metrics = rundir.MetricsFile(directory.seed(0), 5, 5)
                metrics.add([{"step": 6, "loss": 1.0}])
                rows = rundir.read_lines(metrics.path)
                assert rows[-1] == {"step": 6, "loss": 1.0}
                assert all(row["step"] <= 6 for row in rows)
            directory.finish({"seed": 1, "score": float("nan")})
            directory.compare({1: 0.5})
            after, compared = directory.results(), directory.compared()
            assert {**before, 1: {"seed": 1, "score": None}} == after or _holds_nan(before)
            assert {**scores, 1: 0.5} == compared or _holds_nan(scores)

    said(opened, _RUN)


def _holds_nan(value: Any) -> bool:
    return re.search(r"\b(nan|inf)\b", repr(value)) is not None


_ROW = {
    "seed": 0,
    "fingerprint": "0" * 12,
    "steps": 2,
    "best_step": 2,
    "validation": {"accuracy": 0.5},
    "stopped": "",
    "test_best": {"accuracy": 0.5},
    "majority": 0.5,
    "failed": False,
    "diverged": False,
    "seconds": 1.0,
}
_STUDY = [
    "cells.txt",
    "study.json",
    "cells/000000000000/config.json",
    "cells/000000000000/results.jsonl",
    "cells/000000000000/seed_0/metrics.jsonl",
    "cells/000000000000/seed_0/predictions.npz",
]
_PACKED = [packed.STUDY, packed.RUNS, packed.CURVES, packed.PREDICTIONS]


def _files_of_cell() -> None:
    cell = _CELL / "cells" / ("0" * 12)
    shutil.rmtree(_CELL, ignore_errors=True)
    (cell / "seed_0").mkdir(parents=True)
    (_CELL / "cells.txt").write_text(f"{'0' * 12}  one\n")
    (_CELL / "study.json").write_text("{}")
    (cell / "config.json").write_text(json.dumps({"task": "rte", "seeds": [0, 1]}))
    (cell / "results.jsonl").write_text(json.dumps(_ROW) + "\n")
    (cell / "seed_0" / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n')


def study(data: bytes) -> None:
    """A file of a study in a working directory; the first byte says which."""
    name, content = choice(data, _STUDY)
    _files_of_cell()
    (_CELL / name).write_bytes(content)

    def looked_at() -> None:
        found = reading.load(_CELL)
        for cell in found.cells:
            assert [row["seed"] for row in cell.rows] == sorted({row["seed"] for row in cell.rows})
            assert np.isfinite(cell.runs().scores).all()
            assert np.isfinite(cell.validation()).all()
            losses = reading.losses(cell)
            assert np.isfinite(losses.losses_RxS).all()
            assert len(losses.losses_RxS) + losses.n_diverged + losses.n_missing == len(cell.rows)
            reading.predictions(cell)
            _ = cell.missing, cell.design, cell.n_patient  # what a report asks for

    said(looked_at, _CELL)
    sweep = PLACE / "a_sweep.py"
    sweep.write_text("")
    said(lambda: grid.record(_CELL, sweep, "a command"), _CELL)
    said(lambda: grid.read_rows(_CELL, {"0" * 12: (0, 1)}), _CELL)


@functools.cache
def _good() -> dict[str, bytes]:
    """The files of a packed study of two runs."""
    folder = PLACE / "good"
    folder.mkdir()
    setting = packed.Setting("one", "0" * 12, {"task": "rte", "seeds": [0, 1]}, {})
    lines = [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}, {"step": 2, "split": "test", "loss": 1.0}]
    none = np.zeros(0)
    runs = [packed.Run({**_ROW, "seed": i}, lines, packed.Said(np.arange(3), none, none, none)) for i in (0, 1)]
    return {file.name: file.read_bytes() for file in packed.write(folder, {}, [(setting, runs)])}


def few(data: bytes) -> None:
    """A file of a packed study; the first byte says which."""
    name, content = choice(data, _PACKED)
    _FEW.mkdir(exist_ok=True)
    for other, good in _good().items():
        (_FEW / other).write_bytes(good)
    (_FEW / name).write_bytes(content)

    def looked_at() -> None:
        for cell in reading.load(_FEW).cells:
            reading.losses(cell)
            reading.predictions(cell)
            for row in cell.rows:
                dict(flat(row))

    said(looked_at, _FEW)


def sweep(data: bytes) -> None:
    """A sweep file. A program that might do something is not run."""
    if not is_harmless(data):
        return
    file = written("of_mine.py", data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = said(lambda: grid.expand(file), file)
    if found is not None:
        assert len({cell.name for cell in found}) == len(found) > 0


TARGETS: dict[str, Target] = {
    one.__name__: one
    for one in (tables, workbook, tags, glue, overrides, words, encoder_config, weights, ledger, study, few, sweep)
}
logging.getLogger("absl").setLevel(logging.ERROR)


def check(name: str, data: bytes) -> None:
    """Gives a target its bytes."""
    TARGETS[name](data[:MOST])
