"""Ours beside optax's own, where both exist: the differences that docs/transforms.md states."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods

KEY = jax.random.key(0)
PARAMS = {"kernel": jax.random.normal(KEY, (3, 4)), "bias": jax.random.normal(jax.random.key(1), (4,))}


def updates(optimizer, n=100):
    def step(carried, i):
        params, state = carried
        g = jax.tree.map(lambda w: jnp.cos(3 * w + i), params)
        update, state = optimizer.update(g, state, params)
        return (jax.tree.map(lambda w: 0.9 * w, params), state), update

    return jax.lax.scan(step, (PARAMS, optimizer.init(PARAMS)), jnp.arange(n))[1]


PAIRS = {
    "scale_by_adam": (methods.scale_by_adam(eps=1e-8), optax.scale_by_adam(eps=1e-8)),
    "adamw": (
        methods.adamw(0.1, weight_decay=0.5),
        optax.adamw(0.1, weight_decay=0.5, mask={"kernel": True, "bias": False}),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_adam_is_optax_s_to_the_digits_that_optax_has(name):
    ours, theirs = (updates(optimizer) for optimizer in PAIRS[name])
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.max(np.abs(a - b)) < 2e-5 * np.max(np.abs(b))


SAME = {
    "clip": (methods.clip_by_global_norm(0.5), optax.clip_by_global_norm(0.5)),
    "decay": (methods.add_weight_decay(0.5, None), optax.add_decayed_weights(0.5)),
}


@pytest.mark.parametrize("name", SAME)
def test_what_is_the_same_is_the_same(name):
    ours, theirs = (updates(optimizer, 5) for optimizer in SAME[name])
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=3e-7)


def test_sam_takes_the_gradient_of_optax_s():
    def loss(params):
        return jnp.sum(jnp.sin(params["kernel"])) + jnp.sum(jnp.cos(params["bias"]))

    def forward(params, key):
        return methods.Pass(loss(params) * jnp.ones(1), jnp.ones(1), jnp.ones(1), jnp.ones(1))

    ours = jax.grad(lambda p: methods.sam(0.05).apply(forward, p, KEY).loss)(PARAMS)
    descent = optax.contrib.sam(
        optax.sgd(1.0), optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), opaque_mode=True
    )
    grad_fn = functools.partial(lambda params, step: jax.grad(loss)(params))
    theirs, _ = descent.update(jax.grad(loss)(PARAMS), descent.init(PARAMS), PARAMS, grad_fn=grad_fn)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, -b, rtol=1e-5)
