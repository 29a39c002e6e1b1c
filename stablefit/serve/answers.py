"""What the members of a model say together: a label, a number, several labels, or entities."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from stablefit.training.bundle import Bundle


@dataclasses.dataclass(frozen=True)
class Answers:
    """The answers to N texts. A model of one member has no agreement and no spread: they are None.

    Args:
        values: labels; numbers, float32 [N]; or tuples of labels.
        probabilities: float32 [N, C], the mean over members; None for numbers.
        agreement: float32 [N], the share of the members that give the same answer alone; None for numbers.
        spread: float32 [N], the standard deviation (n - 1) of the members' numbers.
    """

    values: Sequence[str] | np.ndarray | Sequence[tuple[str, ...]]
    probabilities: np.ndarray | None = None
    agreement: np.ndarray | None = None
    spread: np.ndarray | None = None


class Entity(NamedTuple):
    """An entity in a text.

    Args:
        start, end: its characters in the text, Unicode code points from 0; the end is exclusive.
        type: its type.
        text: what stands there.
        probability: that exactly this entity is there, by the CRF; the mean over members.
        agreement: the share of the members whose own best tags have it; None for one member.
    """

    start: int
    end: int
    type: str
    text: str
    probability: float
    agreement: float | None


def answers(bundle: Bundle, outputs_MxNxC: np.ndarray) -> Answers:
    """The answers of a model that is no tagger.

    Args:
        bundle: of the model.
        outputs_MxNxC: each member's logits, or numbers, float32.
    """
    several = len(outputs_MxNxC) > 1
    if bundle.kind == "regression":
        numbers_MxN = outputs_MxNxC[:, :, 0]
        spread = numbers_MxN.std(0, ddof=1) if several else None
        return Answers(numbers_MxN.mean(0), spread=spread)
    each_MxNxC = probabilities(bundle, outputs_MxNxC)
    mean_NxC = each_MxNxC.mean(0)
    if bundle.kind == "multilabel":
        cut_C = np.asarray(bundle.thresholds or [0.5] * len(bundle.labels), np.float32)
        said_NxC, alone_MxNxC = mean_NxC >= cut_C, each_MxNxC >= cut_C
        agreement = (alone_MxNxC == said_NxC).all(2).mean(0) if several else None
        values = [tuple(name for name, on in zip(bundle.labels, row, strict=True) if on) for row in said_NxC]
        return Answers(values, mean_NxC, agreement)
    chosen_N = mean_NxC.argmax(1)
    agreement = (each_MxNxC.argmax(2) == chosen_N).mean(0) if several else None
    return Answers([bundle.labels[i] for i in chosen_N], mean_NxC, agreement)


def probabilities(bundle: Bundle, outputs_MxNxC: np.ndarray) -> np.ndarray:
    """Each member's probabilities, float32 [M, N, C]: a softmax over classes, or a sigmoid of each label."""
    if bundle.kind == "multilabel":
        return special.expit(outputs_MxNxC)
    return special.softmax(outputs_MxNxC, axis=2)
