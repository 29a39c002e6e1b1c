"""Which documents train, validate and test."""

import itertools
import re

import numpy as np
import pytest

from stablefit.data.tags.tagging_splits import Reading, choose, described, read_documents, units, unread
from stablefit.data.tasks import get_task
from stablefit.errors import InputError
from tests import tiny


def test_folds_hold_out_every_document_once_and_choose_on_others():
    folds = [choose(np.arange(400), 0, 5, fold) for fold in range(5)]
    assert sorted(itertools.chain.from_iterable(f["test"].tolist() for f in folds)) == list(range(400))
    for fold in folds:
        assert {name: len(part) for name, part in fold.items()} == {"test": 80, "validation": 32, "train": 288}
        assert sorted(np.concatenate(list(fold.values())).tolist()) == list(range(400))


def test_without_folds_validation_is_a_file_or_a_tail_or_a_tenth():
    assert choose(np.arange(50), 0, 0, 0, has_dev=True).keys() == {"train"}
    assert choose(np.arange(50), 0, 0, 0, validation_tail=3)["validation"].tolist() == [47, 48, 49]
    chosen = choose(np.arange(50), 0, 0, 0)
    assert {name: len(part) for name, part in chosen.items()} == {"validation": 5, "train": 45}


def test_a_smaller_training_set_lies_in_a_larger_one_and_leaves_the_others():
    small, large, whole = (choose(np.arange(60), n, 3, 1) for n in (10, 20, 0))
    assert set(small["train"]) < set(large["train"]) < set(whole["train"])
    for part in ("validation", "test"):
        np.testing.assert_array_equal(small[part], whole[part])
    with pytest.raises(InputError, match="400 train"):
        choose(np.arange(60), 400, 3, 1)


def test_the_sentences_of_a_document_stay_together():
    """If there are enough documents: else names of the test set would be seen in training."""
    documents = np.repeat(np.arange(20), 3)[::-1]
    for fold in range(4):
        parts = choose(units(documents, 4), 0, 4, fold)
        names = [set(documents[part].tolist()) for part in parts.values()]
        assert not any(a & b for a, b in itertools.combinations(names, 2))
        assert sum(map(len, names)) == 20
        assert [len(part) % 3 for part in parts.values()] == [0, 0, 0]
    few = np.repeat(np.arange(13), 3)
    np.testing.assert_array_equal(units(few, 4), np.arange(39))
    with pytest.raises(InputError, match="7 folds of 5 examples"):
        choose(np.arange(5), 0, 7, 6)


def test_files_that_cross_validation_leaves_aside_are_named(tmp_path):
    folder = tiny.write_tagging(tmp_path / "own")
    (folder / "valid.conll").write_text("w1 B-LOC\n")
    task = get_task("tagging")
    assert unread(task, str(folder)) == ("valid.conll", "test.bio")
    assert len(read_documents(task, str(folder), 0, Reading())["dev"]) == 1


def test_files(tmp_path):
    task = get_task("tagging")
    folder = tiny.write_tagging(tmp_path / "own")
    found = read_documents(task, str(folder), 0, Reading())
    assert {name: len(part) for name, part in found.items()} == {"train": 24, "test": 8}
    assert read_documents(task, str(folder), 4, Reading()).keys() == {"train"}
    (folder / "dev.conll").write_text("w1 B-LOC\n")
    assert len(read_documents(task, str(folder), 0, Reading())["dev"]) == 1
    (folder / "dev.conll").write_text("w0 O\nw1 B-ORG\n")
    with pytest.raises(
        InputError, match=r"dev\.conll:1: entity 'w1' has the label 'ORG', which no entity that training"
    ):
        read_documents(task, str(folder), 0, Reading())
    (folder / "test.bio").write_text("w1 I-LOC\n")
    with pytest.raises(InputError, match=r"test\.bio:1: 'I-LOC' after 'O'"):
        read_documents(task, str(folder), 0, Reading())
    (folder / "test.bio").unlink()
    with pytest.raises(InputError, match=r"no test file in .*own; looked for test.jsonl, .* set config field folds"):
        read_documents(task, str(folder), 0, Reading())
    (folder / "train.bio").write_text("w1 O\n")
    with pytest.raises(InputError, match=r"train\.bio: no entities"):
        read_documents(task, str(folder), 3, Reading())
    with pytest.raises(InputError, match="data_dir is not set; task tagging needs the folder of its files"):
        read_documents(task, "", 0, Reading())


