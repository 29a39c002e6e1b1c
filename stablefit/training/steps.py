"""The loss, one training step and one evaluation, of one member; pure functions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct

from stablefit import methods
from stablefit.data.packing import Layout
from stablefit.models.heads import Head
from stablefit.paths import Key, Tree, key_for

Array = jax.Array | np.ndarray


class TrainState(struct.PyTreeNode):
    """What one member carries from step to step."""

    step: jax.Array  # shape=(), int32: updates done
    params: Tree  # fp32 masters
    opt_state: Any
    anchor: Any  # state of the forward-time transform: what mixout mixes with


class Table(struct.PyTreeNode):
    """The examples of one split, as they lie on the device."""

    tokens: Array  # [N, T] int32
    types: Array  # [N, T] int32
    labels: Array  # [N] int32 classes or fp32 numbers; [N, L] fp32 marks of labels; [N, W] int32 tags
    further: tuple[Array, ...] = ()  # what else the model takes of each example; of tagging where its words are read


def train_step(
    state: TrainState,
    table: Table,
    batch: Layout,
    noise_key: Key,
    *,
    model: Head,
    losses: Callable[[Tree, jax.Array, jax.Array], jax.Array],
    transform: methods.ParamTransform,
    optimizer: optax.GradientTransformation,
    loss: methods.LossTransform | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One update.

    The loss is sum(w l) / sum(w), so a smaller batch counts its own examples fully. The step's key is a function of the
    member's noise key and the step; dropout and mixout fold their own names into it.

    Args:
        state: before the update.
        table: the training examples.
        batch: which of them, and where they lie in the rows; without the axis S, with that of parts. The gradients of
            several parts are summed, which needs the memory of one; each has a noise of its own. Not with a transform
            of the parameters, nor with a loss that is not `by_example`.
        noise_key: of the member.
        losses: parameters, outputs and targets -> the loss of each example.
        transform, loss, optimizer: what is done to the parameters of a pass, to the loss, to the updates. An optimizer
            that takes the gradient anew elsewhere is given `grad_fn(params, step)`, the convention of optax.

    Returns:
        the next state, and the loss and the norm of the gradient before clipping, both of shape ().
    """
    step_key = jax.random.fold_in(noise_key, state.step)

    loss = loss or methods.same_loss()
    n_parts = batch.weights.shape[0]

    def loss_of(params: Tree, part: Layout, key: Key) -> jax.Array:
        how = {"model": model, "losses": losses, "transform": transform, "loss": loss}
        return batch_loss(params, state.anchor, table, part, key, **how)

    def gradient(params: Tree) -> tuple[jax.Array, Tree]:
        """The loss of the batch and its gradient."""
        if n_parts == 1:
            return jax.value_and_grad(loss_of)(params, _at(batch, 0), step_key)
        assert transform == methods.identity()
        assert loss.by_example
        weights = jnp.asarray(batch.weights).sum(-1)

        def add(i: jax.Array, sums: tuple[jax.Array, Tree]) -> tuple[jax.Array, Tree]:
            one = jax.value_and_grad(loss_of)(params, _at(batch, i), jax.random.fold_in(step_key, i))
            share = weights[i] / weights.sum()
            return jax.tree.map(lambda total, x: total + share * x, sums, one)

        nothing = (jnp.float32(0), jax.tree.map(jnp.zeros_like, params))
        return jax.lax.fori_loop(0, jnp.count_nonzero(weights), add, nothing)

    value, grads = gradient(state.params)
    updates, opt_state = optax.with_extra_args_support(optimizer).update(
        grads, state.opt_state, state.params, grad_fn=lambda params, step: gradient(params)[1]
    )
    params = optax.apply_updates(state.params, updates)
    state = state.replace(step=state.step + 1, params=params, opt_state=opt_state)
    return state, {"loss": value, "grad_norm": optax.tree.norm(grads)}


def batch_loss(
    params: Tree,
    anchor: Any,
    table: Table,
    batch: Layout,
    key: Key,
    *,
    model: Head,
    losses: Callable[[Tree, jax.Array, jax.Array], jax.Array],
    transform: methods.ParamTransform,
    loss: methods.LossTransform,
) -> jax.Array:
    """The transformed loss of a batch without an axis of parts, of shape (); arguments as of `train_step`."""

    def forward(params: Tree, key: Key) -> methods.Pass:
        effective = transform.apply(key, params, anchor)
        rngs = {"dropout": key_for(key, "dropout")}
        outputs = _apply(model, effective, table, batch, deterministic=False, rngs=rngs)
        targets = jnp.asarray(table.labels)[batch.examples]
        return methods.Pass(losses(effective, outputs, targets), outputs, targets, jnp.asarray(batch.weights))

    return loss.apply(forward, params, key).loss


def _at(batches: Layout, i: int | jax.Array) -> Layout:
    """One of those along the first axis."""
    return jax.tree.map(lambda x: jnp.asarray(x)[i], batches)


def predict(params: Tree, table: Table, batch: Layout, model: Head, method: str | None = None) -> jax.Array:
    """Outputs of one batch, without dropout and without mixout: logits [E, C], or emissions [E, W, K].

    Args:
        method: of the model, in place of its call: `pooled` gives what the head reads, [E, D].
    """
    return _apply(model, params, table, batch, deterministic=True, method=method)


def _apply(model: Head, params: Tree, table: Table, batch: Layout, **options: Any) -> jax.Array:
    tokens_RxT, types_RxT = (jnp.asarray(x).reshape(-1)[batch.source] for x in (table.tokens, table.types))
    outputs = model.apply(
        {"params": params},
        tokens_RxT,
        types_RxT,
        batch.segments,
        batch.positions,
        batch.cls_rows,
        batch.cls_columns,
        *(jnp.asarray(x)[batch.examples] for x in table.further),
        **options,
    )
    assert isinstance(outputs, jax.Array)
    return outputs


def segment(
    state: TrainState,
    table: Table,
    batches: Layout,
    noise_key: Key,
    count: jax.Array,
    step_fn: Callable[..., tuple[TrainState, dict[str, jax.Array]]],
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The first `count` of S steps in one program, without a round trip to the host.

    The bound is traced, so the host may cut a segment into pieces of any length, to show progress or to stop, with one
    compiled program and the same bits.

    Returns:
        the state after the last step, and each step's metrics, shape [S], zero from `count` on.
    """
    steps = batches.source.shape[0]
    records = {"loss": jnp.zeros(steps), "grad_norm": jnp.zeros(steps)}

    def body(i: jax.Array, carry: tuple[TrainState, dict[str, jax.Array]]):
        state, records = carry
        state, metrics = step_fn(state, table, _at(batches, i), noise_key)
        return state, {name: records[name].at[i].set(metrics[name]) for name in records}

    return jax.lax.fori_loop(0, count, body, (state, records))
