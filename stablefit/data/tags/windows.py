"""Words in token arrays: where each word's first piece is, and windows over what is longer than the length limit.

A long document is cut into windows that overlap, so that a word near a cut has context on both sides in one of them.
Each word belongs to one window, and a document's values (emissions, tags) are put together from the words' own windows.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stablefit.errors import InputError


class Window(NamedTuple):
    """The words start, ..., end - 1 of a document; those from own_start to own_end - 1 take their values from here."""

    start: int
    end: int
    own_start: int
    own_end: int


def split_windows(pieces: Sequence[int] | np.ndarray, room: int, overlap: int) -> list[Window]:
    """Windows over a document's words, as few as the overlap lets there be.

    Two neighbours share words of `overlap` pieces, or what of them fits beside the next word; the last window reaches
    back as far as there is room. The words they share are halved between them.

    Args:
        pieces: for each of N words, into how many pieces the tokenizer cuts it; a word of no piece or of more than
            `room` is counted as 1 or as `room`: it takes the unknown piece, or is cut off after its first pieces.
        room: most pieces in a window, special tokens not counted; at least 1.
        overlap: pieces that neighbours share, in 0 <= overlap < room.

    Raises:
        InputError: a value is out of its range.

    >>> [tuple(window) for window in split_windows([1] * 10, room=6, overlap=2)]
    [(0, 6, 0, 5), (4, 10, 5, 10)]
    """
    if room < 1 or not 0 <= overlap < room:
        raise InputError(f"windows of {room} pieces with an overlap of {overlap}: expected 0 <= overlap < window")
    ends = np.concatenate([[0], np.cumsum(np.clip(np.asarray(pieces, np.int64), 1, room))])
    n_words = len(ends) - 1
    bounds: list[tuple[int, int]] = []
    start = 0
    while start < n_words:
        end = int(np.searchsorted(ends, ends[start] + room, side="right")) - 1
        if end == n_words:
            start = _first_within(ends, end, room)
        bounds.append((start, end))
        if end == n_words:
            break
        # The next window must get past this one's end, whatever the overlap.
        start = max(_first_within(ends, end, overlap), _first_within(ends, end + 1, room))
    halves = [(start + end + 1) // 2 for (_, end), (start, _) in itertools.pairwise(bounds)]
    return [Window(*bound, *own) for bound, own in zip(bounds, itertools.pairwise([0, *halves, n_words]), strict=False)]


def join_windows(windows: Sequence[Window], values: Sequence[np.ndarray]) -> np.ndarray:
    """A document's values, [N, ...], from those of its windows, each [end - start, ...].

    >>> windows = split_windows([1] * 5, room=4, overlap=2)
    >>> join_windows(windows, [np.arange(window.start, window.end) for window in windows]).tolist()
    [0, 1, 2, 3, 4]
    """
    parts = [value[w.own_start - w.start : w.own_end - w.start] for w, value in zip(windows, values, strict=True)]
    return np.concatenate(parts)


def first_pieces(word_ids: Sequence[int | None], n_words: int) -> np.ndarray:
    """The place of each word's first piece, int32 [n_words]; -1 for a word that has none.

    Args:
        word_ids: of each piece the word it is of, None for special tokens and padding, as fast tokenizers tell it.
        n_words: how many words were given to the tokenizer.

    >>> first_pieces([None, 0, 0, 2, None], 3).tolist()
    [1, -1, 3]
    """
    places = np.full(n_words, -1, np.int32)
    for place in reversed(range(len(word_ids))):
        word = word_ids[place]
        if word is not None:
            places[word] = place
    return places


def _first_within(ends: np.ndarray, end: int, room: int) -> int:
    """The first word from which to the word before `end` there are at most `room` pieces."""
    return int(np.searchsorted(ends, ends[end] - room, side="left"))
