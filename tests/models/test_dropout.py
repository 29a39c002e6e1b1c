"""Is the hash good enough to be dropout? Tests of rate and independence, all on fixed keys.

Each statistic is a z score or a chi-square under "independent Bernoulli"; the limits are z < 5 and p > 1e-5, so that a
perfect generator fails one of these tests less than once in a thousand choices of keys. Power (what is found half of
the time): with 2^20 elements at rate 0.1, a rate off by 0.0015, and a correlation of 0.005 between two masks; with
1024 masks of 1024 positions, rates that vary from place to place with a standard deviation of 0.004.
"""

import functools
import os
import subprocess
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from stablefit.models.dropout import Dropout, keep_mask, seeds

RATES = (0.1, 0.5)
SHAPE = (16, 64, 1024)  # 2^20 elements


@functools.partial(jax.jit, static_argnums=(1, 2))
def mask(key, shape, rate):
    return keep_mask(seeds(key), shape, rate)


@functools.partial(jax.jit, static_argnums=(1, 2))
def masks(keys, shape, rate):
    return jax.vmap(lambda key: keep_mask(seeds(key), shape, rate))(keys)


def centred(keep, rate):
    """Mean 0 and variance 1 under the hypothesis."""
    return (np.asarray(keep, np.float64) - (1.0 - rate)) / np.sqrt(rate * (1.0 - rate))


def z_of_product(a, b):
    """z score of the correlation of two masks that are centred."""
    return float(np.mean(a * b) * np.sqrt(a.size))


@pytest.mark.parametrize("rate", [0.01, *RATES, 0.9])
def test_rate(rate):
    for seed in range(4):
        keep = centred(mask(jax.random.key(seed), SHAPE, rate), rate)
        assert abs(keep.mean()) * np.sqrt(keep.size) < 5


@pytest.mark.parametrize("rate", RATES)
def test_each_position_has_the_rate_over_keys(rate):
    kept = np.asarray(masks(jax.random.split(jax.random.key(1), 1024), (1024,), rate))
    for counts in (kept.sum(axis=0), kept.sum(axis=1)):  # over keys at a position; over positions of a key
        chi_square = float(np.sum((counts - 1024 * (1 - rate)) ** 2) / (1024 * rate * (1 - rate)))
        assert 1e-5 < stats.chi2.sf(chi_square, 1024) < 1 - 1e-5


@pytest.mark.parametrize("rate", RATES)
def test_neighbours_in_every_axis_are_independent(rate):
    keep = centred(mask(jax.random.key(2), SHAPE, rate), rate)
    for axis in range(3):
        for lag in (1, 2, 3, 4, 8):
            a = keep.take(range(keep.shape[axis] - lag), axis)
            b = keep.take(range(lag, keep.shape[axis]), axis)
            assert abs(z_of_product(a, b)) < 5, (axis, lag)


@pytest.mark.parametrize("rate", RATES)
def test_runs_of_eight_have_the_binomial_distribution(rate):
    kept = np.asarray(mask(jax.random.key(3), SHAPE, rate)).reshape(-1, 8)
    patterns = np.bincount((kept * 2 ** np.arange(8)).sum(axis=1), minlength=256)
    ones = np.array([bin(i).count("1") for i in range(256)])
    expected = len(kept) * (1 - rate) ** ones * rate ** (8 - ones)
    common = expected >= 5
    observed, expected = (
        np.append(patterns[common], patterns[~common].sum()),
        np.append(expected[common], expected[~common].sum()),
    )
    if expected[-1] < 5:
        observed, expected = observed[:-1], expected[:-1] * observed[:-1].sum() / expected[:-1].sum()
    assert 1e-5 < stats.chisquare(observed, expected).pvalue < 1 - 1e-5


def related_keys():
    """Pairs of keys as training makes them: layers of a step, neighbouring steps, neighbouring seeds."""
    run = jax.random.key(0)
    layers = [_layer_key(run, i) for i in range(4)]
    steps = [_layer_key(jax.random.fold_in(run, i), 0) for i in range(4)]
    runs = [_layer_key(jax.random.key(i), 0) for i in range(4)]
    return {"layers": layers, "steps": steps, "seeds": runs}


class _Stack(nn.Module):
    """Masks of several dropouts in a module, by linen's own keys."""

    count: int

    @nn.compact
    def __call__(self):
        return [Key(name=f"layer_{i}")() for i in range(self.count)]


