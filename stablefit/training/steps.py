"""The loss, one training step and one evaluation, of one member; pure functions."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from stablefit import methods
from stablefit.paths import Key, Tree, key_for

Array = jax.Array | np.ndarray


class TrainState(struct.PyTreeNode):
    """What one member carries from step to step."""

    step: jax.Array  # shape=(), int32: updates done
    params: Tree  # fp32 masters
    opt_state: Any
    anchor: Any  # state of the forward-time transform: what mixout mixes with


class Batch(struct.PyTreeNode):
    """Examples, padded to one length; weight 0 fills the last, smaller batch of an epoch."""

    tokens: Array  # [B, T] int32
    types: Array  # [B, T] int32
    segments: Array  # [B, T] int32, 0 on padding
    labels: Array  # [B] int32 classes or fp32 scores


def example_losses(logits_BxC: jax.Array, labels_B: Array) -> jax.Array:
    """Cross-entropy of integer labels; squared error of a single output for real labels. Shape [B]."""
    if jnp.issubdtype(labels_B.dtype, jnp.integer):
        return optax.softmax_cross_entropy_with_integer_labels(logits_BxC, labels_B)
    return jnp.square(logits_BxC[:, 0] - labels_B)


def train_step(
    state: TrainState,
    batch: Batch,
    weights_B: jax.Array,
    noise_key: Key,
    *,
    model: nn.Module,
    transform: methods.ParamTransform,
    optimizer: optax.GradientTransformation,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One update.

    The loss is sum(w l) / sum(w), so a smaller batch counts its own examples fully. The step's key is a function of the
    member's noise key and the step; dropout and mixout fold their own names into it.

    Returns:
        the next state, and the loss and the norm of the gradient before clipping, both of shape ().
    """
    step_key = jax.random.fold_in(noise_key, state.step)

    def loss_fn(params: Tree) -> jax.Array:
        effective = transform.apply(step_key, params, state.anchor)
        logits = _apply(model, effective, batch, deterministic=False, rngs={"dropout": key_for(step_key, "dropout")})
        losses = example_losses(logits, batch.labels)
        # where, not a product: a filler must not leak a NaN of its own into the sum
        return jnp.sum(jnp.where(weights_B > 0, losses * weights_B, 0.0)) / jnp.sum(weights_B)

    loss, grads = jax.value_and_grad(loss_fn)(state.params)
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    state = state.replace(step=state.step + 1, params=params, opt_state=opt_state)
    return state, {"loss": loss, "grad_norm": optax.global_norm(grads)}


def predict(params: Tree, batch: Batch, model: nn.Module) -> jax.Array:
    """Logits [B, C] without dropout and without mixout."""
    return _apply(model, params, batch, deterministic=True)


def _apply(model: nn.Module, params: Tree, batch: Batch, **options: Any) -> jax.Array:
    logits = model.apply({"params": params}, batch.tokens, batch.types, batch.segments, **options)
    assert isinstance(logits, jax.Array)
    return logits


def segment(
    state: TrainState,
    data: Batch,
    indices_SxB: jax.Array,
    weights_SxB: jax.Array,
    noise_key: Key,
    start: jax.Array,
    stop: jax.Array,
    step_fn: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
) -> tuple[TrainState, dict[str, jax.Array]]:
    """Steps `start` to `stop` of a segment in one program, without a round trip to the host.

    The bounds are traced, so the host may run a segment in pieces of any length, to show progress or to stop, with one
    compiled program and the same bits.

    Returns:
        the state after the last step, and each step's metrics, shape [S], zero outside [start, stop).
    """
    steps = indices_SxB.shape[0]
    records = {"loss": jnp.zeros(steps), "grad_norm": jnp.zeros(steps)}

    def body(i: jax.Array, carry: tuple[TrainState, dict[str, jax.Array]]):
        state, records = carry
        batch = jax.tree.map(lambda x: x[indices_SxB[i]], data)
        state, metrics = step_fn(state, batch, weights_SxB[i], noise_key)
        return state, {name: records[name].at[i].set(metrics[name]) for name in records}

    return jax.lax.fori_loop(start, stop, body, (state, records))
