"""Windows over long documents: every word once, within the room, with context; and the places of words."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stablefit.data.tags.windows import first_pieces, join_windows, split_windows
from stablefit.errors import InputError

documents = st.lists(st.integers(0, 9), max_size=40)
rooms = st.integers(1, 12).flatmap(lambda room: st.tuples(st.just(room), st.integers(0, room - 1)))


@settings(max_examples=300, deadline=None)
@given(documents, rooms)
def test_every_word_is_once_in_a_window_that_has_room(pieces, sizes):
    room, overlap = sizes
    windows = split_windows(pieces, room, overlap)
    counted = np.clip(pieces, 1, room)
    assert [i for w in windows for i in range(w.own_start, w.own_end)] == list(range(len(pieces)))
    for w in windows:
        assert w.start <= w.own_start <= w.own_end <= w.end
        assert 0 < counted[w.start : w.end].sum() <= room
    for a, b in itertools.pairwise(windows):
        assert a.start < b.start <= a.end < b.end
        shared, before = counted[b.start : a.end].sum(), counted[b.start - 1]
        if b.end == len(pieces):
            assert counted[b.start - 1 :].sum() > room  # it reaches back as far as it can
        else:
            assert shared <= overlap
            assert shared + before > overlap or shared + before + counted[a.end] > room
    if windows:
        values = [np.arange(w.start, w.end) for w in windows]
        assert join_windows(windows, values).tolist() == list(range(len(pieces)))


def test_a_document_with_room_is_one_window():
    assert split_windows([2, 1, 3], 6, 3) == [(0, 3, 0, 3)]
    assert split_windows([], 6, 3) == []


def test_neighbours_share_the_overlap_and_the_last_fills_its_room():
    windows = split_windows([1] * 300, room=126, overlap=32)
    assert [(w.start, w.end) for w in windows] == [(0, 126), (94, 220), (174, 300)]
    assert [(w.own_start, w.own_end) for w in windows] == [(0, 110), (110, 197), (197, 300)]


def test_a_word_that_is_longer_than_a_window_keeps_its_first_piece():
    assert [(w.start, w.end) for w in split_windows([1, 20, 1], 5, 2)] == [(0, 1), (1, 2), (2, 3)]


@pytest.mark.parametrize(("room", "overlap"), [(0, 0), (4, 4), (4, -1)])
def test_windows_that_cannot_be_are_refused(room, overlap):
    with pytest.raises(InputError, match="expected 0 <= overlap < window"):
        split_windows([1, 1], room, overlap)


def test_places_of_words():
    assert first_pieces([None, 0, 1, 1, 3, None, None], 5).tolist() == [1, 2, -1, 4, -1]
