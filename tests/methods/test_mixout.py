"""Mixout: its statistics, its axis, its gradient and its two doors."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods
from stablefit.errors import InputError
from stablefit.paths import PatternError
from tests.methods.trees import encoder_tree, same_bits

KEY = jax.random.key(11)


def masks(rate, shape, unit, keys, name="layer_0"):
    """The mask of every key, as 0 and 1: w - u = 1 shows it."""
    transform = methods.mixout(rate, unit=unit)
    params = {name: {"kernel": jnp.zeros(shape)}, "layer_9": {"kernel": jnp.zeros(shape)}}
    state = transform.init(params)
    ones = jax.tree.map(jnp.ones_like, params)
    mixed = jax.jit(jax.vmap(lambda key: transform.apply(key, ones, state)))(keys)
    return jax.tree.map(lambda x: np.asarray(x) > 0, mixed)


@pytest.mark.parametrize("unit", ["input", "weight"])
@pytest.mark.parametrize("rate", [0.1, 0.7])
def test_mean_is_the_weight_and_rate_is_the_rate(unit, rate):
    w, u = jax.random.normal(jax.random.key(0), (2, 20, 6))
    transform = methods.mixout(rate, unit=unit)
    state = transform.init({"kernel": u})
    draw = jax.jit(jax.vmap(lambda key: transform.apply(key, {"kernel": w}, state)["kernel"]))
    draws, w, u = np.asarray(draw(jax.random.split(KEY, 4000))), np.asarray(w), np.asarray(u)
    deviation = np.abs(w - u) * np.sqrt(rate / (1 - rate) / 4000)
    assert np.all(np.abs(np.mean(draws, axis=0) - w) < 5 * deviation + 1e-6)
    kept = np.abs(draws - u) > 1e-5
    independent = kept[..., 0] if unit == "input" else kept
    assert np.mean(kept) == pytest.approx(1 - rate, abs=5 * np.sqrt(rate * (1 - rate) / independent.size))
    np.testing.assert_allclose(draws[kept], np.broadcast_to(u + (w - u) / (1 - rate), draws.shape)[kept], rtol=1e-4)


def test_input_masks_are_rows_and_weight_masks_are_not():
    keys = jax.random.split(KEY, 50)
    by_input = masks(0.5, (8, 6), "input", keys)["layer_0"]["kernel"]
    assert np.all(by_input == by_input[:, :, :1])
    assert np.any(by_input != by_input[:, :1, :])
    by_weight = masks(0.5, (8, 6), "weight", keys)["layer_0"]["kernel"]
    assert np.any(by_weight != by_weight[:, :, :1])
    three_axes = masks(0.5, (4, 3, 5), "input", keys)["layer_0"]["kernel"]
    assert np.all(three_axes == three_axes[..., :1])
    assert np.any(three_axes != three_axes[:, :, :1])


@pytest.mark.parametrize("unit", ["input", "weight"])
def test_draws_are_independent_over_leaves_steps_and_units(unit):
    keys = jax.vmap(lambda i: jax.random.fold_in(KEY, i))(jnp.arange(4000))
    both = masks(0.5, (4, 3), unit, keys)
    a, b = (both[name]["kernel"].astype(float) for name in ("layer_0", "layer_9"))
    assert abs(np.corrcoef(a[:, 0, 0], b[:, 0, 0])[0, 1]) < 0.08
    assert abs(np.corrcoef(a[:-1, 0, 0], a[1:, 0, 0])[0, 1]) < 0.08
    assert abs(np.corrcoef(a[:, 0, 0], a[:, 1, 0])[0, 1]) < 0.08


def test_a_leaf_s_noise_depends_on_its_name_and_not_on_the_others():
    transform = methods.mixout(0.5)
    params = encoder_tree(blocks=1)
    zeros = jax.tree.map(jnp.zeros_like, params)
    whole = transform.apply(KEY, params, transform.init(zeros))
    part, part_zeros = {"head": params["head"]}, {"head": zeros["head"]}
    same_bits(transform.apply(KEY, part, transform.init(part_zeros))["head"], whole["head"])


def test_only_kernels_are_mixed_and_anchored_by_default():
    params = encoder_tree(blocks=1)
    transform = methods.mixout(1.0)
    state = transform.init(jax.tree.map(jnp.zeros_like, params))
    assert len(jax.tree.leaves(state)) == 8  # six in the block, pooler, head
    mixed = transform.apply(KEY, params, state)
    flat = {"/".join(str(k.key) for k in path): leaf for path, leaf in jax.tree.leaves_with_path(mixed)}
    for name, leaf in flat.items():
        assert np.all(leaf == 0) == name.endswith("kernel"), name


def test_where_takes_patterns_that_must_match():
    params = encoder_tree(blocks=1)
    state = methods.mixout(0.5, where=["encoder/.*/kernel", ".*/embedding"]).init(params)
    assert len(jax.tree.leaves(state)) == 7 + 3
    with pytest.raises(PatternError, match="decoder"):
        methods.mixout(0.5, where=["decoder/.*"]).init(params)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("traced", [False, True])
def test_rates_0_and_1_are_exact_with_finite_gradients(dtype, traced):
    w = {"kernel": jax.random.normal(KEY, (5, 4)).astype(dtype)}
    u = {"kernel": jax.random.normal(jax.random.key(1), (5, 4)).astype(dtype)}
    for rate, expected, slope in ((0.0, w, 1), (1.0, u, 0)):
        for gradient in ("true", "official"):
            transform = methods.mixout(jnp.asarray(rate) if traced else rate, gradient=gradient)
            mixed, pull_back = jax.vjp(lambda p, t=transform: t.apply(KEY, p, t.init(u)), w)
            same_bits(mixed, expected)
            (gradients,) = pull_back(jax.tree.map(jnp.ones_like, w))
            assert np.all(np.asarray(gradients["kernel"], np.float32) == slope)


def test_w_at_the_anchor_stays():
    params = {"kernel": jax.random.normal(KEY, (5, 4))}
    transform = methods.mixout(0.7)
    same_bits(transform.apply(KEY, params, transform.init(params)), params)


@pytest.mark.parametrize("rate", [0.1, 0.7])
def test_true_gradient_is_the_official_one_over_the_keep_rate(rate):
    w, u = jax.random.normal(KEY, (2, 5, 4))

    def gradients(kind):
        transform = methods.mixout(rate, gradient=kind)
        state = transform.init({"kernel": u})
        value = transform.apply(KEY, {"kernel": w}, state)
        return value, jax.grad(lambda p: jnp.sum(jnp.sin(transform.apply(KEY, p, state)["kernel"])))({"kernel": w})

    value_true, true = gradients("true")
    value_official, official = gradients("official")
    same_bits(value_true, value_official)
    np.testing.assert_allclose(true["kernel"], official["kernel"] / (1 - rate), rtol=1e-6)
    assert np.any(true["kernel"] != 0)
    assert np.any(true["kernel"] == 0)


def test_no_gradient_flows_into_the_anchor():
    transform = methods.mixout(0.5)
    params = {"kernel": jnp.ones((3, 2))}
    into = jax.grad(lambda state: jnp.sum(transform.apply(KEY, params, state)["kernel"]))(transform.init(params))
    assert np.all(into.anchor["kernel"] == 0)


def loss(params, x):
    return jnp.mean(jnp.tanh(x @ params["layer_0"]["kernel"]) @ params["head"]["kernel"])


@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("gradient", ["true", "official"])
def test_both_doors_give_the_same_bits(jit, gradient):
    """As a transform inside the loss, and adapted to an optax chain: the same parameters after five steps."""
    x = jax.random.normal(jax.random.key(2), (6, 4))
    params = {"layer_0": {"kernel": jnp.ones((4, 3))}, "head": {"kernel": jnp.ones((3, 1))}}
    transform = methods.mixout(0.5, gradient=gradient)
    tail = optax.chain(methods.clip_by_global_norm(1.0), methods.scale_by_adam(), optax.scale(-0.1))
    adapted = optax.chain(methods.as_gradient_transformation(transform, KEY), tail)

    def inside(params, state, anchor, i):
        key = jax.random.fold_in(KEY, i)
        gradients = jax.grad(lambda p: loss(transform.apply(key, p, anchor), x))(params)
        updates, state = tail.update(gradients, state, params)
        return optax.apply_updates(params, updates), state

    def outside(params, state):
        zeros = jax.tree.map(jnp.zeros_like, params)
        updates, state = adapted.update(zeros, state, params, grad_fn=lambda p, step: jax.grad(loss)(p, x))
        return optax.apply_updates(params, updates), state

    if jit:
        inside, outside = jax.jit(inside), jax.jit(outside)
    p, state, anchor = params, tail.init(params), transform.init(params)
    q, state_q = params, adapted.init(params)
    for i in range(5):
        p, state = inside(p, state, anchor, i)
        q, state_q = outside(q, state_q)
        same_bits(p, q)
    assert np.any(p["layer_0"]["kernel"] != params["layer_0"]["kernel"])


def test_the_adapter_passes_the_step_and_counts():
    seen = []
    transform = methods.mixout(0.5)
    adapted = methods.as_gradient_transformation(transform, KEY)
    params = {"kernel": jnp.ones((3, 2))}
    state = adapted.init(params)
    for _ in range(3):
        _, state = adapted.update(params, state, params, grad_fn=lambda p, i: seen.append(int(i)) or p, value=1.0)
    assert seen == [0, 1, 2]
    assert int(state.count) == 3
    with pytest.raises(InputError, match="grad_fn"):
        adapted.update(params, state, params)


def test_a_chain_keeps_each_part_s_noise():
    params = encoder_tree(blocks=1)
    zeros = jax.tree.map(jnp.zeros_like, params)
    first = methods.mixout(0.5, where=["encoder/.*/kernel"])
    second = methods.mixout(0.25, where=["head/kernel"])
    both = methods.chain(first, methods.identity(), second)
    mixed = both.apply(KEY, params, both.init(zeros))
    expected = second.apply(KEY, first.apply(KEY, params, first.init(zeros)), second.init(zeros))
    same_bits(mixed, expected)
    same_bits(mixed["head"], second.apply(KEY, params, second.init(zeros))["head"])
    assert methods.chain(first, methods.identity()) == first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"rate": 1.5}, r"lie in \[0, 1\]"), ({"rate": 0.5, "unit": "row"}, "row"), ({"rate": 0.5, "gradient": "x"}, "x")],
)
def test_wrong_values_raise(arguments, message):
    with pytest.raises(InputError, match=message):
        methods.mixout(**arguments)
