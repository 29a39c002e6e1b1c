"""A project of somebody's own, which has jax, optax and stablefit's base install: it is run so, and type-checked.

A network of two blocks learns a curve, then a shifted one from sixteen points: re-initialisation of the top block,
mixout in the loss, Adam with bias correction, decay and layer-wise learning rates.
"""

from typing import Any, cast

import jax
import jax.numpy as jnp
import optax

from stablefit import methods
from stablefit.errors import InputError
from stablefit.paths import names

WIDTH = 16
Params = dict[str, dict[str, jax.Array]]


def start(key: jax.Array) -> Params:
    """Parameters with a name for each block."""
    sizes = {"layer_0": (1, WIDTH), "layer_1": (WIDTH, WIDTH), "head": (WIDTH, 1)}
    keys = jax.random.split(key, len(sizes))
    return {
        name: {"kernel": jax.random.normal(k, shape) / shape[0] ** 0.5, "bias": jnp.zeros(shape[1])}
        for k, (name, shape) in zip(keys, sizes.items(), strict=True)
    }


def forward(params: Params, x: jax.Array) -> jax.Array:
    """x, [B, 1], to what is predicted for it, [B, 1]."""
    for name in ("layer_0", "layer_1"):
        x = jnp.tanh(x @ params[name]["kernel"] + params[name]["bias"])
    return x @ params["head"]["kernel"] + params["head"]["bias"]


def curve(n: int, shift: float) -> tuple[jax.Array, jax.Array]:
    """n points of it."""
    x = jnp.linspace(-2.0, 2.0, n)[:, None]
    return x, jnp.sin(2 * x + shift)


def error(params: Params, batch: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The mean square."""
    x, y = batch
    return jnp.mean((forward(params, x) - y) ** 2)


def train(
    params: Params,
    optimizer: optax.GradientTransformation,
    batch: tuple[jax.Array, jax.Array],
    mixed: methods.ParamTransform,
    steps: int,
) -> Params:
    """Parameters after some steps on one batch."""
    anchor: Any = mixed.init(params)
    state = optimizer.init(params)

    @jax.jit
    def step(params: Params, state: optax.OptState, key: jax.Array) -> tuple[Params, optax.OptState]:
        def loss(params: Params) -> jax.Array:
            return error(mixed.apply(key, params, anchor), batch)

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return cast(Params, optax.apply_updates(params, updates)), state

    for i in range(steps):
        params, state = step(params, state, jax.random.fold_in(jax.random.key(1), i))
    return params


def main() -> tuple[float, float]:
    """The error on new points of the shifted curve before and after."""
    params = train(start(jax.random.key(0)), optax.adam(1e-2), curve(64, 0.0), methods.identity(), 200)
    params = methods.reinit(jax.random.key(2), params, layers=1, std=0.2)
    optimizer = optax.chain(
        methods.clip_by_global_norm(1.0),
        methods.scale_by_adam(bias_correction="both"),
        methods.add_weight_decay(0.01, methods.decay_mask(params)),
        methods.scale_by_layer_decay(0.9),
        optax.scale_by_learning_rate(methods.warmup_linear(2e-2, total_steps=200, warmup_steps=20)),
    )
    new = curve(33, 0.7)
    before = float(error(params, new))
    params = train(params, optimizer, curve(16, 0.7), methods.mixout(0.1), 200)
    try:
        methods.reinit(jax.random.key(0), params, layers=3)
    except InputError as refused:
        print(f"{len(names(params))} leaves; {refused}")
    return before, float(error(params, new))


if __name__ == "__main__":
    print("error %.3f before, %.3f after" % main())  # noqa: UP031
