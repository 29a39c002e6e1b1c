"""Each method against its NumPy float64 reference: 50 steps, in float64 to 1e-6 and in float32 to its rounding."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods, paths
from tests.methods import reference
from tests.methods.trees import encoder_tree

STEPS = 50
LR = 2.0**-7


def flat(tree):
    return dict(zip(paths.names(tree), (np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)), strict=True))


def numpy_gradient(params, i):
    return {name: np.cos(3 * w + i / 8) * 10.0 ** ((i + len(name)) % 4 - 3) for name, w in params.items()}


def jax_gradient(params, i):
    return paths.map_named(lambda name, w: jnp.cos(3 * w + i / 8) * 10.0 ** ((i + len(name)) % 4 - 3), params)


def small_tree():
    """Two blocks and all kinds of leaves, but few of them."""
    tree = encoder_tree(blocks=2, width=3)
    encoder = tree["encoder"]
    return {
        "embeddings": {"embedding": encoder["embeddings"]["word_embeddings"]["embedding"]},
        "layer_0": {"kernel": encoder["layer_0"]["intermediate"]["kernel"]},
        "layer_1": {"output": encoder["layer_1"]["output"], "LayerNorm": encoder["layer_1"]["LayerNorm"]},
        "pooler": {"kernel": encoder["pooler"]["kernel"]},
        "head": tree["head"],
    }


def jax_trajectory(transform, params, steps):
    @jax.jit
    def run(params):
        def one(i, carried):
            params, state = carried
            updates, state = transform.update(jax_gradient(params, i), state, params)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, steps, one, (params, transform.init(params)))[0]

    return run(params)


DESCEND = reference.scale(lambda t, name: -LR)
CASES = {
    "adam": ([methods.scale_by_adam()], [reference.adam()]),
    "adam_none": (
        [methods.scale_by_adam(bias_correction="none", eps=1e-6)],
        [reference.adam(correct_first=False, correct_second=False, eps=1e-6)],
    ),
    "adam_first": ([methods.scale_by_adam(bias_correction="first")], [reference.adam(correct_second=False)]),
    "adam_second": ([methods.scale_by_adam(bias_correction=(False, True))], [reference.adam(correct_first=False)]),
    "adam_eps_hat": ([methods.scale_by_adam(eps=1e-4, eps_hat=True)], [reference.adam(eps=1e-4, eps_hat=True)]),
    "adam_eps_hat_second": (
        [methods.scale_by_adam(eps=1e-4, bias_correction="second", eps_hat=True)],
        [reference.adam(eps=1e-4, correct_first=False, eps_hat=True)],
    ),
    "adam_b2": ([methods.scale_by_adam(b1=0.5, b2=0.98)], [reference.adam(b1=0.5, b2=0.98)]),
    "weight_decay": (
        [methods.scale_by_adam(), methods.add_weight_decay(0.1)],
        [reference.adam(), reference.weight_decay(0.1)],
    ),
    "decay_to_init": (
        [methods.scale_by_adam(), methods.add_decay_to_init(0.5)],
        [reference.adam(), reference.decay_to_init(0.5)],
    ),
    "l2_sp": (
        [
            methods.add_decay_to_init(
                0.5, weights=functools.partial(methods.anchor_weights, exclude=["head/.*"], group=None)
            ),
            methods.scale_by_adam(),
        ],
        [reference.decay_to_init(0.5, "head/.*"), reference.adam()],
    ),
    "layer_decay": (
        [methods.scale_by_adam(), methods.scale_by_layer_decay(0.7)],
        [reference.adam(), reference.scale(lambda t, name: reference.layer_factor(name, 0.7, 2))],
    ),
    "layer_decay_electra": (
        [methods.scale_by_adam(), methods.scale_by_layer_decay(0.7, convention="electra")],
        [reference.adam(), reference.scale(lambda t, name: reference.layer_factor(name, 0.7, 2, True))],
    ),
    "by_path": (
        [methods.scale_by_adam(), methods.scale_by_path([("head/bias", 3.0), ("head/.*", 100.0)])],
        [
            reference.adam(),
            reference.scale(lambda t, name: {"head/bias": 3.0, "head/kernel": 100.0}.get(name, 1.0)),
        ],
    ),
    "clip_global": (
        [methods.clip_by_global_norm(0.3), optax.scale(16.0)],
        [reference.clip_global(0.3), reference.scale(lambda t, name: 16.0)],
    ),
    "clip_component": (
        [methods.clip_by_component_norm(0.1), optax.scale(16.0)],
        [reference.clip_component(0.1), reference.scale(lambda t, name: 16.0)],
    ),
}


@pytest.mark.parametrize(
    ("case", "double"),
    [*((case, True) for case in CASES), ("adam", False), ("adam_none", False), ("decay_to_init", False)],
)
def test_fifty_steps(case, double):
    ours, theirs = CASES[case]
    check(optax.chain(*ours, optax.scale(-LR)), [*theirs, DESCEND], double)


def test_pull_to_init():
    check(
        optax.chain(methods.scale_by_adam(), optax.scale(-LR), methods.pull_to_init(0.1)),
        [reference.adam(), DESCEND, reference.decay_to_init(-0.1)],
        double=True,
    )


def test_projection_decay():
    ours = methods.selective_projection_decay(optax.chain(methods.scale_by_adam(), optax.scale(-LR)), 0.5)

    def adam_step(params):
        adam = reference.adam()(params)
        next(adam)
        updates = None
        while True:
            received = yield updates
            updates = {name: -LR * u for name, u in adam.send(received).items()}

    check(ours, [reference.projection_decay(adam_step, 0.5)], double=True)
    # It acts within these steps: without it the end is another one.
    ends = [
        reference.trajectory([reference.projection_decay(adam_step, rate)], flat(small_tree()), numpy_gradient, STEPS)
        for rate in (0.0, 0.5)
    ]
    assert max(np.max(np.abs(ends[0][name] - ends[1][name])) for name in ends[0]) > 1e-3


@pytest.mark.parametrize("double", [True, False], ids=["f64", "f32"])
@pytest.mark.parametrize("name", ["warmup_linear", "bert_schedule"])
def test_schedules(name, double):
    theirs = getattr(reference, name)
    with jax.enable_x64(double):
        ours = getattr(methods, name)(2e-5, 40, 4)
        for s in range(STEPS):
            assert float(ours(s)) == pytest.approx(theirs(s, 2e-5, 40, 4), rel=1e-6)
        optimizer = optax.scale_by_learning_rate(getattr(methods, name)(LR, 40, 4))
    check(optimizer, [reference.scale(lambda t, _: -theirs(t, LR, 40, 4))], double)


def check(ours, theirs, double):
    start = small_tree()
    expected = reference.trajectory(theirs, flat(start), numpy_gradient, STEPS)
    with jax.enable_x64(double):
        result = flat(
            jax_trajectory(ours, jax.tree.map(lambda w: jnp.asarray(w, jnp.result_type(float)), start), STEPS)
        )
    moved = max(np.max(np.abs(expected[name] - before)) for name, before in flat(start).items())
    assert moved > 0.01, "the reference hardly moves: nothing is tested"
    for name in expected:
        np.testing.assert_allclose(
            result[name], expected[name], rtol=0, atol=(1e-12 if double else 1e-5) * np.max(np.abs(expected[name]))
        )


@pytest.mark.parametrize("unit", ["input", "weight"])
@pytest.mark.parametrize("gradient", ["true", "official"])
def test_mixout(unit, gradient):
    """50 steps of gradient descent on a mixed weight, in float64; the masks are read off a weight with w - u = 1."""
    rate = 0.3
    key = jax.random.key(3)
    rng = np.random.default_rng(0)
    w = u = rng.normal(size=(4, 3))
    with jax.enable_x64(True):
        transform = methods.mixout(rate, unit=unit, gradient=gradient)
        params = {"a": {"kernel": jnp.asarray(w)}}
        state = transform.init(params)
        apart = transform.init(jax.tree.map(jnp.zeros_like, params))
        ones = jax.tree.map(jnp.ones_like, params)
        objective = lambda key, p: jnp.sum(jnp.sin(transform.apply(key, p, state)["a"]["kernel"] * 2))  # noqa: E731
        value_and_grad = jax.jit(jax.value_and_grad(objective, argnums=1))
        masks = jax.jit(lambda key: transform.apply(key, ones, apart)["a"]["kernel"] > 0)
        for i in range(STEPS):
            step_key = jax.random.fold_in(key, i)
            kept = np.asarray(masks(step_key))
            if unit == "input":
                assert np.all(kept == kept[:, :1])
            mixed, slope = reference.mixout(w, u, kept, rate)
            value, gradients = value_and_grad(step_key, params)
            np.testing.assert_allclose(value, np.sum(np.sin(2 * mixed)), rtol=1e-12)
            g = 2 * np.cos(2 * mixed) * (slope if gradient == "true" else kept)
            np.testing.assert_allclose(gradients["a"]["kernel"], g, rtol=1e-10, atol=1e-12)
            w = w - 0.05 * g
            params = jax.tree.map(lambda p, g: p - 0.05 * g, params, gradients)
        np.testing.assert_allclose(params["a"]["kernel"], w, rtol=1e-6)


def test_reinit():
    params = small_tree()
    key = jax.random.key(5)
    result = flat(methods.reinit(key, params, layers=1, std=0.5))
    for name, before in flat(params).items():
        if "layer_1" not in name and "pooler" not in name:
            expected = before
        elif name.endswith("bias"):
            expected = np.zeros_like(before)
        elif name.endswith("scale"):
            expected = np.ones_like(before)
        else:
            draw = jax.random.normal(paths.key_for(key, "reinit/" + name), before.shape)
            expected = 0.5 * np.asarray(draw, np.float64)
        np.testing.assert_allclose(result[name], expected, rtol=1e-6)


def test_bias_correction_ratio():
    for b1, b2 in ((0.9, 0.999), (0.9, 0.98), (0.0, 0.5)):
        for t in (1, 2, 7, 100, 3000):
            expected = (1 - b1**t) / math.sqrt(1 - b2**t)
            assert float(methods.bias_correction_ratio(t, b1, b2)) == pytest.approx(expected, rel=1e-6)
