"""Methods x trees x wrappers: the same parameters under the names of several libraries, and the same steps for each.

Every tree holds the arrays of one table of roles. Without noise (mixout at rate 1, re-init with std 0) a method must do
the same to the same role, whatever the leaf is called, wherever it lies, whatever is wrapped around.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from stablefit import methods
from stablefit.errors import InputError
from stablefit.paths import map_named, names

WIDTH, BLOCKS = 3, 2
PARTS = {"kernel": (WIDTH, WIDTH), "bias": (WIDTH,), "scale": (WIDTH,)}
ROLES = {"embedding": (WIDTH, WIDTH), "pooler": (WIDTH, WIDTH), "head": (WIDTH, WIDTH)}
ROLES |= {f"{part}{i}": shape for i in range(BLOCKS) for part, shape in PARTS.items()}


def arrays(seed: int) -> dict[str, np.ndarray]:
    """A value for each role."""
    random = np.random.default_rng(seed)
    return {role: random.normal(size=shape).astype(np.float32) for role, shape in ROLES.items()}


class Case(NamedTuple):
    """A tree: what is where in it, and what the methods have to be told."""

    shapes: Any  # a pytree with the structure of the parameters
    roles: dict[str, str]  # name of a leaf -> its role, without a number where all blocks are in one leaf
    where: dict[str, Any] = {}  # noqa: RUF012, for methods that count blocks
    turned: bool = False  # matrices are [out, in]

    def build(self, values: dict[str, Any]) -> Any:
        """The parameters."""

        def leaf(name: str, _: Any) -> Any:
            role = self.roles[name]
            if role in PARTS:
                return jnp.stack([jnp.asarray(values[f"{role}{i}"]) for i in range(BLOCKS)])
            return jnp.asarray(values[role].T if self.turned and role.startswith("kernel") else values[role])

        return map_named(leaf, self.shapes)

    def read(self, params: Any) -> dict[str, Any]:
        """The values by role."""
        found: dict[str, Any] = {}
        for name, leaf in zip(names(params), jax.tree.leaves(params), strict=True):
            role = self.roles[name]
            if role in PARTS:
                found |= {f"{role}{i}": leaf[i] for i in range(BLOCKS)}
            else:
                found[role] = leaf.T if self.turned and role.startswith("kernel") else leaf
        return found


# Trees


class EncoderBlock(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.LayerNorm(use_bias=False)(nn.Dense(WIDTH)(x))


class LinenNet(nn.Module):
    """As a person writes it: only the blocks' class says that they are blocks."""

    @nn.compact
    def __call__(self, x):
        x = nn.Embed(WIDTH, WIDTH)(x)
        for _ in range(BLOCKS):
            x = EncoderBlock()(x)
        return nn.Dense(WIDTH, use_bias=False, name="head")(nn.Dense(WIDTH, use_bias=False, name="pooler")(x))


class NnxBlock(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.norm = nnx.LayerNorm(WIDTH, use_bias=False, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)


class NnxNet(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(WIDTH, WIDTH, rngs=rngs)
        self.blocks = nnx.List([NnxBlock(rngs) for _ in range(BLOCKS)])
        self.pooler = nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs)
        self.head = nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs)


class EquinoxBlock(eqx.Module):
    linear: eqx.nn.Linear
    norm: eqx.nn.LayerNorm
    dropout: eqx.nn.Dropout

    def __init__(self, key):
        self.linear = eqx.nn.Linear(WIDTH, WIDTH, key=key)
        self.norm = eqx.nn.LayerNorm(WIDTH, use_bias=False)
        self.dropout = eqx.nn.Dropout(0.1)


class EquinoxNet(eqx.Module):
    """A tree that can be called."""

    embedding: eqx.nn.Embedding
    layers: list[EquinoxBlock]
    pooler: eqx.nn.Linear
    head: eqx.nn.Linear

    def __init__(self, key):
        self.embedding = eqx.nn.Embedding(WIDTH, WIDTH, key=key)
        self.layers = [EquinoxBlock(key) for _ in range(BLOCKS)]
        self.pooler = eqx.nn.Linear(WIDTH, WIDTH, use_bias=False, key=key)
        self.head = eqx.nn.Linear(WIDTH, WIDTH, use_bias=False, key=key)

    def __call__(self, x):
        return x


