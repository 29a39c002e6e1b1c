"""The PyTorch originals, step by step: stored trajectories, and a live run where torch is installed.

The file is written by `tests/golden/make_methods.py`. It holds float64 trajectories; ours must agree with them in
float64 to the last digits, and in float32 to its rounding.
"""

import functools
import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from stablefit import methods

GOLDEN = Path(__file__).parents[1] / "golden"
TOTAL, WARMUP, PEAK = 60, 6, 0.01
# The largest deviation of a parameter, relative to the largest parameter of its leaf: float64, float32.
TOLERANCE = {
    "adamw_clip": (1e-6, 2e-6),  # torch divides by |g| + 1e-6
    "old_adamw_decay_last": (1e-3, 1e-3),  # ours decays before the step: lr^2 times the decay's rate apart, each step
}
DEFAULT = (1e-13, 1e-6)

ADAM = {
    "adamw": [methods.scale_by_adam(), methods.add_weight_decay(0.1)],
    "adamw_eps6": [methods.scale_by_adam(eps=1e-6)],
    "adamw_layer_decay": [
        methods.scale_by_adam(),
        methods.add_weight_decay(0.1),
        methods.scale_by_layer_decay(0.7),
    ],
    "adamw_clip": [methods.clip_by_global_norm(1.0), methods.scale_by_adam(eps=1e-3)],
    "old_adamw": [methods.scale_by_adam(eps_hat=True)],
    "old_adamw_uncorrected": [methods.scale_by_adam(eps=1e-6, bias_correction="none")],
    "old_adamw_decay_last": [
        methods.scale_by_adam(eps=1e-6, bias_correction="none"),
        methods.add_weight_decay(0.1),
    ],
    "prior_wd": [
        methods.scale_by_adam(),
        methods.add_decay_to_init(5.0, weights=functools.partial(methods.anchor_weights, exclude=())),
    ],
}


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "methods.npz") as file:
        return dict(file)


def nested(arrays: dict[str, np.ndarray], case: str) -> dict:
    """The leaves of a case as a tree: the names are paths."""
    tree: dict = {}
    for name, values in arrays.items():
        if name.startswith(case + ":"):
            *parents, last = name.split(":")[1].split("/")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = jnp.asarray(values, jnp.result_type(float))
    return tree


def optimizer_deviation(arrays: dict[str, np.ndarray], case: str) -> float:
    """The largest relative deviation of ours from the stored trajectory, over leaves and steps."""
    schedule = methods.warmup_linear(PEAK, TOTAL, WARMUP)
    optimizer = optax.chain(*ADAM[case], optax.scale_by_learning_rate(schedule))

    @jax.jit
    def run(params, gradients):
        def step(carried, g):
            params, state = carried
            updates, state = optimizer.update(g, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        return jax.lax.scan(step, (params, optimizer.init(params)), gradients)[1]

    ours = run(nested(arrays, "start"), nested(arrays, "gradients"))
    return largest(ours, nested(arrays, case))


def mixout_deviation(arrays: dict[str, np.ndarray], rate: float) -> float:
    """The same for least squares through a mixed kernel, by the adapter's door and with the official gradient."""
    x, y = (jnp.asarray(arrays[name], jnp.result_type(float)) for name in ("x", "y"))
    kernel, bias = (jnp.asarray(arrays[name], jnp.result_type(float)) for name in ("kernel", "bias"))
    mixout = methods.mixout(rate, gradient="official")
    optimizer = optax.chain(methods.as_gradient_transformation(mixout, jax.random.key(0)), optax.sgd(0.05))

    def loss(params):
        return jnp.mean((x @ params["layer_0"]["kernel"] + params["layer_0"]["bias"][None, :] - y) ** 2)

    @jax.jit
    def run(params):
        def step(carried, _):
            params, state = carried
            mixed = mixout.apply(jax.random.fold_in(jax.random.key(0), state[0].count), params, state[0].inner)
            updates, state = optimizer.update(params, state, params, grad_fn=lambda p, _: jax.grad(loss)(p))
            params = optax.apply_updates(params, updates)
            return (params, state), {"kernel": params["layer_0"]["kernel"], "loss": loss(mixed)}

        return jax.lax.scan(step, (params, optimizer.init(params)), length=len(arrays[f"mixout_{rate}:loss"]))[1]

    ours = run({"layer_0": {"kernel": kernel, "bias": bias}})
    theirs = {part: jnp.asarray(arrays[f"mixout_{rate}:{part}"]) for part in ("kernel", "loss")}
    return largest(ours, theirs)


def largest(ours, theirs) -> float:
    deviations = jax.tree.map(
        lambda a, b: np.max(np.abs(np.asarray(a, np.float64) - np.asarray(b))) / np.max(np.abs(b)), ours, theirs
    )
    return max(jax.tree.leaves(deviations))


@pytest.mark.parametrize("double", [True, False], ids=["f64", "f32"])
@pytest.mark.parametrize("case", ADAM)
def test_optimizers(stored, case, double, record_property):
    with jax.enable_x64(double):
        deviation = optimizer_deviation(stored, case)
    record_property("deviation", float(deviation))
    print(f"deviation {case} {'f64' if double else 'f32'} {deviation:.1e}")
    assert deviation < TOLERANCE.get(case, DEFAULT)[0 if double else 1]


def test_decay_last_is_a_second_order_difference(stored):
    """Old transformers decay after the step: with the decay taken out of the chain and applied last we agree."""
    with jax.enable_x64(True):
        schedule = methods.warmup_linear(PEAK, TOTAL, WARMUP)
        adam = methods.scale_by_adam(eps=1e-6, bias_correction="none")
        params, theirs = nested(stored, "start"), nested(stored, "old_adamw_decay_last")
        gradients = jax.tree.map(np.asarray, nested(stored, "gradients"))
        state, mask = adam.init(params), methods.decay_mask(params)

        @jax.jit
        def step(params, state, g, i):
            lr = schedule(i)
            updates, state = adam.update(g, state)
            params = jax.tree.map(lambda w, u: w - lr * u, params, updates)
            return jax.tree.map(lambda w, on: w - lr * 0.1 * w if on else w, params, mask), state

        for i in range(10):
            params, state = step(params, state, jax.tree.map(lambda g, i=i: g[i], gradients), i)
            assert largest(params, jax.tree.map(lambda x, i=i: np.asarray(x)[i], theirs)) < 1e-13


@pytest.mark.parametrize("double", [True, False], ids=["f64", "f32"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.7])
def test_mixout(stored, rate, double, record_property):
    with jax.enable_x64(double):
        deviation = mixout_deviation(stored, rate)
    record_property("deviation", float(deviation))
    print(f"deviation mixout_{rate} {'f64' if double else 'f32'} {deviation:.1e}")
    assert deviation < (1e-12 if double else 2e-5)


@pytest.mark.parity
def test_the_stored_trajectories_are_those_of_the_installed_torch(stored):
    pytest.importorskip("torch", reason="torch is not installed: the stored trajectories stand for it")
    spec = importlib.util.spec_from_file_location("make_methods", GOLDEN / "make_methods.py")
    assert spec
    assert spec.loader
    make_methods = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_methods)
    live = make_methods.everything()
    assert live.keys() == stored.keys()
    for name, values in live.items():
        np.testing.assert_allclose(stored[name], values, rtol=1e-12, atol=1e-15, err_msg=name)
    with jax.enable_x64(True):
        assert max(optimizer_deviation(live, case) for case in ADAM if case not in TOLERANCE) < DEFAULT[0]
        assert max(mixout_deviation(live, rate) for rate in make_methods.MIXOUT_RATES) < 1e-12
