"""The loss and the segment: what a step computes, and that pieces of a segment are the segment."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods
from stablefit.data import packing
from stablefit.data.tasks import get_task
from stablefit.models.config import EncoderConfig
from stablefit.models.heads import SequenceClassifier
from stablefit.objectives.classification import Classification
from stablefit.objectives.multilabel import Multilabel
from stablefit.objectives.regression import Regression
from stablefit.training import steps
from stablefit.training.steps import Table, TrainState

CONFIG = EncoderConfig(20, 8, 1, 2, 16, max_position_embeddings=16)
N, T = 12, 6


@pytest.fixture(scope="module")
def model():
    return SequenceClassifier(CONFIG, 2, dropout=0.1)


@pytest.fixture(scope="module")
def still():
    """The model without dropout."""
    return SequenceClassifier(CONFIG, 2, dropout=0.0)


@pytest.fixture(scope="module")
def lengths():
    return np.random.default_rng(1).integers(2, T + 1, N)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 20, (N, T)).astype(np.int32)
    return Table(tokens, np.zeros((N, T), np.int32), rng.integers(0, 2, N).astype(np.int32))


@pytest.fixture(scope="module")
def state(model, table):
    params = model.init(jax.random.key(0), table.tokens, table.types, table.types, deterministic=True)["params"]
    return TrainState(jnp.int32(0), params, optax.adam(1e-2).init(params), ())


def batch(lengths, examples, weights=None, rows=None, packed=True, part_rows=0):
    """One batch: packed as the run packs it, or one example a row; in one part, or in parts."""
    indices = np.array([examples], np.int32)
    weights = np.ones(indices.shape, np.float32) if weights is None else np.array([weights], np.float32)
    where = packing.places(indices, weights, lengths, T)
    if not packed:
        where = [packing.Place(np.arange(len(examples)), np.zeros(len(examples), np.int32), len(examples))]
    layout = packing.layout(indices, weights, where, lengths, T, rows or where[0].n_rows)
    layout = packing.in_parts(layout, part_rows or layout.source.shape[1], len(examples))
    return jax.tree.map(lambda x: x[0], layout)


def step_fn(model, transform=None, loss=None):
    losses = Classification(get_task("rte")).losses
    transform = transform or methods.identity()
    step = functools.partial(
        steps.train_step, model=model, losses=losses, transform=transform, optimizer=optax.sgd(1.0), loss=loss
    )

    def stateless(state, table, batch, key):
        new, metrics = step(state.replace(opt_state=optax.sgd(1.0).init(state.params)), table, batch, key)
        return new.replace(opt_state=state.opt_state), metrics

    return jax.jit(stateless)


def gradient(model, state, table, batch, loss=None):
    """The gradient of a batch, as the step of plain gradient descent at rate 1."""
    new, metrics = step_fn(model, loss=loss)(state, table, batch, jax.random.key(1))
    return jax.tree.map(lambda old, new: old - new, state.params, new.params), metrics


def assert_close(one, other, atol):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, atol=atol)


@pytest.mark.parametrize("pool", ["pooler", "cls", "mean"])
def test_packing_gives_the_gradient_of_padding(pool, table, lengths):
    """Examples that share rows do not see each other."""
    still = SequenceClassifier(CONFIG, 2, pool=pool)
    params = still.init(jax.random.key(0), table.tokens, table.types, table.types, deterministic=True)["params"]
    state = TrainState(jnp.int32(0), params, optax.sgd(1.0).init(params), ())
    packed, padded = batch(lengths, list(range(8))), batch(lengths, list(range(8)), packed=False)
    assert packed.source.shape[1] < padded.source.shape[1]
    packed_grad, packed_metrics = gradient(still, state, table, packed)
    padded_grad, padded_metrics = gradient(still, state, table, padded)
    np.testing.assert_allclose(packed_metrics["loss"], padded_metrics["loss"], rtol=1e-6)
    assert_close(packed_grad, padded_grad, 1e-6)


def test_empty_rows_change_nothing(still, state, table, lengths):
    own, more = batch(lengths, [0, 1, 2]), batch(lengths, [0, 1, 2], rows=7)
    assert_close(gradient(still, state, table, own)[0], gradient(still, state, table, more)[0], 1e-6)


def test_fillers_do_not_count(still, state, table, lengths):
    """A batch of five filled up to eight has the loss and the gradient of the five."""
    own = gradient(still, state, table, batch(lengths, [0, 1, 2, 3, 4]))
    filled = gradient(still, state, table, batch(lengths, [0, 1, 2, 3, 4, 9, 0, 0], [1, 1, 1, 1, 1, 0, 0, 0]))
    np.testing.assert_allclose(own[1]["loss"], filled[1]["loss"], rtol=1e-6)
    assert_close(own[0], filled[0], 1e-6)


def test_a_smaller_batch_is_a_mean_of_its_own(still, state, table, lengths):
    """The loss of three examples is the mean of the three, not their sum over a full batch."""
    alone = [gradient(still, state, table, batch(lengths, [i]))[1]["loss"] for i in (3, 4, 5)]
    together = gradient(still, state, table, batch(lengths, [3, 4, 5, 0], [1, 1, 1, 0]))[1]["loss"]
    np.testing.assert_allclose(together, np.mean(alone), rtol=1e-6)


def test_losses():
    logits = jnp.array([[2.0, 0.0], [0.0, 1.0]])
    expected = [np.log(1 + np.exp(-2.0)), np.log(1 + np.exp(1.0))]
    task = get_task("rte")
    losses = Classification(task).losses({}, logits, jnp.array([0, 0]))
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    losses = Regression(task).losses({}, logits[:, :1], jnp.array([0.5, 3.0]))
    np.testing.assert_allclose(losses, [2.25, 9.0], rtol=1e-6)
    losses = Multilabel(task).losses({}, logits, jnp.array([[1.0, 0.0], [1.0, 1.0]]))
    each = [np.log(1 + np.exp(-2.0)) + np.log(2), np.log(2) + np.log(1 + np.exp(-1.0))]
    np.testing.assert_allclose(losses, np.array(each) / 2, rtol=1e-6)


@pytest.mark.parametrize("pool", ["pooler", "mean"])
@pytest.mark.parametrize("weights", [None, [1, 2, 0.5, 1, 3, 1, 0, 0]], ids=["alike", "weighted"])
@pytest.mark.parametrize("r_drop", [0.0, 2.0])
def test_the_gradient_of_parts_is_that_of_the_batch(pool, weights, r_drop, table, lengths):
    """Summed over its parts, one of them empty, in any number of rows; an example counts what it did."""
    still = SequenceClassifier(CONFIG, 2, pool=pool)
    params = still.init(jax.random.key(0), table.tokens, table.types, table.types, deterministic=True)["params"]
    state = TrainState(jnp.int32(0), params, (), ())
    transform = methods.r_drop(r_drop, lambda one, other, targets: jnp.square(one - other + 0.1).sum(-1))
    found = []
    for part_rows in (8, 2, 1):
        one = batch(lengths, list(range(8)), weights, rows=8, part_rows=part_rows)
        found.append(gradient(still, state, table, one, loss=transform))
    assert one.weights.shape == (8, 8)
    assert not one.weights[-1].any()
    for grad, metrics in found[1:]:
        np.testing.assert_allclose(metrics["loss"], found[0][1]["loss"], rtol=1e-6)
        assert_close(grad, found[0][0], atol=2e-7)
    assert max(np.abs(x).max() for x in jax.tree.leaves(found[0][0])) > 1e-3


def test_each_part_has_its_own_noise(model, state, table):
    """Two parts of the same example have two losses, which differ by dropout alone."""
    two, key = batch(np.full(N, T), [3, 3], part_rows=1), jax.random.key(4)
    one = two._replace(weights=two.weights * np.array([[1], [0]], np.float32))
    both, first = (float(step_fn(model)(state, table, x, key)[1]["loss"]) for x in (two, one))
    still = SequenceClassifier(CONFIG, 2)
    both_still, first_still = (float(step_fn(still)(state, table, x, key)[1]["loss"]) for x in (two, one))
    assert both != pytest.approx(first, rel=1e-5)
    assert both_still == pytest.approx(first_still, rel=1e-6)


@pytest.mark.parametrize("loss", [methods.sam(0.1), None], ids=["sam", "mixout"])
def test_what_is_not_of_each_example_alone_is_not_taken_in_parts(loss, model, state, table, lengths):
    transform = methods.identity() if loss else methods.mixout(0.5)
    mixed = state.replace(anchor=transform.init(state.params))
    two = batch(lengths, [0, 1, 2, 3], rows=4, part_rows=2)
    with pytest.raises(AssertionError):
        step_fn(model, transform, loss)(mixed, table, two, jax.random.key(0))


def test_pieces_have_the_bits_of_the_whole(model, state, table, lengths):
    indices = np.random.default_rng(2).integers(0, N, (5, 4)).astype(np.int32)
    weights = np.ones((5, 4), np.float32)
    layout = packing.layout(indices, weights, packing.places(indices, weights, lengths, T), lengths, T, 4)
    layout = packing.in_parts(layout, 4, 4)
    segment = jax.jit(functools.partial(steps.segment, step_fn=step_fn(model)))
    whole, records = segment(state, table, layout, jax.random.key(3), 5)
    first, first_records = segment(state, table, layout, jax.random.key(3), 2)
    shifted = jax.tree.map(lambda x: np.roll(x, -2, 0), layout)
    pieces, rest_records = segment(first, table, shifted, jax.random.key(3), 3)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), whole, pieces))
    np.testing.assert_array_equal(records["loss"][:2], first_records["loss"][:2])
    np.testing.assert_array_equal(records["loss"][2:], rest_records["loss"][:3])
    assert int(whole.step) == 5
    assert len(set(np.asarray(records["loss"]).tolist())) == 5


def test_dropout_is_a_function_of_key_and_step(model, state, table, lengths):
    step, one = step_fn(model), batch(lengths, list(range(8)))

    def loss(key, at):
        return float(step(state.replace(step=jnp.int32(at)), table, one, jax.random.key(key))[1]["loss"])

    assert loss(1, 0) == loss(1, 0)
    assert loss(1, 0) != loss(1, 1)
    assert loss(1, 0) != loss(2, 0)


def test_mixout_acts_in_the_loss_and_not_in_prediction(still, state, table, lengths):
    """At rate 1 every kernel is the anchor's: the loss is the anchor's, while predictions use the weights."""
    mixout = methods.mixout(1.0)
    mixed = state.replace(anchor=mixout.init(jax.tree.map(jnp.zeros_like, state.params)))
    one = batch(lengths, list(range(8)))
    _, metrics = step_fn(still, mixout)(mixed, table, one, jax.random.key(0))
    assert float(metrics["loss"]) == pytest.approx(np.log(2), abs=1e-6)  # a head of zeros knows nothing
    whole = jax.tree.map(lambda x: x[0], one)
    logits = jax.jit(functools.partial(steps.predict, model=still))(state.params, table, whole)
    assert float(jnp.abs(logits).max()) > 1e-3
