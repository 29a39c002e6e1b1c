"""How far our transforms are from optax's own, where both exist, and how far each is from the same in float64.

    python -m benchmarks.optax_difference --out=benchmarks/results/optax_difference.json

Both get the same gradients and the same parameters, rounded to the type, for 100 steps. A difference is the largest of
all steps and elements, over the largest element. Half a minute on one core; docs/upstream.md has the table.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stablefit import methods

STEPS = 100
KEY = jax.random.key(0)
SHAPES = {"embeddings": {"kernel": (5, 4)}, "layer_0": {"kernel": (4, 4), "bias": (4,)}, "head": {"kernel": (4, 2)}}
RATES = {"embeddings": 0.81, "layer_0": 0.9, "head": 1.0}  # of layer decay 0.9

Made = Callable[[Any], Any]  # a type of numbers -> a tree of what is compared


def sequences(dtype: Any) -> tuple[Any, Any]:
    """Gradients and parameters of all steps, [STEPS, ...]: the same numbers in every type that holds them.

    They are rounded to bfloat16 first, so that in no type a difference is that of the inputs.
    """

    def numbers(shape: tuple[int, ...], which: str) -> jax.Array:
        random = np.random.default_rng(len(shape))
        gradients = random.normal(size=(STEPS, *shape)) * np.exp(random.normal(size=shape))
        weights = np.cumsum(random.normal(0, 0.01, (STEPS, *shape)), 0) + random.normal(size=shape)
        return jnp.asarray({"g": gradients, "w": weights}[which].astype(jnp.bfloat16).astype(dtype))

    def tree(which: str) -> Any:
        return jax.tree.map(lambda shape: numbers(shape, which), SHAPES, is_leaf=lambda x: isinstance(x, tuple))

    return tree("g"), tree("w")


def updates(optimizer: optax.GradientTransformation, dtype: Any) -> Any:
    """The updates of all steps, [STEPS, ...]."""
    gradients, weights = sequences(dtype)

    def step(state: Any, now: Any) -> tuple[Any, Any]:
        update, state = optimizer.update(now[0], state, now[1])
        return state, update

    first = jax.tree.map(lambda w: w[0], weights)
    return jax.lax.scan(step, optimizer.init(first), (gradients, weights))[1]


def rates(schedule: optax.Schedule, dtype: Any) -> Any:
    """The rates of all steps and of some after the last; a schedule makes them in the type of the program."""
    del dtype
    return schedule(jnp.arange(STEPS + 10))


def losses(params: Any) -> jax.Array:
    return jnp.asarray(sum(jnp.sum(jnp.sin(3 * w)) for w in jax.tree.leaves(params)))


def our_sam(dtype: Any) -> Any:
    """The gradient of `sam`."""

    def forward(params: Any, key: jax.Array) -> methods.Pass:
        one = jnp.ones(1, dtype)
        return methods.Pass(losses(params)[None], one, one, one)

    params = jax.tree.map(lambda w: w[0], sequences(dtype)[1])
    return jax.jit(jax.grad(lambda p: methods.sam(0.05).apply(forward, p, KEY).loss))(params)


def optax_sam(dtype: Any) -> Any:
    """The gradient that `optax.contrib.sam` gives to its optimizer."""
    params = jax.tree.map(lambda w: w[0], sequences(dtype)[1])
    climb = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    descent = optax.contrib.sam(optax.identity(), climb, opaque_mode=True)

    def grad_fn(params: Any, step: Any) -> Any:
        del step
        return jax.grad(losses)(params)

    def update(params: Any) -> Any:
        return descent.update(jax.grad(losses)(params), descent.init(params), params, grad_fn=grad_fn)[0]

    return jax.jit(update)(params)


def _updates(ours: optax.GradientTransformation, theirs: optax.GradientTransformation) -> tuple[Made, Made]:
    return lambda dtype: updates(ours, dtype), lambda dtype: updates(theirs, dtype)


def _rates(ours: optax.Schedule, theirs: optax.Schedule) -> tuple[Made, Made]:
    return lambda dtype: rates(ours, dtype), lambda dtype: rates(theirs, dtype)


def _by_label() -> optax.GradientTransformation:
    return optax.multi_transform(
        {name: optax.scale(rate) for name, rate in RATES.items()}, {name: name for name in RATES}
    )


def _joined(falls_from: float) -> optax.Schedule:
    legs = [optax.linear_schedule(0.0, 1.0, 20), optax.linear_schedule(falls_from, 0.0, STEPS - 20)]
    return optax.join_schedules(legs, [20])


_MASK = {"embeddings": True, "layer_0": {"kernel": True, "bias": False}, "head": True}

# Ours as it is called, optax's, and both.
PAIRS: dict[str, tuple[str, tuple[Made, Made]]] = {
    "scale_by_adam()": ("`scale_by_adam()`", _updates(methods.scale_by_adam(), optax.scale_by_adam())),
    "adamw(lr, weight_decay=d)": (
        "`adamw(lr, weight_decay=d, mask=kernels)`",
        _updates(methods.adamw(0.1, weight_decay=0.5), optax.adamw(0.1, weight_decay=0.5, mask=_MASK)),
    ),
    "add_weight_decay(d, None)": (
        "`add_decayed_weights(d)`",
        _updates(methods.add_weight_decay(0.5, None), optax.add_decayed_weights(0.5)),
    ),
    "clip_by_global_norm(c)": (
        "`clip_by_global_norm(c)`",
        _updates(methods.clip_by_global_norm(0.5), optax.clip_by_global_norm(0.5)),
    ),
    "scale_by_layer_decay(d)": (
        "`multi_transform` of `scale`, by label",
        _updates(methods.scale_by_layer_decay(0.9), _by_label()),
    ),
    "sam(rho)": ("`contrib.sam(..., opaque_mode=True)`", (our_sam, optax_sam)),
    "warmup_linear(p, T, w)": (
        "`join_schedules` of two `linear_schedule`",
        _rates(methods.warmup_linear(1.0, STEPS, 20), _joined(1.0)),
    ),
    "bert_schedule(p, T, w)": (
        "the same, the second from p (1 - w / T)",
        _rates(methods.bert_schedule(1.0, STEPS, 20), _joined(1 - 20 / STEPS)),
    ),
}
TYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
MEASURES = ("between", "ours", "optax")


def apart(one: Any, other: Any, scale: Any) -> float:
    """The largest difference over the largest element of `scale`."""
    trees = [[np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)] for tree in (one, other, scale)]
    largest = max(float(np.max(np.abs(leaf))) for leaf in trees[2])
    return max(float(np.max(np.abs(a - b))) for a, b in zip(trees[0], trees[1], strict=True)) / largest


def difference(pair: tuple[Made, Made], dtype: Any) -> dict[str, float]:
    """Ours from optax's, and each from optax's in float64."""
    ours, theirs = (jax.tree.map(lambda x: np.asarray(x, np.float64), make(dtype)) for make in pair)
    with jax.enable_x64(True):
        exact = jax.tree.map(np.asarray, pair[1](jnp.float64))
    found = {"between": (ours, theirs), "ours": (ours, exact), "optax": (theirs, exact)}
    return {name: float(f"{apart(*two, exact):.2g}") for name, two in found.items()}


def measure() -> dict[str, Any]:
    """All pairs, in each type that they have."""
    found = {"versions": {"jax": jax.__version__, "optax": optax.__version__}, "steps": STEPS}
    return found | {
        "differences": {
            ours: {name: difference(pair, TYPES[name]) for name in types_of(ours)} for ours, (_, pair) in PAIRS.items()
        }
    }


def types_of(ours: str) -> list[str]:
    """A schedule is no matter of the gradients' type."""
    return ["float32"] if "(p, T, w)" in ours else list(TYPES)


def table(found: dict[str, Any]) -> list[str]:
    """The rows of docs/upstream.md."""
    rows = [
        "| ours | optax's | apart | ours off | optax's off | apart in bfloat16 | ours off | optax's off |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for ours, (theirs, _) in PAIRS.items():
        of = found["differences"][ours]
        numbers = [f"{of[kind][what]:.2g}" if kind in of else "" for kind in TYPES for what in MEASURES]
        rows.append(f"| `{ours}` | {theirs} | {' | '.join(numbers)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = measure()
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=2) + "\n")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
