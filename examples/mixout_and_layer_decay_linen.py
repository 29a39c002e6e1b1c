"""Mixout and layer-wise learning-rate decay in a Flax linen project that knows nothing of ours.

    python examples/mixout_and_layer_decay_linen.py

A small network learns one curve from much data, then a shifted curve from sixteen points. Three lines are ours: the
transform, its anchor, and one link in the optax chain. Mixout is applied inside the loss.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.training.train_state import TrainState

from stablefit.methods import mixout, scale_by_adam, scale_by_layer_decay


class Mlp(nn.Module):
    """Two hidden blocks and a head; the names of blocks end in their index, as layer-wise decay reads them."""

    @nn.compact
    def __call__(self, x):
        for i in range(2):
            x = nn.tanh(nn.Dense(32, name=f"layer_{i}")(x))
        return nn.Dense(1, name="head")(x)


def curve(key, n, shift):
    """Inputs and targets, [n, 1] each."""
    x = jax.random.uniform(key, (n, 1), minval=-3.0, maxval=3.0)
    return x, jnp.sin(2 * x + shift)


def mse(state, params, batch):
    x, y = batch
    return jnp.mean((state.apply_fn({"params": params}, x) - y) ** 2)


@jax.jit
def pretrain_step(state, batch):
    return state.apply_gradients(grads=jax.grad(lambda p: mse(state, p, batch))(state.params))


def finetune_step(state, batch, transform, anchor, key):
    def loss(params):
        return mse(state, transform.apply(key, params, anchor), batch)

    return state.apply_gradients(grads=jax.grad(loss)(state.params))


def main() -> tuple[float, float]:
    """Fine-tune the toy; returns the error on new points before and after."""
    model = Mlp()
    params = model.init(jax.random.key(0), jnp.ones((1, 1)))["params"]
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(1e-2))
    for step in range(300):
        state = pretrain_step(state, curve(jax.random.key(step), 128, shift=0.0))

    # The three lines: what to mix with, and how much slower the lower block learns.
    transform = mixout(0.3)
    anchor = transform.init(state.params)
    tx = optax.chain(scale_by_adam(), scale_by_layer_decay(0.8), optax.scale_by_learning_rate(3e-3))

    state = TrainState.create(apply_fn=model.apply, params=state.params, tx=tx)
    few, new = curve(jax.random.key(1000), 16, shift=0.7), curve(jax.random.key(1001), 256, shift=0.7)
    before = float(mse(state, state.params, new))
    step_fn = jax.jit(lambda state, anchor, key: finetune_step(state, few, transform, anchor, key))
    for step in range(200):
        state = step_fn(state, anchor, jax.random.fold_in(jax.random.key(2), step))
    after = float(mse(state, state.params, new))
    print(f"linen, 16 points, mixout 0.3, layer decay 0.8: error {before:.3f} before, {after:.3f} after")
    return before, after


if __name__ == "__main__":
    main()
