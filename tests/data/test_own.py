"""What a table is understood as: columns, kinds of labels, faults of rows, and further files."""

import numpy as np
import pytest

from stablefit.data.tables.own import Choice, OwnTexts, understand
from stablefit.data.tables.rows import TableError
from stablefit.data.tables.table import Table, read_table
from stablefit.errors import InputError


def table(columns: str, *rows: tuple) -> Table:
    """A table of rows, as if from a file whose header is line 1."""
    return Table("a.csv", tuple(columns.split()), list(rows), list(range(2, len(rows) + 2)), ())


def labelled(*labels: object, column: str = "label") -> Table:
    return table(f"text {column}", *((f"text number {i}", label) for i, label in enumerate(labels)))


def columns(own: OwnTexts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return own.choice.text, own.choice.label


NAMED = {  # header, text columns, label columns
    "text label": (("text",), ("label",)),
    "id Review Sentiment": (("Review",), ("Sentiment",)),
    "sentence1 sentence2 score": (("sentence1", "sentence2"), ("score",)),
    "index question sentence label": (("question", "sentence"), ("label",)),
    "premise hypothesis gold_label": (("premise", "hypothesis"), ("gold_label",)),
    "title body category": (("body",), ("category",)),
    "text label label_text": (("text",), ("label",)),
    "y x": (("x",), ("y",)),
    "comment class rating": (("comment",), ("class",)),
}


@pytest.mark.parametrize("header", NAMED)
def test_columns_are_found_by_their_names(header):
    width = len(header.split())
    rows = [tuple(f"some words {i} {j}" for j in range(width)) for i in range(6)]
    assert columns(understand(table(header, *rows))) == NAMED[header]


def test_columns_are_found_by_what_is_in_them():
    rows = [(f"K{i}", "Das ist ein ganzer Satz.", "ja" if i % 2 else "nein") for i in range(20)]
    rows = [(name, f"{text} {name}", label) for name, text, label in rows]
    own = understand(table("Nummer Satz Urteil", *rows))
    assert columns(own) == (("Satz",), ("Urteil",))
    assert own.said[:2] == ("text: column Satz (the longest texts)", "label: column Urteil (by its values)")
    assert own.said[2] == "not used: Nummer"


def test_short_words_are_told_from_classes():
    rows = [(f"wort{i}", "gut" if i % 2 else "schlecht") for i in range(20)]
    assert columns(understand(table("Wort Urteil", *rows))) == (("Wort",), ("Urteil",))


def test_prices_with_decimal_commas_are_labels():
    rows = [(f"ein ganzer Satz {i}", f"{i},{i % 10}5") for i in range(20)]
    own = understand(table("Satz Preis", *rows))
    assert (columns(own), own.task.kind) == ((("Satz",), ("Preis",)), "regression")
    assert own.examples.labels[3] == np.float32(3.35)


AMBIGUOUS = {
    "title description label": "the text may be column title or description; give --text=title, or several",
    "text category intent": "the label may be column category or intent; give --label=category",
    "eins zwei label": "the text may be column eins or zwei",
}


@pytest.mark.parametrize("header", AMBIGUOUS)
def test_what_is_as_good_is_asked_about(header):
    rows = [tuple(f"some words {i} {j}" for j in range(3)) for i in range(6)]
    with pytest.raises(InputError, match=r"--(text|label)=") as caught:
        understand(table(header, *rows))
    assert AMBIGUOUS[header] in str(caught.value)


REFUSED = {  # the choice, and what is said of it
    Choice(text=("txet",)): "a.csv: no column 'txet' for --text; did you mean 'text'?; there are text, other, label",
    Choice(label=("LABEL",)): "no column 'LABEL' for --label; did you mean 'label'?",
    Choice(group="zzz"): "no column 'zzz' for --group; there are text, other, label",
    Choice(id="zzz"): "no column 'zzz' for --id",
    Choice(text=("text", "text")): "column 'text' is given twice as --text",
    Choice(text=("text",), label=("text",)): "column 'text' is given as --text and as --label",
    Choice(group="label", label=("label",)): "column 'label' is given as --label and as --group",
    Choice(join=True): "--join joins several columns, but the text is text",
    Choice(kind="numbers"): "--kind=numbers is not known; there are auto, classification, regression, multilabel",
    Choice(kind="regression"): "column label: none of its values is a number, such as 'x'",
    Choice(kind="multilabel"): "column label: no separator of several labels is found in it; give --separator",
    Choice(separator=";"): "column label: separator ';' is in none of the labels",
    Choice(separator=";", kind="regression"): "--separator is for several labels a row, but --kind=regression",
    Choice(label=("label", "other"), kind="regression"): "--kind=regression does not fit several label columns",
    Choice(label=("label", "other"), separator=";"): "--separator does not fit several label columns",
}


@pytest.mark.parametrize("choice", REFUSED, ids=str)
def test_a_choice_that_does_not_fit_is_refused_in_one_line(choice):
    with pytest.raises(InputError) as caught:
        understand(table("text other label", ("a b", "c", "x"), ("c d", "d", "y")), choice)
    assert REFUSED[choice] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_columns_are_a_pair_or_joined_and_three_are_joined():
    three = table("a b c label", ("one", "two", "three", "x"), ("four", " ", "six", "y"))
    pair = understand(three, Choice(text=("a", "c")))
    assert (pair.examples.texts_a, pair.examples.texts_b) == (["one", "four"], ["three", "six"])
    joined = understand(three, Choice(text=("c", "a"), join=True))
    assert (joined.examples.texts_a, joined.examples.texts_b) == (["three one", "six four"], None)
    all_three = understand(three, Choice(text=("a", "b", "c")))
    assert all_three.choice.join
    assert all_three.examples.texts_a == ["one two three", "four six"]
    assert "joined to one text" in all_three.said[0]


KINDS = {  # labels -> kind, labels in their order, what is said
    ("b", "a", "b"): ("classification", ("a", "b"), "2 classes: a, b"),
    ("10", "9", "9"): ("classification", ("9", "10"), "2 classes: 9, 10"),
    ("3", "1", "2"): ("classification", ("1", "2", "3"), "3 classes: 1, 2, 3 (for a number say --kind=regression)"),
    ("1.5", "2", "2"): ("regression", (), "a number, from 1.5 to 2"),
    ("1,5", "2", "2,25"): ("regression", (), "a number, from 1.5 to 2.25, with decimal commas"),
    tuple(map(str, range(11))): ("regression", (), "for classes say --kind=classification"),
    ("a;b", "a", "b; a;", "b"): ("multilabel", ("a", "b"), "several labels a row, with ';' between: a, b"),
    ("a|b", "b|c", "a", "c"): ("multilabel", ("a", "b", "c"), "with '|' between"),
    (("a", "b"), (), ("b",)): ("multilabel", ("a", "b"), "several labels a row, as lists: a, b"),
    (("a", "b"), "a"): ("multilabel", ("a", "b"), "as lists"),
    ("Travel, Leisure", "Food, Drink", "Art"): ("classification", ("Art", "Food, Drink", "Travel, Leisure"), "3 cl"),
    ("true", "false"): ("classification", ("false", "true"), "2 classes"),
}


@pytest.mark.parametrize("labels", KINDS, ids=str)
def test_what_labels_are_is_inferred_and_said(labels):
    own = understand(labelled(*labels))
    kind, names, said = KINDS[labels]
    assert (own.task.kind, own.task.labels, own.choice.kind) == (kind, names, kind)
    assert any(said in sentence for sentence in own.said), own.said
    assert own.task.name == "texts"


def test_arrays_of_labels():
    classes = understand(labelled("b", "a")).examples.labels
    assert classes.dtype == np.int32
    np.testing.assert_array_equal(classes, [1, 0])
    numbers = understand(labelled("3", "-1.5", "2e2")).examples.labels
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, [3, -1.5, 200])
    several = understand(labelled("b;a", "b", "", "a", "c;b")).examples.labels
    assert several.dtype == np.float32
    np.testing.assert_array_equal(several, [[1, 1, 0], [0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 1]])


