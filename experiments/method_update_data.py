"""What a transform of updates does to a weight or a step: the numbers of its picture, taken from it itself."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.method_data import Picture, Series, parts, short
from stablefit import methods

DECAY = 0.9  # of layers
TENSORS = {"embeddings": 2.0, "query kernel": 5.0, "query bias": 0.1, "norm's scale": 0.5, "head": 1.0}  # norms


def walked(
    optimizer: optax.GradientTransformation,
    start: Any,
    gradient: Callable[[Any, jax.Array], Any],
    steps: int,
    pretrained: Any = None,
) -> tuple[Any, Any]:
    """The parameters before each step and after the last, [steps + 1, ...], and the updates, [steps, ...]."""

    def step(carried: Any, t: jax.Array) -> tuple[Any, Any]:
        params, state = carried
        updates, state = optimizer.update(gradient(params, t), state, params)
        return (optax.apply_updates(params, updates), state), (params, updates)

    def walk(start: Any, pretrained: Any) -> tuple[Any, Any]:
        (last, _), (path, updates) = jax.lax.scan(step, (start, optimizer.init(pretrained)), jnp.arange(steps))
        return jax.tree.map(lambda p, w: jnp.append(p, w[None], 0), path, last), updates

    first = [jax.tree.map(np.float32, start if of is None else of) for of in (start, pretrained)]
    return jax.tree.map(np.asarray, jax.jit(walk)(*first))


def no_gradient(params: Any, t: jax.Array) -> Any:
    """Zeros: what is left is the decay."""
    del t
    return jax.tree.map(jnp.zeros_like, params)


def updated(transform: optax.GradientTransformation, updates: Any) -> Any:
    """The first update, of parameters like the updates."""
    return jax.jit(lambda u: transform.update(u, transform.init(u), u)[0])(updates)


def scale_by_adam() -> Picture:
    """Length of the steps under a constant gradient."""
    t = np.unique(np.append(np.geomspace(1, 5000, 60).astype(int), [12, 1000]))

    def lengths(correction: str) -> np.ndarray:
        adam = methods.scale_by_adam(bias_correction=correction)
        return walked(adam, 0.0, lambda w, i: jnp.ones_like(w), int(t[-1]))[1][t - 1]

    none, both = lengths("none"), lengths("both")
    peak = int(np.argmax(none))
    caption = (
        f"Length of Adam's steps under a constant gradient: with correction {both[0]:.0f} from the first "
        f"on; without, {none[0]:.2f} at step 1, {none[peak]:.2f} at step {t[peak]}, {none[t == 1000][0]:.2f} at 1000."
    )
    series = [
        Series('bias_correction="none"', t, none, "worse", "--"),
        Series('bias_correction="second"', t, lengths("second"), "same", ":"),
        Series('bias_correction="both"', t, both),
    ]
    return Picture(caption, "step (updates)", "length of the step (learning rates)", series, log="x")


def adamw() -> Picture:
    """A weight whose gradients are large and cancel."""
    steps, lr, decay = 200, 0.01, 1.0

    def path(optimizer: optax.GradientTransformation) -> np.ndarray:
        return walked(optimizer, {"kernel": 1.0}, lambda w, t: {"kernel": 10.0 * (-1.0) ** t}, steps)[0]["kernel"]

    coupled = [methods.add_weight_decay(decay), methods.scale_by_adam(), optax.scale_by_learning_rate(lr)]
    ours, l2 = path(methods.adamw(lr, weight_decay=decay)), path(optax.chain(*coupled))
    x = np.arange(0, steps + 1, 5)
    caption = (
        f"A weight whose gradients are +10 and -10 in turn, at a learning rate of {lr}: after {steps} steps adamw with "
        f"weight_decay={decay:g} leaves {ours[-1]:.2f} of it; the same rate in front of Adam, which divides it by the "
        f"size of the gradient, leaves {l2[-1]:.2f}."
    )
    series = [
        Series("weight_decay=0", x, path(methods.adamw(lr))[x], "same", ":"),
        Series("the decay in front of Adam (L2)", x, l2[x], "worse", "--"),
        Series(f"adamw, weight_decay={decay:g}", x, ours[x]),
    ]
    return Picture(caption, "step (updates)", "weight", series)


def bert_adam() -> Picture:
    """Length of the steps against the size of the gradient."""
    size = np.geomspace(1e-8, 1e-1, 43)

    def lengths(optimizer: optax.GradientTransformation, step: int) -> np.ndarray:
        start = {"kernel": np.zeros(len(size))}
        return -walked(optimizer, start, lambda w, t: {"kernel": jnp.float32(size)}, step)[1]["kernel"][-1]

    ours = methods.bert_adam(1.0, weight_decay=0.0)
    first, twelfth = lengths(ours, 1), lengths(ours, 12)
    caption = (
        f"Length of a step under a constant gradient, by its size: of a large one {first[-1]:.2f} learning rates at "
        f"step 1 and {twelfth[-1]:.2f} at step 12, where adamw takes 1; of one of {size[12]:.0e} the first step is "
        f"{first[12]:.2f}, since eps = 1e-6 is then larger than sqrt(v)."
    )
    series = [
        Series("bert_adam, step 12", size, twelfth, "worse", "--"),
        Series("bert_adam, step 1", size, first),
        Series("adamw, step 1", size, lengths(methods.adamw(1.0), 1), "same", ":"),
    ]
    return Picture(caption, "size of the gradient", "length of the step (learning rates)", series, log="x")


def clip_by_global_norm() -> Picture:
    """Norms of tensors before and after."""
    before, after = _clipped(methods.clip_by_global_norm(1.0))
    caption = (
        "Norms of five tensors before and after clip_by_global_norm(1.0): the joint norm of "
        f"{np.linalg.norm(before):.2f} becomes {np.linalg.norm(after):.2f}, and every tensor shrinks by the same "
        f"factor, {after[0] / before[0]:.2f}."
    )
    return _norms(caption, before, after)


def clip_by_component_norm() -> Picture:
    """Norms of tensors before and after."""
    before, after = _clipped(methods.clip_by_component_norm(1.0))
    caption = (
        f"Norms of five tensors before and after clip_by_component_norm(1.0): the {np.sum(after < before)} above 1 "
        f"become 1, the others stay, and the joint norm is {np.linalg.norm(after):.2f}."
    )
    return _norms(caption, before, after)


def add_weight_decay() -> Picture:
    """Weights without a gradient."""
    steps, lr, rate = 100, 0.1, 0.5
    optimizer = optax.chain(methods.add_weight_decay(rate), optax.scale_by_learning_rate(lr))
    path, _ = walked(optimizer, {"kernel": 1.0, "bias": 1.0}, no_gradient, steps)
    x = np.arange(0, steps + 1, 4)
    caption = (
        f"Two weights without a gradient, at a rate of {rate} and a learning rate of {lr}: that of a kernel loses "
        f"{1 - path['kernel'][1]:.0%} a step and has {path['kernel'][50]:.2f} left after 50, that of a bias stays."
    )
    series = [Series("bias", x, path["bias"][x], "worse", "--"), Series("kernel", x, path["kernel"][x])]
    return Picture(caption, "step (updates)", "weight", series)


def add_decay_to_init() -> Picture:
    """A weight without a gradient, pulled to where it started or to 0."""
    steps, lr, rate, u = 100, 0.1, 0.5, 0.4

    def path(decay: optax.GradientTransformation) -> np.ndarray:
        optimizer = optax.chain(decay, optax.scale_by_learning_rate(lr))
        return walked(optimizer, {"kernel": 1.0}, no_gradient, steps, {"kernel": u})[0]["kernel"]

    x = np.arange(0, steps + 1, 4)
    ours, zero = path(methods.add_decay_to_init(rate)), path(methods.add_weight_decay(rate))
    caption = (
        f"A weight of 1 that was {u} when pre-trained, without a gradient, at a rate of {rate} and a learning rate of "
        f"{lr}: after {steps} steps the decay to init has it at {ours[-1]:.2f}, weight decay at {zero[-1]:.2f}."
    )
    series = [
        Series("add_decay_to_init", x, ours[x]),
        Series("u, pre-trained", x, np.full(len(x), u), "same", ":"),
        Series("add_weight_decay", x, zero[x], "worse", "--"),
    ]
    return Picture(caption, "step (updates)", "weight", series)


def pull_to_init() -> Picture:
    """A weight without a gradient, under two learning rates."""
    steps, u, peaks = 100, 0.4, (0.1, 0.01)

    def path(peak: float, pull: bool) -> np.ndarray:
        rate = optax.scale_by_learning_rate(methods.warmup_linear(peak, steps))
        links = [rate, methods.pull_to_init(0.05)] if pull else [methods.add_decay_to_init(0.5), rate]
        return walked(optax.chain(*links), {"kernel": 1.0}, no_gradient, steps, {"kernel": u})[0]["kernel"]

    x = np.arange(0, steps + 1, 4)
    high, low = path(peaks[0], False), path(peaks[1], False)
    pulled, too = path(peaks[0], True), path(peaks[1], True)
    caption = (
        f"A weight of 1 that was {u} when pre-trained, without a gradient, while the learning rate falls from its peak "
        f"to 0. After {steps} steps pull_to_init(0.05) has it at {pulled[-1]:.2f} at either peak; "
        f"add_decay_to_init(0.5) at {high[-1]:.2f} with a peak of {peaks[0]}, at {low[-1]:.2f} with one of {peaks[1]}."
    )
    series = [
        Series(f"add_decay_to_init, peak {peaks[1]}", x, low[x], "worse", ":"),
        Series(f"add_decay_to_init, peak {peaks[0]}", x, high[x], "worse", "--"),
        Series(f"pull_to_init, peak {peaks[0]}", x, pulled[x]),
        Series(f"pull_to_init, peak {peaks[1]}", x, too[x], "better", "", "o"),
    ]
    return Picture(caption, "step (updates)", "weight", series)


def selective_projection_decay() -> Picture:
    """A weight that momentum carries past the minimum."""
    steps, x = 80, np.arange(0, 81, 2)

    def path(optimizer: optax.GradientTransformation) -> np.ndarray:
        return walked(optimizer, {"kernel": 0.0}, lambda p, t: {"kernel": p["kernel"] - 1}, steps)[0]["kernel"]

    inner = optax.sgd(0.1, momentum=0.9)
    plain, half, whole = (
        path(inner if not rate else methods.selective_projection_decay(inner, rate)) for rate in (0.0, 0.5, 1.0)
    )
    caption = (
        f"A weight that starts at u = 0, under momentum; the loss is least at 1. Momentum carries it to "
        f"{plain.max():.2f}; the steps further from u, where the gradient already points back, are taken back: at a "
        f"rate of 0.5 it gets to {half.max():.2f}, at 1 to {whole.max():.2f}. On the way to 1 nothing changes."
    )
    series = [
        Series("momentum alone", x, plain[x], "worse", "--"),
        Series("rate 0.5", x, half[x], "same", "-."),
        Series("rate 1", x, whole[x]),
    ]
    return Picture(caption, "step (updates)", "weight = distance from u", series)


def scale_by_layer_decay() -> Picture:
    """The factor of each part."""
    names = parts()
    ones = {part: {"kernel": np.ones(1, np.float32)} for part in names}
    x = np.arange(len(names))

    def factors(*links: optax.GradientTransformation) -> np.ndarray:
        found = jax.tree.map(np.asarray, updated(optax.chain(*links), ones))
        return np.asarray([found[part]["kernel"][0] for part in names])

    ours = factors(methods.scale_by_layer_decay(DECAY))
    electra = factors(methods.scale_by_layer_decay(DECAY, convention="electra"))
    before = factors(methods.scale_by_layer_decay(DECAY), methods.scale_by_adam())
    caption = (
        f"The factor of each part's update at decay = {DECAY}, {len(names) - 3} blocks: head and pooler {ours[-1]:g}, "
        f"the top block {ours[-3]:.2f}, the bottom block {ours[1]:.2f}, embeddings {ours[0]:.2f}; ELECTRA's convention "
        f"has one power more. In front of Adam it does nothing: {before.min():.2f} for all."
    )
    series = [
        Series("in front of Adam", x, before, "same", ":", "x"),
        Series('convention="paper"', x, ours, "better", "-", "o"),
        Series('convention="electra"', x, electra, "worse", "--", "s"),
    ]
    return Picture(caption, "part of the model, blocks from the bottom", "factor of the update", series, short(names))


def scale_by_path() -> Picture:
    """The first update of each part, with the factor after Adam and in front of it."""
    names = ["embeddings", "layer_0", "layer_1", "crf", "head"]
    gradients = {part: {"kernel": np.full(1, 0.01, np.float32)} for part in names}
    adam, faster = methods.scale_by_adam(), methods.scale_by_path([("crf/.*", 100.0)])

    def sizes(*links: optax.GradientTransformation) -> np.ndarray:
        found = jax.tree.map(np.asarray, updated(optax.chain(*links), gradients))
        return np.asarray([found[part]["kernel"][0] for part in names])

    x, after, before = np.arange(len(names)), sizes(adam, faster), sizes(faster, adam)
    caption = (
        f'The first update under scale_by_path([("crf/.*", 100)]): after Adam that of the CRF is {after[3]:.0f} '
        f"learning rates, all others {after[0]:.0f}; in front of Adam it does nothing, {before[3]:.0f} for all."
    )
    series = [
        Series("after Adam", x, after, "better", "", "o"),
        Series("in front of Adam", x, before, "worse", "", "x"),
    ]
    return Picture(
        caption,
        "part of the model, blocks from the bottom",
        "size of the update (learning rates)",
        series,
        short(names),
        "y",
    )


def _clipped(clip: optax.GradientTransformation) -> tuple[np.ndarray, np.ndarray]:
    updates = {name: np.full(4, norm / 2, np.float32) for name, norm in TENSORS.items()}
    found = updated(clip, updates)
    before, after = ([np.linalg.norm(tree[name]) for name in TENSORS] for tree in (updates, found))
    return np.asarray(before), np.asarray(after)


def _norms(caption: str, before: np.ndarray, after: np.ndarray) -> Picture:
    x = np.arange(len(before))
    series = [
        Series("before", x, before, "same", "", "o"),
        Series("after", x, after, "better", "", "x"),
        Series("max_norm", np.asarray([-0.4, len(x) - 0.6]), np.ones(2), "worse", "--"),
    ]
    return Picture(caption, "tensor", "norm of the gradient", series, list(TENSORS), "y")
