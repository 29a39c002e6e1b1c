"""Clipping: together, each on its own, and outside any partition."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods
from stablefit.errors import InputError


def clipped(transform, updates):
    return transform.update(updates, transform.init(updates))[0]


def test_global_clip_is_that_of_optax():
    updates = {"a": jnp.asarray([3.0, 4.0]), "b": jnp.asarray([12.0])}
    for max_norm in (1.0, 13.5, jnp.float32(2.0)):
        expected = clipped(optax.clip_by_global_norm(max_norm), updates)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
            clipped(methods.clip_by_global_norm(max_norm), updates),
            expected,
        )


def test_inside_a_partition_each_group_is_clipped_alone():
    """[0.6, 0.8] has norm 1 and is left alone by the clip in front; behind a partition each part may be 1 long."""
    updates = {"a": jnp.asarray(6.0), "b": jnp.asarray(8.0)}
    labels = {"a": "x", "b": "y"}
    inside = optax.partition({"x": methods.clip_by_global_norm(1.0), "y": methods.clip_by_global_norm(1.0)}, labels)
    assert [float(u) for u in jax.tree.leaves(clipped(inside, updates))] == pytest.approx([1.0, 1.0])
    in_front = optax.chain(
        methods.clip_by_global_norm(1.0), optax.partition({"x": optax.identity(), "y": optax.identity()}, labels)
    )
    assert [float(u) for u in jax.tree.leaves(clipped(in_front, updates))] == pytest.approx([0.6, 0.8])


def test_component_clip_leaves_small_tensors_alone():
    updates = {"a": jnp.asarray([3.0, 4.0]), "b": jnp.asarray([0.1]), "zero": jnp.zeros(3)}
    result = clipped(methods.clip_by_component_norm(1.0), updates)
    np.testing.assert_allclose(result["a"], [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(result["b"], updates["b"])
    np.testing.assert_array_equal(result["zero"], 0)


@pytest.mark.parametrize("make", [methods.clip_by_global_norm, methods.clip_by_component_norm])
def test_bfloat16_norm_is_taken_in_float32_and_nan_stays_visible(make):
    updates = {"a": jnp.full(1000, 0.01, jnp.bfloat16)}
    result = clipped(make(jnp.float32(0.1)), updates)
    assert result["a"].dtype == jnp.bfloat16
    assert float(jnp.linalg.norm(result["a"].astype(jnp.float32))) == pytest.approx(0.1, rel=0.01)
    assert np.isnan(clipped(make(1.0), {"a": jnp.asarray([jnp.nan])})["a"]).all()


@pytest.mark.parametrize("make", [methods.clip_by_global_norm, methods.clip_by_component_norm])
def test_wrong_values_raise_and_infinity_is_the_identity(make):
    with pytest.raises(InputError, match="at least 0"):
        make(-1.0)
    updates = {"a": jnp.asarray([1e30])}
    assert clipped(make(math.inf), updates) is updates
