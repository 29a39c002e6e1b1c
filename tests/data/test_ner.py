"""Readers of named-entity files: the real sets' counts, the forms of files, and every refusal with its line."""

import json

import pytest

from stablefit.data.tags import ner
from stablefit.data.tags.tagging import Span
from stablefit.errors import InputError

TYPES = {"试验要素": "TEST", "性能指标": "PERF", "任务场景": "TASK", "系统组成": "SYS"}


def written(tmp_path, content, name="data.txt"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def document(text, *entities):
    return json.dumps(
        {"text": text, "entities": [dict(zip(("start", "end", "label"), e, strict=True)) for e in entities]}
    )


def n_entities(examples):
    return sum(map(len, examples.entities))


def test_both_forms_of_the_chinese_documents_are_the_same(data_root):
    folder = data_root / "CCKS2020_military"
    spans, columns = ner.read_spans(folder / "train.jsonl"), ner.read_columns(folder / "train.bio", characters=True)
    assert len(spans) == len(columns) == 400
    assert n_entities(spans) == 3161
    assert spans.words == columns.words
    renamed = [[span._replace(type=TYPES[span.type]) for span in spans] for spans in spans.entities]
    assert renamed == columns.entities
    assert ner.label_set(columns) == ("PERF", "SYS", "TASK", "TEST")
    assert (spans.ids[1], columns.ids[1]) == ("train.jsonl:2", f"train.bio:{len(spans.words[0]) + 2}")


def test_msra_has_its_published_counts(data_root):
    examples = ner.read_columns(data_root / "MSRA_NER" / "msra_test_bio.txt", characters=True)
    assert (len(examples), sum(map(len, examples.words))) == (3442, 172601)
    assert {t: sum(s.type == t for spans in examples.entities for s in spans) for t in ner.label_set(examples)} == {
        "LOC": 2886,
        "ORG": 1331,
        "PER": 1973,
    }


@pytest.mark.slow
def test_msra_train_has_its_published_counts(data_root):
    examples = ner.read_columns(data_root / "MSRA_NER" / "msra_train_bio.txt", characters=True)
    assert (len(examples), sum(map(len, examples.words)), n_entities(examples)) == (45000, 2171573, 75059)


CONLL = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP I-ORG\nrejects VBZ B-VP O\n\n\nPeter NNP B-NP I-PER\n"


@pytest.mark.parametrize("change", [str, lambda s: s.replace("\n", "\r\n"), lambda s: "\ufeff" + s, str.rstrip])
@pytest.mark.parametrize("separator", [" ", "\t", "  "])
def test_columns_are_read_with_tabs_or_spaces(tmp_path, separator, change):
    if separator == "\t" and change is str.rstrip:
        change = str.strip
    examples = ner.read_columns(written(tmp_path, change(CONLL.replace(" ", separator))), "iob1")
    assert examples.words == [["EU", "rejects"], ["Peter"]]
    assert examples.entities == [[Span(0, 1, "ORG")], [Span(0, 1, "PER")]]
    assert examples.ids == ["data.txt:3", "data.txt:7"]
    assert examples.texts == ["EU rejects", "Peter"]


def test_white_space_can_be_a_word_and_no_other_line_break_ends_a_line(tmp_path):
    path = written(tmp_path, "a\tB-X\n \tI-X\n\u3000\tI-X\n\u2028\tI-X\n\nb\tO")
    examples = ner.read_columns(path, characters=True)
    assert examples.words == [["a", " ", "\u3000", "\u2028"], ["b"]]
    assert examples.texts == ["a \u3000\u2028", "b"]
    assert examples.entities == [[Span(0, 4, "X")], []]


@pytest.mark.parametrize("end", ["\n", " \n", "\r\n", " \r\n", "\r\r\n"])
@pytest.mark.parametrize("separator", ["\t", " ", "\t "])
def test_white_space_around_a_tag_is_none_of_it(tmp_path, separator, end):
    text = "".join(f"{word}{separator}{tag}{end}" for word, tag in (("EU", "B-ORG"), ("of", "I-ORG"), ("a", "O")))
    examples = ner.read_columns(written(tmp_path, text + end + "b" + separator + "B-ORG" + end.removesuffix("\n")))
    assert examples.words == [["EU", "of", "a"], ["b"]]
    assert examples.entities == [[Span(0, 2, "ORG")], [Span(0, 1, "ORG")]]


def test_white_space_around_a_label_is_none_of_it(tmp_path):
    lines = document("ab", (0, 1, "X "), (1, 2, "\tMade by"))
    assert ner.read_spans(written(tmp_path, lines)).entities == [[Span(0, 1, "X"), Span(1, 2, "Made by")]]


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("a\tO\nb\tI-LOC\n", 2, "'I-LOC' after 'O'; in iob2 it must follow B-LOC or I-LOC"),
        ("a\tB-LOC\n\nb\tI-LOC\n", 3, "'I-LOC' after 'O'"),
        ("a\tO\n\nb\tO\nc\tX\n", 4, "tag 'X' is none of iob2, expected O, B-TYPE, I-TYPE"),
        ("a\tx\tO\nb\tO\n", 2, "2 columns, expected 3 as in the file's first line"),
        ("a\tO\n\nb x O\n", 3, "3 columns, expected 2"),
        ("a\tO\nb\n", 2, "1 column, expected a word and its tag"),
        ("a\n", 1, "1 column, expected a word and its tag"),
        ("a\tO\n\tO\n", 2, "no word before the tag"),
        ("a\tO\nb\tB-X\u200b\n", 2, "tag 'B-X\\u200b' has a label that holds U+200B, which does not print; expected"),
        ("a\tO\nb\tB-X\xa0\n", 2, "tag 'B-X\\xa0' has a label that holds U+00A0"),
        ("a O\nb B-X\u3000\n", 2, "tag 'B-X\\u3000' has a label that holds U+3000"),
        ("a\tO\nb\tB- X\n", 2, "tag 'B- X' has a label that begins or ends with a space; expected a name without"),
        ("a\tB-X\rb\tO\r\rc\tO\r", 1, "a carriage return within the line; end every line with LF or CR LF"),
        ("a O\n\nb O\rc O\n", 3, "a carriage return within the line"),
        ("a\tO\nbc\tO\n", 2, "'bc' is 2 characters, expected one a line"),
        (b"a\tO\n\xb0\xa1\tO\n", 2, "not UTF-8"),
        (b"a\tO\n\0\tO\n", 2, "NUL byte"),
        ("", None, "the file is empty"),
        (" \n\n", None, "the file is empty"),
        ("-DOCSTART- O\n\n", None, "no sentences in it"),
    ],
)
def test_broken_columns_are_refused_with_their_line(tmp_path, content, line, reason):
    path = written(tmp_path, content)
    with pytest.raises(InputError) as caught:
        ner.read_columns(path, characters=True)
    assert str(caught.value).startswith(f"{path}:{'' if line is None else f'{line}:'} {reason}")
    assert "\n" not in str(caught.value)


