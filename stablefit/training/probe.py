"""A head that starts as the best linear one on the frozen encoder (linear probing, then fine-tuning).

With a random head the first steps move the encoder toward what a random head would have it be; a head that is right
already moves it only as far as the labels ask. A. Kumar et al., "Fine-Tuning can Distort Pretrained Features and
Underperform Out-of-Distribution", ICLR 2022.
"""

import functools
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from scipy import sparse

from stablefit.data import cross_validation, packing
from stablefit.data.encoding import Encoded
from stablefit.data.tasks import Kind
from stablefit.errors import InputError
from stablefit.models import heads
from stablefit.paths import Tree
from stablefit.training import steps

if TYPE_CHECKING:
    from stablefit.training.job import Job

STRENGTHS = (1.0, 10.0, 100.0)  # C of scikit-learn, on features whose mean squared length is 1
STRENGTHS_1SE = (0.01, 0.1, *STRENGTHS)
_PARTS = 3  # of the training examples, each of which judges a strength once


def fitted(job: "Job") -> Tree:
    """{"head": ...}: fitted to the training examples of a job, in the unit of its loss.

    Raises:
        InputError: the head would read a pooler that starts anew.
    """
    root, train = job.root or job, job.data["train"]
    if job.spec.pooling == "pooler" and "pooler" not in job.pretrained["encoder"]:
        start, model = job.spec.head_start, job.spec.model
        raise InputError(f"head_start={start!r}: {model} has no pooler to be read; set pooling to mean or cls")
    rows = np.arange(len(train)) if job.part is None else job.objective.chosen[job.part]["train"]
    known = (_features(root)[rows], job.objective.targets(train), job.task.kind, job.task.n_outputs)
    return {"head": linear_head(*known, one_se=job.spec.head_start == "probe_1se")}


def linear_head(
    features_NxD: Any, targets: np.ndarray, kind: Kind, n_outputs: int, one_se: bool = False
) -> dict[str, np.ndarray]:
    """Kernel [D, n_outputs] and bias [n_outputs] of logistic regression with an L2 penalty, or of ridge regression.

    The penalty's weight is 1 / C on features divided by the root of their mean squared length, so that C does not
    depend on the encoder's scale; `strength_for` chooses C within these examples.

    Args:
        features_NxD: N vectors, as an array or a SciPy CSR matrix.
        targets: class ids, numbers, or [N, n_outputs] zeros and ones.
        kind: what they are.
        n_outputs: a class that does not occur has a bias of minus ten.
        one_se: as of `strength_for`.
    """
    x, scale = _scaled(features_NxD)
    kernel, bias = _linear(x, targets, kind, n_outputs, _strength(x, targets, kind, n_outputs, one_se))
    return {"kernel": (kernel / scale).astype(np.float32), "bias": bias.astype(np.float32)}


def strength_for(features_NxD: Any, targets: np.ndarray, kind: Kind, n_outputs: int, one_se: bool = False) -> float:
    """C: the one of `STRENGTHS` with the least loss in three-fold cross-validation; arguments as of `linear_head`.

    By the rule of one standard error (L. Breiman et al., Classification and Regression Trees, 1984) it is the smallest
    of `STRENGTHS_1SE` whose mean loss is at most the least one plus that one's standard error over the examples: where
    the frozen encoder says little of the labels, large weights are what was made of noise, and the encoder would be
    moved to suit them.

    Args:
        one_se: whether to use that rule.
    """
    return _strength(_scaled(features_NxD)[0], targets, kind, n_outputs, one_se)


def _scaled(features_NxD: Any) -> tuple[Any, float]:
    """The features in a unit in which their mean squared length is 1, and that unit."""
    x = features_NxD.astype(np.float64)
    scale = float(np.sqrt((x.multiply(x) if sparse.issparse(x) else np.square(x)).sum() / x.shape[0])) or 1.0
    return x / scale, scale


