"""Scores of found entities: an entity counts only if its start, its end and its type are right.

Two readings of tags give two scores, and for tags that are not well-formed they differ much: against the gold tag
`B-LOC` a predicted `I-LOC` is no entity to `strict` and a hit to `conlleval`. A score is therefore never shown without
the name of its mode.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, get_args

from stablefit.data.tags.tagging import Scheme, Span, conlleval_spans, strict_spans
from stablefit.errors import InputError

Mode = Literal["strict", "conlleval"]


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many entities of a type there are, and the scores that follow; 0.0 where a score has no value.

    >>> Counts(hits=1, predicted=1, gold=2).f1
    0.6666666666666666

    Args:
        hits: gold entities that were found.
        predicted: entities that were predicted, right or wrong.
        gold: entities that were to be found.
    """

    hits: int
    predicted: int
    gold: int

    @property
    def precision(self) -> float:
        """The share of predicted entities that are right."""
        return self.hits / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of gold entities that were found."""
        return self.hits / self.gold if self.gold else 0.0

    @property
    def f1(self) -> float:
        """2 hits / (predicted + gold): the harmonic mean of both."""
        return 2 * self.hits / (self.predicted + self.gold) if self.predicted + self.gold else 0.0


@dataclasses.dataclass(frozen=True)
class EntityScores:
    """Scores over all entities (micro average) and for each type.

    Args:
        micro: the counts of all types together.
        per_type: the counts of each type that is in the gold or the predicted entities, sorted.
        mode: how tags were read.
        unrepresented: gold entities among `micro.gold` that no prediction could have hit.
    """

    micro: Counts
    per_type: dict[str, Counts]
    mode: Mode
    unrepresented: int = 0

    def as_row(self) -> dict[str, float]:
        """Scores under names that say the mode: `entity_f1_strict` is the micro F1, `entity_f1_strict_LOC` a type's."""
        named = {"": self.micro, **{f"_{type_}": counts for type_, counts in self.per_type.items()}}
        return {
            f"entity_{score}_{self.mode}{type_}": getattr(counts, score)
            for type_, counts in named.items()
            for score in ("f1", "precision", "recall")
        }

    def __str__(self) -> str:
        lines = [_line(f"entity F1 ({self.mode})", self.micro)]
        if self.unrepresented:
            lines[0] += f", {self.unrepresented} of them lost before the model"
        return "\n".join(lines + [_line(f"  {name}", counts) for name, counts in self.per_type.items()])


def score_spans(
    gold: Sequence[Iterable[Span]],
    predicted: Sequence[Iterable[Span]],
    *,
    unrepresented: Mapping[str, int] | None = None,
    mode: Mode = "strict",
) -> EntityScores:
    """Precision, recall and F1 of predicted entities.

    Args:
        gold: for each of N texts, its entities.
        predicted: for each of the same texts, the entities found.
        unrepresented: by type, how many more gold entities there are that never reached the model, lost to a length
            limit for instance. Nothing can hit them; they lower the recall.
        mode: how the spans were read from tags, for the record.

    Raises:
        ValueError: there are not as many texts on both sides.

    >>> print(score_spans([[Span(0, 2, "LOC")]], [[Span(0, 2, "LOC")]], unrepresented={"PER": 1}))
    entity F1 (strict) 0.6667, precision 1.0000, recall 0.5000, 2 gold, 1 of them lost before the model
      LOC 1.0000, precision 1.0000, recall 1.0000, 1 gold
      PER 0.0000, precision 0.0000, recall 0.0000, 1 gold
    """
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold and {len(predicted)} predicted texts, expected as many")
    lost = Counter(unrepresented or {})
    if lost and min(lost.values()) < 0:
        raise ValueError(f"unrepresented {dict(lost)} must be counts from 0 up")
    hits: Counter[str] = Counter()
    n_predicted: Counter[str] = Counter()
    n_gold: Counter[str] = Counter(lost)
    for gold_spans, predicted_spans in zip(gold, predicted, strict=True):
        there, found = set(gold_spans), set(predicted_spans)
        n_gold.update(span.type for span in there)
        n_predicted.update(span.type for span in found)
        hits.update(span.type for span in there & found)
    types = sorted({**n_gold, **n_predicted})
    return EntityScores(
        micro=Counts(hits.total(), n_predicted.total(), n_gold.total()),
        per_type={name: Counts(hits[name], n_predicted[name], n_gold[name]) for name in types},
        mode=mode,
        unrepresented=lost.total(),
    )


def score_tags(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    mode: Mode,
    scheme: Scheme = "iob2",
    *,
    unrepresented: Mapping[str, int] | None = None,
) -> EntityScores:
    """Precision, recall and F1 of predicted tags, both sides read in the same way.

    Args:
        gold: for each of N texts, the tag of each word.
        predicted: for each of the same texts, as many tags.
        mode: 'strict' takes as entities what `scheme` spells out in full; 'conlleval' takes any run of one type (the
            scorer of CoNLL, and seqeval's default). 'strict' is seqeval's mode="strict" for iob2 and iobes. For iob1 it
            is so where every B- follows a word of an entity of its type; any other B- begins an entity here, so that
            tags in iob2 can be read, and none to seqeval.
        scheme: how tags are meant; 'conlleval' does not look at it.
        unrepresented: as for `score_spans`.

    Raises:
        InputError: the mode is not known.
        ValueError: a text has not as many tags on both sides.

    >>> pair = [["B-LOC", "O", "B-LOC"]], [["I-LOC", "O", "B-LOC"]]
    >>> [round(score_tags(*pair, mode).micro.f1, 3) for mode in ("strict", "conlleval")]
    [0.667, 1.0]
    """
    if mode not in get_args(Mode):
        raise InputError(f"entity mode {mode!r} is not known; one of: {', '.join(get_args(Mode))}")
    for i, (a, b) in enumerate(zip(gold, predicted, strict=False)):
        if len(a) != len(b):
            raise ValueError(f"text {i} has {len(a)} gold and {len(b)} predicted tags, expected as many")

    def spans(tags: Sequence[str]) -> list[Span]:
        return strict_spans(tags, scheme) if mode == "strict" else conlleval_spans(tags)

    return score_spans(
        [spans(tags) for tags in gold], [spans(tags) for tags in predicted], unrepresented=unrepresented, mode=mode
    )


def _line(name: str, counts: Counts) -> str:
    return f"{name} {counts.f1:.4f}, precision {counts.precision:.4f}, recall {counts.recall:.4f}, {counts.gold} gold"
