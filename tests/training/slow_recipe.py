"""A run in NumPy, float64: a small network with its gradient written out, and the recipe as `configs/base.py` says it.

The network has the names of an encoder's leaves: word embeddings, two blocks, a pooler, a head. An example is two
tokens; D is the width, C the classes:

    x = mean of the tokens' embeddings
    h = tanh(x K_0 + b_0) s_0,   h = tanh(h K_1 + b_1) s_1,   p = tanh(h K_p + b_p),   z = dropout(p) K_h + b_h
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from stablefit.paths import key_for
from tests.methods import reference

N_WORDS, D, C = 7, 3, 3
BLOCKS = ("encoder/layer_0", "encoder/layer_1")
EMBEDDING = "encoder/embeddings/word_embeddings/embedding"

Arrays = dict[str, np.ndarray]  # by the names of leaves


def pretrained() -> Arrays:
    """The leaves that a run starts from, all but the head."""
    rng = np.random.default_rng(7)
    shapes = {EMBEDDING: (N_WORDS, D), "encoder/pooler/kernel": (D, D), "encoder/pooler/bias": (D,)}
    for block in BLOCKS:
        shapes |= {f"{block}/output/kernel": (D, D), f"{block}/output/bias": (D,), f"{block}/LayerNorm/scale": (D,)}
    return {name: rng.normal(1.0 if name.endswith("scale") else 0.0, 0.7, shape) for name, shape in shapes.items()}


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The tree whose leaves have these names."""
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *path, last = name.split("/")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        node[last] = leaf
    return tree


class SmallNetwork:
    """The network in JAX, called as the real ones are."""

    def __init__(self, dropout: float):
        self.dropout = dropout

    def apply(self, variables, tokens_RxT, types, segments, positions, rows_E, columns_E, *, deterministic, rngs=None):
        tree = variables["params"]
        encoder, head = tree["encoder"], tree["head"]
        columns_Ex2 = columns_E[:, None] + jnp.arange(2)[None]
        x = encoder["embeddings"]["word_embeddings"]["embedding"][tokens_RxT[rows_E[:, None], columns_Ex2]].mean(1)
        for block in (encoder["layer_0"], encoder["layer_1"]):
            x = jnp.tanh(x @ block["output"]["kernel"] + block["output"]["bias"][None])
            x = x * block["LayerNorm"]["scale"][None]
        x = jnp.tanh(x @ encoder["pooler"]["kernel"] + encoder["pooler"]["bias"][None])
        if self.dropout and not deterministic:
            x = x * kept_units(rngs["dropout"], len(rows_E), self.dropout) / (1 - self.dropout)
        return x @ head["kernel"] + head["bias"][None]


def kept_units(key: jax.Array, n: int, rate: float) -> jax.Array:
    """Which entries of `p` dropout leaves."""
    return jax.random.uniform(key, (n, D), jnp.float32) >= rate


class Batch(NamedTuple):
    """One step's examples; those of weight 0 do not count."""

    tokens: np.ndarray  # [E, 2]
    labels: np.ndarray  # [E]
    weights: np.ndarray  # [E]