def test_kinds_can_be_set():
    assert understand(labelled("1", "2", "2"), Choice(kind="regression")).task.kind == "regression"
    assert understand(labelled("1.5", "2"), Choice(kind="classification")).task.labels == ("1.5", "2")
    assert understand(labelled("a/b", "c"), Choice(separator="/")).task.labels == ("a", "b", "c")


def test_columns_of_zeros_and_ones():
    rows = table("text toxic rude", ("a b", "1", "0"), ("c d", "0", "false"), ("e f", "yes", "1.0"))
    own = understand(rows, Choice(label=("toxic", "rude")))
    assert (own.task.kind, own.task.labels, own.choice.label) == ("multilabel", ("rude", "toxic"), ("toxic", "rude"))
    np.testing.assert_array_equal(own.examples.labels, [[0, 1], [0, 0], [1, 1]])
    assert "1 row without any label, read as none of them" in own.said
    with pytest.raises(TableError, match=r"a\.csv:2: '2' in column toxic; expected 0 or 1"):
        understand(table("text toxic rude", ("a", "2", "0"), ("b", "1", "")), Choice(label=("toxic", "rude")))


FAULTS = {  # labels, and the fault of the last
    ("a", "b", " "): "no label; expected the name of a class",
    (*(f"{i}.5" for i in range(20)), "n/a"): "label 'n/a' is not a number; expected one",
    (*(f"{i}.5" for i in range(20)), "1,5"): "label '1,5' is not a number; expected one, as in 0.5, and nothing",
    (*(f"{i}.5" for i in range(20)), ""): "no label; expected a number",
    (*(f"{i}.5" for i in range(20)), "inf"): "label 'inf' is not a number",
}


