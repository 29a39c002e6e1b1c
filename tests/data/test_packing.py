import numpy as np
import pytest

from stablefit.data import batches, packing

WIDTH = 16


@pytest.fixture
def lengths():
    return np.random.default_rng(0).integers(2, WIDTH + 1, 50).astype(np.int32)


def test_rows_hold_each_example_once_and_whole(lengths):
    indices, weights = batches.schedule(50, 8, 14, seed=3)
    where = packing.places(indices, weights, lengths, WIDTH)
    rows = max(place.n_rows for place in where)
    packed = packing.layout(indices, weights, where, lengths, WIDTH, rows)
    for s in range(len(indices)):
        real = packed.segments[s] > 0
        expected = np.concatenate([i * WIDTH + np.arange(lengths[i]) for i in indices[s][weights[s] > 0]])
        assert sorted(packed.source[s][real]) == sorted(expected)
        for i, weight, row, column in zip(
            indices[s], weights[s], packed.cls_rows[s], packed.cls_columns[s], strict=True
        ):
            if weight:
                here = slice(column, column + lengths[i])
                assert (packed.source[s, row, here] == i * WIDTH + np.arange(lengths[i])).all()
                assert (packed.positions[s, row, here] == np.arange(lengths[i])).all()
                number = packed.segments[s, row, column]
                assert (packed.segments[s, row] == number).sum() == lengths[i]


@pytest.mark.parametrize("part_rows", [1, 2, 8])
def test_parts_hold_what_the_batch_holds(lengths, part_rows):
    """The same tokens in the same order; each example once, with its first token where it was; the empty parts last."""
    indices, weights = batches.schedule(50, 8, 14, seed=3)  # the last batch has fillers
    weights[0, 3] = 2.0
    where = packing.places(indices, weights, lengths, WIDTH)
    whole = packing.layout(indices, weights, where, lengths, WIDTH, 8)
    room = packing.most_in_a_part(where, weights, part_rows)
    parts = packing.in_parts(whole, part_rows, 8 if part_rows == 8 else room)
    assert parts.source.shape == (14, 8 // part_rows, part_rows, WIDTH)
    for name in ("source", "segments", "positions"):
        np.testing.assert_array_equal(getattr(parts, name).reshape(14, 8, WIDTH), getattr(whole, name))
    for s in range(14):
        there = parts.weights[s] > 0
        part, slot = np.nonzero(there)
        rows = part * part_rows + parts.cls_rows[s, part, slot]
        found = zip(parts.examples[s][there], parts.weights[s][there], rows, parts.cls_columns[s][there], strict=True)
        real = weights[s] > 0
        there_before = zip(indices[s][real], weights[s][real], where[s].rows[real], where[s].columns[real], strict=True)
        assert sorted(found) == sorted(there_before)
        filled = there.any(-1)
        assert list(filled) == sorted(filled, reverse=True)
    assert (parts.weights > 0).sum(-1).max() == room


def test_packing_takes_few_rows():
    lengths = np.clip(np.random.default_rng(1).lognormal(4.0, 0.5, 320), 8, 128).astype(np.int32)
    counts = [packing.first_fit(part, 128).n_rows for part in lengths.reshape(10, 32)]
    least = [-(-part.sum() // 128) for part in lengths.reshape(10, 32)]
    assert sum(counts) <= 1.1 * sum(least)


def test_full_rows_and_fillers():
    place = packing.first_fit(np.array([0, WIDTH, 0, WIDTH]), WIDTH)
    assert place.n_rows == 2
    assert packing.first_fit(np.array([0, 0]), WIDTH).n_rows == 1


def test_a_row_that_is_exactly_filled_is_used():
    place = packing.first_fit(np.array([5, 3, 4, 2, 2]), 8)
    assert (place.rows.tolist(), place.columns.tolist(), place.n_rows) == ([0, 0, 1, 1, 1], [0, 5, 0, 4, 6], 2)


def test_fillers_take_no_room():
    """The last, smaller batch is packed as if it were alone."""
    indices, weights = np.array([[3, 0, 0, 0]], np.int32), np.array([[1, 0, 0, 0]], np.float32)
    (place,) = packing.places(indices, weights, np.full(50, WIDTH), WIDTH)
    assert place.n_rows == 1
    packed = packing.layout(indices, weights, [place], np.full(50, WIDTH), WIDTH, 2)
    assert (packed.segments[0].sum(1) > 0).tolist() == [True, False]


@pytest.mark.parametrize("batch", [1, 7, 8, 50, 64])
def test_evaluation_covers_every_example_once(lengths, batch):
    packed, order = packing.evaluation_layout(lengths, WIDTH, batch, quantum=2)
    assert packed.weights.sum() == 50
    assert sorted(order) == sorted(np.flatnonzero(packed.weights.reshape(-1)))
    assert (packed.examples.reshape(-1)[order] == np.arange(50)).all()
    assert packed.source.shape[1] % 2 == 0
    assert packed.examples.shape[1] <= batch