def test_spans_are_read_by_the_tasks_unit(tmp_path):
    line = '{"text": "w1 w2", "entities": [{"label": "X", "start": 3, "end": 5}]}\n'
    (tmp_path / "train.jsonl").write_text(line)
    for name, words in (("tagging", ["w1", "w2"]), ("tagging_characters", ["w", "1", "w", "2"])):
        assert read_documents(get_task(name), str(tmp_path), 2, Reading())["train"].words == [words]


def test_the_real_sets(data_root):
    ccks = read_documents(get_task("ccks"), str(data_root), 5, Reading())["train"]
    assert (len(ccks), sum(map(len, ccks.entities))) == (400, 3161)


def test_a_file_under_any_name_is_the_training_file(tmp_path):
    task = get_task("tagging")
    (tmp_path / "people.txt2").write_text("Anna\tB-PER\nsleeps\tO\n\nBen\tB-PER\n")
    assert read_documents(task, str(tmp_path / "people.txt2"), 2, Reading())["train"].words == [
        ["Anna", "sleeps"],
        ["Ben"],
    ]
    (tmp_path / "spans").write_text('{"text": "Anna", "entities": [{"label": "PER", "start": 0, "end": 4}]}\n')
    assert read_documents(task, str(tmp_path / "spans"), 2, Reading())["train"].texts == ["Anna"]
    with pytest.raises(InputError, match="set config field folds"):
        read_documents(task, str(tmp_path / "spans"), 0, Reading())
    with pytest.raises(InputError, match="give a file or a folder"):
        read_documents(task, str(tmp_path / "nothing"), 2, Reading())


def test_two_files_for_one_part_are_refused(tmp_path):
    for name in ("train.conll", "train.jsonl"):
        (tmp_path / name).write_text("Anna\tB-PER\n")
    with pytest.raises(InputError, match=r"train\.jsonl and train\.conll are both for train"):
        read_documents(get_task("tagging"), str(tmp_path), 2, Reading())


def test_a_column_that_counts_words_is_refused(tmp_path):
    """As in GermEval: the word is in the second column."""
    (tmp_path / "train.conll").write_text("1\tAnna\tB-PER\n2\tsleeps\tO\n\n1\tBen\tB-PER\n")
    with pytest.raises(InputError, match="the first column counts the words"):
        read_documents(get_task("tagging"), str(tmp_path), 2, Reading())


@pytest.mark.parametrize(
    ("row", "how", "says"),
    [
        ("w1 B-X", {}, "column 1 holds the words, column 2 of 2 their tags"),
        ("w1 B-X O", {}, "column 3 of 3 their tags; column 2 holds tags too, and label_column=2 reads them"),
        ("w1 B-X O", {"tag": "2"}, "column 2 of 3 their tags; columns? 3 not read"),
        ("1 w1 B-X", {"word": "2"}, "column 2 holds the words, column 3 of 3 their tags; column 1 not read"),
    ],
)
def test_the_columns_that_are_read_are_said(tmp_path, row, how, says):
    file = tmp_path / "train.conll"
    file.write_text(f"{row}\n\n" * 3)
    assert re.search(says, described(file, Reading(**how)))
    (tmp_path / "train.jsonl").write_text('{"text": "a", "entities": []}\n')
    assert described(tmp_path / "train.jsonl", Reading()) == "JSON lines with text and entities"
