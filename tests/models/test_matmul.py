"""The written gradients of the matrix products against autodiff's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stablefit.models.matmul import attention_mix, attention_scores, dense

PRODUCTS = {
    "dense": (lambda x, w, dtype: dense(x, w, dtype), lambda x, w: x @ w, (3, 5, 8), (8, 6)),
    "dense of rows": (lambda x, w, dtype: dense(x, w, dtype), lambda x, w: x @ w, (5, 8), (8, 6)),
    "scores": (attention_scores, lambda q, k: jnp.einsum("bqhk,bshk->bhqs", q, k), (3, 5, 2, 4), (3, 7, 2, 4)),
    "mix": (attention_mix, lambda w, v: jnp.einsum("bhqs,bshk->bqhk", w, v), (3, 2, 5, 7), (3, 7, 2, 4)),
}


def pair(name, members=()):
    _, _, *shapes = PRODUCTS[name]
    random = np.random.default_rng(0)
    return tuple(jnp.asarray(random.standard_normal((*members, *shape)), jnp.float32) for shape in shapes)


def value_and_gradients(product):
    """A loss that is not linear in the product, so that the cotangent depends on it."""
    return jax.value_and_grad(lambda a, b: jnp.sum(jnp.sin(product(a, b))), argnums=(0, 1))


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("members", [(), (2,)])
def test_float32_gradients_are_autodiffs(name, members):
    ours, plain, *_ = PRODUCTS[name]

    def both(a, b):
        return value_and_gradients(lambda a, b: ours(a, b, jnp.float32))(a, b), value_and_gradients(plain)(a, b)

    found, expected = jax.jit(jax.vmap(both) if members else both)(*pair(name, members))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=5e-6)


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("members", [(), (2,)])
def test_bfloat16_rounds_inputs_and_sums_in_float32(name, members):
    ours, plain, *_ = PRODUCTS[name]

    def rounded(x):
        return x.astype(jnp.bfloat16).astype(jnp.float32)

    def both(a, b):
        value, back = jax.vjp(lambda a, b: ours(a, b, jnp.bfloat16), a, b)
        expected, expected_back = jax.vjp(plain, rounded(a), rounded(b))
        g = jnp.sin(expected)
        return (value, back(g)), (expected, expected_back(rounded(g)))

    found, expected = jax.jit(jax.vmap(both) if members else both)(*pair(name, members))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.dtype == jnp.float32
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=5e-6)


def test_second_derivatives_exist():
    x, w = pair("dense")
    ours = jax.grad(lambda w: jnp.sum(jax.grad(lambda w: jnp.sum(jnp.sin(dense(x, w, jnp.float32))))(w) ** 2))(w)
    plain = jax.grad(lambda w: jnp.sum(jax.grad(lambda w: jnp.sum(jnp.sin(x @ w)))(w) ** 2))(w)
    np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-4)
