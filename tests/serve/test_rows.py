"""Rows of examples: nothing is lost, nothing overlaps, little is padding, and few shapes are compiled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stablefit.serve import rows


@given(st.lists(st.integers(1, 100), min_size=1, max_size=300), st.sampled_from([100, 128, 512]))
def test_every_example_has_a_place_of_its_own(lengths, limit):
    lengths = np.array(lengths)
    seen = []
    for batch in rows.batches(lengths, limit):
        taken = np.zeros(batch.shape, int)
        for i, row, column in zip(batch.examples, batch.rows, batch.columns, strict=False):
            assert column + lengths[i] <= batch.shape[1] <= limit
            taken[row, column : column + lengths[i]] += 1
        assert taken.max() == 1
        assert len(batch.examples) <= len(batch.rows)
        seen += batch.examples.tolist()
    assert sorted(seen) == list(range(len(lengths)))


def test_little_is_padding_and_shapes_are_few():
    lengths = np.clip(np.random.default_rng(0).lognormal(3.2, 0.6, 2048).astype(int), 3, 128)
    found = list(rows.batches(lengths, 128))
    room = sum(batch.shape[0] * batch.shape[1] for batch in found)
    assert lengths.sum() / room > 0.97
    assert len({(batch.shape, len(batch.rows)) for batch in found}) <= 5


@pytest.mark.parametrize("length", [1, 20, 33, 500])
def test_one_text_is_not_padded_to_a_full_row(length):
    [batch] = rows.batches(np.array([length]), 512)
    assert batch.shape == (1, max(32, 1 << (length - 1).bit_length()))
