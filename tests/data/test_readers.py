"""Real GLUE files load in full; what cannot be read is named by file and line."""

import numpy as np
import pytest

from stablefit.data.readers import read_examples
from stablefit.data.tasks import get_task
from stablefit.errors import InputError

RTE = "index\tsentence1\tsentence2\tlabel\n"
STSB = "sentence1\tsentence2\tscore\n"
MRPC = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"


@pytest.fixture
def read(tmp_path):
    """Writes content to a file and reads it as a task's."""

    def write_and_read(task, content, name="train.tsv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_examples(path, get_task(task))

    return write_and_read


def test_pairs(read):
    examples = read("rte", RTE + "0\tA dog.\tAn animal.\tentailment\n1\tA cat.\tA dog.\tnot_entailment\n")
    assert examples.texts_a == ["A dog.", "A cat."]
    assert examples.texts_b == ["An animal.", "A dog."]
    assert (examples.labels.dtype, examples.labels.tolist()) == (np.int32, [0, 1])
    assert examples.ids == ["train.tsv:2", "train.tsv:3"]


def test_subset_keeps_the_order_asked_for(read):
    examples = read("cola", "".join(f"gj04\t{i % 2}\t\ttext {i}\n" for i in range(4)))
    subset = examples.subset(np.array([2, 1]))
    assert len(subset) == 2
    assert (subset.texts_a, subset.texts_b) == (["text 2", "text 1"], None)
    assert (subset.labels.tolist(), subset.ids) == ([0, 1], ["train.tsv:3", "train.tsv:2"])
    assert len(examples.subset([])) == 0


def test_quotes_byte_order_mark_and_windows_line_ends(read):
    examples = read("mrpc", MRPC.replace("\n", "\r\n") + '1\t7\t8\t" Said he , so .\tHe said " so " .\r\n')
    assert examples.texts_a == ['" Said he , so .']
    assert examples.texts_b == ['He said " so " .']


@pytest.mark.parametrize("inside", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u00a0"])
def test_only_a_newline_ends_a_row(read, inside):
    assert read("sst2", f"sentence\tlabel\none{inside}two\t1\n").texts_a == [f"one{inside}two"]


def test_no_header_and_no_newline_at_the_end(read):
    assert read("cola", "gj04\t0\t*\tThey drank the pub.\ngj04\t1\t\tShe slept.").labels.tolist() == [0, 1]


def test_scores(read):
    examples = read("stsb", STSB + "a\tb\t5.000\na\tb\t0\n")
    assert (examples.labels.dtype, examples.labels.tolist()) == (np.float32, [5.0, 0.0])


def test_csv(read):
    examples = read("sst2", 'label,sentence\n1,"Fine, ""really""\nfine."\n\n0,Bad.\n', "train.csv")
    assert examples.texts_a == ['Fine, "really"\nfine.', "Bad."]
    assert examples.ids == ["train.csv:2", "train.csv:5"]


def test_qqp_leaves_out_the_rows_that_glue_broke(read):
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    examples = read("qqp", header + "1\t2\t3\tWho?\tWhat?\t0\n4\t5\t6\tWhy\n?\tHow?\t1\n7\t8\t9\tWho?\t\t0\n")
    assert (examples.texts_a, examples.n_skipped) == (["Who?"], 3)


MALFORMED = {
    "too few columns": ("rte", RTE + "0\ta\tb\tentailment\n1\ta\tb\n", ":3: 3 columns, expected 4"),
    "too many columns": ("rte", RTE + "0\ta\tb\tc\tentailment\n", ":2: 5 columns, expected 4"),
    "empty line": ("rte", RTE + "0\ta\tb\tentailment\n\n1\ta\tb\tentailment\n", ":3: 1 columns, expected 4"),
    "no header, too few": ("cola", "gj04\t1\t\ttext\ngj04\t1\ttext\n", ":2: 3 columns, expected 4"),
    "unknown label": (
        "rte",
        RTE + "0\ta\tb\tyes\n",
        ":2: label 'yes' is not known; labels of rte: entailment, not_entailment",
    ),
    "header in CoLA": ("cola", "source\tlabel\tmark\ttext\n", ":1: label 'label' is not known; labels of cola: 0, 1"),
    "empty text": ("rte", RTE + "0\ta\t \tentailment\n", ":2: column 3 is empty, expected a text"),
    "score is no number": ("stsb", STSB + "a\tb\t4.0\na\tb\tfour\n", ":3: score 'four' is not a number"),
    "score nan": ("stsb", STSB + "a\tb\tnan\n", ":2: score 'nan' is out of range, expected a number from 0 to 5"),
    "score out of range": ("stsb", STSB + "a\tb\t5.5\n", ":2: score '5.5' is out of range"),
    "not UTF-8": (
        "rte",
        RTE.encode() + b"0\ta\tb\tentailment\n1\tcaf\xe9\tb\tentailment\n",
        ":3: not UTF-8 (byte 0xe9)",
    ),
    "not UTF-8 after a mark": ("mrpc", MRPC.encode() + b"1\t1\t2\ta\xff\tb\n", ":2: not UTF-8 (byte 0xff)"),
    "UTF-16": ("rte", RTE.encode("utf-16-le"), ":1: NUL byte; the file must be UTF-8 text"),
    "NUL byte": ("rte", RTE + "0\ta\0\tb\tentailment\n", ":2: NUL byte"),
    "empty file": ("rte", "", ": the file is empty"),
    "white space only": ("rte", "\n \n", ": the file is empty"),
    "header only": ("rte", RTE, ": no examples in it"),
    "missing column": (
        "rte",
        "index\tpremise\tsentence2\tlabel\n",
        ":1: no column sentence1; found: index, premise, sentence2, label",
    ),
    "missing column with other names": (
        "qnli",
        "index\tq\tsentence\tlabel\n",
        ":1: no column question or sentence1; found: index, q, sentence, label",
    ),
    "column twice": (
        "rte",
        "sentence1\tsentence1\tsentence2\tlabel\n",
        ":1: column sentence1 is there 2 times, expected once",
    ),
}


@pytest.mark.parametrize(("task", "content", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed(read, tmp_path, task, content, message):
    with pytest.raises(InputError) as caught:
        read(task, content)
    assert str(caught.value).startswith(f"{tmp_path / 'train.tsv'}{message}")
    assert "\n" not in str(caught.value)


def test_malformed_csv(read, tmp_path):
    with pytest.raises(InputError, match=r"train.csv:2: not CSV: unexpected end of data"):
        read("sst2", 'sentence,label\n"never closed,1\nx,1\n', "train.csv")
    with pytest.raises(InputError, match=r"train.csv:4: 1 columns, expected 2"):
        read("sst2", 'sentence,label\n"two\nlines",1\nx\n', "train.csv")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"none.tsv: no such file"):
        read_examples(tmp_path / "none.tsv", get_task("rte"))
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_examples(tmp_path, get_task("rte"))
    with pytest.raises(InputError, match="task reviews is not read from files"):
        read_examples(tmp_path / "x.tsv", get_task("reviews"))


@pytest.mark.parametrize(
    ("task", "file", "expected"),
    [
        ("rte", "RTE/train.tsv", [1249, 1241]),
        ("rte", "RTE/dev.tsv", [146, 131]),
        ("mrpc", "MRPC/train.tsv", [1194, 2474]),
        ("mrpc", "MRPC/dev.tsv", [129, 279]),
        ("cola", "CoLA/train.tsv", [2528, 6023]),
        ("cola", "CoLA/dev.tsv", [324, 719]),
        ("sst2", "SST-2/train.tsv", [29780, 37569]),
        ("sst2", "SST-2/dev.tsv", [428, 444]),
        ("qnli", "QNLI/train_subsample.tsv", [4523, 4476]),
        ("qnli", "QNLI/dev.tsv", [2702, 2761]),
        ("qqp", "QQP/train_subsample.tsv", [5747, 3252]),
        ("qqp", "QQP/train_heldout.tsv", [623, 377]),
        ("mnli", "MNLI/train_subsample.tsv", [2958, 3061, 2980]),
        ("mnli", "MNLI/train_heldout.tsv", [320, 347, 333]),
    ],
)
def test_real_files(data_root, task, file, expected):
    examples = read_examples(data_root / file, get_task(task))
    assert np.bincount(examples.labels).tolist() == expected
    assert examples.n_skipped == 0


@pytest.mark.parametrize(("file", "n"), [("train", 5749), ("dev", 1500), ("test", 1379)])
def test_real_scores(data_root, file, n):
    assert len(read_examples(data_root / "STS-B" / f"{file}.tsv", get_task("stsb"))) == n
