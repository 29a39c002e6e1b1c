"""What training asks of a kind of task: its network, what starts new, its loss, and what its outputs are worth."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np

from stablefit.data.encoding import Encoded
from stablefit.data.tasks import Task
from stablefit.models.config import EncoderConfig
from stablefit.models.heads import Head
from stablefit.paths import Key, Tree

Scores = dict[str, float]


class Objective(Protocol):
    """A kind of task with its data. Arrays are of one split; parameters are those of one run."""

    @property
    def task(self) -> Task: ...

    @property
    def labels(self) -> tuple[str, ...]:
        """What the outputs stand for; empty for a number."""
        ...

    @property
    def encoded(self) -> Mapping[str, Encoded]:
        """The examples of each file; in cross-validation `encoded['train']` is what folds are cut from."""
        ...

    @property
    def chosen(self) -> Sequence[Mapping[str, np.ndarray]]:
        """Which rows of `encoded['train']` are in which split, for each fold; empty where files are the splits."""
        ...

    def __str__(self) -> str:
        """In the announcement, after the task's name."""
        ...

    def notes(self, data: Mapping[str, Encoded]) -> list[tuple[str, str]]:
        """Further lines of the announcement."""
        ...

    def data(self, fold: int) -> Mapping[str, Encoded]:
        """'train', 'validation' and 'test'; in cross-validation those of one fold."""
        ...

    def fitted(self, train: Encoded) -> "Objective":
        """The same with what is learnt from the training examples beside parameters: the scale of a number."""
        ...

    def model(self, config: EncoderConfig, dropout: float, dtype: Any) -> Head:
        """The network."""
        ...

    def start(self, key: Key, config: EncoderConfig, pretrained: Tree) -> Tree:
        """The parameters: those that are given, and new ones for what is not."""
        ...

    def targets(self, data: Encoded) -> np.ndarray:
        """What the loss compares outputs with, as it lies on the device."""
        ...

    def weights(self, train: Encoded) -> np.ndarray | None:
        """[N], what each example's loss counts; None: all the same."""
        ...

    def losses(self, params: Tree, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """The loss of each example, [E]; inside the compiled step."""
        ...

    def divergences(self, outputs: jax.Array, others: jax.Array, targets: jax.Array) -> jax.Array:
        """How far the outputs of two passes are apart, [E]: what R-Drop makes small."""
        ...

    def score(self, params: Tree, outputs: np.ndarray, data: Encoded) -> tuple[Scores, np.ndarray]:
        """The mean loss and the scores of a split, and its predictions as they are kept.

        Args:
            params: of the run, without the encoder's.
            outputs: of the network, one row an example.
            data: the split.
        """
        ...

    def beside(self, params: Tree, outputs: np.ndarray, data: Encoded) -> dict[str, np.ndarray]:
        """What is kept of the test set beside the last parameters' predictions; arguments as of `score`."""
        ...

    def majority(self, data: Encoded) -> float:
        """The reported score of the best answer that is the same for every example."""
        ...

    def whole(self, params: Tree) -> Tree:
        """The parameters as they are saved: with them alone the outputs are in the user's unit."""
        ...
