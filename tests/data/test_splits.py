"""The paper's splits: their sizes, and that no example is in two of them."""

import random

import numpy as np
import pytest

from stablefit.data.batches import epoch_order
from stablefit.data.splits import balanced_subset, halve_dev, k_fold, load_splits, resplit, together
from stablefit.data.tasks import get_task
from stablefit.errors import InputError


def _halves_by_hand(labels):
    # Lists and a dictionary, as the paper's code has them.
    groups = {}
    for i, label in enumerate(labels.tolist()):
        groups.setdefault(label, []).append(i)
    validation, test = [], []
    for group in groups.values():
        np.random.RandomState(1).shuffle(group)
        validation += group[: len(group) // 2]
        test += group[len(group) // 2 :]
    return sorted(validation), sorted(test)


@pytest.mark.parametrize(
    "labels", [np.array([1, 0, 1, 1, 0, 0, 0, 1, 1], np.int32), np.array([5.0, 0.2, 0.2, 5.0, 3.1])]
)
def test_halves_are_those_of_the_papers_code(labels):
    validation, test = halve_dev(labels)
    assert (validation.tolist(), test.tolist()) == _halves_by_hand(labels)


@pytest.mark.parametrize(
    ("task", "n_validation", "n_test"),
    # The paper's table prints 690 / 690 for STS-B; its code makes these of the real scores.
    [("rte", 138, 139), ("mrpc", 203, 205), ("cola", 521, 522), ("stsb", 722, 778)],
)
def test_halves_of_the_real_dev_sets(data_root, task, n_validation, n_test):
    splits = load_splits(get_task(task), data_root, train_examples=1000)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1000, n_validation, n_test)
    assert not set(splits.validation.ids) & set(splits.test.ids)
    if task == "rte":
        assert np.bincount(splits.validation.labels).max() == 73
        assert np.bincount(splits.test.labels).max() == 73
    if task != "stsb":
        assert np.bincount(splits.train.labels).tolist() == [500, 500]


@pytest.mark.parametrize(
    ("task", "n_train", "n_tail", "n_test"), [("qnli", 1000, 1000, 5463), ("mnli", 999, 999, 1000)]
)
def test_large_sets_are_validated_on_the_tail_of_train(data_root, task, n_train, n_tail, n_test):
    splits = load_splits(get_task(task), data_root, train_examples=1000)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (n_train, n_tail, n_test)
    assert len(set(np.bincount(splits.train.labels))) == len(set(np.bincount(splits.validation.labels))) == 1
    everything = load_splits(get_task(task), data_root)
    assert everything.validation.ids == splits.validation.ids
    assert set(splits.train.ids) < set(everything.train.ids)
    assert not set(everything.train.ids) & set(everything.validation.ids)
    assert len(everything.train) == 8999 - n_tail


def test_all_of_a_small_train_set_in_its_order(data_root):
    train = load_splits(get_task("rte"), data_root / "RTE").train
    assert train.ids == [f"train.tsv:{line}" for line in range(2, 2492)]


def test_a_dev_set_that_cannot_be_halved(tmp_path):
    rows = "".join(f"source\t{label}\t\ttext\n" for label in (0, 1))
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / name).write_text(rows)
    with pytest.raises(InputError, match="the dev set of cola has 2 examples, too few to halve"):
        load_splits(get_task("cola"), tmp_path)


def _few_shot(folder, test):
    rows = [f"a sentence {i}\t{i % 2}" for i in range(16)]
    for name, part in (("train", rows), ("dev", rows[:8])):
        (folder / f"{name}.tsv").write_text("sentence\tlabel\n" + "\n".join(part) + "\n")
    (folder / "test.tsv").write_text(test)
    return load_splits(get_task("sst2"), folder)


def test_a_few_shot_folder_is_tested_on_its_labelled_test_file(tmp_path):
    splits = _few_shot(tmp_path, "sentence\tlabel\na film\t1\nb film\t0\nc film\t1\n")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (16, 8, 3)
    assert splits.test.labels.tolist() == [1, 0, 1]
    assert splits.said == (("split", "a folder of few examples: validation on the dev file, test on test.tsv"),)


def test_a_few_shot_folder_without_labels_of_the_test_halves_dev(tmp_path):
    splits = _few_shot(tmp_path, "index\tsentence\n0\ta film\n")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (16, 4, 4)
    assert splits.said[0][1].startswith("test.tsv holds no labels: ")


def test_a_few_shot_folder_of_cola_without_a_header(tmp_path):
    rows = "".join(f"src\t{i % 2}\t\tsentence {i}\n" for i in range(8))
    for name, text in {"train": rows, "dev": rows, "test": rows * 2}.items():
        (tmp_path / f"{name}.tsv").write_text(text)
    assert len(load_splits(get_task("cola"), tmp_path).test) == 16
    (tmp_path / "test.tsv").write_text("index\tsentence\n0\ta film\n")
    assert len(load_splits(get_task("cola"), tmp_path).test) == 4


def test_a_bad_row_of_a_few_shot_test_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"test\.tsv:3: label 'x' is not known"):
        _few_shot(tmp_path, "sentence\tlabel\na film\t1\nb film\tx\n")


def _labels(*counts, seed=0):
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    random.Random(seed).shuffle(labels)
    return labels


