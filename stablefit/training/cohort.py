"""Many members, each a run of its own, in one compiled program: stacked, vmapped, spread over a mesh.

A member is a function of its keys and hyper-parameters. Members never communicate. The mesh has two axes: `member`
spreads members over devices; `data` spreads the batch of one member, when there are more devices than members.

Where the members do not go evenly into the devices, fillers do what the last member does, and nobody reads them: seven
members on four devices are eight. Else the batch of every one would be spread over all devices, which have to talk.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from stablefit import methods
from stablefit.data.packing import Layout
from stablefit.errors import InputError
from stablefit.fields import Hypers, Spec
from stablefit.models.heads import Head
from stablefit.paths import Key, Tree
from stablefit.training import steps
from stablefit.training.recipe import Recipe
from stablefit.training.steps import Table, TrainState

MOST_ON_A_DEVICE = 32  # all members are saved at once, and none has a row before all have
ROW_ARRAYS = ("source", "segments", "positions")  # what a layout has for every token; the rest is for every example
LEAST_BUSY = 0.75  # of the places of a mesh: with more fillers the batches are spread


def make_mesh(members: int, batch_size: int, devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of as many devices as the members, and then the rows of their batches, can be dealt to.

    Members go onto all devices if they, beside fillers, are `LEAST_BUSY` of the places there; else onto the largest
    divisor of the devices where they are.
    """
    devices = jax.devices() if devices is None else devices
    member = max(m for m in _divisors(len(devices)) if members >= LEAST_BUSY * _places(members, m))
    data = min(len(devices) // member, batch_size)
    if jax.process_count() > 1 and member * data < len(devices):
        raise InputError(
            f"{members} runs at a time with config field batch_size={batch_size} cannot be spread over "
            f"{len(devices)} devices of {jax.process_count()} processes; take as many runs, or fewer processes"
        )
    return jax.make_mesh(
        (member, data), ("member", "data"), axis_types=(AxisType.Auto,) * 2, devices=devices[: member * data]
    )


def _divisors(n: int) -> list[int]:
    return [m for m in range(1, n + 1) if n % m == 0]


def _places(members: int, devices: int) -> int:
    """The members and fillers of which each device has as many.

    >>> _places(7, 4), _places(8, 4)
    (8, 8)
    """
    return math.ceil(members / devices) * devices


def default_size(runs: int, member_bytes: Callable[[], int]) -> int:
    """How many members to put into one program.

    One on each CPU device: a single member already fills the cores, and more only add memory traffic. On an
    accelerator, as many as its memory holds at `member_bytes` each, up to `MOST_ON_A_DEVICE`, or fewer if
    that makes no more cohorts: what the last one lacks would be another program.
    """
    device = jax.local_devices()[0]
    if device.platform == "cpu":
        return max(1, math.gcd(runs, jax.device_count()))
    limit = (device.memory_stats() or {}).get("bytes_limit", 8 << 30)
    fit = min(int(0.8 * limit) // member_bytes(), MOST_ON_A_DEVICE) * jax.device_count() or 1
    return math.ceil(runs / math.ceil(runs / fit))


@dataclasses.dataclass(frozen=True)
class Cohort:
    """The compiled programs of one set of members, and where their arrays live.

    Every state, parameter tree and record has a leading axis of members, and behind them of fillers.

    Args:
        spec: what the members share.
        hypers: what they share of the hyper-parameters; of the traced ones only that they are: `init` and `train` are
            given a value for each member.
        model: the network; its `apply` takes tokens, types and segments.
        losses: parameters, outputs and targets -> the loss of each example.
        make_params: key and pre-trained tree -> parameters of one member (new head, re-initialised leaves).
        recipe: hyper-parameters and T -> what is done at the four times.
        total_steps: T, the length of the schedule.
        mesh: from `make_mesh`.
        members: M.
    """

    spec: Spec
    hypers: Hypers
    model: Head
    losses: Callable[[Tree, jax.Array, jax.Array], jax.Array]
    make_params: Callable[[Key, Tree], Tree]
    recipe: Callable[[Hypers, int], Recipe]
    total_steps: int
    mesh: Mesh
    members: int

    @property
    def places(self) -> int:
        """The length of the axis of members, fillers among them."""
        return _places(self.members, self.mesh.shape["member"])

    def put(self, tree: Tree, *axes: str | None) -> Tree:
        """Places arrays on the mesh: axis i of each along the mesh's axis `axes[i]`, replicated without axes.

        Along `member`, fillers are given what the last member is. Of a `jax.ShapeDtypeStruct` it says where such an
        array would lie.
        """
        where = NamedSharding(self.mesh, P(*axes))
        if axes[:1] == ("member",):
            tree = jax.tree.map(self._filled, tree)
        if any(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(tree)):
            return jax.tree.map(lambda x: x.update(sharding=where), tree)
        return jax.device_put(tree, where)

    def _filled(self, x: Any) -> Any:
        if x.shape[0] == self.places:
            return x
        assert x.shape[0] == self.members
        if isinstance(x, jax.ShapeDtypeStruct):
            return x.update(shape=(self.places, *x.shape[1:]))
        return x[np.minimum(np.arange(self.places), self.members - 1)]

    def put_batches(self, batches: Layout, by_member: bool) -> Layout:
        """Places the batches of every member, or those that all share: their rows along `data`."""
        lead = ("member",) if by_member else ()
        axes = (*lead, None, None) if by_member else (None,)  # behind that of batches that of parts
        rows = {name: self.put(getattr(batches, name), *axes, "data") for name in ROW_ARRAYS}
        rest = {name: self.put(x, *lead) for name, x in batches._asdict().items() if name not in rows}
        return Layout(**rows, **rest)

    def traced(self, hypers: Sequence[Hypers]) -> Tree:
        """The traced hyper-parameters, one value a member.

        Args:
            hypers: of each member.
        """
        return self.put(self._stacked([*hypers, *[hypers[-1]] * (self.places - self.members)]), "member")

    def lower(self, program: str, pretrained: Tree, table: Table, batches: Layout) -> jax.stages.Lowered:
        """A program as it is given to the compiler, from shapes alone: the mesh's devices need not be there.

        Such devices are those of `jax.experimental.topologies`; nothing is placed on them.

        Args:
            program: init, train, predict or keep_better.
            pretrained: what `init` is given.
            table: the split.
            batches: without the axis of members: of `train` [S, P, ...], of `predict` [S, ...].
                All three are trees of `jax.ShapeDtypeStruct`.
        """
        traced = self.put(jax.eval_shape(lambda: self._stacked([self.hypers] * self.members)), "member")
        key = self.put(jax.eval_shape(lambda: jax.random.split(jax.random.key(0), self.members)), "member")
        pretrained, table = self.put(pretrained), self.put(table)
        state = self.put(jax.eval_shape(self.init, key, pretrained, traced), "member")
        own = jax.tree.map(lambda x: jax.ShapeDtypeStruct((self.members, *x.shape), x.dtype), batches)
        arguments = {
            "init": lambda: (key, pretrained, traced),
            "train": lambda: (state, table, self.put_batches(own, by_member=True), key, 1, traced),
            "predict": lambda: (state.params, table, self.put_batches(batches, by_member=False)),
            "keep_better": lambda: (
                state.params,
                state.params,
                self.put(jax.ShapeDtypeStruct((self.members,), jnp.bool), "member"),
            ),
        }
        return getattr(self, program).lower(*arguments[program]())

    @functools.cached_property
    def init(self) -> Callable[[Key, Tree, Tree], TrainState]:
        """`init(init_keys_M, pretrained, traced)`: every member at step 0."""

        def init(key: Key, pretrained: Tree, traced: dict[str, Any]) -> TrainState:
            params = self.make_params(key, pretrained)
            recipe = self._recipe(traced)
            return TrainState(jnp.int32(0), params, recipe.update(params).init(params), recipe.forward.init(params))

        return jax.jit(self._over_members(init, (0, None, 0)), out_shardings=self._by_member)

    @functools.cached_property
    def train(self) -> Callable[..., tuple[TrainState, dict[str, jax.Array]]]:
        """`train(state, table, batches, noise_keys_M, count, traced)`; donates the state."""

        def train(state, table, batches, noise_key, count, traced):
            recipe = self._recipe(traced)
            step_fn = functools.partial(
                steps.train_step,
                model=self.model,
                losses=self.losses,
                transform=recipe.forward,
                loss=recipe.loss,
                optimizer=recipe.update(state.params),
            )
            return steps.segment(state, table, batches, noise_key, count, step_fn)

        mapped = self._over_members(train, (0, None, 0, 0, None, 0))
        return jax.jit(mapped, donate_argnums=0, out_shardings=(self._by_member, None))

    @functools.cached_property
    def predict(self) -> Callable[[Tree, Table, Layout], jax.Array]:
        """`predict(params, table, batches)`: outputs [M, S, E, ...]; every member predicts the same examples."""

        def predict(params: Tree, table: Table, batches: Layout) -> jax.Array:
            return jax.lax.map(lambda batch: steps.predict(params, table, batch, self.model), batches)

        return jax.jit(self._over_members(predict, (0, None, None)))

    @functools.cached_property
    def keep_better(self) -> Callable[[Tree, Tree, jax.Array], Tree]:
        """`keep_better(best, params, improved_M)`: the parameters where improved, else the best; donates best."""

        def keep(best: Tree, params: Tree, improved: jax.Array) -> Tree:
            return jax.tree.map(lambda old, new: jnp.where(improved, new, old), best, params)

        return jax.jit(self._over_members(keep, (0, 0, 0)), donate_argnums=0, out_shardings=self._by_member)

    @property
    def row_quantum(self) -> int:
        """The rows of a batch are a multiple of this: of the devices that share them, and of few sizes.

        A CPU gains from every row that is left out. On an accelerator another size is a program more, for other seeds
        or a training set that is a little larger: there the sizes are few.
        """
        devices = self.mesh.shape["data"]
        step = max(2, self.spec.batch_size // 16) if self._on_cpu else max(1, self.spec.batch_size // 4)
        return math.lcm(devices, step)

    @property
    def rows_alike(self) -> bool:
        """Whether nearly all batches have the same rows: an accelerator compiles for longer than empty ones take it."""
        return not self._on_cpu

    @property
    def sums_parts(self) -> bool:
        """Whether the gradient of a batch is the sum of those of its parts, see `order.part_rows`.

        On a CPU what a few rows need stays in its caches. An accelerator is best with all rows.
        """
        recipe = self.recipe(self.hypers, self.total_steps)
        may_be = recipe.forward == methods.identity() and recipe.loss.by_example
        return may_be and self.spec.gradient == "parts" and self._on_cpu

    @property
    def _on_cpu(self) -> bool:
        return jax.default_backend() == "cpu"

    def _stacked(self, hypers: Sequence[Hypers]) -> dict[str, jax.Array]:
        """The traced values of members, [M] each, of weak type, as a Python number is."""
        columns = {name: [getattr(member, name) for member in hypers] for name in self.hypers.traced()}
        return {name: jnp.stack([jnp.asarray(v) for v in column]) for name, column in columns.items()}

    @property
    def _by_member(self) -> NamedSharding:
        return NamedSharding(self.mesh, P("member"))

    def _recipe(self, traced: dict[str, Any]) -> Recipe:
        return self.recipe(dataclasses.replace(self.hypers, **traced), self.total_steps)

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
