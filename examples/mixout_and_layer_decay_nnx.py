"""Mixout and layer-wise learning-rate decay in a Flax nnx project that knows nothing of ours.

    python examples/mixout_and_layer_decay_nnx.py

The toy of the linen example: one curve from much data, then a shifted one from sixteen points. Here both methods are
links of the optax chain, so the training step only passes one more argument, `grad_fn`. The network has a dropout,
whose random state belongs to the module: `copy=True` gives the pass at the mixed parameters a module of its own.
"""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from stablefit.methods import as_gradient_transformation, mixout, scale_by_adam, scale_by_layer_decay


class Regressor(nnx.Module):
    """Two hidden blocks, a dropout and a head."""

    def __init__(self, width: int, rngs: nnx.Rngs):
        self.layer_0 = nnx.Linear(1, width, rngs=rngs)
        self.layer_1 = nnx.Linear(width, width, rngs=rngs)
        self.dropout = nnx.Dropout(0.02, rngs=rngs)
        self.head = nnx.Linear(width, 1, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.dropout(nnx.tanh(self.layer_1(nnx.tanh(self.layer_0(x))))))


def curve(key: jax.Array, n: int, shift: float) -> tuple[jax.Array, jax.Array]:
    """Inputs and targets, [n, 1] each."""
    x = jax.random.uniform(key, (n, 1), minval=-3.0, maxval=3.0)
    return x, jnp.sin(2 * x + shift)


def mse(model: Regressor, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((model(x) - y) ** 2)


@nnx.jit
def pretrain_step(model: Regressor, optimizer: nnx.Optimizer, x: jax.Array, y: jax.Array) -> None:
    optimizer.update(model, nnx.grad(mse)(model, x, y))


@nnx.jit
def finetune_step(model: Regressor, optimizer: nnx.Optimizer, x: jax.Array, y: jax.Array) -> None:
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def gradient(params, step):
        # The gradient is taken inside the optimizer: without a copy it would change the dropout's state from there. The
        # copy's random state is that of the start, so the step is folded in.
        own = jax.tree.map(
            lambda x: jax.random.fold_in(x, step) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x, rest
        )
        return jax.grad(lambda p: mse(nnx.merge(graph, p, own, copy=True), x, y))(params)

    # The first argument is not read: mixout takes the gradient itself, at the mixed parameters.
    optimizer.update(model, params, grad_fn=gradient)


def main() -> tuple[float, float]:
    """Fine-tune the toy; returns the error on new points before and after."""
    model = Regressor(32, nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)
    for step in range(300):
        pretrain_step(model, optimizer, *curve(jax.random.key(step), 128, shift=0.0))

    tx = optax.chain(
        as_gradient_transformation(mixout(0.3), jax.random.key(2)),
        scale_by_adam(),
        scale_by_layer_decay(0.8),
        optax.scale_by_learning_rate(3e-3),
    )
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    few, new = curve(jax.random.key(1000), 16, shift=0.7), curve(jax.random.key(1001), 256, shift=0.7)
    before = float(mse(nnx.view(model, deterministic=True), *new))
    for _ in range(200):
        finetune_step(model, optimizer, *few)
    after = float(mse(nnx.view(model, deterministic=True), *new))
    print(f"nnx, 16 points, mixout 0.3, layer decay 0.8: error {before:.3f} before, {after:.3f} after")
    return before, after


if __name__ == "__main__":
    main()
