"""Mixout and layer-wise learning-rate decay in an Equinox project that knows nothing of ours.

    pip install equinox
    python examples/mixout_and_layer_decay_equinox.py

The toy of the linen example: one curve from much data, then a shifted one from sixteen points. Equinox calls a kernel
`weight` and keeps it [out, in], and keeps blocks in a tuple `layers`: names and axes are known, nothing has to be said.
What is trained are the arrays of the module, which `eqx.partition` takes out.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from stablefit.methods import mixout, scale_by_adam, scale_by_layer_decay


class Regressor(eqx.Module):
    """Two hidden blocks and a head."""

    layers: tuple[eqx.nn.Linear, ...]
    head: eqx.nn.Linear

    def __init__(self, width: int, key: jax.Array):
        first, second, last = jax.random.split(key, 3)
        self.layers = (eqx.nn.Linear(1, width, key=first), eqx.nn.Linear(width, width, key=second))
        self.head = eqx.nn.Linear(width, 1, key=last)

    def __call__(self, x: jax.Array) -> jax.Array:
        for layer in self.layers:
            x = jnp.tanh(layer(x))
        return self.head(x)


def curve(key: jax.Array, n: int, shift: float) -> tuple[jax.Array, jax.Array]:
    """Inputs and targets, [n, 1] each."""
    x = jax.random.uniform(key, (n, 1), minval=-3.0, maxval=3.0)
    return x, jnp.sin(2 * x + shift)


def mse(model: Regressor, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((jax.vmap(model)(x) - y) ** 2)


def main() -> tuple[float, float]:
    """Fine-tune the toy; returns the error on new points before and after."""
    params, static = eqx.partition(Regressor(32, jax.random.key(0)), eqx.is_inexact_array)

    def train(params, tx, steps, batch_of, loss):
        @jax.jit
        def step_fn(params, state, step):
            updates, state = tx.update(jax.grad(loss)(params, step, *batch_of(step)), state, params)
            return optax.apply_updates(params, updates), state

        state = tx.init(params)
        for step in range(steps):
            params, state = step_fn(params, state, step)
        return params

    def plain(params, step, x, y):
        del step
        return mse(eqx.combine(params, static), x, y)

    params = train(params, optax.adam(1e-2), 300, lambda step: curve(jax.random.key(step), 128, 0.0), plain)

    # The three lines: what to mix with, and how much slower the lower block learns.
    transform = mixout(0.3)
    anchor = transform.init(params)
    tx = optax.chain(scale_by_adam(), scale_by_layer_decay(0.8), optax.scale_by_learning_rate(3e-3))

    def mixed(params, step, x, y):
        key = jax.random.fold_in(jax.random.key(2), step)
        return plain(transform.apply(key, params, anchor), step, x, y)

    few, new = curve(jax.random.key(1000), 16, shift=0.7), curve(jax.random.key(1001), 256, shift=0.7)
    before = float(plain(params, 0, *new))
    params = train(params, tx, 200, lambda step: few, mixed)
    after = float(plain(params, 0, *new))
    print(f"equinox, 16 points, mixout 0.3, layer decay 0.8: error {before:.3f} before, {after:.3f} after")
    return before, after


if __name__ == "__main__":
    main()
