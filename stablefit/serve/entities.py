"""Entities from emissions: each document's best tags, and the exact probability of every entity in them.

Of several members the best tags are those of the mean of their emissions and CRF scores, which is the CRF whose
distribution is the normalised geometric mean of theirs; an entity's probability is the mean of theirs.
"""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from stablefit.data.tags import tagging
from stablefit.data.tags.tagging import Span
from stablefit.models import crf
from stablefit.paths import Tree

_ROWS = 32  # entities, or documents, at a time


def documents(
    scores: Sequence[Tree], emissions: Sequence[np.ndarray], labels: Sequence[str]
) -> list[list[tuple[Span, float, float]]]:
    """The entities of each document, with their probabilities and the share of the members that find them alone.

    Args:
        scores: the CRF's parameters of each of M members; of zeros without a CRF.
        emissions: [M, L, K] of each document, L its words.
        labels: the K tags, IOB2.
    """
    together = jax.tree.map(lambda *leaves: np.mean(np.stack(leaves), axis=0), *scores)
    best = _best(together, [one.mean(0) for one in emissions], labels)
    found = [_spans(tags, labels) for tags in best]
    where = [(d, span) for d, spans in enumerate(found) for span in spans]
    chances, alone = [], []
    for m, member in enumerate(scores):
        own = [one[m] for one in emissions]
        tags = best if len(scores) == 1 else _best(member, own, labels)
        alone.append([set(_spans(one, labels)) for one in tags])
        chances.append(_chances(member, own, tags, where, labels))
    mean = np.mean(chances, axis=0)
    out: list[list[tuple[Span, float, float]]] = [[] for _ in emissions]
    for (d, span), chance in zip(where, mean, strict=True):
        out[d].append((span, float(chance), sum(span in sets[d] for sets in alone) / len(scores)))
    return out


def alone(scores: Tree, emissions: Sequence[np.ndarray], labels: Sequence[str]) -> list[list[Span]]:
    """The entities of each document by one member.

    Args:
        scores: its CRF's parameters.
        emissions: [L, K] of each document.
        labels: the K tags, IOB2.
    """
    return [_spans(tags, labels) for tags in _best(scores, emissions, labels)]


def probabilities(
    scores: Sequence[Tree], emissions: Sequence[np.ndarray], labels: Sequence[str], spans: Sequence[Sequence[Span]]
) -> list[list[float]]:
    """The probability of given entities, the mean over members; those of a type without a tag have none, 0.

    Args:
        scores, emissions, labels: as of `documents`.
        spans: of each document.
    """
    where = [(d, span) for d, some in enumerate(spans) for span in some if f"B-{span.type}" in labels]
    chances = []
    for m, member in enumerate(scores):
        own = [one[m] for one in emissions]
        chances.append(_chances(member, own, _best(member, own, labels), where, labels))
    known = dict(zip(where, np.mean(chances, axis=0).tolist(), strict=True))
    return [[known.get((d, span), 0.0) for span in some] for d, some in enumerate(spans)]


def _best(scores: Tree, emissions: Sequence[np.ndarray], labels: Sequence[str]) -> list[np.ndarray]:
    """The best tags of each document, kept to what IOB2 allows."""
    allowed = tagging.allowed_transitions(labels, "iob2")
    best: dict[int, np.ndarray] = {}
    for part in _like(emissions, range(len(emissions))):
        block, mask = _block([emissions[d] for d in part])
        tags = np.asarray(_viterbi(scores, block, mask, allowed))
        best.update({d: tags[i, : len(emissions[d])] for i, d in enumerate(part)})
    return [best[d] for d in range(len(emissions))]


def _spans(tags: np.ndarray, labels: Sequence[str]) -> list[Span]:
    names: list[str] = [labels[int(tag)] for tag in tags]
    return tagging.strict_spans(names, "iob2")


def _chances(
    scores: Tree,
    emissions: Sequence[np.ndarray],
    best: Sequence[np.ndarray],
    where: Sequence[tuple[int, Span]],
    labels: Sequence[str],
) -> np.ndarray:
    """The probability of each of the entities by one member, float64."""
    chances = np.zeros(len(where))
    for part in _like(emissions, range(len(where)), [d for d, _ in where]):
        block, mask = _block([emissions[where[i][0]] for i in part])
        within = np.ones(block.shape, bool)
        path = np.zeros(mask.shape, np.int32)
        for row, i in enumerate(part):
            d, span = where[i]
            length = len(emissions[d])
            within[row, :length] = tagging.span_tags(labels, span, length)
            path[row, :length] = best[d]
        log_p = np.asarray(_within(scores, block, mask, within, path), np.float64)
        chances[list(part)] = np.exp(log_p[: len(part)])
    return chances


def _like(emissions: Sequence[np.ndarray], items: Any, of: Sequence[int] | None = None) -> list[list[int]]:
    """The items in groups of like length, at most _ROWS each."""
    size = functools.partial(_width, emissions, of)
    ordered = sorted(items, key=size)
    groups = (list(group) for _, group in itertools.groupby(ordered, key=size))
    return [group[at : at + _ROWS] for group in groups for at in range(0, len(group), _ROWS)]


def _width(emissions: Sequence[np.ndarray], of: Sequence[int] | None, item: int) -> int:
    """A power of two, so that few programs are compiled."""
    length = len(emissions[item if of is None else of[item]])
    return max(32, 1 << (length - 1).bit_length())


def _block(emissions: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """[_ROWS, T, K] and its mask, of documents of like length."""
    width = _width(emissions, None, 0)
    block = np.zeros((_ROWS, width, emissions[0].shape[1]), np.float32)
    mask = np.zeros((_ROWS, width), bool)
    for i, one in enumerate(emissions):
        block[i, : len(one)] = one
        mask[i, : len(one)] = True
    return block, mask


@jax.jit
def _viterbi(scores: Tree, emissions: Any, mask: Any, allowed: Tree) -> jax.Array:
    return crf.viterbi(scores, emissions, mask, allowed)[0]


_within = jax.jit(crf.log_probability_within)
