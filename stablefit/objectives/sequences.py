"""What kinds of one answer a text have in common: the network and how its parts start."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import jax.numpy as jnp
import numpy as np

from stablefit.data.encoding import Encoded
from stablefit.data.tasks import Task
from stablefit.models import heads
from stablefit.models.config import EncoderConfig
from stablefit.paths import Key, Tree


@dataclasses.dataclass(frozen=True)
class Sequences:
    """One answer for a whole example.

    Args:
        task: the labels and the scores.
        encoded: the examples of each file; with `chosen` empty these are the splits.
        chosen: which rows of `encoded['train']` are in which split; in cross-validation one mapping for each fold.
        pooling: how the hidden states of an example become one vector.
        said: further lines of the announcement: name and text.
        balanced: whether the classes count alike in the loss, however rare.
    """

    task: Task
    encoded: Mapping[str, Encoded] = dataclasses.field(default_factory=dict)
    chosen: Sequence[Mapping[str, np.ndarray]] = ()
    pooling: Literal["pooler", "cls", "mean"] = "pooler"
    said: tuple[tuple[str, str], ...] = ()
    balanced: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        return self.task.labels

    def __str__(self) -> str:
        return f"{len(self.labels)} classes"

    def notes(self, data: Mapping[str, Encoded]) -> list[tuple[str, str]]:
        return list(self.said)

    def data(self, fold: int) -> Mapping[str, Encoded]:
        if not self.chosen:
            return self.encoded
        pool = self.encoded["train"]
        parts = {**self.encoded, **{name: pool.subset(rows) for name, rows in self.chosen[fold].items()}}
        return {name: parts[name] for name in ("train", "validation", "test")}

    def fitted(self, train: Encoded) -> Self:
        return self

    def model(self, config: EncoderConfig, dropout: float, dtype: Any) -> heads.SequenceClassifier:
        return heads.SequenceClassifier(config, self.task.n_outputs, dropout, dtype, self.pooling)

    def start(self, key: Key, config: EncoderConfig, pretrained: Tree) -> Tree:
        width, std = config.hidden_size, config.initializer_range
        encoder = {name: value for name, value in pretrained["encoder"].items() if name != "pooler"}
        further: Tree = {}
        if self.pooling == "pooler":
            encoder["pooler"] = pretrained["encoder"].get("pooler") or heads.init_pooler(key, config)
        if self.pooling == "mean":
            norm = {"scale": jnp.ones(width), "bias": jnp.zeros(width)}
            further = {"pooling": pretrained.get("pooling") or {"LayerNorm": norm}}
        head = pretrained.get("head") or heads.init_head(key, width, self.task.n_outputs, std)
        return {"encoder": encoder, **further, "head": head}

    def targets(self, data: Encoded) -> np.ndarray:
        return data.labels

    def weights(self, train: Encoded) -> np.ndarray | None:
        return None

    def beside(self, params: Tree, outputs: np.ndarray, data: Encoded) -> dict[str, np.ndarray]:
        return {}

    def whole(self, params: Tree) -> Tree:
        return params
