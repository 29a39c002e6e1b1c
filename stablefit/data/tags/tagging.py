"""Entities as spans of words, and their spelling as tags: IOB1, IOB2, IOBES.

Spans are the one inner form; tags are what files hold and what models predict. The three schemes write an entity of
three words, an entity of one word right behind it, of the same type, and a word outside as

    iob1     I-X I-X I-X B-X O      B- only where an entity touches the one before it and has its type
    iob2     B-X I-X I-X B-X O      B- at every entity's first word
    iobes    B-X I-X E-X S-X O      the last word is marked too, and so is a single one

L. Ramshaw, M. Marcus: Text Chunking using Transformation-Based Learning, 1995; E. Tjong Kim Sang, J. Veenstra:
Representing Text Chunks, EACL 1999.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np

from stablefit.errors import InputError

Scheme = Literal["iob1", "iob2", "iobes"]

_PREFIXES = {"iob1": ("B", "I"), "iob2": ("B", "I"), "iobes": ("B", "I", "E", "S")}
_STARTS = {"iob1": ("B", "I"), "iob2": ("B",), "iobes": ("B", "S")}


class Span(NamedTuple):
    """An entity: the words start, ..., end - 1 and a type. A character is a word where words are characters."""

    start: int
    end: int
    type: str


def tag_names(types: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """The tags of these types, "O" first: a tag's id is its place here.

    >>> tag_names(["LOC", "PER"], "iob2")
    ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    _check_scheme(scheme)
    return ("O", *(f"{prefix}-{type_}" for type_ in types for prefix in _PREFIXES[scheme]))


def spans_to_tags(spans: Iterable[Span], length: int, scheme: Scheme) -> list[str]:
    """The tags of `length` words with these entities.

    Raises:
        InputError: a span is empty or outside the words, or two overlap.

    >>> spans_to_tags([Span(0, 1, "PER"), Span(2, 4, "LOC")], 5, "iobes")
    ['S-PER', 'O', 'B-LOC', 'E-LOC', 'O']
    """
    _check_scheme(scheme)
    tags = ["O"] * length
    before = Span(-1, -1, "")
    for span in checked_spans(spans, length):
        prefixes = ["B"] + ["I"] * (span.end - span.start - 1)
        if scheme == "iob1" and not (span.start == before.end and span.type == before.type):
            prefixes[0] = "I"
        if scheme == "iobes":
            prefixes[-1] = "E" if len(prefixes) > 1 else "S"
        tags[span.start : span.end] = [f"{prefix}-{span.type}" for prefix in prefixes]
        before = span
    return tags


def checked_spans(spans: Iterable[Span], length: int) -> list[Span]:
    """The spans in order of their starts, after a look at each.

    Raises:
        InputError: a span is empty or outside the `length` words, or two overlap (twice the same included).
    """
    ordered = sorted(spans)
    before: Span | None = None
    for span in ordered:
        shown = f"entity {span.type} at {span.start}:{span.end}"
        if span.start >= span.end:
            raise InputError(f"{shown} is empty; end is the place behind the last one, expected start < end")
        if span.start < 0 or span.end > length:
            raise InputError(f"{shown} is outside the text, expected 0 <= start < end <= {length}")
        if before is not None and span.start < before.end:
            other = f"{before.type} at {before.start}:{before.end}"
            raise InputError(f"{shown} overlaps {other}; entities must not share a place")
        before = span
    return ordered


def tags_to_spans(tags: Sequence[str], scheme: Scheme) -> list[Span]:
    """The entities of well-formed tags; `first_fault` says what makes others ill-formed.

    Raises:
        InputError: the tags are not well-formed; the message counts words from 1.

    >>> tags_to_spans(["I-PER", "I-LOC", "I-LOC", "B-LOC", "O"], "iob1")
    [Span(start=0, end=1, type='PER'), Span(start=1, end=3, type='LOC'), Span(start=3, end=4, type='LOC')]
    """
    fault = first_fault(tags, scheme)
    if fault is not None:
        raise InputError(f"word {fault[0] + 1}: {fault[1]}")
    return strict_spans(tags, scheme)


def first_fault(tags: Sequence[str], scheme: Scheme) -> tuple[int, str] | None:
    """The first tag that the scheme does not allow where it stands, as (index, reason); None for well-formed tags.

    In IOB1 every order of tags has a meaning, and a file in IOB2 has the same entities when read as IOB1.

    >>> first_fault(["O", "I-LOC"], "iob2")
    (1, "'I-LOC' after 'O'; in iob2 it must follow B-LOC or I-LOC")
    """
    _check_scheme(scheme)
    previous = "O"
    for i, tag in enumerate(tags):
        fault = _spelling_fault(tag, scheme) or _order_fault(previous, tag, scheme)
        if fault is not None:
            return i, fault
        previous = tag
    if not _may_follow(previous, "O", scheme):
        return len(tags) - 1, f"{previous!r} is the last tag; in {scheme} an entity ends with E- or S-"
    return None


