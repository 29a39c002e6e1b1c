"""Every method through the same tests; the rows are in `battery.py`."""

import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from tests.methods.battery import TABLE, Method, adapted, gradient, plain, run, scanned, start, step, tree
from tests.methods.trees import close, same_bits

KEY = jax.random.key(7)
every = pytest.mark.parametrize("method", TABLE, ids=lambda method: method.name)
updating = pytest.mark.parametrize("method", [m for m in TABLE if m.kind != "init"], ids=lambda method: method.name)
skippable = pytest.mark.parametrize(
    "method", [m for m in TABLE if m.identity is not None], ids=lambda method: method.name
)
DTYPES = pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16], ids=["f32", "bf16"])


def scalar(x: float) -> jax.Array:
    return jnp.asarray(x, jnp.int32 if isinstance(x, int) else jnp.float32)


@skippable
@DTYPES
def test_identity_leaves_the_bits_alone(method: Method, dtype):
    params = tree(dtype)
    expected = params if method.kind == "init" else plain(params)
    same_bits(run(method, method.identity, KEY, params), expected)
    same_bits(run(method, scalar(method.identity), KEY, params), expected)


@skippable
def test_identity_as_a_constant_costs_nothing(method: Method):
    params = tree()
    if method.kind == "init":
        after = method.make(method.identity)(KEY, params)
        assert all(a is b for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(params), strict=True))
        return
    transform = adapted(method, method.identity, KEY)
    assert jax.tree.leaves(transform.init(params)) == []
    updates = gradient(params, 0)
    after, _ = transform.update(updates, transform.init(params), params)  # no grad_fn: nothing is evaluated
    assert all(a is b for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(updates), strict=True))


@every
def test_changes_the_result(method: Method):
    params = tree()
    result = run(method, method.value, KEY, params)
    unchanged = params if method.kind == "init" else plain(params)
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(unchanged), strict=True))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(result))


@every
def test_jit_and_traced_scalar_equal_eager_and_python_scalar(method: Method):
    params = tree()
    eager = run(method, method.value, KEY, params)
    close(run(method, scalar(method.value), KEY, params), eager)
    close(jax.jit(partial(scanned, method))(scalar(method.value), KEY, params), eager, rtol=2e-6)


@every
def test_second_call_does_not_compile_again(method: Method):
    compiled = jax.jit(partial(scanned, method))
    for i, value in enumerate((method.value, method.identity or 0)):
        compiled(scalar(type(method.value)(min(value, 1e9))), jax.random.key(i), tree())
    assert compiled._cache_size() == 1


@every
def test_vmap_equals_loop(method: Method):
    """0, 1 and 2 levels of vmap: members differ in value and key, then groups of members in key alone."""
    keys = jax.random.split(KEY, (2, 2))
    values = jnp.stack([scalar(method.value), scalar(type(method.value)(method.value * 2))])
    params = tree()
    one = jax.jit(partial(scanned, method))
    members = jax.vmap(partial(scanned, method), in_axes=(0, 0, None))
    groups = jax.jit(jax.vmap(members, in_axes=(None, 0, None)))(values, keys, params)
    alone = [[one(values[j], keys[i, j], params) for j in range(2)] for i in range(2)]
    for i in range(2):
        for j in range(2):
            close(jax.tree.map(lambda x, i=i, j=j: x[i, j], groups), alone[i][j], rtol=2e-6)
    level_one = jax.jit(members)(values, keys[0], params)
    for j in range(2):
        close(jax.tree.map(lambda x, j=j: x[j], level_one), alone[0][j], rtol=2e-6)


@every
@DTYPES
@pytest.mark.parametrize("traced", [False, True], ids=["python", "traced"])
def test_structure_shapes_and_dtypes_are_kept(method: Method, dtype, traced):
    params = tree(dtype)
    value = scalar(method.value) if traced else method.value
    spec = jax.eval_shape(partial(run, method, value), KEY, params)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), spec) == jax.tree.map(lambda x: (x.shape, x.dtype), params)
    if method.kind != "init":
        state = adapted(method, value, KEY).init(params)
        after = jax.eval_shape(partial(step, method, value, KEY), (params, state), 0)[1]
        assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)


@every
def test_bfloat16_is_close_to_float32(method: Method):
    params = tree(jnp.bfloat16)
    wide = run(method, method.value, KEY, jax.tree.map(lambda x: x.astype(jnp.float32), params), steps=1)
    close(run(method, method.value, KEY, params, steps=1), wide, rtol=0.02)


