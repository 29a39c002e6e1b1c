"""Many members, each a run of its own, in one compiled program: stacked, vmapped, spread over a mesh.

A member is a function of its keys and hyper-parameters. Members never communicate. The mesh has two axes: `member`
spreads members over devices; `data` spreads the batch of one member, when there are more devices than members.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from stablefit import methods
from stablefit.paths import Key, Tree
from stablefit.training import steps
from stablefit.training.optimizer import make_optimizer
from stablefit.training.settings import Hypers, Spec
from stablefit.training.steps import Batch, TrainState


def make_mesh(members: int, batch_size: int, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of as many devices as the members, and then their batches, divide among."""
    devices = jax.devices() if devices is None else devices
    member = math.gcd(members, len(devices))
    data = max(n for n in range(1, len(devices) // member + 1) if batch_size % n == 0)
    return jax.make_mesh(
        (member, data), ("member", "data"), axis_types=(AxisType.Auto,) * 2, devices=devices[: member * data]
    )


def default_size(seeds: int, member_bytes: int) -> int:
    """How many members to put into one program.

    One on a CPU, where a single member already fills the cores and vmap costs 7 to 24 %. On an accelerator, as many as
    its memory holds at `member_bytes` each, but no more than there are seeds.
    """
    device = jax.devices()[0]
    if device.platform == "cpu":
        return max(1, math.gcd(seeds, jax.device_count()))
    limit = (device.memory_stats() or {}).get("bytes_limit", 8 << 30)
    return max(1, min(seeds, int(0.8 * limit) // member_bytes * jax.device_count()))


@dataclasses.dataclass(frozen=True)
class Cohort:
    """The compiled programs of one set of members, and where their arrays live.

    Every state, parameter tree and record has a leading axis of members.

    Args:
        spec: what the members share.
        hypers: what they share of the hyper-parameters; the traced ones are given to `train`.
        model: the network; its `apply` takes tokens, types and segments.
        make_params: key and pre-trained tree -> parameters of one member (new head, re-initialised leaves).
        total_steps: T, the length of the schedule.
        mesh: from `make_mesh`.
        members: M.
    """

    spec: Spec
    hypers: Hypers
    model: nn.Module
    make_params: Callable[[Key, Tree], Tree]
    total_steps: int
    mesh: Mesh
    members: int

    def put(self, tree: Tree, *axes: str | None) -> Tree:
        """Places arrays on the mesh: axis i of each along the mesh's axis `axes[i]`, replicated without axes."""
        return jax.device_put(tree, NamedSharding(self.mesh, P(*axes)))

    def traced(self) -> Tree:
        """The traced hyper-parameters, one value a member."""
        return self.put({k: jnp.full(self.members, v) for k, v in self.hypers.traced().items()}, "member")

    @functools.cached_property
    def init(self) -> Callable[[Key, Tree, Tree], TrainState]:
        """`init(init_keys_M, pretrained, traced)`: every member at step 0."""

        def init(key: Key, pretrained: Tree, traced: dict[str, Any]) -> TrainState:
            params = self.make_params(key, pretrained)
            transform, optimizer = self._methods(traced, params)
            return TrainState(jnp.int32(0), params, optimizer.init(params), transform.init(params))

        return jax.jit(self._over_members(init, (0, None, 0)), out_shardings=self._by_member)

    @functools.cached_property
    def train(self) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
        """`train(state, data, indices_MxSxB, weights_MxSxB, noise_keys_M, start, stop, traced)`; donates the state."""

        def train(state, data, indices_SxB, weights_SxB, noise_key, start, stop, traced):
            transform, optimizer = self._methods(traced, state.params)
            step_fn = functools.partial(steps.train_step, model=self.model, transform=transform, optimizer=optimizer)
            return steps.segment(state, data, indices_SxB, weights_SxB, noise_key, start, stop, step_fn)

        mapped = self._over_members(train, (0, None, 0, 0, 0, None, None, 0))
        return jax.jit(mapped, donate_argnums=0, out_shardings=(self._by_member, None))

    @functools.cached_property
    def _predict(self) -> Callable[[Tree, Batch, jax.Array], jax.Array]:
        def predict(params: Tree, data: Batch, indices_NxB: jax.Array) -> jax.Array:
            def one(indices_B: jax.Array) -> jax.Array:
                return steps.predict(params, jax.tree.map(lambda x: x[indices_B], data), self.model)

            return jax.lax.map(one, indices_NxB)

        return jax.jit(self._over_members(predict, (0, None, None)))

    def predict(self, params: Tree, data: Batch, n: int) -> np.ndarray:
        """Logits [M, n, C] of the first n examples, each counted once whatever the batch size."""
        batch = min(self.spec.eval_batch_size, -(-n // 8) * 8)
        count = -(-n // batch)
        indices = np.minimum(np.arange(count * batch), n - 1).reshape(count, batch).astype(np.int32)
        axis = "data" if batch % self.mesh.shape["data"] == 0 else None
        logits = np.asarray(self._predict(params, data, self.put(indices, None, axis)))
        return logits.reshape(self.members, count * batch, -1)[:, :n]

    @functools.cached_property
    def keep_better(self) -> Callable[[Tree, Tree, jax.Array], Tree]:
        """`keep_better(best, params, improved_M)`: the parameters where improved, else the best; donates best."""

        def keep(best: Tree, params: Tree, improved: jax.Array) -> Tree:
            return jax.tree.map(lambda old, new: jnp.where(improved, new, old), best, params)

        return jax.jit(self._over_members(keep, (0, 0, 0)), donate_argnums=0, out_shardings=self._by_member)

    @property
    def _by_member(self) -> NamedSharding:
        return NamedSharding(self.mesh, P("member"))

    def _methods(self, traced: dict[str, Any], params: Tree):
        hypers = dataclasses.replace(self.hypers, **traced)
        transform = methods.mixout(hypers.mixout_rate, unit=self.spec.mixout_unit, gradient=self.spec.mixout_gradient)
        return transform, make_optimizer(self.spec, hypers, params, self.total_steps)

    def _over_members(self, fn: Callable, in_axes: tuple[int | None, ...]) -> Callable:
        """vmap over the leading axis; with one member the axis is only taken off and put back, which costs nothing."""
        if self.members > 1:
            return jax.vmap(fn, in_axes, spmd_axis_name="member")

        def single(*args: Any) -> Any:
            first = [
                jax.tree.map(lambda x: x[0], arg) if axis == 0 else arg for arg, axis in zip(args, in_axes, strict=True)
            ]
            return jax.tree.map(lambda x: x[None], fn(*first))

        return single
