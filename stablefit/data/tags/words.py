"""What a word of a text is where nothing but the text says so."""

import re
import sys
from typing import Literal

import numpy as np
import regex  # re knows no \p{M}

from stablefit.errors import InputError

Unit = Literal["character", "word"]

# White space is what str.isspace says, so that the ends that str.strip leaves are those of words.
_UNITS = {
    "character": re.compile(r"\S"),
    "word": regex.compile(r"[\p{L}\p{N}_][\p{L}\p{N}_\p{M}\u200c\u200d]*|[^\s\x1c-\x1f][\p{M}\u200c\u200d]*"),
}


def split_text(text: str, unit: Unit) -> tuple[list[str], np.ndarray]:
    """The words of a text, and where each stands in it: starts and exclusive ends, int32 [N, 2].

    Args:
        text: any text.
        unit: 'character', every code point that is no white space, combining marks too; or 'word', a run of letters,
            digits and underscores, or any other single character, each with the combining marks and the zero-width
            joiners behind it.

    >>> words, bounds = split_text("F-16 flew", "word")
    >>> words, bounds.tolist()
    (['F', '-', '16', 'flew'], [[0, 1], [1, 2], [2, 4], [5, 9]])
    """
    if unit not in _UNITS:
        raise InputError(f"unit {unit!r} is not known; one of: {', '.join(_UNITS)}")
    matches = list(_UNITS[unit].finditer(text))
    bounds = np.array([match.span() for match in matches], np.int32).reshape(-1, 2)
    return [sys.intern(match.group()) for match in matches], bounds
