"""The trees of the matrix: the same parameters in modules of several libraries, and in the state of a torch module.

A leaf has a role, which says what it is and how deep it lies. Leaves of one role hold one array, in every tree: without
noise (mixout at rate 1, re-init with std 0) a method must do the same to the same role, whatever the leaf is called,
wherever it lies.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from stablefit.models.config import EncoderConfig
from stablefit.models.heads import SequenceClassifier
from stablefit.paths import map_named, names

WIDTH, BLOCKS = 4, 2
PARTS = {"kernel": (WIDTH, WIDTH), "bias": (WIDTH,), "scale": (WIDTH,)}
MATRICES, VECTORS = ("embedding", "pooler", "head"), ("embedding_scale", "embedding_bias", "pooler_bias", "head_bias")
ROLES = dict.fromkeys(MATRICES, (WIDTH, WIDTH)) | dict.fromkeys(VECTORS, (WIDTH,))
ROLES |= {f"{part}{i}": shape for i in range(BLOCKS) for part, shape in PARTS.items()}
TORCH = Path(__file__).with_name("torch_bert.json")  # names and shapes of a module's state, which a test compares


def arrays(seed: int) -> dict[str, np.ndarray]:
    """A value for each role; what is beside them, an adapter or another tower, has the same and a number."""
    random = np.random.default_rng(seed)
    table = {role: random.normal(size=shape).astype(np.float32) for role, shape in ROLES.items()}
    table |= {f"zero{i}": table[f"kernel{i}"] + 1 for i in range(BLOCKS)}
    return table | {f"other_{role}": x + 2 for role, x in table.items()}


def base(role: str) -> str:
    """The role of which a leaf is one of several: of `kernel0+query` it is `kernel0`."""
    return role.partition("+")[0]


class Case(NamedTuple):
    """A tree: what is where in it, and what the methods have to be told."""

    shapes: Any  # a pytree with the structure and the shapes of the parameters
    roles: dict[str, str]  # name of a leaf -> its role, without a number where all blocks are in one leaf
    where: dict[str, Any] = {}  # noqa: RUF012, for methods that count blocks
    turned: bool = False  # matrices are [out, in]

    def build(self, values: dict[str, Any]) -> Any:
        """The parameters."""

        def leaf(name: str, like: Any) -> Any:
            role = base(self.roles[name])
            if role in PARTS:
                return jnp.stack([jnp.asarray(values[f"{role}{i}"]) for i in range(BLOCKS)])
            value = jnp.asarray(values[role])
            return value.T if self.turned and role.startswith("kernel") else value.reshape(like.shape)

        return map_named(leaf, self.shapes)

    def read(self, params: Any) -> dict[str, Any]:
        """The values by role."""
        found: dict[str, Any] = {}
        for name, leaf in zip(names(params), jax.tree.leaves(params), strict=True):
            role = self.roles[name]
            if role in PARTS:
                found |= {f"{role}{i}": leaf[i] for i in range(BLOCKS)}
            else:
                turned = self.turned and role.startswith("kernel")
                found[role] = leaf.T if turned else leaf.reshape(ROLES.get(base(role), (WIDTH,) * min(leaf.ndim, 2)))
        return found


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


class Tower(nn.Module):
    """An encoder of one kind of input; `embed` makes tokens of it."""

    embed: nn.Module

    @nn.compact
    def __call__(self, x):
        x = self.embed(x).reshape(-1, WIDTH)
        for _ in range(BLOCKS):
            x = EncoderBlock()(x)
        return nn.Dense(WIDTH, use_bias=False, name="pooler")(x.mean(0))


class TwoTowers(nn.Module):
    """Texts and images, each in an encoder of its own, beside each other under one head."""

    def setup(self):
        self.text = Tower(nn.Embed(WIDTH, WIDTH))
        self.image = Tower(nn.Conv(WIDTH, (2, 2), (2, 2), use_bias=False))
        self.head = nn.Dense(WIDTH, use_bias=False)

    def __call__(self, tokens, pixels):
        return self.head(self.text(tokens) * self.image(pixels))


class LoraBlock(nnx.Module):
    """As the block above, with an adapter of full rank beside its frozen kernel."""

    def __init__(self, rngs):
        self.linear = nnx.LoRALinear(WIDTH, WIDTH, lora_rank=WIDTH, rngs=rngs)
        self.norm = nnx.LayerNorm(WIDTH, use_bias=False, rngs=rngs)


class LoraNet(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(WIDTH, WIDTH, rngs=rngs)
        self.blocks = nnx.List([LoraBlock(rngs) for _ in range(BLOCKS)])
        self.pooler = nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs)
        self.head = nnx.Linear(WIDTH, WIDTH, use_bias=False, rngs=rngs)


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
        node[last] = jax.ShapeDtypeStruct(ROLES[roles[name]], jnp.float32)
    return tree


def plain() -> Case:
    """Every role once, in a dict with the names of our encoder: what the others are compared with."""
    roles = {"encoder/embeddings/word_embeddings/embedding": "embedding", "encoder/pooler/kernel": "pooler"}
    roles |= {"encoder/embeddings/LayerNorm/scale": "embedding_scale", "encoder/pooler/bias": "pooler_bias"}
    roles |= {"encoder/embeddings/LayerNorm/bias": "embedding_bias", "head/bias": "head_bias", "head/kernel": "head"}
    roles |= block_roles("encoder/layer_{}/", "dense/kernel", "dense/bias", "LayerNorm/scale")
    return Case(nested(roles), roles)


def bert_roles(known: list[str]) -> dict[str, str]:
    """Of the leaves of a BERT: several of a block have one role."""

    def role(name: str) -> str:
        block = re.search(r"layer[._](\d+)", name)
        last = "bias" if name.endswith("bias") else "scale" if "LayerNorm" in name else "kernel"
        if block:
            return f"{last}{block.group(1)}+{name}"
        if "embeddings" in name:
            return ("embedding" if last == "kernel" else f"embedding_{last}") + f"+{name}"
        return ("pooler" if "pooler" in name else "head") + ("_bias" if last == "bias" else "")

    return {name: role(name) for name in known}


def ours() -> Case:
    """A BERT in linen: this project's classifier."""
    config = EncoderConfig(WIDTH, WIDTH, BLOCKS, 2, WIDTH, max_position_embeddings=WIDTH, type_vocab_size=WIDTH)
    model = SequenceClassifier(config, WIDTH)
    x = jnp.zeros((1, 2), int)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), x, x, x + 1, deterministic=True))["params"]
    return Case(shapes, bert_roles(names(shapes)))


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
    """The state of transformers' `BertForSequenceClassification`: a flat dict of names with dots."""
    shapes = {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in json.loads(TORCH.read_text()).items()}
    return Case(shapes, bert_roles(list(shapes)), turned=True)