def test_spans_become_words_without_white_space(tmp_path):
    path = written(tmp_path, document("a F-16 \r\nflew", (1, 7, "X"), (9, 13, "Y")) + "\n\n" + document("b") + "\n")
    by_character, by_word = ner.read_spans(path), ner.read_spans(path, "word")
    assert by_character.words == [list("aF-16flew"), ["b"]]
    assert by_character.entities == [[Span(1, 5, "X"), Span(5, 9, "Y")], []]
    assert by_word.words == [["a", "F", "-", "16", "flew"], ["b"]]
    assert by_word.entities == [[Span(1, 4, "X"), Span(4, 5, "Y")], []]
    assert by_character.ids == ["data.txt:1", "data.txt:3"]
    for found in (by_character, by_word):
        assert found.texts == ["a F-16 \r\nflew", "b"]
        for words, text, bounds in zip(found.words, found.texts, found.bounds, strict=True):
            assert [text[start:end] for start, end in bounds] == words


def test_characters_are_counted_not_bytes_or_utf16_units(tmp_path):
    path = written(tmp_path, document("😀中文", (1, 3, "X")))
    assert ner.read_spans(path).entities == [[Span(1, 3, "X")]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON: "),
        ("[" * 100_000, "not JSON: "),
        ("[1]", "the line is list, expected an object with 'text'"),
        ("{}", "the line has no 'text'; found: nothing"),
        ('{"text": "ab"}', "the line has no 'entities'; found: 'text'"),
        ('{"text": 5, "entities": []}', "'text' of the line is 5, expected str"),
        ('{"text": " ", "entities": []}', "text is empty"),
        ('{"text": "a\\ud800", "entities": []}', "character 1 of the text is half of a surrogate pair"),
        ('{"text": "ab", "entities": [5]}', "entity 1 is int, expected an object with 'start'"),
        ('{"text": "ab", "entities": [{"start": 0, "end": 1}]}', "entity 1 has no 'label'; found: 'start', 'end'"),
        (document("ab", (0.0, 1, "X")), "'start' of entity 1 is 0.0, expected int"),
        (document("ab", (0, True, "X")), "'end' of entity 1 is True, expected int"),
        (document("ab", (0, 1, "")), "entity 1 has the label '', expected a name"),
        (document("ab", (0, 1, " \t")), "entity 1 has the label ' \\t', expected a name"),
        (
            document("ab", (0, 1, "X\n")),
            "entity 1 has the label 'X\\n', which holds U+000A, which does not print; expected",
        ),
        (document("ab", (0, 1, "\u200bX")), "entity 1 has the label '\\u200bX', which holds U+200B"),
        (document("ab", (0, 3, "X")), "entity X at 0:3 is outside the text, expected 0 <= start < end <= 2"),
        (document("ab", (-2, 1, "X")), "entity X at -2:1 is outside the text"),
        (document("ab", (1, 1, "X")), "entity X at 1:1 is empty"),
        (document("abc", (0, 2, "X"), (1, 3, "Y")), "entity Y at 1:3 overlaps X at 0:2"),
        (document("a  b", (1, 3, "X")), "entity X at 1:3 is white space alone"),
        (
            '{"text": "abc", "entities": [{"start": 1, "end": 2, "label": "X", "text": "a"}]}',
            "entity 1 has the text 'a', but 1:2 holds 'b'",
        ),
    ],
    ids=lambda value: value[:40],
)
def test_broken_json_lines_are_refused_with_their_line(tmp_path, line, reason):
    path = written(tmp_path, document("fine", (0, 1, "X")) + "\n" + line + "\n")
    with pytest.raises(InputError) as caught:
        ner.read_spans(path)
    assert str(caught.value).startswith(f"{path}:2: {reason}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("entity", [(0, 3, "X"), (2, 6, "X"), (4, 6, "X")])
def test_an_entity_that_cuts_a_word_is_counted(tmp_path, entity):
    """The others of its document stay, and those that share its word cannot be had either."""
    text = document("abcdef gh", entity, (7, 9, "Y")) + "\n" + document("ab-c", (0, 1, "Z"), (1, 2, "X"), (2, 4, "Y"))
    path = written(tmp_path, text)
    by_character, by_word = ner.read_spans(path), ner.read_spans(path, "word")
    assert by_character.entities[0] == [Span(*entity), Span(6, 8, "Y")]
    assert by_word.entities == [[Span(1, 2, "Y")], [Span(1, 3, "Y")]]
    assert by_word.unrepresented == [("X",), ("Z", "X")]
    assert (by_word.n_unrepresented, by_character.n_unrepresented.total()) == ({"X": 2, "Z": 1}, 0)
    assert by_word.subset([0]).n_unrepresented == {"X": 1}


def test_a_type_that_only_cuts_words_cannot_be_learnt(tmp_path):
    train = ner.read_spans(written(tmp_path, document("abc d", (0, 1, "Z"), (4, 5, "X"))), "word")
    known = ner.label_set(train)
    assert known == ("X",)
    ner.check_labels(train, known)
    with pytest.raises(InputError, match="'d' has the label 'Z', which no entity that training can learn"):
        ner.check_labels(ner.read_spans(written(tmp_path, document("abc d", (4, 5, "Z"))), "word"), known)


def test_entities_that_overlap_are_refused_where_they_cut_words_too(tmp_path):
    with pytest.raises(InputError, match=r"data.txt:1: entity Y at 1:3 overlaps X at 0:2"):
        ner.read_spans(written(tmp_path, document("abcd", (0, 2, "X"), (1, 3, "Y"))), "word")


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_of_json_lines_is_refused(tmp_path, content):
    with pytest.raises(InputError, match="the file is empty"):
        ner.read_spans(written(tmp_path, content))


def test_json_lines_that_are_not_utf8_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"data.txt:2: not UTF-8 \(byte 0xc4\); convert the file to UTF-8"):
        ner.read_spans(written(tmp_path, document("a").encode() + b'\n{"text": "\xc4\xe3", "entities": []}'))


