"""Entities to look at: annotations that are probably wrong, and entities that the seeds disagree on.

An annotation is doubted only where all seeds, none of which saw the document, are of one mind against it and sure, and
only of types that they know: where two thirds of what they are sure of are annotated, or of what is annotated found.
"""

import dataclasses
from collections import Counter

from stablefit.data.tags.tagging import Span
from stablefit.fit.entity_predictions import Predicted
from stablefit.fit.entity_scores import overlap

SURE = 0.9  # probability of an entity from which on the lack of its annotation is doubted
UNLIKELY = 0.05  # probability of an annotated entity up to which it is doubted
_MOST = 2 / 3  # share from which on models are believed at all
_AROUND = 60  # characters before and behind an entity that are shown


@dataclasses.dataclass(frozen=True)
class ListedEntity:
    """An entity in its text, with what is annotated there and what is found, in words.

    Args:
        id: of the document.
        before, text, behind: the entity, and what stands around it.
        given, predicted: types; others' words are quoted.
        note: probability, or votes.
    """

    id: str
    before: str
    text: str
    behind: str
    given: str
    predicted: str
    note: str


@dataclasses.dataclass(frozen=True)
class Vote:
    """An entity that some of the seeds find, and others do not."""

    document: int
    span: Span
    n: int


def suspects(p: Predicted) -> list[ListedEntity]:
    """Annotations that are probably wrong: the entities that all seeds find and nobody annotated, and those that were
    annotated and none finds; the surest first."""
    found: list[tuple[float, ListedEntity]] = []
    right, known = _trusted(p)
    for d, own in enumerate(p.documents.entities):
        alone = [set(spans[d]) for spans in p.alone]
        for one in p.found[d]:
            sure = one.probability >= SURE and one.span.type in right
            if one.span not in own and sure and all(one.span in spans for spans in alone):
                given = "; ".join(_quoted(p, d, other, one.span) for other in own if overlap(one.span, other))
                note = f"probability {one.probability:.2f}, found by {_all(len(alone))}"
                found.append((one.probability, _listed(p, d, one.span, given or "nothing", one.span.type, note)))
        for span, probability in zip(own, p.annotated[d], strict=True):
            near = [other for spans in alone for other in spans if overlap(span, other)]
            if probability <= UNLIKELY and span.type in known and not near:
                note = f"probability {probability:.3f}, found by none"
                found.append((1 - probability, _listed(p, d, span, span.type, "nothing", note)))
    found.sort(key=lambda item: -item[0])
    return [one for _, one in found]


def _trusted(p: Predicted) -> tuple[set[str], set[str]]:
    """The types of which most sure finds are right, and those of which most annotated entities are found."""
    sure, right, given, known = Counter(), Counter(), Counter(), Counter()
    for own, some in zip(p.documents.entities, p.found, strict=True):
        spans = {one.span for one in some}
        sure.update(one.span.type for one in some if one.probability >= SURE)
        right.update(one.span.type for one in some if one.probability >= SURE and one.span in own)
        given.update(span.type for span in own)
        known.update(span.type for span in own if span in spans)
    types = {*sure, *given}
    return (
        {name for name in types if right[name] >= _MOST * max(1, sure[name])},
        {name for name in types if known[name] >= _MOST * max(1, given[name])},
    )


def votes(p: Predicted) -> list[Vote]:
    """The entities that some seeds find and others do not, the most disputed first."""
    n = len(p.alone)
    found: list[Vote] = []
    for d in range(len(p.documents)):
        counts = Counter(span for spans in p.alone for span in spans[d])
        found += [Vote(d, span, count) for span, count in sorted(counts.items()) if count < n]
    return sorted(found, key=lambda vote: abs(2 * vote.n - n))


def disputed(p: Predicted, some: list[Vote]) -> list[ListedEntity]:
    """These as they are shown."""
    listed = []
    for vote in some:
        own = p.documents.entities[vote.document]
        near = [_quoted(p, vote.document, other, vote.span) for other in own if overlap(vote.span, other)]
        together = any(one.span == vote.span for one in p.found[vote.document])
        note = f"found by {vote.n} of {len(p.alone)} seeds{'' if together else ', not by all together'}"
        listed.append(_listed(p, vote.document, vote.span, "; ".join(near) or "nothing", vote.span.type, note))
    return listed


def _all(n: int) -> str:
    return "the one seed there is" if n == 1 else f"all {n} seeds"


def _quoted(p: Predicted, d: int, other: Span, shown: Span) -> str:
    """An annotated entity: its type, and its words where they are not those that are shown."""
    return other.type if other[:2] == shown[:2] else f"{other.type} “{_text(p, d, other)}”"


def _text(p: Predicted, d: int, span: Span) -> str:
    start, end = places(p, d, span)
    return p.documents.texts[d][start:end]


def places(p: Predicted, d: int, span: Span) -> tuple[int, int]:
    """The characters of an entity in its text."""
    bounds = p.documents.bounds[d]
    return int(bounds[span.start, 0]), int(bounds[span.end - 1, 1])


def _listed(p: Predicted, d: int, span: Span, given: str, predicted: str, note: str) -> ListedEntity:
    text = p.documents.texts[d]
    start, end = places(p, d, span)
    before, behind = text[max(0, start - _AROUND) : start], text[end : end + _AROUND]
    before = ("… " if start > _AROUND else "") + before
    behind += " …" if end + _AROUND < len(text) else ""
    return ListedEntity(p.documents.ids[d], before, text[start:end], behind, given, predicted, note)
