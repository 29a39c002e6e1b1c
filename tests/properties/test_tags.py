"""Files of words and tags, and documents with entities."""

import json
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stablefit.data.tags import ner
from stablefit.data.tags.tagging import Scheme, Span, checked_spans, conlleval_spans, spans_to_tags, strict_spans
from tests.fuzz import targets
from tests.properties.profile import ALL, ANY_BYTES, STARTS, VALUES, lines, objects, text_of

WORD = text_of("ab01.é漢", 5).filter(
    lambda word: word.isprintable() and word.strip() == word and word and "-DOCSTART-" not in word and " " not in word
)
TYPE = st.sampled_from(["PER", "LOC", "a-b", "Ж"])


@st.composite
def spans(draw, n: int) -> list[Span]:
    """Entities in n words, none sharing one."""
    edges = sorted(draw(st.sets(st.integers(0, n), max_size=6)))
    pairs = zip(edges[::2], edges[1::2], strict=False)
    return [Span(start, end, draw(TYPE)) for start, end in pairs]


SENTENCE = st.lists(WORD, min_size=1, max_size=7).flatmap(lambda words: st.tuples(st.just(words), spans(len(words))))


@ALL
@given(STARTS, ANY_BYTES)
@example(b"2", b"a O\n\nb O B-X\nc O B-X\nd O O\n")
@example(b"2", b'BlaCSTART--DOCSTART- O\n\nEU Bart": 0, "end": 2, "label": "ORG"er B-PE\x07R\nts call"')
def test_any_bytes(start, content):
    targets.tags(start + content)


@ALL
@given(
    STARTS,
    st.lists(
        st.lists(
            st.sampled_from(["a", "1", "B-X", "I-X", "O", "E-X", "S-X", "-DOCSTART-", "#", "I-", "B-\x0b"]), max_size=4
        ),
        max_size=8,
    ),
    st.sampled_from(" \t"),
)
def test_any_columns(start, rows, between):
    targets.tags(start + "\n".join(map(between.join, rows)).encode())


@ALL
@given(st.lists(objects("text", "entities", "spans", "_task_hash", "answer", "label"), max_size=3), VALUES)
@example([{"text": "\U0001f680 b", "entities": 5}], 0)
@example([{"text": "\U0001f680 b", "entities": [{"start": 10**400, "end": 10**401, "label": "X"}]}], 0)
def test_any_documents(rows, value):
    good = {"text": "\U0001f680 b", "entities": [{"start": 2, "end": 3, "label": "X"}]}
    entity = {"text": "a b", "entities": [{"start": value, "end": 1, "label": "X"}, value]}
    for start in b"23":
        targets.tags(bytes([start]) + lines([good, *rows, entity]))
        targets.tags(bytes([start]) + json.dumps([good, *rows]).encode())


@ALL
@given(st.lists(SENTENCE, min_size=1, max_size=4), st.sampled_from(get_args(Scheme)), st.sampled_from("\t "))
def test_sentences_are_read_as_they_were_written(sentences, scheme, between):
    text = "".join(
        "".join(map(f"{{}}{between}{{}}\n".format, words, spans_to_tags(found, len(words), scheme))) + "\n"
        for words, found in sentences
    )
    file = targets.written("written.txt", text.encode())
    examples = targets.said(lambda: ner.read_columns(file, scheme), file)
    if examples is None:  # what looks like numbered words is asked about
        with pytest.raises(ner.InputError, match="every word ends with its number"):
            ner.read_columns(file, scheme)
        return
    assert examples.words == [words for words, _ in sentences]
    assert examples.entities == [found for _, found in sentences]


@ALL
@given(SENTENCE, st.sampled_from(get_args(Scheme)))
def test_spans_are_tags_and_spans_again(sentence, scheme):
    words, found = sentence
    tags = spans_to_tags(found, len(words), scheme)
    assert len(tags) == len(words)
    assert strict_spans(tags, scheme) == conlleval_spans(tags) == found == checked_spans(found, len(words))


@ALL
@given(st.lists(SENTENCE, min_size=1, max_size=4), st.sampled_from(["word", "character"]), st.booleans())
def test_no_entity_of_a_document_is_lost(sentences, unit, as_array):
    rows = []
    for words, found in sentences:
        starts = [sum(map(len, words[:i])) + i for i in range(len(words) + 1)]
        entities = [{"start": starts[one.start], "end": starts[one.end] - 1, "label": one.type} for one in found]
        rows.append({"text": " ".join(words), "entities": entities})
    content = json.dumps(rows).encode() if as_array else lines(rows)
    examples = ner.read_spans(targets.written("documents.json", content), unit)
    assert examples.texts == [row["text"] for row in rows]
    for i, row in enumerate(rows):
        assert len(examples.entities[i]) + len(examples.unrepresented[i]) == len(row["entities"])
        for span in examples.entities[i]:
            start, end = examples.bounds[i][span.start, 0], examples.bounds[i][span.end - 1, 1]
            assert {"start": start, "end": end, "label": span.type} in row["entities"]
