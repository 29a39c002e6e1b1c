"""Spans and tags of the three schemes: there and back, what is refused, and what the CRF may decode."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stablefit.data.tags import tagging
from stablefit.data.tags.tagging import Span
from stablefit.errors import InputError

SCHEMES = ["iob1", "iob2", "iobes"]
SPELLED = {
    "iob1": "I-X I-X I-X B-X O I-Y I-X",
    "iob2": "B-X I-X I-X B-X O B-Y B-X",
    "iobes": "B-X I-X E-X S-X O S-Y S-X",
}


@st.composite
def sentences(draw):
    """A length and entities that share no word."""
    length = draw(st.integers(0, 9))
    cuts = sorted(draw(st.sets(st.integers(0, length))))
    types = st.sampled_from(["X", "Y", "a-b", None])
    spans = [Span(a, b, type_) for a, b in itertools.pairwise(cuts) if (type_ := draw(types)) is not None]
    return length, spans


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_same_entities_are_spelled_in_each_scheme(scheme):
    tags = SPELLED[scheme].split()
    spans = [Span(0, 3, "X"), Span(3, 4, "X"), Span(5, 6, "Y"), Span(6, 7, "X")]
    assert tagging.spans_to_tags(spans, 7, scheme) == tags
    assert tagging.tags_to_spans(tags, scheme) == spans


@settings(max_examples=100, deadline=None)
@given(sentences(), st.sampled_from(SCHEMES))
def test_spans_come_back(sentence, scheme):
    length, spans = sentence
    tags = tagging.spans_to_tags(reversed(spans), length, scheme)
    assert tagging.tags_to_spans(tags, scheme) == spans
    assert tagging.conlleval_spans(tags) == spans
    assert set(tags) <= set(tagging.tag_names(["X", "Y", "a-b"], scheme))


@pytest.mark.parametrize("scheme", ["iob2", "iobes"])
def test_what_is_well_formed_is_what_spans_can_spell(scheme):
    """Every sequence of three tags is either refused or comes back from its spans."""
    for tags in itertools.product(tagging.tag_names(["X", "Y"], scheme), repeat=3):
        spans = tagging.strict_spans(tags, scheme)
        comes_back = tagging.spans_to_tags(spans, 3, scheme) == list(tags)
        assert (tagging.first_fault(tags, scheme) is None) == comes_back, tags


def test_iob2_is_read_as_iob1_too():
    tags = SPELLED["iob2"].split()
    assert tagging.tags_to_spans(tags, "iob1") == tagging.tags_to_spans(tags, "iob2")


@pytest.mark.parametrize(
    ("scheme", "tags", "fault"),
    [
        ("iob2", "O I-X", (1, "'I-X' after 'O'; in iob2 it must follow B-X or I-X")),
        ("iob2", "I-X", (0, "'I-X' after 'O'")),
        ("iob2", "B-Y I-X", (1, "'I-X' after 'B-Y'")),
        ("iob2", "O E-X", (1, "tag 'E-X' is none of iob2, expected O, B-TYPE, I-TYPE")),
        ("iob2", "O B-", (1, "tag 'B-' is none of iob2")),
        ("iob2", "O o", (1, "tag 'o' is none of iob2")),
        ("iob1", "O BX", (1, "tag 'BX' is none of iob1")),
        ("iobes", "B-X O", (1, "'O' after 'B-X'; in iobes I-X or E-X must follow that")),
        ("iobes", "S-X I-X", (1, "'I-X' after 'S-X'; in iobes it must follow B-X or I-X")),
        ("iobes", "O B-X I-X", (2, "'I-X' is the last tag; in iobes an entity ends with E- or S-")),
    ],
)
def test_the_first_fault_is_named(scheme, tags, fault):
    place, reason = tagging.first_fault(tags.split(), scheme)
    assert place == fault[0]
    assert reason.startswith(fault[1])
    with pytest.raises(InputError, match=f"^word {place + 1}: "):
        tagging.tags_to_spans(tags.split(), scheme)


@pytest.mark.parametrize(
    ("spans", "reason"),
    [
        ([(0, 2, "X"), (1, 3, "Y")], "entity Y at 1:3 overlaps X at 0:2"),
        ([(1, 2, "X"), (1, 2, "X")], "entity X at 1:2 overlaps X at 1:2"),
        ([(2, 2, "X")], "entity X at 2:2 is empty"),
        ([(3, 2, "X")], "entity X at 3:2 is empty"),
        ([(4, 6, "X")], "entity X at 4:6 is outside the text, expected 0 <= start < end <= 5"),
        ([(-1, 2, "X")], "entity X at -1:2 is outside the text"),
    ],
)
def test_spans_that_cannot_be_are_refused(spans, reason):
    with pytest.raises(InputError, match=f"^{reason}"):
        tagging.spans_to_tags([Span(*span) for span in spans], 5, "iob2")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_sequence_is_allowed_exactly_if_it_has_no_fault(scheme):
    labels = tagging.tag_names(["X", "Y"], scheme)
    allowed = tagging.allowed_transitions(labels, scheme)
    for path in itertools.product(range(len(labels)), repeat=3):
        ok = allowed["start"][path[0]] and allowed["end"][path[-1]]
        ok = ok and all(allowed["transitions"][a, b] for a, b in itertools.pairwise(path))
        assert bool(ok) == (tagging.first_fault([labels[k] for k in path], scheme) is None)


def test_schemes_and_labels_are_checked():
    with pytest.raises(InputError, match="tag scheme 'bio' is not known; one of: iob1, iob2, iobes"):
        tagging.tag_names(["X"], "bio")
    with pytest.raises(InputError, match="tag 'S-X' is none of iob2"):
        tagging.allowed_transitions(["O", "S-X"], "iob2")
