"""Slow NumPy float64 references: dictionaries of arrays by name, plain loops, the formulas as they are printed.

A method is a generator function: it gets the values at the start, then receives (gradients, parameters) and yields
updates, so its state is its local variables.
"""

import math
import re

import numpy as np


def adam(b1=0.9, b2=0.999, eps=1e-8, correct_first=True, correct_second=True, eps_hat=False):
    def run(params):
        m = {name: np.zeros_like(w) for name, w in params.items()}
        v = {name: np.zeros_like(w) for name, w in params.items()}
        t, updates = 0, None
        while True:
            gradients, _ = yield updates
            t += 1
            c1 = 1 - b1**t if correct_first else 1.0
            c2 = 1 - b2**t if correct_second else 1.0
            updates = {}
            for name, g in gradients.items():
                m[name] = b1 * m[name] + (1 - b1) * g
                v[name] = b2 * v[name] + (1 - b2) * g * g
                if eps_hat:
                    updates[name] = math.sqrt(c2) / c1 * m[name] / (np.sqrt(v[name]) + eps)
                else:
                    updates[name] = (m[name] / c1) / (np.sqrt(v[name] / c2) + eps)

    return run


def weight_decay(rate):
    def run(params):
        updates = None
        while True:
            gradients, weights = yield updates
            updates = {}
            for name, g in gradients.items():
                decays = not (name.endswith("/bias") or name.endswith("/scale"))
                updates[name] = g + rate * weights[name] if decays else g

    return run


def decay_to_init(rate, excluded=r"$^"):
    def run(params):
        start = {name: w.copy() for name, w in params.items()}
        updates = None
        while True:
            gradients, weights = yield updates
            updates = {}
            for name, g in gradients.items():
                pulled = not re.fullmatch(excluded, name)
                updates[name] = g + rate * (weights[name] - start[name]) if pulled else g

    return run


def projection_decay(inner, rate):
    def run(params):
        start = {name: w.copy() for name, w in params.items()}
        optimizer = inner(params)
        next(optimizer)
        updates = None
        while True:
            gradients, weights = yield updates
            updates = optimizer.send((gradients, weights))
            for name, g in gradients.items():
                old, new = weights[name], weights[name] + updates[name]
                if np.sum(g * (old - start[name])) > 0:
                    away = np.linalg.norm(new - start[name])
                    further = away - np.linalg.norm(old - start[name])
                    new = new - rate * min(max(further / away, 0), 1) * (new - start[name])
                updates[name] = new - old

    return run


def scale(factor_of):
    """`factor_of(name)`, or a function of (step, name) for schedules."""

    def run(params):
        t, updates = 0, None
        while True:
            gradients, _ = yield updates
            updates = {name: factor_of(t, name) * g for name, g in gradients.items()}
            t += 1

    return run


def layer_factor(name, decay, blocks, electra=False):
    block = re.search(r"layer_(\d+)/", name)
    if block:
        return decay ** (blocks - int(block.group(1)) + (1 if electra else 0))
    if "embeddings" in name:
        return decay ** (blocks + (2 if electra else 1))
    return 1.0


def clip_global(max_norm):
    def run(params):
        updates = None
        while True:
            gradients, _ = yield updates
            norm = math.sqrt(sum(float(np.sum(g * g)) for g in gradients.values()))
            updates = {name: g * min(1.0, max_norm / norm if norm else 1.0) for name, g in gradients.items()}

    return run


def clip_component(max_norm):
    def run(params):
        updates = None
        while True:
            gradients, _ = yield updates
            updates = {}
            for name, g in gradients.items():
                norm = math.sqrt(float(np.sum(g * g)))
                updates[name] = g * min(1.0, max_norm / norm if norm else 1.0)

    return run


def mixout(w, u, kept, rate):
    """The mixed weight and the derivative of each weight, entry by entry; `kept` has one row for each input feature."""
    mixed, slope = np.empty_like(w), np.empty_like(w)
    for i in range(w.shape[0]):
        for j in range(w.shape[1]):
            keep = kept[i, 0 if kept.shape[1] == 1 else j]
            mixed[i, j] = u[i, j] + ((w[i, j] - u[i, j]) / (1 - rate) if keep else 0.0)
            slope[i, j] = 1 / (1 - rate) if keep else 0.0
    return mixed, slope


def warmup_linear(s, peak, total, warmup):
    if s < warmup:
        return peak * s / warmup
    return peak * max(total - s, 0) / (total - warmup)


def bert_schedule(s, peak, total, warmup):
    if s < warmup:
        return peak * s / warmup
    return peak * max(1 - s / total, 0)


def trajectory(parts, params, gradient, steps):
    """Parameters after the steps, through the parts in their order."""
    running = [part(params) for part in parts]
    for part in running:
        next(part)
    for i in range(steps):
        updates = gradient(params, i)
        for part in running:
            updates = part.send((updates, params))
        params = {name: w + updates[name] for name, w in params.items()}
    return params


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def symmetric_kl(p, q):
    """Of two distributions: the mean of both directions, term by term."""
    forth = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    back = sum(b * math.log(b / a) for a, b in zip(p, q, strict=True))
    return (forth + back) / 2


def r_drop(one, other, labels, weights, alpha):
    """The loss of a batch of classes from the logits of two passes."""
    total = 0.0
    for z, y, label, weight in zip(one, other, labels, weights, strict=True):
        p, q = softmax(z), softmax(y)
        losses = -math.log(p[label]), -math.log(q[label])
        total += weight * (sum(losses) / 2 + alpha * symmetric_kl(p, q))
    return total / sum(weights)


def sam(gradient, params, rho):
    """The gradient at a step of length rho up the gradient; `gradient(params)` of a dictionary of arrays."""
    up = gradient(params)
    norm = math.sqrt(sum(float(np.sum(g * g)) for g in up.values()))
    return gradient({name: w + rho * up[name] / norm for name, w in params.items()})
