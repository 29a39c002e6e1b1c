"""Scores of entities under the bootstrap over documents, what kinds of errors there are, and each type's line."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.tagging import Span
from stablefit.fit.entity_predictions import Found
from stablefit.fit.row_scores import Resamples, Scorer
from stablefit.fit.tables import Confused, PerClass
from stablefit.objectives.entity_metrics import Counts

METRIC = "entity_f1"
CUTS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclasses.dataclass(frozen=True)
class Cut:
    """The entities whose probability is at least `at`: how many, and their precision and recall."""

    at: float
    n: int
    precision: float
    recall: float


@dataclasses.dataclass(frozen=True)
class Errors:
    """How found entities differ from what is annotated, and what of that is not found at all.

    right: words and type are. wrong_type: the words alone. wrong_edges: the type, and a word in common. overlapping: a
    word in common. nothing_there: no word in common with any annotated entity. missed: annotated entities that share no
    word with a found one. lost: annotated entities that begin or end within a word.
    """

    right: int
    wrong_type: int
    wrong_edges: int
    overlapping: int
    nothing_there: int
    missed: int
    lost: int


def scorer(documents: TaggedExamples, spans: Sequence[Iterable[Span]]) -> Scorer:
    """Micro F1, precision and recall of entities, each right only if its start, end and type are.

    Annotated entities that begin or end within a word lower the recall. 0.0 where a score has no value.

    Args:
        documents: N, with what is annotated.
        spans: what is found in each.
    """
    found = [set(one) for one in spans]
    hits = np.array([len(one & set(own)) for one, own in zip(found, documents.entities, strict=True)], np.float64)
    n_found = np.array([len(one) for one in found], np.float64)
    both = zip(documents.entities, documents.unrepresented, strict=True)
    n_given = np.array([len(own) + len(lost) for own, lost in both], np.float64)

    def score(counts: np.ndarray) -> dict[str, np.ndarray]:
        h, f, g = counts @ hits, counts @ n_found, counts @ n_given
        return {METRIC: _ratio(2 * h, f + g), "precision": _ratio(h, f), "recall": _ratio(h, g)}

    return score


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, 0 for 0 / 0."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)


def hits(documents: TaggedExamples, found: Sequence[Sequence[Found]]) -> np.ndarray:
    """bool, of every found entity, document after document: whether it is annotated."""
    given = [set(own) for own in documents.entities]
    return np.array([one.span in given[d] for d, some in enumerate(found) for one in some], bool)


def per_type(documents: TaggedExamples, found: Sequence[Sequence[Found]], types: Sequence[str]) -> tuple[PerClass, ...]:
    """One line a type: precision, recall, F1, how many are annotated and how many found."""
    right, said = Counter(), Counter()
    given = Counter(documents.n_unrepresented)
    for own, some in zip(documents.entities, found, strict=True):
        there, spans = set(own), {one.span for one in some}
        given.update(span.type for span in there)
        said.update(span.type for span in spans)
        right.update(span.type for span in there & spans)
    lines = {name: Counts(right[name], said[name], given[name]) for name in sorted({*types, *given})}
    return tuple(PerClass(name, c.precision, c.recall, c.f1, c.gold, c.predicted) for name, c in lines.items())


def confused(documents: TaggedExamples, found: Sequence[Sequence[Found]]) -> tuple[Confused, ...]:
    """Annotated type and found type of entities whose words are right, most often first."""
    pairs: Counter[tuple[str, str]] = Counter()
    for own, some in zip(documents.entities, found, strict=True):
        given = {span[:2]: span.type for span in own}
        said = {one.span[:2]: one.span.type for one in some}
        pairs.update((given[at], said[at]) for at in given.keys() & said.keys() if given[at] != said[at])
    return tuple(Confused(*pair, n) for pair, n in sorted(pairs.items(), key=lambda item: (-item[1], item[0])))


def errors(documents: TaggedExamples, found: Sequence[Sequence[Found]]) -> Errors:
    """What kinds of errors there are."""
    kinds: Counter[str] = Counter()
    for own, some in zip(documents.entities, found, strict=True):
        spans = [one.span for one in some]
        kinds.update(kind(span, own) for span in spans)
        kinds["missed"] += sum(not any(overlap(span, other) for other in spans) for span in own)
    kinds["lost"] = documents.n_unrepresented.total()
    return Errors(**{field.name: kinds[field.name] for field in dataclasses.fields(Errors)})


def kind(span: Span, given: Iterable[Span]) -> str:
    """How a found entity lies to the annotated ones; a name of `Errors`."""
    near = [other for other in given if overlap(span, other)]
    if span in near:
        return "right"
    if any(span[:2] == other[:2] for other in near):
        return "wrong_type"
    if any(span.type == other.type for other in near):
        return "wrong_edges"
    return "overlapping" if near else "nothing_there"


def overlap(one: Span, other: Span) -> bool:
    """Whether two entities share a word."""
    return one.start < other.end and other.start < one.end


def cuts(documents: TaggedExamples, found: Sequence[Sequence[Found]]) -> tuple[Cut, ...]:
    """What is right of the entities that are at least so probable."""
    probability = np.array([one.probability for some in found for one in some])
    right = hits(documents, found)
    total = sum(map(len, documents.entities)) + documents.n_unrepresented.total()
    lines = []
    for at in CUTS:
        n, good = int((probability >= at).sum()), int(right[probability >= at].sum())
        lines.append(Cut(at, n, good / n if n else float("nan"), good / total if total else 0.0))
    return tuple(lines)


def of_entities(unit: np.ndarray, found: Sequence[Sequence[Found]], resamples: Resamples) -> Resamples | None:
    """The bootstrap of found entities: those of a document are drawn together. None without entities."""
    unit = np.repeat(unit, [len(some) for some in found])
    return Resamples(len(unit), unit, resamples.seed, resamples.n_resamples) if len(unit) else None