@pytest.mark.parametrize("labels", FAULTS, ids=lambda labels: labels[-1])
def test_a_row_without_a_usable_label_is_a_fault_or_left_out(labels):
    with pytest.raises(TableError) as caught:
        understand(labelled(*labels))
    assert caught.value.faults[0].startswith(f"a.csv:{len(labels) + 1}: {FAULTS[labels]}")
    own = understand(labelled(*labels), skip_bad=True)
    assert (len(own), own.examples.n_skipped) == (len(labels) - 1, 1)
    assert "1 row left out as faulty" in own.said[-1]
    assert own.lines == tuple(range(2, len(labels) + 1))


def test_a_file_without_a_usable_row_is_refused_even_if_bad_rows_are_left_out():
    with pytest.raises(InputError, match="no usable row: 2 rows left out as faulty"):
        understand(labelled("", ""), skip_bad=True)


def test_thousands_are_no_decimal_commas():
    with pytest.raises(InputError, match="nothing between thousands"):
        understand(labelled("1,234", "2,500", "3,125"), Choice(kind="regression"))


def test_rows_are_named_by_their_line_or_by_a_column():
    plain = understand(labelled("a", "b"))
    assert plain.examples.ids == ["a.csv:2", "a.csv:3"]
    named = understand(table("id text label", ("u", "a b", "x"), ("v", "c d", "y")))
    assert (named.examples.ids, named.choice.id) == (["u", "v"], "id")
    # Not one that repeats itself, unless it is asked for.
    twice = table("id text label", ("u", "a b", "x"), ("u", "c d", "y"))
    assert understand(twice).choice.id == ""
    with pytest.raises(TableError, match=r"a\.csv:3: id 'u' is that of line 2 too"):
        understand(twice, Choice(id="id"))


def test_groups_are_numbered():
    rows = table("text label who", ("a", "x", "b"), ("b", "y", "a"), ("c", "x", "b"))
    own = understand(rows, Choice(group="who"))
    assert own.examples.groups is not None
    assert own.examples.groups.dtype == np.int32
    np.testing.assert_array_equal(own.examples.groups, [1, 0, 1])
    assert understand(rows).examples.groups is None
    with pytest.raises(TableError, match="column who is empty; expected the name of a group"):
        understand(table("text label who", ("a", "x", ""), ("b", "y", "a")), Choice(group="who"))


def test_a_further_file_is_read_as_the_first():
    first = understand(table("who text label", ("u", "a b", "x"), ("v", "c d", "y")), Choice(group="who"))
    further = understand(table("label text", ("y", "e f"), ("y", "g h")), like=first)
    assert further.task is first.task
    np.testing.assert_array_equal(further.examples.labels, [1, 1])
    assert further.examples.groups is None
    with pytest.raises(TableError, match=r"a\.csv:2: label 'z' is none of the first file's; expected one of x, y"):
        understand(table("label text", ("z", "e f")), like=first)
    with pytest.raises(InputError, match=r"no column 'text', which a\.csv has as its text; there are label, txt"):
        understand(table("label txt", ("z", "e f")), like=first)


@pytest.mark.parametrize(
    ("first", "further", "expected"),
    [
        (("a;b", "a", "b", "b;a"), ("b", ""), [[0, 1], [0, 0]]),
        ((("a", "b"), ("a",)), ("b", ("a",)), [[0, 1], [1, 0]]),
        (("1.5", "2.5"), ("1", "7"), [1, 7]),
    ],
    ids=["separator", "lists", "numbers"],
)
def test_a_further_file_has_the_kind_of_the_first(first, further, expected):
    own = understand(labelled(*further), like=understand(labelled(*first)))
    np.testing.assert_array_equal(own.examples.labels, expected)


REAL = {
    "CLINC150/train.csv": (Choice(), ("text",), ("intent",), "classification", 150),
    "AG_News/news.csv": (Choice(text=("title", "description")), ("title", "description"), ("section",), None, 4),
    "SST-2/train.tsv": (Choice(), ("sentence",), ("label",), "classification", 2),
    "STS-B/train.tsv": (Choice(), ("sentence1", "sentence2"), ("score",), "regression", 0),
    "MRPC/train.tsv": (Choice(), ("#1 String", "#2 String"), ("Quality",), "classification", 2),
    "reaction_yields/buchwald_hartwig.tsv": (Choice(), ("reaction",), ("yield",), "regression", 0),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(data_root, name):
    choice, text, label, kind, n_labels = REAL[name]
    own = understand(read_table(data_root / name), choice)
    assert columns(own) == (text, label)
    assert own.task.kind == (kind or "classification")
    assert len(own.task.labels) == n_labels


def test_two_texts_of_news_are_asked_about(data_root):
    with pytest.raises(InputError, match="the text may be column title or description; give --text=title"):
        understand(read_table(data_root / "AG_News" / "news.csv"))