class Block(hk.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.norm = hk.Linear(WIDTH), hk.LayerNorm(-1, create_scale=True, create_offset=False)

    def __call__(self, x):
        return self.norm(self.linear(x))


class Net(hk.Module):
    def __init__(self):
        super().__init__()
        self.embed = hk.Embed(WIDTH, WIDTH)
        self.blocks = [Block() for _ in range(BLOCKS)]
        self.pooler = hk.Linear(WIDTH, with_bias=False, name="pooler")
        self.head = hk.Linear(WIDTH, with_bias=False, name="head")

    def __call__(self, x):
        x = self.embed(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.pooler(x))


class ScannedBlock(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.LayerNorm(use_bias=False, name="norm")(nn.Dense(WIDTH, name="dense")(x)), None


class ScannedNet(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Embed(WIDTH, WIDTH, name="embed")(x)
        blocks = nn.scan(ScannedBlock, variable_axes={"params": 0}, split_rngs={"params": True}, length=BLOCKS)
        x, _ = blocks(name="layers")(x, None)
        return nn.Dense(WIDTH, use_bias=False, name="head")(nn.Dense(WIDTH, use_bias=False, name="pooler")(x))


def block_roles(form: str, kernel: str, bias: str, scale: str) -> dict[str, str]:
    """Names of the leaves of blocks, `form` with a {} for the index."""
    return {
        f"{form.format(i)}{name}": f"{part}{i}"
        for i in range(BLOCKS)
        for part, name in (("kernel", kernel), ("bias", bias), ("scale", scale))
    }


def nested(roles: dict[str, str]) -> Any:
    """A nested dict of shapes for names with slashes."""
    tree: dict[str, Any] = {}
    for name in roles:
        *parents, last = name.split("/")
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        node[last] = 0
    return tree


def ours() -> Case:
    roles = {"encoder/embeddings/word_embeddings/embedding": "embedding", "encoder/pooler/kernel": "pooler"}
    roles |= {"head/kernel": "head"} | block_roles("encoder/layer_{}/", "dense/kernel", "dense/bias", "LayerNorm/scale")
    return Case(nested(roles), roles)


def shapes_of(init: Callable[..., Any]) -> Any:
    """The tree of shapes that a module's `init` gives for two tokens."""
    return jax.eval_shape(init, jax.random.key(0), jnp.zeros((2,), int))


def linen() -> Case:
    roles = {"Embed_0/embedding": "embedding", "pooler/kernel": "pooler", "head/kernel": "head"}
    roles |= block_roles("EncoderBlock_{}/", "Dense_0/kernel", "Dense_0/bias", "LayerNorm_0/scale")
    return Case(shapes_of(LinenNet().init)["params"], roles)


def nnx_module() -> Case:
    shapes = nnx.state(nnx.eval_shape(lambda: NnxNet(nnx.Rngs(0))), nnx.Param)
    roles = {"embed/embedding": "embedding", "pooler/kernel": "pooler", "head/kernel": "head"}
    return Case(shapes, roles | block_roles("blocks/{}/", "linear/kernel", "linear/bias", "norm/scale"))


def equinox() -> Case:
    shapes = eqx.filter(EquinoxNet(jax.random.key(0)), eqx.is_array)
    roles = {"embedding/weight": "embedding", "pooler/weight": "pooler", "head/weight": "head"}
    return Case(shapes, roles | block_roles("layers/{}/", "linear/weight", "linear/bias", "norm/weight"), turned=True)


def haiku() -> Case:
    roles = {"net/~/embed/embeddings": "embedding", "net/~/pooler/w": "pooler", "net/~/head/w": "head"}
    roles |= block_roles("net/~/block_{}/~/", "linear/w", "linear/b", "layer_norm/scale")
    roles = {name.replace("block_0", "block"): role for name, role in roles.items()}  # as Haiku names the first
    return Case(shapes_of(hk.transform(lambda x: Net()(x)).init), roles)


def torch() -> Case:
    roles = {"embeddings.word_embeddings.weight": "embedding", "pooler.dense.weight": "pooler", "head.weight": "head"}
    roles |= block_roles("encoder.layer.{}.", "dense.weight", "dense.bias", "LayerNorm.weight")
    return Case(dict.fromkeys(roles, 0), roles, turned=True)


def scan() -> Case:
    roles = {"embed/embedding": "embedding", "pooler/kernel": "pooler", "head/kernel": "head"}
    roles |= {"layers/dense/kernel": "kernel", "layers/dense/bias": "bias", "layers/norm/scale": "scale"}
    return Case(shapes_of(ScannedNet().init)["params"], roles, {"stack": "layers", "axis": 0})


def towers() -> Case:
    case = ours()
    roles = {f"text/{name}": role for name, role in case.roles.items()}
    roles |= {f"image/{name}": f"other_{role}" for name, role in case.roles.items()}
    return Case(nested(roles), roles, {"stack": "text"})


def lora() -> Case:
    frozen = {f"frozen/{name}": f"other_{role}" for name, role in ours().roles.items()}
    roles = {f"lora/layer_{i}/lora_a": f"kernel{i}" for i in range(BLOCKS)}
    roles |= {f"lora/layer_{i}/lora_b": f"zero{i}" for i in range(BLOCKS)}
    return Case(nested(frozen | roles), frozen | roles, {"stack": "lora"})


TREES: dict[str, Callable[[], Case]] = {
    "stablefit": ours, "linen": linen, "nnx": nnx_module, "Equinox": equinox, "Haiku": haiku, "torch": torch,
    "scan": scan, "two towers": towers, "LoRA": lora,
}  # fmt: skip

# Methods: of a number that may be traced, and of a tree's `where`, which those use that count or measure blocks.


def stacked(where: dict[str, Any]) -> dict[str, Any]:
    """What a method has to be told that only takes lengths of blocks apart."""
    return where if "axis" in where else {}


def projection(x: Any, **where: Any) -> optax.GradientTransformation:
    return methods.selective_projection_decay(optax.trace(0.5), x, **stacked(where))


METHODS: dict[str, tuple[Callable[..., Any], float]] = {
    "scale_by_adam": (lambda x, **_: methods.scale_by_adam(eps=x), 0.5),
    "adamw": (lambda x, **_: methods.adamw(x, weight_decay=0.5), 0.5),
    "bert_adam": (lambda x, **_: methods.bert_adam(x, weight_decay=0.5), 0.5),
    "add_weight_decay": (lambda x, **_: methods.add_weight_decay(x), 0.5),
    "add_decay_to_init": (lambda x, **_: methods.add_decay_to_init(x, weights=methods.decay_mask), 0.5),
    "pull_to_init": (lambda x, **_: methods.pull_to_init(x), 0.5),
    "selective_projection_decay": (projection, 0.5),
    "scale_by_layer_decay": (lambda x, **where: methods.scale_by_layer_decay(x, **where), 0.5),
    "scale_by_path": (lambda x, **_: methods.scale_by_path([(r".*(?:bias|b|lora_b)", x)]), 0.5),
    "clip_by_component_norm": (lambda x, **where: methods.clip_by_component_norm(x, **stacked(where)), 0.5),
    "clip_by_global_norm": (lambda x, **_: methods.clip_by_global_norm(x), 0.5),
    "mixout": (lambda x, **_: methods.as_gradient_transformation(methods.mixout(x), jax.random.key(0)), 1.0),
}


# Steps


def gradient(params: Any, i: int) -> Any:
    """A gradient of the parameters' own dtype, another at each step."""
    return jax.tree.map(lambda w: jnp.cos(3 * w.astype(jnp.float32) + i).astype(w.dtype), params)


def steps(optimizer: optax.GradientTransformation, anchor: Any, params: Any, gradients: list[Any]) -> Any:
    """The updates of the last of several steps; `anchor` is what `init` gets."""
    optimizer = optax.with_extra_args_support(optimizer)
    state, updates = optimizer.init(anchor), params
    for g in gradients:
        updates, state = optimizer.update(g, state, params, grad_fn=lambda p, _: gradient(p, 0))
        params = jax.tree.map(lambda w, u: (w - 0.1 * u).astype(w.dtype), params, updates)
    return updates


def by_block(params: Any, case: Case) -> Any:
    """Labels of two groups: the lower block, and everything else; where blocks are slices, those and the rest."""

    def low(name: str, _: Any) -> bool:
        return case.roles[name].endswith("0") or case.roles[name] in PARTS

    return map_named(low, params)


def run(wrapper: str, make: Callable[[Any], Any], value: float, case: Case, anchor: Any, params: Any) -> Any:
    """Three steps of a method inside a wrapper."""
    gradients = [gradient(params, i) for i in range(3)]
    if wrapper == "MultiSteps":  # each gradient in two halves, which are not alike
        halves = [jax.tree.map(lambda x, s=s: (1 + s) * x, g) for g in gradients for s in (0.5, -0.5)]
        return accumulated(make(value), anchor, params, halves)
    wrapped = {
        "alone": lambda: make(value),
        "donated": lambda: make(value),
        "bfloat16": lambda: make(value),
        "inject_hyperparams": lambda: optax.inject_hyperparams(lambda x: make(x), hyperparam_dtype=jnp.float32)(
            x=value
        ),
        "multi_transform": lambda: optax.multi_transform(
            {True: make(value), False: make(value)}, lambda _: by_block(params, case)
        ),
        "masked": lambda: optax.masked(make(value), by_block(params, case)),
        "apply_if_finite": lambda: optax.apply_if_finite(make(value), 3),
    }[wrapper]()
    return steps(wrapped, anchor, params, gradients)


def accumulated(optimizer: Any, anchor: Any, params: Any, halves: list[Any]) -> Any:
    wrapped = optax.MultiSteps(optimizer, 2)
    state, updates = wrapped.init(anchor), params
    for g in halves:
        updates, state = wrapped.update(g, state, params, grad_fn=lambda p, _: gradient(p, 0))
        params = jax.tree.map(lambda w, u: w - 0.1 * u, params, updates)
    return updates


WRAPPERS = (
    "alone", "donated", "bfloat16", "MultiSteps", "inject_hyperparams", "multi_transform", "masked", "apply_if_finite",
)  # fmt: skip


COMPILED = ("donated", "MultiSteps", "apply_if_finite")  # those with a branch are compiled anyway, and slow


def values(case: Case, seed: int, dtype: Any = jnp.float32) -> Any:
    """The parameters of a tree; what is beside the roles has values of its own."""
    table = {role: jnp.asarray(x) for role, x in arrays(seed).items()}
    table |= {f"zero{i}": table[f"kernel{i}"] + 1 for i in range(BLOCKS)}
    table |= {f"other_{role}": x + 2 for role, x in table.items()}
    return jax.tree.map(lambda x: x.astype(dtype), case.build(table))


def cells(tree: str, wrapper: str) -> dict[str, Any]:
    """For each method the updates by role, or the message of its refusal."""
    case = TREES[tree]()
    dtype = jnp.bfloat16 if wrapper == "bfloat16" else jnp.float32
    refused: dict[str, Any] = {}

    def program(anchor: Any, params: Any) -> Any:
        done = {}
        for name, (make, value) in METHODS.items():
            try:
                done[name] = run(wrapper, functools.partial(make, **case.where), value, case, anchor, params)
            except InputError as error:
                refused[name] = str(error)
        return done

    if wrapper in COMPILED:
        program = jax.jit(program, donate_argnums=(1,) if wrapper == "donated" else ())
    done = program(values(case, 0, dtype), values(case, 1, dtype))
    return {name: case.read(updates) for name, updates in done.items()} | refused
