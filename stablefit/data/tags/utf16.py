"""Offsets that count UTF-16 units, as JavaScript, Java and Windows do, in place of characters (code points).

They differ behind a character beyond U+FFFF, such as an emoji, which is two units.
"""

import bisect
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from stablefit.data.tags.words import split_text


class Fitting(NamedTuple):
    """How many entities of a text fit it in one way of counting alone."""

    only_utf16: int
    only_characters: int


def has_pairs(text: str) -> bool:
    """Whether a character of the text is two units.

    >>> has_pairs("ship"), has_pairs("\N{SNOWMAN}"), has_pairs("\N{ROCKET}")
    (False, False, True)
    """
    return not text.isascii() and max(text) > "\uffff"


def converted(text: str, offset: int) -> int | None:
    """The character at which so many units of the text have passed; None within one, or behind the end.

    >>> converted("\N{ROCKET} up", 3), converted("\N{ROCKET} up", 1)
    (2, None)
    """
    units = [0, *itertools.accumulate(1 + (character > "\uffff") for character in text)]
    place = bisect.bisect_left(units, offset)
    return place if offset >= 0 and place < len(units) and units[place] == offset else None


def fitting(text: str, entities: Iterable[Mapping[str, Any]]) -> Fitting:
    """How many entities fit in one way of counting alone: to their own text if they have one, else to words' edges.

    Args:
        text: a text.
        entities: with `start` and `end`, and perhaps `text`.
    """
    if not has_pairs(text):
        return Fitting(0, 0)
    _, bounds = split_text(text, "word")
    starts, ends = ({int(edge) for edge in edges} for edges in bounds.T)
    counts = [0, 0]
    for entity in entities:
        there, surface = (entity["start"], entity["end"]), entity.get("text")
        other = tuple(converted(text, offset) for offset in there)
        if other == there:
            continue

        def fits(span: tuple[Any, ...], surface: Any = surface) -> bool:
            start, end = span
            if start is None or end is None or not 0 <= start < end <= len(text):
                return False
            return text[start:end] == surface if isinstance(surface, str) else start in starts and end in ends

        as_units, as_characters = fits(other), fits(there)
        counts[0] += as_units and not as_characters
        counts[1] += as_characters and not as_units
    return Fitting(*counts)
