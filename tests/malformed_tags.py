"""Files of entities that cannot be used, with what must be said of each; the forms are those of `malformed`."""

import json

from tests.malformed import Malformed


def _line(text: str, *entities: tuple) -> str:
    names = ("start", "end", "label", "text")
    return json.dumps({"text": text, "entities": [dict(zip(names, one, strict=False)) for one in entities]}) + "\n"


_FINE = _line("Anna is here", (0, 4, "PER"))
_COLUMNS = "Anna\tB-PER\nis\tO\nhere\tO\n\n"

MALFORMED_TAGS = tuple(
    Malformed(name, file, content if isinstance(content, bytes) else content.encode(), says)
    for name, file, content, says in (
        ("empty", "a.conll", "", ": the file is empty"),
        ("blank", "a.bio", " \n\n", ": the file is empty"),
        ("only_docstart", "a.conll", "-DOCSTART- O\n\n", ": no sentences in it"),
        ("one_column", "a.conll", "Anna\nis\n", ":1: 1 column, expected a word and its tag"),
        ("short_row", "a.conll", _COLUMNS + "Berlin\n", ":5: 1 column, expected a word and its tag"),
        (
            "long_row",
            "a.conll",
            _COLUMNS + "Berlin\tx\tB-LOC\n",
            ":5: 3 columns, expected 2 as in the file's first line",
        ),
        ("no_word", "a.conll", _COLUMNS + "\tB-LOC\n", ":5: no word before the tag"),
        ("order", "a.conll", _COLUMNS + "Berlin\tB-LOC\nCity\tI-ORG\nx\tS-ORG\n", ":6: 'I-ORG' after 'B-LOC'"),
        ("unknown_tag", "a.conll", _COLUMNS + "Berlin\tLOC\n", ":5: tag 'LOC' is none of iob2, expected O, B-TYPE"),
        ("bilou", "a.conll", _COLUMNS + "New\tB-LOC\nYork\tL-LOC\n", ":6: tag 'L-LOC' is none of iob2"),
        ("space_in_type", "a.conll", "a\tO\nb\tB-X\nb\tB- X\n", ":3: tag 'B- X' has a label that begins or ends with"),
        ("hidden", "a.conll", "a\tO\nb\tB-X\nb\tB-X\u200b\n", ":3: tag 'B-X\\u200b' has a label that holds U+200B"),
        (
            "counted",
            "a.conll",
            "1 Anna B-PER\n2 is O\n3 in O\n",
            ": the first column counts the words of each sentence",
        ),
        (
            "numbered",
            "a.bio",
            "科0\tB-X\n技1\tI-X\n的2\tO\n\n军0\tO\n",
            ": every word ends with its number, as '科0' does; new texts will not: cut it off",
        ),
        (
            "two_tags",
            "a.conll",
            "Berlin B-LOC B-PER\nis O O\n",
            ": tags of entities stand in column 2 (LOC) and column 3 (PER); one of them can be read: give its number, "
            "such as --label=2",
        ),
        ("no_entity", "a.conll", "Anna\tO\nis\tO\n", ": no entities in it, so there is nothing to learn"),
        ("return", "a.conll", "Anna\tB-PER\rb\tO\rc\tO\r", ":1: a carriage return within the line"),
        ("not_utf8", "a.conll", b"Anna\tB-PER\n\xb0\xa1\tO\n", ":2: not UTF-8 (byte 0xb0)"),
        ("nul", "a.conll", "Anna\tB-PER\n\0\tO\n", ":2: NUL byte"),
        ("not_json", "a.jsonl", _FINE + "{\n", ":2: not JSON: "),
        ("no_object", "a.jsonl", _FINE + "[1]\n", ":2: the line is list, expected an object with 'text'"),
        ("no_text", "a.jsonl", _FINE + '{"entities": []}\n', ":2: the line has no 'text'; found: 'entities'"),
        ("no_entities", "a.jsonl", _FINE + '{"text": "a"}\n', ":2: the line has no 'entities'; found: 'text'"),
        ("empty_text", "a.jsonl", _FINE + _line(" "), ":2: text is empty, expected one with words"),
        (
            "surrogate",
            "a.jsonl",
            _FINE + '{"text": "a\\ud800", "entities": []}\n',
            ":2: character 1 of the text is half",
        ),
        ("no_label", "a.jsonl", _FINE + _line("Anna", (0, 4)), ":2: entity 1 has no 'label'; found: 'start', 'end'"),
        ("float", "a.jsonl", _FINE + _line("Anna", (0.0, 4, "PER")), ":2: 'start' of entity 1 is 0.0, expected int"),
        ("outside", "a.jsonl", _FINE + _line("Anna", (0, 5, "PER")), ":2: entity PER at 0:5 is outside the text"),
        ("backwards", "a.jsonl", _FINE + _line("Anna", (2, 1, "PER")), ":2: entity PER at 2:1 is empty"),
        (
            "overlap",
            "a.jsonl",
            _FINE + _line("Anna Berg", (0, 4, "PER"), (3, 9, "LOC")),
            ":2: entity LOC at 3:9 overlaps PER at 0:4; entities must not share a place",
        ),
        ("twice", "a.jsonl", _FINE + _line("Anna", (0, 4, "A"), (0, 4, "A")), ":2: entity A at 0:4 overlaps A at 0:4"),
        (
            "other_text",
            "a.jsonl",
            _FINE + _line("Anna", (0, 3, "PER", "Anna")),
            ":2: entity 1 has the text 'Anna', but ",
        ),
        ("white", "a.jsonl", _FINE + _line("a  b", (1, 3, "X")), ":2: entity X at 1:3 is white space alone"),
        ("none_annotated", "a.jsonl", _line("Anna is here"), ": no entities in it, so there is nothing to learn"),
        ("all_cut", "a.jsonl", _line("Annabel", (0, 4, "PER")), ": no entities in it, so there is nothing to learn"),
    )
)