def test_a_label_that_training_never_saw_is_refused(tmp_path):
    train = ner.read_columns(written(tmp_path, "a\tB-X\nb\tB-Y\n", "train.txt"))
    test = ner.read_columns(written(tmp_path, "a\tB-X\n\nb\tO\nc\tB-Z\nd\tI-Z\n", "test.txt"))
    known = ner.label_set(train)
    ner.check_labels(train, known)
    with pytest.raises(InputError, match=r"^test.txt:3: entity 'c d' has the label 'Z', .*; its labels are: X, Y$"):
        ner.check_labels(test, known)


def test_subsets_keep_what_belongs_together(tmp_path):
    examples = ner.read_columns(written(tmp_path, "a\tB-X\n\nb\tO\n\nc\tB-Y\n"))
    picked = examples.subset([2, 0])
    assert (picked.words, len(picked)) == ([["c"], ["a"]], 2)
    assert picked.entities == [[Span(0, 1, "Y")], [Span(0, 1, "X")]]
    assert picked.ids == ["data.txt:5", "data.txt:1"]
    assert picked.texts == ["c", "a"]
    assert [bounds.tolist() for bounds in picked.bounds] == [[[0, 1]], [[0, 1]]]


def test_docstart_lines_say_which_document_a_sentence_is_of(tmp_path):
    lines = ["-DOCSTART- O", "", "a O", "", "b O", "-DOCSTART- O", "c O", ""]
    assert ner.read_columns(written(tmp_path, "\n".join(lines))).groups == [1, 1, 2]
    assert ner.read_columns(written(tmp_path, "\n".join(lines[:5]))).groups == [0, 1]
    assert ner.read_spans(written(tmp_path, document("a") + "\n" + document("b"))).groups == [0, 1]
