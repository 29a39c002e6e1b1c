"""What a method does to a small tree, a loss or a rate: the numbers of its picture, taken from the method itself."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from stablefit import methods

KEY = jax.random.key(0)
BLOCKS = 12
STEPS, WARMUP = 100, 20  # of schedules
SCHEDULED = np.arange(STEPS + 11)


class Series(NamedTuple):
    """One line or one kind of mark."""

    label: str
    x: np.ndarray  # [N]; of a picture with names the positions of the names
    y: np.ndarray  # [N]
    colour: str = "better"  # of the report's themes
    line: str = "-"  # "" for marks alone
    mark: str = ""


class Picture(NamedTuple):
    """What is plotted, and what it shows in words."""

    caption: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    names: Sequence[str] = ()  # on the x axis, in place of numbers
    log: str = ""  # the axes that are logarithmic: "", "x", "y" or "xy"


def reinit() -> Picture:
    """Distance of each part from its pre-trained value."""
    names = parts()
    old = np.random.default_rng(0).normal(0, 0.02, (len(names), 32, 32)).astype(np.float32)
    params = {name: {"kernel": jnp.asarray(kernel)} for name, kernel in zip(names, old, strict=True)}

    def distance(**chosen: Any) -> np.ndarray:
        fresh = methods.reinit(KEY, params, **chosen)
        new = np.stack([fresh[name]["kernel"] for name in names])
        return np.linalg.norm(new - old, axis=(1, 2)) / np.linalg.norm(old, axis=(1, 2))

    x, top = np.arange(len(names)), distance(layers=2)
    caption = (
        f"How far each part is from its pre-trained values: with layers=2 the two top blocks and the pooler start "
        f"anew, {top[-2]:.1f} lengths of the old kernel away, and all else stays; with layers=0, pooler=True the "
        "pooler alone."
    )
    series = [
        Series("layers=2", x, top, line="", mark="o"),
        Series("layers=0, pooler=True", x, distance(pooler=True), "worse", "", "x"),
    ]
    return Picture(caption, "part of the model, blocks from the bottom", "|new - old| / |old|", series, short(names))


def mixout() -> Picture:
    """A kernel's weights in one pass, and their mean over many."""
    rate, n = 0.5, 16
    x = np.arange(n)
    noise = np.random.default_rng(0).normal(0, [[[0.04]], [[0.02]]], (2, n, 1)).astype(np.float32)
    u, w = noise[0], noise[0] + noise[1]
    transform = methods.mixout(rate)
    state = transform.init({"kernel": jnp.asarray(u)})
    mixed = jax.jit(jax.vmap(lambda key: transform.apply(key, {"kernel": jnp.asarray(w)}, state)["kernel"]))
    passes = np.asarray(mixed(jax.random.split(KEY, 4000)))
    one, mean = passes[0, :, 0], passes.mean(0)[:, 0]
    caption = (
        f"{n} weights in one pass at a rate of {rate}: {np.sum(one == u[:, 0])} of them take their pre-trained value "
        f"u, the others go {1 / (1 - rate):g} times as far from u as w is. The mean over {len(passes)} passes is w."
    )
    series = [
        Series("u, pre-trained", x, u[:, 0], "same", "", "_"),
        Series("w", x, w[:, 0], "better", "", "o"),
        Series("w' of one pass", x, one, "worse", "", "x"),
        Series(f"mean of w' over {len(passes)} passes", x, mean, "better", "", "."),
    ]
    return Picture(caption, "weight, by index", "value of the weight", series)


def r_drop() -> Picture:
    """The loss of an example against how far the two passes are apart."""
    apart = np.linspace(0, 4, 41)

    def loss(alpha: float, distance: jax.Array) -> jax.Array:
        def forward(params: Any, key: jax.Array) -> methods.Pass:
            first = jnp.all(jax.random.key_data(key) == jax.random.key_data(KEY))
            logits = jnp.stack([1 + jnp.where(first, 0.5, -0.5) * params, jnp.zeros(())])[None]
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.zeros(1, int))
            return methods.Pass(losses, logits, jnp.zeros(1, int), jnp.ones(1))

        divergence = (lambda a, b, y: methods.symmetric_kl(a, b)) if alpha else (lambda a, b, y: jnp.zeros(1))
        return methods.r_drop(alpha or 1.0, divergence).apply(forward, distance, KEY).loss

    found = jax.jit(lambda d: [jax.vmap(functools.partial(loss, alpha))(d) for alpha in (0.0, 1.0, 4.0)])
    mean, one, four = (np.asarray(losses) for losses in found(jnp.asarray(apart)))
    caption = (
        f"The loss of an example whose two passes have logits (1 + d/2, 0) and (1 - d/2, 0). Where they agree, at d = "
        f"0, all three are {mean[0]:.2f}; at d = 4 the mean of both losses is {mean[-1]:.2f}, with alpha = 1 the "
        f"loss is {one[-1]:.2f}, with alpha = 4 it is {four[-1]:.2f}."
    )
    series = [
        Series("alpha = 4", apart, four, "worse", "--"),
        Series("alpha = 1", apart, one),
        Series("mean of both losses", apart, mean, "same", ":"),
    ]
    return Picture(caption, "distance d of the two passes (logits)", "loss (nats)", series)


