"""Any number of several labels."""

import jax
import numpy as np
import optax

from stablefit import methods
from stablefit.data.encoding import Encoded
from stablefit.objectives import metrics
from stablefit.objectives.objective import Scores
from stablefit.objectives.sequences import Sequences
from stablefit.paths import Tree


class Multilabel(Sequences):
    """The mean over labels of the cross-entropies of their sigmoids."""

    def __str__(self) -> str:
        return f"any of {len(self.labels)} labels"

    def losses(self, params: Tree, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return optax.sigmoid_binary_cross_entropy(outputs, targets).mean(-1)

    def divergences(self, outputs: jax.Array, others: jax.Array, targets: jax.Array) -> jax.Array:
        return methods.symmetric_binary_kl(outputs, others).mean(-1)

    def score(self, params: Tree, outputs: np.ndarray, data: Encoded) -> tuple[Scores, np.ndarray]:
        """With a threshold of one half for every label; better ones are chosen on out-of-fold predictions."""
        return metrics.compute("multilabel", outputs, data.labels), outputs

    def majority(self, data: Encoded) -> float:
        return metrics.majority_score(self.task.report_metric, data.labels)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The sigmoid of each logit, float64.

    >>> probabilities(np.array([[0.0]])).tolist()
    [[0.5]]
    """
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, np.float64)))
