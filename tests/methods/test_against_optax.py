"""Ours beside optax's own, and what optax.contrib asks of a transform: what docs/upstream.md states."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import optax_difference
from stablefit import methods, methods_page

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "optax_difference.json"
PAGE = ROOT / "docs" / "upstream.md"
KEPT = json.loads(RESULTS.read_text())["differences"]
FLOAT32 = 1.2e-7  # the distance of two numbers next to 1


def test_the_page_has_the_measured_table():
    assert "\n".join(optax_difference.table(json.loads(RESULTS.read_text()))) in PAGE.read_text()


def test_every_pair_is_in_the_results():
    assert {name: list(of) for name, of in KEPT.items()} == {
        name: optax_difference.types_of(name) for name in optax_difference.PAIRS
    }


def test_every_method_is_on_the_page():
    names = PAGE.read_text().partition("## Names and changes")[2]
    missing = [name for name in methods_page.METHODS if f"`{name}" not in names and f"({name}(" not in names]
    assert not missing


@pytest.mark.parametrize("name", optax_difference.PAIRS)
def test_float32_is_as_far_apart_as_the_page_says(name):
    ours, theirs = (make(jnp.float32) for make in optax_difference.PAIRS[name][1])
    # other compilers round elsewhere
    assert optax_difference.apart(ours, theirs, theirs) == pytest.approx(
        KEPT[name]["float32"]["between"], rel=0.5, abs=4 * FLOAT32
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", optax_difference.PAIRS)
def test_results_are_those_of_today(name):
    for kind, kept in KEPT[name].items():
        now = optax_difference.difference(optax_difference.PAIRS[name][1], optax_difference.TYPES[kind])
        assert now == pytest.approx(kept, rel=0.5, abs=4 * FLOAT32)


def test_what_the_page_says_of_the_differences():
    adam, clip = KEPT["scale_by_adam()"], KEPT["clip_by_global_norm(c)"]
    assert adam["float32"]["optax"] > 10 * adam["float32"]["ours"]
    assert adam["bfloat16"]["optax"] > 3 * adam["bfloat16"]["ours"]
    assert clip["bfloat16"]["optax"] > 1.5 * clip["bfloat16"]["ours"]
    for name in KEPT.keys() - {"scale_by_adam()", "adamw(lr, weight_decay=d)"}:
        assert KEPT[name]["float32"]["between"] < FLOAT32


def test_optax_cannot_clip_bfloat16_at_a_traced_norm():
    updates = {"kernel": jnp.full(4, 8.0, jnp.bfloat16)}

    def clipped(clip, norm):
        return clip(norm).update(updates, optax.EmptyState())[0]["kernel"]

    norm = jnp.float32(2.0)
    assert jax.jit(lambda n: clipped(methods.clip_by_global_norm, n))(norm).tolist() == [1.0] * 4
    with pytest.raises(TypeError, match="same dtypes"):
        jax.jit(lambda n: clipped(optax.clip_by_global_norm, n))(norm)


# As contrib's own tests have them, of optax 0.2.8: targets, steps and tolerance.
TARGETS = {
    "parabola": (lambda w: jnp.sum(jnp.square(w - jnp.array([1.0, -1.0, 1.0]))), [-1.0, 10.0, 1.0], [1.0, -1.0, 1.0]),
    "rosenbrock": (lambda w: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2, [0.0, 0.0], [1.0, 1.0]),
}
WHOLE = {
    "adamw": methods.adamw(1e-2),
    "bert_adam": methods.bert_adam(1e-2, weight_decay=0.0),
    "selective_projection_decay": methods.selective_projection_decay(optax.adam(1e-2), 0.5),
    "mixout": optax.chain(
        methods.as_gradient_transformation(methods.mixout(0.2, where=[".*"]), jax.random.key(0)), methods.adamw(1e-2)
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_optimizer_takes_any_argument_and_compiles_once(name):
    optimizer, traced = WHOLE[name], []
    params = {"w": jnp.array([1.0, 2.0])}

    @jax.jit
    def step(params, state):
        traced.append(1)
        updates, state = optimizer.update(params, state, params, grad_fn=lambda p, t: p, nobody_expects_it=1)
        return optax.apply_updates(params, updates), state

    assert isinstance(optimizer, optax.GradientTransformationExtraArgs)
    params, state = step(params, optimizer.init(params))
    step(params, state)
    assert len(traced) == 1


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", [name for name in WHOLE if name != "mixout"])
def test_a_whole_optimizer_converges(name, target):
    loss, start, end = TARGETS[target]
    optimizer, start = WHOLE[name], jnp.array(start)

    def step(carried, _):
        params, state = carried
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (start, optimizer.init(start)), length=30_000)
    np.testing.assert_allclose(params, end, rtol=3e-2, atol=3e-2)
