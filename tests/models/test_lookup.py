"""Rows of a table: JAX's own values and gradients, and on a GPU a gradient that has one order without large sorts."""

import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit.models import heads, lookup
from stablefit.models.config import EncoderConfig

RNG = np.random.default_rng(0)
CASES = [(7, (5, 10), 3), (100, (400,), 4), (2, (64,), 8), (5, (1,), 2)]


def case(rows, shape, width):
    table = jnp.asarray(RNG.normal(size=(rows, width)), jnp.float32)
    index = jnp.asarray(RNG.integers(-rows - 2, rows + 2, shape))
    return table, index, jnp.asarray(RNG.normal(size=(*shape, width)), jnp.float32)


def plain(table, index):
    return jnp.take(table, index, axis=0, mode="fill", fill_value=jnp.nan)


@pytest.mark.parametrize("sizes", CASES)
def test_rows_and_their_gradient_have_jax_s_own_bits(sizes):
    table, index, gradient = case(*sizes)
    (ours, back), (theirs, their_back) = (jax.vjp(lambda t, f=f: f(t, index), table) for f in (lookup.rows, plain))
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(back(gradient)[0], their_back(gradient)[0])


@pytest.mark.parametrize("sizes", CASES)
def test_by_runs_the_gradient_is_the_same_to_rounding(sizes):
    table, index, gradient = case(*sizes)
    (expected,) = jax.vjp(lambda t: plain(t, index), table)[1](gradient)
    ours = jax.jit(lookup._by_runs, static_argnums=2)(index, gradient, len(table))
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-5)
    assert not np.isnan(ours).any()


def test_members_have_tables_of_their_own_and_gradients_have_gradients():
    table, index, _ = case(7, (3, 5), 2)
    tables, indices = jnp.stack([table, 2 * table]), jnp.stack([index % 7, (index + 1) % 7])

    def loss(table, index, rows):
        return (rows(table, index) ** 3).sum()

    def twice(rows):
        one = jax.grad(lambda t, i: (jax.grad(loss)(t, i, rows) ** 2).sum())
        return jax.vmap(one)(tables, indices)

    np.testing.assert_allclose(twice(lookup.rows), twice(plain), rtol=1e-6)


CONFIG = EncoderConfig(50, 8, 1, 2, 16, max_position_embeddings=16)
B, T, E = 4, 16, 3
HEADS = {
    "pooler": heads.SequenceClassifier(CONFIG, 2, 0.1),
    "mean": heads.SequenceClassifier(CONFIG, 2, 0.1, pool="mean"),
    "tags": heads.TokenClassifier(CONFIG, 5, 0.1),
}
SCATTER = (
    r'"stablehlo\.scatter".*?unique_indices = (true|false).*?'
    r"\}\) : \(tensor<[^>]*>, tensor<[^>]*>, tensor<([0-9x]+)x\w+>"
)


@pytest.mark.parametrize("name", HEADS)
def test_for_a_gpu_no_vector_is_added_where_another_is(name):
    """Told to add in one order, XLA would sort all numbers that are added; an example's own label it may."""
    rows = jnp.zeros((B, T), jnp.int32)
    words = (jnp.zeros((E, 6), jnp.int32),) if name == "tags" else ()
    inputs = (rows, rows, rows + 1, rows, jnp.arange(E), jnp.zeros(E, jnp.int32), *words)
    model = HEADS[name]
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), *inputs, deterministic=True))

    def loss(params):
        outputs = model.apply(params, *inputs, deterministic=False, rngs={"dropout": jax.random.key(1)})
        if name == "tags":
            return heads.tag_losses(params["params"], outputs, jnp.zeros((E, 6), jnp.int32)).sum()
        return optax.softmax_cross_entropy_with_integer_labels(outputs, jnp.zeros(E, jnp.int32)).sum()

    text = jax.jit(jax.grad(loss)).trace(params).lower(lowering_platforms=("cuda",)).as_text()
    found = re.findall(SCATTER, text, re.DOTALL)
    assert len(found) == text.count('"stablehlo.scatter"')
    sizes = {
        unique: [math.prod(map(int, size.split("x"))) for u, size in found if u == unique]
        for unique in ("true", "false")
    }
    assert max(sizes["true"]) == B * T * CONFIG.hidden_size
    assert max(sizes["false"], default=0) <= E * 6
