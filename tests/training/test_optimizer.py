"""The chain of a run: what needs its schedule and its methods together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import base
from stablefit.training import settings
from stablefit.training.recipe import make_optimizer

PARAMS = {"encoder": {"layer_0": {"kernel": jnp.linspace(-1, 1, 12).reshape(3, 4)}}, "head": {"bias": jnp.ones(4)}}
STEPS = 40


def trajectory(**changes):
    config = base.get_config()
    config.clip_norm = float("inf")
    config.update(changes)
    read = settings.read(config.to_dict())
    optimizer = make_optimizer(read.spec, read.hypers, PARAMS, STEPS)
    params, state = PARAMS, optimizer.init(PARAMS)
    for step in range(STEPS):
        grads = jax.tree.map(lambda p, step=step: jnp.sin(3.0 * p + step), params)
        updates, state = optimizer.update(grads, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return params


@pytest.mark.parametrize("b2", [0.999, 0.98])
def test_uncorrected_adam_is_corrected_adam_at_r_times_the_rate(b2):
    common = {"learning_rate": 1e-2, "eps": 1e-12, "b2": b2}
    bert_adam = trajectory(bias_correction="none", **common)
    in_disguise = trajectory(schedule="uncorrected", **common)
    for ours, theirs in zip(jax.tree.leaves(in_disguise), jax.tree.leaves(bert_adam), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5)
    standard = trajectory(**common)
    assert np.abs(standard["head"]["bias"] - bert_adam["head"]["bias"]).max() > 1e-3
