"""The wrappers `auto mesh` and `explicit mesh` of the matrix: four devices, which need a process of their own.

Every leaf is divided over all four, and everything that a method makes must lie as its parameter: updates, what the
state has of the parameters' form (as `optax.tree.map_params` finds it), re-initialised and mixed leaves.
"""

import functools
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from stablefit import methods
from stablefit.errors import InputError
from stablefit.paths import map_named
from tests.methods.matrix import METHODS, gradient, steps, values
from tests.methods.matrix_trees import TREES, Case

KINDS = {"auto mesh": AxisType.Auto, "explicit mesh": AxisType.Explicit}
# By the number of axes; the first of three is that of depth.
SPECS = {1: (("x", "y"),), 2: ("x", "y"), 3: ("x", None, "y"), 4: (None, None, None, ("x", "y"))}
# Collectives wait for each other in threads, of which there are as many as cores unless it is said.
ENVIRONMENT = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu", "NPROC": "16"}
PROJECTION = "selective_projection_decay"
KEY = jax.random.key(0)


class Found(NamedTuple):
    """What one tree gave on a mesh."""

    results: dict[str, dict[str, Any]]  # eager and jitted: for each method the updates by role, or its refusal
    faults: list[str]  # leaves that lie elsewhere than their parameter, or hold other values than without a mesh


@functools.cache
def of_another_process(wrapper: str) -> dict[str, Found]:
    """All trees on four virtual devices."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.pickle"
        process = subprocess.run(
            [sys.executable, "-m", __name__, wrapper, str(out)],
            env=ENVIRONMENT,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr[-3000:]
        return pickle.loads(out.read_bytes())


def divided(tree: Any, mesh: Mesh) -> Any:
    """The same leaves, each over all devices."""
    return jax.tree.map(lambda x: jax.device_put(x, NamedSharding(mesh, PartitionSpec(*SPECS[x.ndim]))), tree)


class Look:
    """Notes the leaves that do not lie as they should."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def params(self, what: str, tree: Any, params: Any) -> None:
        map_named(lambda name, x, w: self._leaf(f"{what}: {name}", x, w), tree, params)

    def state(self, what: str, transform: Any, state: Any, params: Any) -> None:
        def leaf(x: Any, w: Any) -> Any:
            self._leaf(f"{what}: a state", x, w)
            return x

        optax.tree.map_params(transform, leaf, state, params, is_leaf=is_masked)

    def _leaf(self, what: str, x: Any, w: Any) -> None:
        if not is_masked(x) and not x.sharding.is_equivalent_to(w.sharding, w.ndim):
            self.faults.append(f"{what} of shape {w.shape} lies as {x.sharding}")


def is_masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)


def found(case: Case, mesh: Mesh) -> Found:
    """Three steps of every method in one tree, from a state that was made eagerly, and in a program."""
    look, results = Look(), {}
    anchor, params = divided(values(case, 0), mesh), divided(values(case, 1), mesh)
    assert all(parts(leaf) == mesh.size == 4 for leaf in jax.tree.leaves(params))
    gradients = [gradient(params, i) for i in range(3)]
    transforms, refused = made(case, anchor)
    # Zeros of optax's own lie anywhere in a program: what this method wraps is one of ours here, and optax's below.
    ours = transforms | {PROJECTION: methods.selective_projection_decay(methods.scale_by_adam(), 0.5)}

    def begin(anchor: Any) -> Any:
        return {name: transform.init(anchor) for name, transform in ours.items()}

    def program(anchor: Any, params: Any, gradients: Any) -> Any:
        return {name: steps(transform, anchor, params, gradients) for name, transform in transforms.items()}

    for way, compiled in (("eager", same), ("jitted", jax.jit)):
        for name, state in compiled(begin)(anchor).items():
            look.state(f"{name}, {way}, at init", ours[name], state, params)
        results[way] = dict(refused)
        for name, (updates, state) in compiled(program)(anchor, params, gradients).items():
            look.params(f"{name}, {way}", updates, params)
            look.state(f"{name}, {way}, at the end", transforms[name], state, params)
            results[way][name] = {role: np.asarray(x) for role, x in case.read(gathered(updates)).items()}
    by_specs(look, transforms[PROJECTION], params, mesh)
    return Found(results, look.faults + of_params(case, anchor, params))


def made(case: Case, anchor: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The methods, and those that the tree is refused by."""
    transforms, refused = {}, {}
    for name, (make, value) in METHODS.items():
        try:
            transform = make(value, **case.where)
            transform.init(anchor)
            transforms[name] = transform
        except InputError as error:
            refused[name] = str(error)
    return transforms, refused


def by_specs(look: Look, transform: Any, params: Any, mesh: Mesh) -> None:
    """A state is made where it belongs by what `optax.tree.map_params` makes of the shardings of the parameters."""
    shardings = optax.tree.map_params(
        transform,
        lambda x, w: x if is_masked(x) else w.sharding,
        jax.eval_shape(transform.init, params),
        params,
        transform_non_params=lambda _: NamedSharding(mesh, PartitionSpec()),
        is_leaf=is_masked,
    )
    look.state("by specs", transform, jax.jit(transform.init, out_shardings=shardings)(params), params)


def of_params(case: Case, anchor: Any, params: Any) -> list[str]:
    """Re-init, with its layers known and traced, and mixout in the forward pass: noise and all, as without a mesh."""
    look = Look()
    lora = any("lora_a" in name for name in case.roles)
    mixed = methods.mixout(0.5, where=[".*/lora_a"] if lora else None)

    def known(anchor: Any, params: Any, n: Any) -> Any:
        del anchor, n
        return methods.reinit(KEY, params, layers=1, **case.where)

    def traced(anchor: Any, params: Any, n: Any) -> Any:
        del anchor
        return methods.reinit(KEY, params, layers=n, **case.where)

    def forward(anchor: Any, params: Any, n: Any) -> Any:
        del n
        return mixed.apply(KEY, params, mixed.init(anchor))

    plain, one = (gathered(anchor), gathered(params)), jnp.int32(1)
    for name, function in {"reinit": known, "reinit of traced layers": traced, "mixout": forward}.items():
        for way, compiled in (("eager", same), ("jitted", jax.jit)):
            after = compiled(function)(anchor, params, one)
            look.params(f"{name}, {way}", after, params)
            for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(function(*plain, one)), strict=True):
                if not np.allclose(a, b, rtol=1e-6, atol=1e-7):
                    look.faults.append(f"{name}, {way}: other values than without a mesh")
    return look.faults


def same(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


def gathered(tree: Any) -> Any:
    """The same leaves on one device, as if there were no mesh."""
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), tree)


def parts(leaf: Any) -> int:
    """Over how many devices a leaf is divided."""
    return len({tuple((part.start, part.stop) for part in shard.index) for shard in leaf.addressable_shards})


def main(wrapper: str, out: str) -> None:
    jax.config.update("jax_numpy_rank_promotion", "raise")
    jax.config.update("jax_disable_most_optimizations", True)
    kind = KINDS[wrapper]
    mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(kind, kind))
    Path(out).write_bytes(pickle.dumps({tree: found(case(), mesh) for tree, case in TREES.items()}))


if __name__ == "__main__":
    from tests.methods import meshes  # so that what is pickled is of the module and not of `__main__`

    meshes.main(*sys.argv[1:])
