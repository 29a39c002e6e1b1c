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
        batch: which of them, and where they lie in the rows; without the axis S.
        noise_key: of the member.
        losses: parameters, outputs and targets -> the loss of each example.
        transform, loss, optimizer: what is done to the parameters of a pass, to the loss, to the updates. An optimizer
            that takes the gradient anew elsewhere is given `grad_fn(params, step)`, the convention of optax.

    Returns:
        the next state, and the loss and the norm of the gradient before clipping, both of shape ().
    """
    step_key = jax.random.fold_in(noise_key, state.step)

    def forward(params: Tree, key: Key) -> methods.Pass:
        effective = transform.apply(key, params, state.anchor)
        rngs = {"dropout": key_for(key, "dropout")}
        outputs = _apply(model, effective, table, batch, deterministic=False, rngs=rngs)
        targets = jnp.asarray(table.labels)[batch.examples]
        return methods.Pass(losses(effective, outputs, targets), outputs, targets, jnp.asarray(batch.weights))

    def loss_fn(params: Tree) -> jax.Array:
        return (loss or methods.same_loss()).apply(forward, params, step_key).loss

    value, grads = jax.value_and_grad(loss_fn)(state.params)
    updates, opt_state = optax.with_extra_args_support(optimizer).update(
        grads, state.opt_state, state.params, grad_fn=lambda params, step: jax.grad(loss_fn)(params)
    )
    params = optax.apply_updates(state.params, updates)
    state = state.replace(step=state.step + 1, params=params, opt_state=opt_state)
    return state, {"loss": value, "grad_norm": optax.tree.norm(grads)}


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
        state, metrics = step_fn(state, table, jax.tree.map(lambda x: x[i], batches), noise_key)
        return state, {name: records[name].at[i].set(metrics[name]) for name in records}

    return jax.lax.fori_loop(0, count, body, (state, records))