def _strength(x: Any, targets: np.ndarray, kind: Kind, n_outputs: int, one_se: bool) -> float:
    strengths = STRENGTHS_1SE if one_se else STRENGTHS
    if x.shape[0] < 2 * _PARTS:
        return strengths[0]
    losses_SxN = np.array([_held_out(x, targets, kind, n_outputs, c) for c in strengths])
    means_S = losses_SxN.mean(1)
    best = int(np.argmin(means_S))
    within = losses_SxN[best].std(ddof=1) / np.sqrt(x.shape[0]) if one_se else 0.0
    return strengths[int(np.argmax(means_S <= means_S[best] + within))]


def _held_out(x: Any, targets: np.ndarray, kind: Kind, n_outputs: int, strength: float) -> np.ndarray:
    """The loss of each example by a regression on the parts that it is not in, [N]."""
    part = cross_validation.fold_of(targets, kind, None, _PARTS, "probe")
    losses = np.zeros(x.shape[0])
    for i in range(_PARTS):
        own, rest = part == i, part != i
        losses[own] = _losses(x[own], targets[own], kind, *_linear(x[rest], targets[rest], kind, n_outputs, strength))
    return losses


def _linear(x: Any, targets: np.ndarray, kind: Kind, n_outputs: int, strength: float):
    from sklearn.linear_model import LogisticRegression, Ridge

    kernel, bias = np.zeros((x.shape[1], n_outputs)), np.zeros(n_outputs)
    if kind == "regression":
        model = Ridge(alpha=1.0 / strength).fit(x, targets)
        kernel[:, 0], bias[0] = model.coef_, model.intercept_
    elif kind == "multilabel":
        for i in range(n_outputs):
            kernel[:, i], bias[i] = _binary(x, targets[:, i] > 0, strength)
    else:
        classes = np.unique(targets)
        bias[:] = -10.0
        bias[classes] = 0.0
        if len(classes) == 2:
            weights, offset = _binary(x, targets == classes[1], strength)
            for c, sign in zip(classes, (-0.5, 0.5), strict=True):
                kernel[:, c], bias[c] = sign * weights, sign * offset
        elif len(classes) > 2:
            model = LogisticRegression(C=strength, max_iter=1000).fit(x, targets)
            kernel[:, classes], bias[classes] = model.coef_.T, model.intercept_
    return kernel, bias


def _binary(x: Any, marks: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
    from sklearn.linear_model import LogisticRegression

    if marks.all() or not marks.any():
        return np.zeros(x.shape[1]), 10.0 if marks.all() else -10.0
    model = LogisticRegression(C=strength, max_iter=1000).fit(x, marks)
    return model.coef_[0], float(model.intercept_[0])


def _losses(x: Any, targets: np.ndarray, kind: Kind, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    outputs = x @ kernel + bias
    if kind == "regression":
        return np.square(outputs[:, 0] - targets)
    if kind == "multilabel":
        return (np.logaddexp(0.0, outputs) - outputs * targets).sum(1)
    return np.logaddexp.reduce(outputs, axis=1) - outputs[np.arange(len(targets)), targets]


def frozen_features(job: "Job") -> np.ndarray:
    """What the head reads of each example that a job trains on, of all its folds, before any training; [N, D]."""
    return _features(job.root or job)


@functools.lru_cache(maxsize=2)
def _features(root: "Job") -> np.ndarray:
    params = root.objective.start(jax.random.key(0), root.encoder, root.pretrained)
    return features(root.network.model, params, root.pool, root.spec.eval_batch_size)


def features(model: heads.Head, params: Tree, data: Encoded, batch: int) -> np.ndarray:
    """What the head reads of each example; float32 [N, D].

    Args:
        model: the network.
        params: its parameters; the head's are not used.
        data: the examples.
        batch: so many at a time.
    """
    batches, order = packing.evaluation_layout(data.lengths, data.tokens.shape[1], batch, 1)
    table = steps.Table(data.tokens, data.types, np.zeros(len(data), np.int32))
    vectors = np.asarray(_run(model, params, table, batches))
    return vectors.reshape(-1, vectors.shape[-1])[order]


@functools.partial(jax.jit, static_argnums=0)
def _run(model: heads.Head, params: Tree, table: steps.Table, batches: packing.Layout) -> jax.Array:
    return jax.lax.map(lambda batch: steps.predict(params, table, batch, model, "pooled"), batches)