def strict_spans(tags: Sequence[str], scheme: Scheme) -> list[Span]:
    """The entities that are spelled out as the scheme demands; whatever else the tags hold is no entity.

    >>> strict_spans(["I-PER", "O", "B-LOC", "I-LOC", "I-PER"], "iob2")
    [Span(start=2, end=4, type='LOC')]
    """
    _check_scheme(scheme)
    spans: list[Span] = []
    i = 0
    while i < len(tags):
        prefix, type_ = _parts(tags[i])
        if prefix not in _STARTS[scheme]:
            i += 1
            continue
        start, i = i, i + 1
        while i < len(tags) and prefix in ("B", "I") and tags[i] in (f"I-{type_}", f"E-{type_}"):
            prefix = tags[i][0]
            i += 1
        if scheme != "iobes" or prefix in ("E", "S"):
            spans.append(Span(start, i, type_))
    return spans


def conlleval_spans(tags: Sequence[str]) -> list[Span]:
    """The entities as CoNLL's scorer sees them: any run of one type, until a B- or S-, or what follows an E- or S-.

    No sequence of tags is ill-formed to it: an entity may begin with I-. seqeval does this unless told otherwise.

    >>> conlleval_spans(["I-PER", "O", "B-LOC", "I-LOC", "I-PER"])
    [Span(start=0, end=1, type='PER'), Span(start=2, end=4, type='LOC'), Span(start=4, end=5, type='PER')]
    """
    spans: list[Span] = []
    start, before_prefix, before_type = 0, "O", ""
    for i, tag in enumerate((*tags, "O")):
        prefix, type_ = _parts(tag)
        breaks = prefix in ("O", "B", "S") or before_prefix in ("O", "E", "S") or type_ != before_type
        if breaks and before_prefix != "O":
            spans.append(Span(start, i, before_type))
        if breaks:
            start = i
        before_prefix, before_type = prefix, type_
    return spans


def span_tags(labels: Sequence[str], span: Span, length: int) -> np.ndarray:
    """Which tags each word may have if exactly this entity is there, in IOB2; bool [length, K].

    The word behind it must not go on with it, and what the others are is open.

    >>> span_tags(("O", "B-X", "I-X"), Span(0, 1, "X"), 2).astype(int).tolist()
    [[0, 1, 0], [1, 1, 0]]
    """
    begin, inside = labels.index(f"B-{span.type}"), labels.index(f"I-{span.type}")
    within = np.ones((length, len(labels)), bool)
    within[span.start : span.end] = False
    within[span.start, begin] = True
    within[span.start + 1 : span.end, inside] = True
    if span.end < length:
        within[span.end, inside] = False
    return within


def allowed_transitions(labels: Sequence[str], scheme: Scheme) -> dict[str, np.ndarray]:
    """What may begin, follow and end a sentence: what the CRF's decoding is kept to.

    Args:
        labels: K tags, by id.
        scheme: a Scheme; in iob1 everything is allowed.

    Returns:
        booleans 'start' [K], 'transitions' [K, K] (from, to) and 'end' [K], as `stablefit.models.crf.viterbi` takes.

    >>> allowed_transitions(("O", "B-X", "I-X"), "iob2")["transitions"].astype(int).tolist()
    [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    """
    _check_scheme(scheme)
    for label in labels:
        if (fault := _spelling_fault(label, scheme)) is not None:
            raise InputError(fault)
    return {
        "start": np.array([_may_follow("O", label, scheme) for label in labels], bool),
        "transitions": np.array([[_may_follow(a, b, scheme) for b in labels] for a in labels], bool),
        "end": np.array([_may_follow(label, "O", scheme) for label in labels], bool),
    }


def _may_follow(previous: str, tag: str, scheme: Scheme) -> bool:
    """Whether `tag` may come after `previous`; the ends of a sentence are as good as an "O" beyond them."""
    if scheme == "iob1":
        return True
    is_open = previous[0] in ("B", "I")
    if tag[0] in ("I", "E"):
        return is_open and previous[2:] == tag[2:]
    return not (is_open and scheme == "iobes")


def _spelling_fault(tag: str, scheme: Scheme) -> str | None:
    prefix, type_ = _parts(tag)
    if tag == "O" or (prefix in _PREFIXES[scheme] and tag[1:2] == "-" and type_):
        return None
    known = ", ".join(f"{prefix}-TYPE" for prefix in _PREFIXES[scheme])
    return f"tag {tag!r} is none of {scheme}, expected O, {known}"


def _order_fault(previous: str, tag: str, scheme: Scheme) -> str | None:
    if _may_follow(previous, tag, scheme):
        return None
    if tag[0] in ("I", "E"):
        return f"{tag!r} after {previous!r}; in {scheme} it must follow B-{tag[2:]} or I-{tag[2:]}"
    return f"{tag!r} after {previous!r}; in {scheme} I-{previous[2:]} or E-{previous[2:]} must follow that"


def _parts(tag: str) -> tuple[str, str]:
    """The prefix and the type; types may hold hyphens themselves."""
    return tag[:1], tag[2:]


def _check_scheme(scheme: str) -> None:
    if scheme not in get_args(Scheme):
        raise InputError(f"tag scheme {scheme!r} is not known; one of: {', '.join(get_args(Scheme))}")