class Key(nn.Module):
    @nn.compact
    def __call__(self):
        return self.make_rng("dropout")


def _layer_key(key, layer):
    return _Stack(4).apply({}, rngs={"dropout": key})[layer]


@pytest.mark.parametrize("rate", RATES)
def test_layers_steps_and_seeds_are_independent(rate):
    for name, keys in related_keys().items():
        found = [centred(mask(key, SHAPE, rate), rate).ravel() for key in keys]
        for i in range(4):
            for j in range(i):
                for lag in (0, 1, 1024):
                    a, b = found[i][lag:], found[j][: found[j].size - lag]
                    assert abs(z_of_product(a, b)) < 5, (name, i, j, lag)


@pytest.mark.parametrize("rate", RATES)
def test_seeds_that_differ_in_one_bit_are_independent(rate):
    base = np.array([0x12345678, 0x9ABCDEF0], np.uint32)
    make = jax.jit(lambda s: keep_mask(s, (2**18,), rate))
    first = centred(make(base), rate)
    for word in range(2):
        for bit in range(0, 32, 3):
            other = base.copy()
            other[word] ^= np.uint32(1 << bit)
            assert abs(z_of_product(first, centred(make(other), rate))) < 5, (word, bit)


def test_the_second_seed_keeps_masks_from_being_shifts_of_each_other():
    """Without it, first seeds that differ by 5 times the index's factor would give one mask, moved by 5 places."""
    make = jax.jit(lambda s: keep_mask(s, (2**18,), 0.5))
    first, moved = np.array([7, 11], np.uint32), np.array([7 + 5 * 0x9E3779B9 & 0xFFFFFFFF, 12], np.uint32)
    a, b = centred(make(first), 0.5), centred(make(moved), 0.5)
    assert abs(z_of_product(a[5:], b[:-5])) < 5
    same_second = centred(make(np.array([moved[0], 11], np.uint32)), 0.5)
    np.testing.assert_array_equal(
        a[5:], same_second[:-5]
    )  # the danger is real: it has a chance of 2^-32 a pair of keys


def test_a_mask_is_a_function_of_key_and_index_only():
    key = jax.random.key(5)
    whole = mask(key, (4, 6), 0.3)
    np.testing.assert_array_equal(np.ravel(whole), mask(key, (24,), 0.3))
    np.testing.assert_array_equal(whole, masks(jnp.stack([jax.random.key(4), key]), (4, 6), 0.3)[1])


@pytest.mark.parametrize("rate", [0.1, 0.6])
def test_forward_scales_and_backward_uses_the_same_mask(rate):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((8, 32)), jnp.float32)

    @jax.jit
    def run(x):
        y = Dropout(rate).apply({}, x, deterministic=False, rngs={"dropout": jax.random.key(0)})
        return jnp.sum(jnp.sin(y)), y

    (_, y), gradient = jax.value_and_grad(run, has_aux=True)(x)
    kept = np.asarray(y) != 0
    assert 0.2 < kept.mean() < 0.99
    np.testing.assert_allclose(y, np.where(kept, x / (1 - rate), 0), rtol=1e-6)
    np.testing.assert_allclose(gradient, np.where(kept, np.cos(y) / (1 - rate), 0), rtol=1e-5)


_DEVICES = """
import jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
jax.config.update("jax_num_cpu_devices", 4)
from stablefit.models.dropout import keep_mask, seeds
from stablefit.models.matmul import dense
mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
rows, whole = NamedSharding(mesh, P("data")), NamedSharding(mesh, P())
random = np.random.default_rng(0)
x, w = (random.standard_normal(shape).astype(np.float32) for shape in ((8, 5, 6), (6, 7)))

def step(x, w):
    def loss(w):
        y = dense(x, w, np.float32)
        keep = keep_mask(seeds(jax.random.key(0)), y.shape, 0.3)
        return (y * keep).sum() ** 2, keep
    return jax.grad(loss, has_aux=True)(w)

gradient, keep = jax.jit(step)(x, w)
spread, keep_spread = jax.jit(step, out_shardings=(whole, rows))(jax.device_put(x, rows), jax.device_put(w, whole))
assert len(keep_spread.sharding.device_set) == 4
np.testing.assert_array_equal(keep, keep_spread)
np.testing.assert_allclose(gradient, spread, rtol=1e-4, atol=1e-4)
"""


def test_a_sharded_batch_has_the_same_mask_and_gradient():
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", _DEVICES], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
