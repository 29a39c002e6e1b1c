"""The paper's step counts, and schedules that show every example once an epoch."""

import numpy as np
import pytest

from stablefit.data import batches
from stablefit.errors import InputError


@pytest.mark.parametrize(
    ("n", "per_epoch", "total", "last", "every", "warmup", "n_evaluations"),
    [
        (2490, 78, 234, 26, 23, 23, 11),  # RTE
        (3668, 115, 345, 20, 34, 34, 11),  # MRPC
        (5749, 180, 540, 21, 54, 54, 10),  # STS-B
        (8551, 268, 804, 7, 80, 80, 11),  # CoLA
        (1000, 32, 96, 8, 9, 9, 11),  # the 1k sets
        (999, 32, 96, 7, 9, 9, 11),  # MNLI-1k
    ],
)
def test_the_papers_step_counts(n, per_epoch, total, last, every, warmup, n_evaluations):
    assert batches.steps_per_epoch(n, 32) == per_epoch
    assert batches.total_steps(n, 32, 3) == total
    assert batches.warmup_steps(total, 0.1) == warmup
    steps = batches.evaluation_steps(total, 10)
    assert (steps[0], steps[-1], len(steps)) == (every, total, n_evaluations)
    _, weights = batches.schedule(n, 32, total, seed=0)
    assert weights.sum(1)[per_epoch - 1 :: per_epoch].tolist() == [last] * 3
    assert weights.sum() == 3 * n


@pytest.mark.parametrize(
    ("total", "n", "expected"), [(1, 10, (1,)), (3, 10, (1, 2, 3)), (10, 3, (3, 6, 9, 10)), (7, 1, (7,))]
)
def test_evaluations_end_with_the_last_step(total, n, expected):
    assert batches.evaluation_steps(total, n) == expected


@pytest.mark.parametrize(("n", "batch"), [(1, 1), (3, 8), (8, 4), (10, 4), (10, 1)])
def test_every_example_once_an_epoch(n, batch):
    per_epoch = batches.steps_per_epoch(n, batch)
    indices, weights = batches.schedule(n, batch, 2 * per_epoch, seed=5)
    assert (indices.dtype, weights.dtype) == (np.int32, np.float32)
    for epoch in (slice(None, per_epoch), slice(per_epoch, None)):
        real = weights[epoch] == 1
        assert sorted(indices[epoch][real]) == list(range(n))
        assert not indices[epoch][~real].any()
        assert not weights[epoch][~real].any()


def test_an_order_is_a_function_of_seed_and_epoch_alone():
    indices, _ = batches.schedule(10, 4, 9, seed=3)
    assert np.array_equal(indices[3:6].reshape(-1)[:10], batches.epoch_order(10, 3, 1))
    assert np.array_equal(indices[:4], batches.schedule(10, 4, 4, seed=3)[0])  # a shorter run is a prefix
    orders = {tuple(batches.epoch_order(10, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_an_order_stays_the_same_between_versions():
    assert batches.epoch_order(8, seed=0, epoch=0).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]
    assert batches.epoch_order(8, seed=7, epoch=2).tolist() == [6, 4, 0, 5, 7, 1, 3, 2]


def test_orders_are_uniform():
    first = np.array([batches.epoch_order(4, seed, 0)[0] for seed in range(800)])
    counts = np.bincount(first, minlength=4)
    assert ((counts - 200) ** 2 / 200).sum() < 16.3  # chi-square, 3 degrees of freedom, 0.1 %


def test_part_of_an_epoch():
    assert batches.total_steps(100, 10, 0.5) == 5
    assert batches.total_steps(10, 10, 0.01) == 1
    indices, weights = batches.schedule(100, 10, 0, seed=0)
    assert indices.shape == weights.shape == (0, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batches.steps_per_epoch(0, 4), "0 examples in batches of 4: both must be at least 1"),
        (lambda: batches.steps_per_epoch(4, 0), "4 examples in batches of 0"),
        (lambda: batches.total_steps(4, 4, -1), "epochs -1 must be a number above 0"),
        (lambda: batches.total_steps(4, 4, float("nan")), "epochs nan"),
        (lambda: batches.evaluation_steps(4, 0), "0 evaluations in 4 steps"),
        (lambda: batches.schedule(4, 2, 2, seed=-1), "seed -1 is below 0"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
