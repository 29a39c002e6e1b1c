"""One of several classes."""

from collections.abc import Mapping

import jax
import numpy as np
import optax

from stablefit import methods
from stablefit.data.encoding import Encoded
from stablefit.objectives import metrics
from stablefit.objectives.objective import Scores
from stablefit.objectives.sequences import Sequences
from stablefit.paths import Tree


class Classification(Sequences):
    """Cross-entropy of a softmax over the classes."""

    def losses(self, params: Tree, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(outputs, targets)

    def divergences(self, outputs: jax.Array, others: jax.Array, targets: jax.Array) -> jax.Array:
        return methods.symmetric_kl(outputs, others)

    def notes(self, data: Mapping[str, Encoded]) -> list[tuple[str, str]]:
        there = np.unique(data["train"].labels)
        absent = [str(label) for i, label in enumerate(self.labels) if i not in there]
        said = super().notes(data)
        if len(there) == 1:
            only = self.labels[int(there[0])]
            said.append(("warning", f"all training examples are of class {only!r}: nothing else can be learnt"))
        elif absent:
            said.append(("warning", f"no training example is of class {', '.join(map(repr, absent))}"))
        return said

    def weights(self, train: Encoded) -> np.ndarray | None:
        """N / (C n_c) for an example of a class with n_c of the N examples, if the classes are to count alike."""
        if not self.balanced:
            return None
        counts = np.bincount(train.labels, minlength=len(self.labels))
        return (len(train) / (np.count_nonzero(counts) * np.maximum(counts, 1)))[train.labels].astype(np.float32)

    def score(self, params: Tree, outputs: np.ndarray, data: Encoded) -> tuple[Scores, np.ndarray]:
        return metrics.compute("classification", outputs, data.labels), outputs

    def majority(self, data: Encoded) -> float:
        return metrics.majority_score(self.task.report_metric, data.labels)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """softmax(logits) over the last axis, float64.

    >>> probabilities(np.array([[0.0, 0.0]])).tolist()
    [[0.5, 0.5]]
    """
    shifted = np.exp(np.asarray(logits, np.float64) - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)
