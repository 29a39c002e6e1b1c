"""What entities that were found out of fold say: how good, how sure, better than what, and which to look at.

The counterpart of `evidence.py` for taggers. Intervals are of the bootstrap over documents: what other documents would
have given the ensemble of the repeats; what another seed would have given is the spread of the repeats alone.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stablefit.data.tags.tagging import Span
from stablefit.errors import InputError
from stablefit.fit import calibration, entity_rows, entity_scores, entity_words, label_curve, row_agreement, row_scores
from stablefit.fit.entity_predictions import Predicted
from stablefit.fit.entity_rows import ListedEntity
from stablefit.fit.entity_scores import METRIC, Cut, Errors
from stablefit.fit.row_scores import Entrant, Measured, Resamples, Spread
from stablefit.fit.tables import Confused, PerClass

MOST_LISTED = 50  # entities that are kept with their text
_OURS = "ours"


@dataclasses.dataclass(frozen=True)
class EntityEvidence:
    """What a page or a terminal needs. It holds parts of texts.

    Args:
        metric: entity_f1.
        noun: what an example is: document or sentence.
        n: how many there are; n_words, n_entities, n_lost: words, annotated entities, and how many of these begin or
            end within a word, so that nothing can find them.
        n_groups: documents, where examples are sentences of documents that were never split; None: each for itself.
        n_found: entities that the repeats find together.
        diverged: repeats (positions) that are left out of everything.
        scores: of the repeats together; single: of each alone.
        agreement: of found entities: those that every repeat finds alone, and the others.
        coverage: precision of the surest found entities.
        reliability: of found entities' probabilities.
        n_suspects, n_disputed: how many; suspects, disputed: the first of them.
    """

    metric: str
    noun: str
    types: tuple[str, ...]
    n: int
    n_groups: int | None
    n_words: int
    n_entities: int
    n_lost: int
    n_found: int
    n_repeats: int
    diverged: tuple[int, ...]
    scores: dict[str, Measured]
    single: dict[str, Spread]
    baselines: tuple[Entrant, ...]
    best_baseline: str | None
    headline: str
    says: tuple[str, ...]
    agreement: row_agreement.Agreement | None
    coverage: tuple[calibration.Covered, ...]
    cuts: tuple[Cut, ...]
    reliability: calibration.Reliability | None
    per_type: tuple[PerClass, ...]
    errors: Errors
    confused: tuple[Confused, ...]
    n_suspects: int
    suspects: tuple[ListedEntity, ...]
    n_disputed: int
    disputed: tuple[ListedEntity, ...]
    curve: label_curve.LabelCurve | None


def weigh(
    predicted: Predicted | None,
    baselines: Mapping[str, Sequence[Sequence[Span]]],
    unit: np.ndarray,
    *,
    noun: str = "document",
    seed: int = 0,
    curve: Sequence[tuple[int, float, float, float]] = (),
    n_resamples: int = 2000,
) -> EntityEvidence:
    """The evidence of entities that were found out of fold.

    Args:
        predicted: by models that never saw the documents; None if all diverged.
        baselines: name -> entities of each document, in the same folds.
        unit: int [N], equal for examples that were never split.
        noun: what an example is.
        seed: of the bootstrap and of simulated calibration.
        curve: of a learning curve (training documents, F1, low, high).

    Raises:
        InputError: every repeat diverged.
    """
    if predicted is None:
        raise InputError(
            f"all repeats diverged (their outputs are not finite), so nothing can be said of the {len(unit)} {noun}s; "
            "fewer steps or another encoder would be right"
        )
    p, documents = predicted, predicted.documents
    resamples = Resamples(len(documents), unit, seed, n_resamples)
    spans = [[one.span for one in some] for some in p.found]
    singles = [row_scores.plain(entity_scores.scorer(documents, one), len(documents)) for one in p.alone]
    scores, entrants = _contest(p, spans, baselines, singles, resamples)
    best = max(entrants, key=lambda entrant: entrant.scores[METRIC].value, default=None)
    of_entities = entity_scores.of_entities(unit, p.found, resamples)
    hits = entity_scores.hits(documents, p.found)
    sureness = np.array([one.probability for some in p.found for one in some])
    agreement, coverage, reliability = None, [], None
    if of_entities is not None:
        agreement = row_agreement.agreement(_answers(p), hits, of_entities)
        coverage = calibration.coverage_curve(sureness, hits, of_entities, shares=True)
        reliability = calibration.reliability(sureness[:, None], hits[:, None].astype(int), seed)
    cuts = entity_scores.cuts(documents, p.found)
    suspects, votes = entity_rows.suspects(p), entity_rows.votes(p)
    first, more = entity_words.headline(scores, best, agreement, noun)
    return EntityEvidence(
        metric=METRIC,
        noun=noun,
        types=p.types,
        n=len(documents),
        n_groups=resamples.n_units if resamples.n_units < len(documents) else None,
        n_words=sum(map(len, documents.words)),
        n_entities=sum(map(len, documents.entities)) + documents.n_unrepresented.total(),
        n_lost=documents.n_unrepresented.total(),
        n_found=len(hits),
        n_repeats=len(p.alone),
        diverged=p.diverged,
        scores=scores,
        single={name: row_scores.spread(np.array([one[name] for one in singles])) for name in scores},
        baselines=tuple(entrants),
        best_baseline=best.name if best else None,
        headline=first,
        says=tuple(filter(None, (more, entity_words.when_only_the_sure(cuts, len(hits), scores["precision"].value)))),
        agreement=agreement,
        coverage=tuple(coverage),
        cuts=cuts,
        reliability=reliability,
        per_type=entity_scores.per_type(documents, p.found, p.types),
        errors=entity_scores.errors(documents, p.found),
        confused=entity_scores.confused(documents, p.found),
        n_suspects=len(suspects),
        suspects=tuple(suspects[:MOST_LISTED]),
        n_disputed=len(votes),
        disputed=tuple(entity_rows.disputed(p, votes[:MOST_LISTED])),
        curve=label_curve.label_curve(curve, METRIC, noun + "s"),
    )


def _answers(p: Predicted) -> np.ndarray:
    """[R, number of found entities]: equal in all repeats where every one of them finds the entity alone."""
    alone = [[set(spans[d]) for spans in p.alone] for d in range(len(p.documents))]
    by_all = [all(one.span in spans for spans in alone[d]) for d, some in enumerate(p.found) for one in some]
    return np.where(np.array(by_all), 0, np.arange(len(p.alone))[:, None])


def _contest(
    p: Predicted,
    spans: Sequence[Sequence[Span]],
    baselines: Mapping[str, Sequence[Sequence[Span]]],
    singles: Sequence[dict[str, float]],
    resamples: Resamples,
) -> tuple[dict[str, Measured], list[Entrant]]:
    """Our scores, and each baseline's with the paired differences."""
    n = len(p.documents)
    scorers = {_OURS: entity_scores.scorer(p.documents, spans)}
    scorers |= {f"baseline {name}": entity_scores.scorer(p.documents, one) for name, one in baselines.items()}
    drawn = resamples.scores(scorers)
    plain = {key: row_scores.plain(scorer, n) for key, scorer in scorers.items()}

    def measured(key: str) -> dict[str, Measured]:
        return {name: resamples.measure(value, drawn[key][name]) for name, value in plain[key].items()}

    entrants: list[Entrant] = []
    for name in baselines:
        key = f"baseline {name}"
        difference = {
            m: resamples.measure(plain[_OURS][m] - plain[key][m], drawn[_OURS][m] - drawn[key][m]) for m in plain[_OURS]
        }
        above = sum(single[METRIC] > plain[key][METRIC] for single in singles)
        verdict = row_scores.verdict(METRIC, difference[METRIC])
        entrants.append(Entrant(name, measured(key), difference, verdict, above))
    return measured(_OURS), entrants


def to_dict(evidence: EntityEvidence) -> dict[str, Any]:
    """The evidence as JSON has it."""
    return dataclasses.asdict(evidence)