@updating
def test_composes_in_a_chain(method: Method):
    params = tree()
    alone = adapted(method, method.value, KEY)
    chained = optax.chain(adapted(method, method.value, KEY), optax.scale(-2.0))
    grad_fn = gradient
    expected, _ = alone.update(gradient(params, 0), alone.init(params), params, grad_fn=grad_fn)
    updates, _ = chained.update(gradient(params, 0), chained.init(params), params, grad_fn=grad_fn)
    same_bits(updates, jax.tree.map(lambda u: -2 * u, expected))


@updating
@DTYPES
def test_composes_in_inject_hyperparams(method: Method, dtype):
    params = tree(dtype)
    injected = optax.inject_hyperparams(lambda x: adapted(method, x, KEY), hyperparam_dtype=jnp.float32)(x=method.value)
    alone = adapted(method, scalar(method.value), KEY)
    state, state_alone = injected.init(params), alone.init(params)
    for i in range(2):
        arguments = {"params": params, "grad_fn": gradient}
        expected, state_alone = alone.update(gradient(params, i), state_alone, **arguments)
        updates, state = injected.update(gradient(params, i), state, **arguments)
        same_bits(updates, expected)
    np.testing.assert_array_equal(state.hyperparams["x"], method.value)


@every
@pytest.mark.parametrize("jit_init", [False, True], ids=["eager_init", "jit_init"])
def test_survives_donation(method: Method, jit_init):
    expected = run(method, method.value, KEY, tree())
    begin = partial(start, method, method.value, KEY)
    carried = (jax.jit(begin) if jit_init else begin)(tree())
    stepped = jax.jit(partial(step, method, method.value, KEY), donate_argnums=0)
    for i in range(3):
        carried = stepped(carried, i)
    close(carried[0], expected, rtol=2e-6)


class LinenNet(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.Dense(4, name="layer_0")(x)
        x = linen.LayerNorm(name="layer_1")(x)
        return linen.Dense(2, name="head")(linen.Dense(3, name="pooler")(x))


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.layer_0 = nnx.Linear(3, 4, rngs=rngs)
        self.layer_1 = nnx.LayerNorm(4, rngs=rngs)
        self.pooler = nnx.Linear(4, 3, rngs=rngs)
        self.head = nnx.Linear(3, 2, rngs=rngs)


@every
def test_linen_and_nnx_trees_equal_a_plain_dict(method: Method):
    linen_params = LinenNet().init(jax.random.key(0), jnp.ones((1, 3)))["params"]
    nnx_params = nnx.state(NnxNet(nnx.Rngs(0)), nnx.Param)
    for params in (linen_params, nnx_params):
        pure = nnx.to_pure_dict(params) if isinstance(params, nnx.State) else jax.tree.map(lambda x: x, params)
        result = run(method, method.value, KEY, params, steps=2)
        assert jax.tree.structure(result) == jax.tree.structure(params)
        expected = run(method, method.value, KEY, pure, steps=2)
        for a, b in zip(jax.tree.leaves(result), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(a, b)


SHARDING_PROGRAM = """
import sys
import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from tests.methods.battery import TABLE, adapted, gradient, tree

kind = AxisType[sys.argv[1]]
mesh = jax.make_mesh((2, 2), ("data", "other"), axis_types=(kind, kind))
key = jax.random.key(0)

def sharding(x):
    return NamedSharding(mesh, PartitionSpec(*[None] * (x.ndim - 1), "data"))

params = jax.tree.map(lambda x: jax.device_put(x, sharding(x)), tree())

def check(label, result):
    for a in jax.tree.leaves(result):
        assert a.ndim == 0 or a.sharding.is_equivalent_to(sharding(a), a.ndim), (label, a.shape, a.sharding)

moving = [method for method in TABLE if method.kind != "init"]
starting = [method for method in TABLE if method.kind == "init"]

def begin(params):
    return {method.name: method.make(method.value)(key, params) for method in starting}

def at_traced_values(params, values):
    return {method.name: method.make(value)(key, params) for method, value in zip(starting, values, strict=True)}

check("eager", begin(params))
check("jitted", jax.jit(begin)(params))
check("traced", jax.jit(at_traced_values)(params, [method.value for method in starting]))
states = {method.name: adapted(method, method.value, key).init(params) for method in moving}

@jax.jit
def update(params, states):
    updates = gradient(params, 0)
    return {
        method.name: adapted(method, method.value, key).update(updates, states[method.name], params, grad_fn=gradient)
        for method in moving
    }

after = update(params, states)
for method in moving:
    check(method.name + " state at init", states[method.name])
    check(method.name, after[method.name])
print("checked", len(TABLE))
"""


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_sharding_is_kept(kind):
    """On four devices, which need their own process: updates, new parameters and state are split as the parameters."""
    process = subprocess.run(
        [sys.executable, "-c", SHARDING_PROGRAM, kind],
        env={"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    assert f"checked {len(TABLE)}" in process.stdout