def forward(w: Arrays, batch: Batch, kept: np.ndarray | None, dropout: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """The outputs z [E, C], and what the way back needs: the inputs and tanhs of the blocks, and the pooler's.

    Args:
        kept: [E, D], what dropout leaves; None: all.
    """
    hidden, seen = w[EMBEDDING][batch.tokens].mean(1), []
    for block in BLOCKS:
        inner = np.tanh(hidden @ w[f"{block}/output/kernel"] + w[f"{block}/output/bias"])
        seen += [hidden, inner]
        hidden = inner * w[f"{block}/LayerNorm/scale"]
    pooled = np.tanh(hidden @ w["encoder/pooler/kernel"] + w["encoder/pooler/bias"])
    factor = np.ones_like(pooled) if kept is None else kept / (1 - dropout)
    return (pooled * factor) @ w["head/kernel"] + w["head/bias"], [*seen, hidden, pooled, factor]


def backward(w: Arrays, batch: Batch, seen: list[np.ndarray], dz: np.ndarray) -> Arrays:
    """The gradient in the weights, of what has the gradient dz in the outputs."""
    *blocks, hidden, pooled, factor = seen
    g = {"head/kernel": (pooled * factor).T @ dz, "head/bias": dz.sum(0)}
    d = (dz @ w["head/kernel"].T) * factor * (1 - pooled**2)
    g["encoder/pooler/kernel"], g["encoder/pooler/bias"] = hidden.T @ d, d.sum(0)
    d = d @ w["encoder/pooler/kernel"].T
    for i, block in reversed(list(enumerate(BLOCKS))):
        below, inner = blocks[2 * i : 2 * i + 2]
        g[f"{block}/LayerNorm/scale"] = (d * inner).sum(0)
        d = d * w[f"{block}/LayerNorm/scale"] * (1 - inner**2)
        g[f"{block}/output/kernel"], g[f"{block}/output/bias"] = below.T @ d, d.sum(0)
        d = d @ w[f"{block}/output/kernel"].T
    g[EMBEDDING] = np.zeros_like(w[EMBEDDING])
    for i, pair in enumerate(batch.tokens):
        for token in pair:
            g[EMBEDDING][token] += d[i] / 2
    return g


def cross_entropies(z: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each example, and its gradient in the outputs."""
    p = softmax(z)
    own = np.arange(len(z)), labels
    losses = -np.log(p[own])
    p[own] -= 1
    return losses, p


def divergences(z: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(KL(p || q) + KL(q || p)) / 2 of each example, and its gradient in z."""
    p, q = softmax(z), softmax(other)
    ratio = np.log(p) - np.log(q)
    slope = p * (ratio - (p * ratio).sum(1, keepdims=True)) + p - q
    return ((p - q) * ratio).sum(1) / 2, slope / 2


def softmax(z: np.ndarray) -> np.ndarray:
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def restarted(fields: Mapping[str, Any]) -> set[str]:
    """The leaves that are re-initialised."""
    chosen = set()
    blocks = set(fields["reinit_blocks"]) | set(range(len(BLOCKS) - fields["reinit_layers"], len(BLOCKS)))
    for name in pretrained():
        block = next((i for i, prefix in enumerate(BLOCKS) if name.startswith(prefix + "/")), None)
        pooler = name.startswith("encoder/pooler/") and (blocks or fields["reinit_pooler"])
        matched = any(re.fullmatch(pattern, name) for pattern in fields["reinit_patterns"].split())
        if block in blocks or pooler or matched:
            chosen.add(name)
    return chosen


def start(fields: Mapping[str, Any], key: jax.Array, std: float) -> Arrays:
    """The parameters of step 0: a new head, re-initialised leaves, all else pre-trained."""

    def drawn(name: str, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
        return std * np.asarray(jax.random.normal(key_for(key, purpose + name), shape, jnp.float32), np.float64)

    w = {**pretrained(), "head/kernel": drawn("head/kernel", "", (D, C)), "head/bias": np.zeros(C)}
    for name in restarted(fields):
        last = name.rsplit("/", 1)[-1]
        constant = {"bias": np.zeros, "scale": np.ones}.get(last)
        w[name] = constant(w[name].shape) if constant else drawn(name, "reinit/", w[name].shape)
    return w


def train(
    fields: Mapping[str, Any], w: Arrays, batches: Sequence[Batch], noise_key: jax.Array
) -> tuple[Arrays, list[float], list[float]]:
    """The parameters after the steps, and each step's loss and norm of the gradient.

    Args:
        fields: of a config; here the forms of decay to init may be on together.
        w: of step 0.
        noise_key: of the run.
    """
    anchor = {name: x.copy() for name, x in w.items()}
    update = projected(update_parts(fields, w, len(batches)), fields, w)(w)
    next(update)
    losses, norms = [], []
    keys = jax.vmap(jax.random.fold_in, (None, 0))(noise_key, np.arange(len(batches)))  # the step's, from the run's
    for key, batch in zip(keys, batches, strict=True):
        loss, gradient = loss_and_gradient(fields, anchor, w, batch, key)
        if fields["sam_rho"]:
            share = fields["sam_rho"] / norm(gradient)
            there = {name: x + share * gradient[name] for name, x in w.items()}
            loss, gradient = loss_and_gradient(fields, anchor, there, batch, key)
        losses.append(loss)
        norms.append(norm(gradient))
        updates = update.send((gradient, w))
        w = {name: x + updates[name] for name, x in w.items()}
    return w, losses, norms


def norm(gradient: Arrays) -> float:
    return math.sqrt(sum(float((g * g).sum()) for g in gradient.values()))


def loss_and_gradient(
    fields: Mapping[str, Any], anchor: Arrays, w: Arrays, batch: Batch, key: jax.Array
) -> tuple[float, Arrays]:
    """sum(w l) / sum(w), and its gradient: of one pass, or with R-Drop of two, each with its own noise.

    Args:
        key: of the step.
    """
    share = batch.weights / batch.weights.sum()
    passes = []
    for one in [key, key_for(key, "r_drop")] if fields["r_drop"] else [key]:
        kept, rate = None, fields["dropout"]
        if rate:
            kept = np.asarray(kept_units(key_for(one, "dropout"), len(batch.labels), rate), np.float64)
        mixed, slopes = mixed_with(anchor, w, one, fields)
        z, seen = forward(mixed, batch, kept, rate)
        passes.append((z, seen, mixed, slopes))
    loss, gradient = 0.0, dict.fromkeys(w, 0.0)
    for i, (z, seen, mixed, slopes) in enumerate(passes):
        each, dz = cross_entropies(z, batch.labels)
        each, dz = each / len(passes), dz / len(passes)
        if len(passes) == 2:
            apart, slope = divergences(z, passes[1 - i][0])
            each, dz = each + fields["r_drop"] * apart / 2, dz + fields["r_drop"] * slope
        loss += float((share * each).sum())
        for name, g in backward(mixed, batch, seen, dz * share[:, None]).items():
            gradient[name] = gradient[name] + g * slopes.get(name, 1.0)
    return loss, gradient


def mixed_with(anchor: Arrays, w: Arrays, key: jax.Array, fields: Mapping[str, Any]) -> tuple[Arrays, Arrays]:
    """The weights of a step's forward pass under mixout, and the factor on the gradient of each that is mixed."""
    mixed, slopes, rate = dict(w), {}, fields["mixout_rate"]
    for name in [name for name in w if name.endswith("/kernel") and rate]:
        shape = (w[name].shape[0], 1) if fields["mixout_unit"] == "input" else w[name].shape
        kept = np.asarray(jax.random.uniform(key_for(key, f"mixout/{name}"), shape, jnp.float32)) >= rate
        mixed[name], slopes[name] = reference.mixout(w[name], anchor[name], kept, rate)
        if fields["mixout_gradient"] == "official":
            slopes[name] = slopes[name] * (1 - rate)
    return mixed, slopes


def not_pulled(fields: Mapping[str, Any], w: Arrays) -> str:
    """A pattern of the leaves that no form of decay to init pulls."""
    out = {name for name in w if name.endswith(("/bias", "/scale"))}
    if not fields["init_decay_everywhere"]:
        out |= restarted(fields) | {name for name in w if name.startswith("head/")}
    return "|".join(sorted(out))


def update_parts(fields: Mapping[str, Any], w: Arrays, total: int) -> list[Any]:
    """The parts of the chain, in its order; of all leaves, whatever their values."""
    out = not_pulled(fields, w)
    correction, b1, b2 = fields["bias_correction"], fields["b1"], fields["b2"]
    warmup = int(fields["warmup_ratio"] * total)

    def rate(step: int, name: str) -> float:
        shape = reference.bert_schedule if fields["schedule"] == "bert" else reference.warmup_linear
        lr = shape(step, fields["learning_rate"], total, warmup)
        if fields["schedule"] == "uncorrected":
            lr *= (1 - b1 ** (step + 1)) / math.sqrt(1 - b2 ** (step + 1))
        return -lr

    def by_layer(step: int, name: str) -> float:
        return reference.layer_factor(
            name, fields["layer_decay"], len(BLOCKS), fields["layer_decay_convention"] == "electra"
        )

    def by_path(step: int, name: str) -> float:
        rules = [rule.rpartition("=") for rule in fields["lr_multipliers"].split()]
        return next((float(factor) for pattern, _, factor in rules if re.fullmatch(pattern, name)), 1.0)

    return [
        reference.clip_global(fields["clip_norm"]),
        reference.clip_component(fields["component_clip_norm"]),
        reference.decay_to_init(fields["init_decay_coupled"], out),
        reference.adam(
            b1, b2, fields["eps"], correction in ("both", "first"), correction in ("both", "second"), fields["eps_hat"]
        ),
        reference.weight_decay(fields["weight_decay"]),
        reference.decay_to_init(fields["init_decay"], out),
        reference.scale(by_layer),
        reference.scale(by_path),
        reference.scale(rate),
        reference.decay_to_init(-fields["init_decay_unscaled"], out),
    ]


def projected(parts: Sequence[Any], fields: Mapping[str, Any], w: Arrays) -> Any:
    """The chain of the parts, and selective projection decay around it, of the leaves that are pulled at all."""

    def together(params: Arrays):
        running = [part(params) for part in parts]
        for part in running:
            next(part)
        updates = None
        while True:
            updates, weights = yield updates
            for part in running:
                updates = part.send((updates, weights))

    around = reference.projection_decay(together, fields["projection_decay"])
    out = not_pulled(fields, w)

    def run(params: Arrays):
        plain, projected = together(params), around(params)
        next(plain)
        next(projected)
        updates = None
        while True:
            both = yield updates
            alone, changed = plain.send(both), projected.send(both)
            updates = {name: alone[name] if re.fullmatch(out, name) else changed[name] for name in alone}

    return run
