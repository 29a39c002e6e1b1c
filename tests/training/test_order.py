"""What is trained when: every member's own batches, whatever the pieces, with what each example counts."""

from types import SimpleNamespace

import numpy as np
import pytest

from stablefit.data import batches
from stablefit.data.encoding import Encoded
from stablefit.data.tasks import get_task
from stablefit.objectives.classification import Classification
from stablefit.training import cohort, loop
from stablefit.training.order import Order, part_rows, usual_rows

N, WIDTH, BATCH, STEPS = 18, 16, 4, 9
LENGTHS = np.random.default_rng(0).integers(2, WIDTH + 1, N)


@pytest.mark.parametrize("weights", [None, np.linspace(0.5, 2.0, N).astype(np.float32)], ids=["alike", "weighted"])
def test_batches_are_those_of_the_schedule_in_any_pieces(weights):
    order = Order([3, 4], LENGTHS, WIDTH, BATCH, STEPS, 2, example_weights=weights)
    seen = [(layout, count) for span in ((0, 4), (4, STEPS)) for layout, count in order.pieces(*span)]
    assert sum(count for _, count in seen) == STEPS
    for member, seed in enumerate((3, 4)):
        examples, counts = batches.schedule(N, BATCH, STEPS, seed)
        expected = counts if weights is None else counts * weights[examples]
        given = [np.concatenate([getattr(layout, name)[member, :count, 0] for layout, count in seen])
                 for name in ("examples", "weights")]  # fmt: skip
        np.testing.assert_array_equal(given[0], examples)
        np.testing.assert_allclose(given[1], expected, rtol=1e-6)


@pytest.mark.parametrize("width", [32, 64, 128, 512])
def test_parts_pad_little(width):
    """At most a tenth more tokens than in the fewest rows, in parts as large as is worth it."""
    lengths = np.clip(np.random.default_rng(1).lognormal(np.log(width / 2.5), 0.4, 640), 8, width).astype(np.int32)
    rows = part_rows(lengths, width, 32, 2)
    assert rows % 2 == 0
    assert width * rows >= 256
    needed, given = (Order([7], lengths, width, 32, 40, 2, n)._filled_rows.sum() for n in (0, rows))
    assert given <= 1.1 * needed


def test_with_parts_one_program_does_all_batches():
    """Whatever rows they need, and nearly always for all seeds."""
    rooms = set()
    for seed in range(20):
        shapes = {
            (layout.source.shape, layout.weights.shape)
            for layout, _ in Order([seed], LENGTHS, WIDTH, BATCH, STEPS, 1, 2).pieces(0, STEPS)
        }
        ((source, weights),) = shapes
        assert source == (1, STEPS, 2, 2, WIDTH)
        rooms.add(weights[-1])
    assert len(rooms) <= 2
    whole = {layout.source.shape for layout, _ in Order([0], LENGTHS, WIDTH, BATCH, STEPS, 1).pieces(0, STEPS)}
    assert len(whole) > 1


def test_on_an_accelerator_nearly_all_batches_have_the_same_rows():
    """One program for all seeds, and of short texts not a row for each."""
    lengths = np.random.default_rng(2).integers(3, 30, 400)
    least = usual_rows(lengths, 64, 32)
    for seeds in ((0, 1), (2,), range(3, 20)):
        own = Order(seeds, lengths, 64, 32, 40, 1)
        alike = Order(seeds, lengths, 64, 32, 40, 8, least_rows=least)
        assert len(set(own.rows)) > 1
        assert set(alike.rows) == {16}
        ((source, examples),) = {(layout.source.shape, layout.examples.shape) for layout, _ in alike.pieces(0, 40)}
        assert source[-2:] == (16, 64)
        assert examples[-1] == 32


@pytest.mark.parametrize(("platform", "quantum", "rows"), [("cpu", 2, 0), ("gpu", 8, 9)])
def test_a_run_asks_for_such_rows_on_an_accelerator_alone(platform, quantum, rows, monkeypatch):
    monkeypatch.setattr(cohort.jax, "default_backend", lambda: platform)
    spec, pool = SimpleNamespace(batch_size=32), SimpleNamespace(lengths=np.full(640, 30), tokens=np.zeros((640, 128)))
    members = cohort.Cohort(spec, *[None] * 6, SimpleNamespace(shape={"data": 1}), 1)
    assert members.row_quantum == quantum
    assert loop._least_rows(SimpleNamespace(spec=spec, pool=pool), members) == rows


def test_a_batch_that_does_not_fit_has_the_rows_that_it_needs():
    lengths = np.full(64, 40)
    order = Order([0], lengths, 64, 32, 4, 8, least_rows=8)
    assert set(order.rows) == {32}


def test_rare_classes_count_as_much_as_frequent_ones():
    labels = np.array([0, 0, 0, 1, 0, 0, 1, 0], np.int32)
    tokens = np.ones((len(labels), 2), np.int32)
    train = Encoded(tokens, tokens, tokens, labels, np.full(len(labels), 2), n_truncated=0)
    task = Classification(get_task("rte"), balanced=True)
    weights = task.weights(train)
    assert weights is not None
    np.testing.assert_allclose([weights[labels == c].sum() for c in (0, 1)], 4.0)
    assert Classification(get_task("rte")).weights(train) is None