def scan() -> Case:
    roles = {"embed/embedding": "embedding", "pooler/kernel": "pooler", "head/kernel": "head"}
    roles |= {"layers/dense/kernel": "kernel", "layers/dense/bias": "bias", "layers/norm/scale": "scale"}
    return Case(shapes_of(ScannedNet().init)["params"], roles, {"stack": "layers", "axis": 0})


def towers() -> Case:
    pixels = jnp.zeros((2 * WIDTH, 2, 1))
    shapes = jax.eval_shape(lambda: TwoTowers().init(jax.random.key(0), jnp.zeros((2,), int), pixels))["params"]
    roles = {"text/embed/embedding": "embedding", "text/pooler/kernel": "pooler", "head/kernel": "head"}
    roles |= block_roles("text/EncoderBlock_{}/", "Dense_0/kernel", "Dense_0/bias", "LayerNorm_0/scale")
    # Nothing counts the blocks of the other tower, so its patches are a matrix like any other.
    roles |= {"image/embed/kernel": "other_pooler+patches", "image/pooler/kernel": "other_pooler"}
    image = block_roles("image/EncoderBlock_{}/", "Dense_0/kernel", "Dense_0/bias", "LayerNorm_0/scale")
    return Case(shapes, roles | {name: f"other_{role}" for name, role in image.items()}, {"stack": "text"})


def lora() -> Case:
    shapes = nnx.state(nnx.eval_shape(lambda: LoraNet(nnx.Rngs(0))), nnx.Param)
    roles = {"embed/embedding": "embedding", "pooler/kernel": "pooler", "head/kernel": "head"}
    roles |= block_roles("blocks/{}/", "linear/kernel", "linear/bias", "norm/scale")
    roles |= {f"blocks/{i}/linear/lora/lora_a": f"kernel{i}+lora_a" for i in range(BLOCKS)}
    return Case(shapes, roles | {f"blocks/{i}/linear/lora/lora_b": f"zero{i}" for i in range(BLOCKS)})


TREES: dict[str, Callable[[], Case]] = {
    "stablefit": ours, "linen": linen, "nnx": nnx_module, "Equinox": equinox, "Haiku": haiku, "torch": torch,
    "scan": scan, "two towers": towers, "LoRA": lora,
}  # fmt: skip
