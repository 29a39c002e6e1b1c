"""The head of tagging: what reaches a word's emissions and its loss, and what does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablefit.data import packing
from stablefit.models import crf, heads
from stablefit.models.config import EncoderConfig
from stablefit.models.heads import TokenClassifier
from stablefit.training import steps
from stablefit.training.steps import Table

CONFIG = EncoderConfig(20, 8, 1, 2, 16, max_position_embeddings=16)
N, T, W, K = 5, 8, 6, 3


@pytest.fixture(scope="module")
def lengths():
    return np.array([8, 4, 3, 6, 5])


@pytest.fixture(scope="module")
def table(lengths):
    """Words are read at every second piece; the places behind the last word hold junk."""
    rng = np.random.default_rng(0)
    words = np.minimum(1 + 2 * np.arange(W, dtype=np.int32)[None], lengths[:, None] - 1).astype(np.int32)
    n_words = (lengths - 1) // 2
    labels = np.where(np.arange(W)[None] < n_words[:, None], rng.integers(0, K, (N, W)), -1).astype(np.int32)
    tokens = rng.integers(0, 20, (N, T)).astype(np.int32)
    return Table(tokens, np.zeros((N, T), np.int32), labels, (words,))


@pytest.fixture(scope="module")
def model():
    return TokenClassifier(CONFIG, K)


@pytest.fixture(scope="module")
def params(model, table):
    one = jnp.ones((1, T), jnp.int32)
    first = jnp.zeros(1, jnp.int32)
    arguments = (table.tokens[:1], 0 * one, one, jnp.arange(T)[None], first, first, table.further[0][:1])
    params = model.init(jax.random.key(0), *arguments, deterministic=True)["params"]
    return {**params, "crf": crf.init(jax.random.key(1), K, std=1.0)}


def batch(lengths, packed=True):
    indices, weights = np.arange(N, dtype=np.int32)[None], np.ones((1, N), np.float32)
    where = packing.places(indices, weights, lengths, T)
    if not packed:
        where = [packing.Place(np.arange(N), np.zeros(N, np.int32), N)]
    return jax.tree.map(lambda x: x[0], packing.layout(indices, weights, where, lengths, T, where[0].n_rows))


@pytest.fixture(scope="module")
def losses(model):
    def fn(params, table, one):
        return heads.tag_losses(
            params, steps.predict(params, table, one, model), jnp.asarray(table.labels)[one.examples]
        )

    return jax.jit(fn)


def test_it_has_no_pooler(params):
    assert set(params) == {"encoder", "head", "crf"}
    assert "pooler" not in params["encoder"]


def test_packed_rows_give_the_losses_of_padded_ones(losses, params, table, lengths):
    packed, padded = batch(lengths), batch(lengths, packed=False)
    assert packed.source.shape[0] < padded.source.shape[0]
    np.testing.assert_allclose(losses(params, table, packed), losses(params, table, padded), rtol=1e-5)


def test_the_loss_is_the_crfs_of_the_words_alone(model, losses, params, table, lengths):
    """One example by hand: the emissions where its words are read, and nothing else."""
    one = batch(lengths, packed=False)
    found = losses(params, table, one)
    emissions = steps.predict(params, table, one, model)
    for i, n in enumerate((lengths - 1) // 2):
        own = emissions[i : i + 1, :n]
        expected = -crf.log_likelihood(params["crf"], own, table.labels[i : i + 1, :n], jnp.ones((1, n), bool))
        np.testing.assert_allclose(found[i], expected[0], rtol=1e-5)


def test_specials_padding_and_later_pieces_have_no_emission(model, params, table, lengths):
    """The loss depends on the head's output at the words' places and nowhere else."""
    one = batch(lengths, packed=False)

    def loss(outputs_BxTxK):
        words = jnp.asarray(table.further[0])
        emissions = outputs_BxTxK[one.cls_rows[:, None], one.cls_columns[:, None] + words]
        return heads.tag_losses(params, emissions, jnp.asarray(table.labels)).sum()

    reached = np.abs(np.asarray(jax.grad(loss)(jnp.ones((N, T, K))))).sum(-1) > 0
    for i, n in enumerate((lengths - 1) // 2):
        assert np.flatnonzero(reached[i]).tolist() == [1 + 2 * w for w in range(n)]


def test_without_a_crf_it_is_a_crf_of_zeros(losses, params, table, lengths):
    plain = {name: tree for name, tree in params.items() if name != "crf"}
    zeros = {**plain, "crf": crf.init(jax.random.key(0), K)}
    one = batch(lengths)
    np.testing.assert_allclose(losses(plain, table, one), losses(zeros, table, one), rtol=1e-5)
    assert not np.allclose(losses(plain, table, one), losses(params, table, one))


def test_a_lower_precision_leaves_the_crf_in_float32(params, table, lengths):
    model = TokenClassifier(CONFIG, K, dtype=jnp.bfloat16)
    emissions = jax.jit(lambda: steps.predict(params, table, batch(lengths), model))()
    assert emissions.dtype == jnp.float32
    grads = jax.grad(lambda p: heads.tag_losses(p, emissions, jnp.asarray(table.labels)).sum())(params)["crf"]
    assert {name: x.dtype for name, x in grads.items()} == dict.fromkeys(grads, jnp.float32)


def test_words_that_share_a_piece_have_emissions_of_their_own(table, lengths):
    """The first word of a piece and the later ones: two sets of outputs of one hidden state."""
    model = TokenClassifier(CONFIG, K, shared=True)
    shared = table.replace(further=(np.tile(np.array([1, 1, 1, 2, 2, 2], np.int32), (N, 1)),))
    one = jnp.ones((1, T), jnp.int32)
    first = jnp.zeros(1, jnp.int32)
    arguments = (table.tokens[:1], 0 * one, one, jnp.arange(T)[None], first, first, shared.further[0][:1])
    params = model.init(jax.random.key(0), *arguments, deterministic=True)["params"]
    assert params["head"]["kernel"].shape == (8, 2 * K)
    emissions = np.asarray(steps.predict(params, shared, batch(lengths), model))
    for start in (0, 3):
        assert not np.allclose(emissions[:, start], emissions[:, start + 1])
        np.testing.assert_array_equal(emissions[:, start + 1], emissions[:, start + 2])
    assert not np.allclose(emissions[:, 0], emissions[:, 3])
