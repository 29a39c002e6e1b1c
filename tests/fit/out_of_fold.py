"""Made-up out-of-fold predictions for the tests of evidence and page."""

import numpy as np

from stablefit.fit.evidence import OutOfFold

CLASSES = ("billing", "cancel", "login")


def softmax(z: np.ndarray) -> np.ndarray:
    z = np.exp(z - z.max(-1, keepdims=True))
    return z / z.sum(-1, keepdims=True)


def classes(n=120, repeats=5, skill=2.0, frozen=1.0, seed=0, labels=CLASSES, groups=None) -> OutOfFold:
    """Models of this skill, a baseline `frozen` of that, and the majority."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, len(labels), n)
    given = np.eye(len(labels))[targets]
    shared = rng.normal(size=(n, len(labels)))
    outputs = softmax(skill * given + shared + 0.5 * rng.normal(size=(repeats, n, len(labels))))
    baselines = {
        "majority": np.tile(given.mean(0), (n, 1)),
        "frozen": softmax(frozen * given + shared),
    }
    return OutOfFold("classification", labels, targets, outputs, baselines, *rows(n), groups)


def numbers(n=120, repeats=5, noise=1.0, seed=0) -> OutOfFold:
    rng = np.random.default_rng(seed)
    targets = rng.normal(10, 5, n)
    sd = noise * rng.gamma(2, 0.5, n)
    outputs = targets + sd * rng.normal(size=n) + 0.7 * sd * rng.normal(size=(repeats, n))
    baselines = {"mean": np.full(n, targets.mean()), "tfidf": 10 + 0.5 * (targets - 10) + rng.normal(size=n)}
    return OutOfFold("regression", (), targets, outputs, baselines, *rows(n))


def several(n=120, repeats=5, skill=3.0, seed=0) -> OutOfFold:
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, 3)) < [0.5, 0.3, 0.1]).astype(np.float32)
    z = skill * (targets - 0.5) + rng.normal(size=(n, 3)) - 0.5
    outputs = 1 / (1 + np.exp(-z - 0.4 * rng.normal(size=(repeats, n, 3))))
    baselines = {"majority": np.tile(targets.mean(0), (n, 1))}
    return OutOfFold("multilabel", ("price", "quality", "service"), targets, outputs, baselines, *rows(n))


def rows(n: int) -> tuple[list[str], list[str]]:
    return [f"this is text {i}" for i in range(n)], [f"tickets.csv:{i + 2}" for i in range(n)]