def sam() -> Picture:
    """A loss with a sharp and a wide minimum, and what SAM makes of it."""
    rho = 0.2
    w = np.linspace(-2.2, 2.6, 145) + 1e-3  # no point is a minimum itself, where the gradient and the step are 0

    def forward(params: Any, key: jax.Array) -> methods.Pass:
        del key
        loss = 1 - jnp.exp(-0.5 * ((params + 1.5) / 0.12) ** 2) - 0.9 * jnp.exp(-0.5 * ((params - 1) / 0.6) ** 2)
        return methods.Pass(loss[None], jnp.ones(1), jnp.ones(1), jnp.ones(1))

    def least(losses: np.ndarray) -> tuple[float, float]:
        return abs(losses[w < 0].min()), abs(losses[w > 0].min())

    def losses(transform: methods.LossTransform) -> np.ndarray:
        return np.asarray(jax.jit(jax.vmap(lambda x: transform.apply(forward, x, KEY).loss))(jnp.float32(w)))

    plain, sharp = losses(methods.same_loss()), losses(methods.sam(rho))
    caption = (
        f"A loss with a sharp minimum, {least(plain)[0]:.2f}, and a wide one, {least(plain)[1]:.2f}. With the step of "
        f"rho = {rho} up the gradient the lowest loss is {least(sharp)[0]:.2f} around the sharp one and "
        f"{least(sharp)[1]:.2f} around the wide one: the wide one is now the lower."
    )
    series = [Series("loss at w", w, plain, "same", "--"), Series(f"sam({rho}): loss at w + e", w, sharp)]
    return Picture(caption, "weight w", "loss", series)


def warmup_linear() -> Picture:
    """The rate over the steps."""
    s, lr = SCHEDULED, rates(methods.warmup_linear(1.0, STEPS, WARMUP))
    caption = (
        f"The rate of warmup_linear over T = {STEPS} steps: with w = {WARMUP} it rises from {lr[0]:.0f} to its peak at "
        f"step {np.argmax(lr)}, is {lr[60]:.2f} of it at step 60 and 0 from step {np.flatnonzero(lr == 0)[1]} on."
    )
    series = [
        Series("w = 0", s, rates(methods.warmup_linear(1.0, STEPS)), "same", ":"),
        Series(f"w = {WARMUP}", s, lr),
    ]
    return Picture(caption, "step s (updates)", "rate / peak", series)


def bert_schedule() -> Picture:
    """The rate over the steps, beside `warmup_linear`."""
    s, lr = SCHEDULED, rates(methods.bert_schedule(1.0, STEPS, WARMUP))
    caption = (
        f"The rate of bert_schedule over T = {STEPS} steps with w = {WARMUP}: {lr[WARMUP - 1]:.2f} of the peak at step "
        f"{WARMUP - 1}, {lr[WARMUP]:.2f} at step {WARMUP}, then down to 0; warmup_linear reaches the peak."
    )
    series = [
        Series("warmup_linear", s, rates(methods.warmup_linear(1.0, STEPS, WARMUP)), "worse", "--"),
        Series("bert_schedule", s, lr),
    ]
    return Picture(caption, "step s (updates)", "rate / peak", series)


def rates(schedule: optax.Schedule) -> np.ndarray:
    """The rates at all steps of the pictures of schedules."""
    return np.asarray(jax.jit(schedule)(SCHEDULED))


def parts() -> list[str]:
    """The parts of a small encoder, from the bottom."""
    return ["embeddings", *(f"layer_{i}" for i in range(BLOCKS)), "pooler", "head"]


def short(names: Sequence[str]) -> list[str]:
    """The names as ticks."""
    return [name.removeprefix("layer_").replace("embeddings", "embed-\ndings") for name in names]
