"""One number."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np

from stablefit.data.encoding import Encoded
from stablefit.objectives import metrics
from stablefit.objectives.objective import Scores
from stablefit.objectives.sequences import Sequences
from stablefit.paths import Tree


@dataclasses.dataclass(frozen=True)
class Regression(Sequences):
    """Squared error of one output, which is (number - centre) / scale.

    Args:
        standardised: centre and scale are mean and standard deviation of the training numbers, so that the learning
            rate does not depend on the user's unit. False keeps 0 and 1, as the paper's STS-B has it.
        centre, scale: in the user's unit, in which every score and prediction is.
    """

    standardised: bool = False
    centre: float = 0.0
    scale: float = 1.0

    def __str__(self) -> str:
        return "regression" + (f" of (number - {self.centre:.4g}) / {self.scale:.4g}" if self.standardised else "")

    def fitted(self, train: Encoded) -> Self:
        if not self.standardised:
            return self
        scale = float(train.labels.std(dtype=np.float64))
        return dataclasses.replace(self, centre=float(train.labels.mean(dtype=np.float64)), scale=scale or 1.0)

    def targets(self, data: Encoded) -> np.ndarray:
        return ((data.labels - self.centre) / self.scale).astype(np.float32) if self.standardised else data.labels

    def losses(self, params: Tree, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.square(outputs[:, 0] - targets)

    def divergences(self, outputs: jax.Array, others: jax.Array, targets: jax.Array) -> jax.Array:
        return jnp.square(outputs[:, 0] - others[:, 0])

    def score(self, params: Tree, outputs: np.ndarray, data: Encoded) -> tuple[Scores, np.ndarray]:
        outputs = outputs * self.scale + self.centre if self.standardised else outputs
        return metrics.compute("regression", outputs, data.labels, more=self.standardised), outputs

    def majority(self, data: Encoded) -> float:
        return metrics.majority_score(self.task.report_metric, data.labels)

    def whole(self, params: Tree) -> Tree:
        if not self.standardised:
            return params
        head = params["head"]
        kernel, bias = (np.asarray(head[name]) for name in ("kernel", "bias"))
        return {**params, "head": {"kernel": kernel * self.scale, "bias": bias * self.scale + self.centre}}
