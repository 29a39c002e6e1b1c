"""Stored emissions of several runs -> entities: of all runs of a document together, and of each run alone.

The runs that a document was held out from are the members of its ensemble, as the kept models are those of a new text.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.tagging import Span
from stablefit.paths import Tree
from stablefit.serve import entities
from stablefit.training import manifest
from stablefit.training.job import Job


class Said(NamedTuple):
    """What a run says of the documents it was tested on.

    Args:
        emissions: name of each document -> [L, K].
        scores: the CRF's parameters.
    """

    emissions: dict[str, np.ndarray]
    scores: Tree


class Found(NamedTuple):
    """An entity that models find in a document.

    Args:
        span: in words.
        probability: that exactly this entity is there; the mean over models.
        agreement: the share of the models that find it alone.
    """

    span: Span
    probability: float
    agreement: float


@dataclasses.dataclass(frozen=True)
class Predicted:
    """Entities of N documents by R repeats.

    Args:
        documents: with the entities that are annotated.
        types: that can be found.
        found: of the repeats together, for each document.
        alone: of each repeat, for each document.
        annotated: for each document and each annotated entity, its probability.
        diverged: the repeats (positions) that are left out, for their outputs are not all finite.
    """

    documents: TaggedExamples
    types: tuple[str, ...]
    found: list[list[Found]]
    alone: list[list[list[Span]]]
    annotated: list[list[float]]
    diverged: tuple[int, ...] = ()


def read(workdir: Path, job: Job) -> dict[int, Said]:
    """What each finished seed of a cell left of its last step.

    Args:
        workdir: of the study.
        job: the cell's.
    """
    found: dict[int, Said] = {}
    lengths = _lengths(job)
    for seed in job.settings.seeds:
        file = workdir / "cells" / job.settings.fingerprint / f"seed_{seed}" / "predictions.npz"
        if not file.is_file():
            continue
        manifest.check(file, "remove the folder of the seed and its row, and fit again")
        with np.load(file, allow_pickle=False) as stored:
            names, emissions = stored["test_documents"].tolist(), stored["test_emissions"]
            scores = {name: stored[f"test_{name}"] for name in ("transitions", "start", "end")}
        ends = np.cumsum([lengths[name] for name in names])
        parts = np.split(emissions, ends[:-1])
        assert len(emissions) == ends[-1], f"{file} is of other documents"
        found[seed] = Said(dict(zip(names, parts, strict=True)), scores)
    return found


def _lengths(job: Job) -> dict[str, int]:
    parts = job.objective.encoded.values()
    documents = [part.documents for part in parts]  # pyright: ignore[reportAttributeAccessIssue]
    return {name: len(words) for one in documents for name, words in zip(one.ids, one.words, strict=True)}


def predicted(documents: TaggedExamples, labels: Sequence[str], repeats: Sequence[Sequence[Said]]) -> Predicted | None:
    """Entities from what runs said; None if every repeat diverged.

    Args:
        documents: N, each of them in one run of each repeat.
        labels: the K tags, IOB2.
        repeats: the runs of each repeat: one a fold, or one.
    """
    finite = [all(np.isfinite(x).all() for run in runs for x in run.emissions.values()) for runs in repeats]
    diverged = tuple(r for r, fine in enumerate(finite) if not fine)
    kept = [runs for runs, fine in zip(repeats, finite, strict=True) if fine]
    if not kept:
        return None
    place = {name: d for d, name in enumerate(documents.ids)}
    n = len(documents)
    found: list[list[Found]] = [[] for _ in range(n)]
    annotated: list[list[float]] = [[] for _ in range(n)]
    alone: list[list[list[Span]]] = [[[] for _ in range(n)] for _ in kept]
    for runs in zip(*kept, strict=True):  # one fold of every repeat
        names = list(runs[0].emissions)
        assert all(run.emissions.keys() == runs[0].emissions.keys() for run in runs)
        emissions = [np.stack([run.emissions[name] for run in runs]) for name in names]
        scores = [run.scores for run in runs]
        own = [documents.entities[place[name]] for name in names]
        together = entities.documents(scores, emissions, labels)
        chances = entities.probabilities(scores, emissions, labels, own)
        for i, name in enumerate(names):
            found[place[name]] = [Found(*one) for one in together[i]]
            annotated[place[name]] = chances[i]
        for r, score in enumerate(scores):
            for name, spans in zip(names, entities.alone(score, [one[r] for one in emissions], labels), strict=True):
                alone[r][place[name]] = spans
    types = tuple(label[2:] for label in labels if label.startswith("B-"))
    return Predicted(documents, types, found, alone, annotated, diverged)


def by_repeat(said: Mapping[int, Said], folds: int) -> list[list[Said]]:
    """Runs by their repeat: seed s is of repeat s // folds, and there tested on fold s mod folds."""
    runs = [said[seed] for seed in sorted(said)]
    return [runs[start : start + folds] for start in range(0, len(runs), folds)]