def test_subset_is_that_of_the_papers_code():
    labels = _labels(30, 40)
    np.random.seed(0)
    groups = {}
    for i, label in enumerate(labels.tolist()):
        groups.setdefault(label, []).append(i)
    groups = {label: np.array(group) for label, group in groups.items()}
    for group in groups.values():
        np.random.shuffle(group)
    head, tail = resplit(labels, 20, 10, 2)
    assert head.tolist() == sorted(np.concatenate([group[:10] for group in groups.values()]))
    assert tail.tolist() == sorted(np.concatenate([group[-5:] for group in groups.values()]))
    assert np.array_equal(balanced_subset(labels, 20, 2), head)


def test_subsets_are_balanced_nested_and_fixed():
    labels = _labels(50, 60, 70)
    small, large = (balanced_subset(labels, n, 3) for n in (20, 100))
    assert np.bincount(labels[small]).tolist() == [6, 6, 6]
    assert np.bincount(labels[large]).tolist() == [33, 33, 33]
    assert set(small) < set(large)
    assert not np.array_equal(large, balanced_subset(labels, 100, 3, seed=1))


def test_other_draws_have_the_same_validation_and_stay_off_it():
    labels = _labels(200, 300)
    (first, tail), (second, again), (third, _) = (resplit(labels, 100, 50, 2, seed) for seed in range(3))
    assert np.array_equal(tail, again)
    assert not {*tail} & {*first, *second, *third}
    assert np.bincount(labels[second]).tolist() == [50, 50]
    assert 5 < len({*second} & {*third}) < 45  # drawn on their own: of 450 about 100 * 100 / 450
    assert 5 < len({*first} & {*second}) < 45


def test_subsets_together():
    every, places = together([np.array([3, 7, 8]), np.array([0, 3])])
    assert every.tolist() == [0, 3, 7, 8]
    assert [every[place].tolist() for place in places] == [[3, 7, 8], [0, 3]]
    alone, nowhere = together([np.array([2, 4])])
    assert (alone.tolist(), nowhere) == ([2, 4], ())


@pytest.mark.parametrize("task", ["rte", "sst2"])
def test_several_training_sets_of_a_task(task, data_root):
    one, two, both = (
        load_splits(get_task(task), data_root, train_examples=100, subset_seeds=seeds) for seeds in ((0,), (1,), (0, 1))
    )
    assert one.subsets == two.subsets == ()
    for alone, rows in zip((one, two), both.subsets, strict=True):
        assert both.train.subset(rows).texts_a == alone.train.texts_a
    assert one.train.texts_a != two.train.texts_a
    assert one.validation.texts_a == two.validation.texts_a == both.validation.texts_a


def test_head_and_tail_may_meet_but_not_overlap():
    labels = _labels(10, 10)
    head, tail = resplit(labels, 12, 8, 2)
    assert sorted([*head, *tail]) == list(range(20))
    head, tail = resplit(_labels(5, 15), 0, 8, 2)
    assert (len(head), np.bincount(_labels(5, 15)[tail]).tolist()) == (12, [4, 4])


def test_subset_of_scores():
    scores = np.linspace(0, 5, 30, dtype=np.float32)
    head, tail = resplit(scores, 10, 5, 0)
    assert len({*head, *tail}) == 15
    assert not np.array_equal(head, np.arange(10))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: balanced_subset(_labels(5, 9), 12, 2),
            "12 train and 0 validation examples need 6 of each class, and th",
        ),
        (
            lambda: resplit(_labels(5, 9), 6, 6, 2),
            "6 train and 6 validation examples need 6 of each class, and there a",
        ),
        (lambda: resplit(_labels(5, 9), 0, 10, 2), "0 train and 10 validation examples need 6 of each class"),
        (
            lambda: balanced_subset(_labels(5, 9), 1, 2),
            "1 examples over 2 classes: at least one of each class is needed",
        ),
        (lambda: balanced_subset(_labels(5), 4, 2), "only 1 of 2 classes occur among 5 examples"),
        (lambda: balanced_subset(np.zeros(5), 6, 0), "6 train and 0 validation examples need 6, and there are 5"),
        (lambda: load_splits(get_task("rte"), ""), "data_dir is not set; task rte needs the folder RTE"),
        (lambda: load_splits(get_task("rte"), ".", train_examples=-1), "train_examples -1 is below 0; 0 takes all"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(("n", "k"), [(400, 5), (11, 3), (7, 7), (2, 2)])
def test_folds_hold_every_example_once(n, k):
    folds = k_fold(n, k, seed=3)
    assert sorted(np.concatenate([validation for _, validation in folds]).tolist()) == list(range(n))
    sizes = [len(validation) for _, validation in folds]
    assert len(folds) == k
    assert max(sizes) - min(sizes) <= 1
    for train, validation in folds:
        assert sorted([*train.tolist(), *validation.tolist()]) == list(range(n))
        assert np.all(np.diff(train) > 0)
        assert np.all(np.diff(validation) > 0)


def test_folds_are_a_function_of_the_seed():
    assert [v.tolist() for _, v in k_fold(10, 3, seed=1)] == [[0, 2, 4, 7], [3, 5, 8], [1, 6, 9]]
    assert k_fold(40, 5, seed=0)[0][1].tolist() != k_fold(40, 5, seed=1)[0][1].tolist()
    assert k_fold(40, 5, seed=0)[0][1].tolist() != sorted(epoch_order(40, 0, 0)[:8].tolist())


@pytest.mark.parametrize(("n", "k", "seed"), [(10, 1, 0), (3, 4, 0), (0, 2, 0), (10, 2, -1)])
def test_folds_that_cannot_be_are_refused(n, k, seed):
    with pytest.raises(InputError):
        k_fold(n, k, seed)
