"""What evidence on entities says, in sentences for the page and the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from stablefit.fit import wording
from stablefit.fit.entity_scores import METRIC, Cut
from stablefit.fit.headline import baseline
from stablefit.fit.row_agreement import Agreement
from stablefit.fit.row_scores import Entrant, Measured

if TYPE_CHECKING:
    from stablefit.fit.entity_evidence import EntityEvidence

_LEFT_TO_THE_SURE = 0.9  # probability


def headline(
    scores: Mapping[str, Measured], best: Entrant | None, agreement: Agreement | None, noun: str
) -> tuple[str, str]:
    """The first sentence, and what else is to be said at once ("" if nothing).

    If fine-tuning is not better than the best baseline, that is the first sentence.
    """
    right, low, high, recall = wording.of_100(*_limits(scores["precision"]), scores["recall"].value)
    f1 = [wording.score(x) for x in _limits(scores[METRIC])]
    expected = (
        f"About {right} of 100 entities that it finds in new {noun}s like these will be right "
        f"({wording.between(low, high)}), and it will find {recall} of 100 that are there (entity F1 {f1[0]}, "
        f"{wording.between(*f1[1:])})"
    )
    if not scores["recall"].value:
        expected = "It finds no entity right"
    agreed = _where_all_agree(agreement)
    if best is not None and best.verdict != "better":
        difference = best.difference[METRIC]
        value, low, high = (wording.points(x) for x in _limits(difference))
        verdict = "is worse than" if best.verdict == "worse" else "is not shown to be better than"
        theirs = wording.score(best.scores[METRIC].value)
        first = (
            f"Fine-tuning {verdict} {baseline(best.name)}: entity F1 {f1[0]} against {theirs}, a difference of "
            f"{value} points ({wording.between(low, high)})."
        )
        return first, " ".join(filter(None, (f"{expected}.", agreed)))
    theirs = ""
    if best is not None:
        what = "finding no entity at all" if best.name == "nothing" else baseline(best.name)
        theirs = f"; {what} gets an F1 of {wording.score(best.scores[METRIC].value)}"
    return f"{expected}{theirs}.", agreed


def _limits(measured: Measured) -> tuple[float, float, float]:
    return measured.value, measured.low, measured.high


def _where_all_agree(agreement: Agreement | None) -> str:
    if agreement is None or agreement.where_all_agree is None:
        return ""
    share, right = wording.of_100(agreement.share.value, agreement.where_all_agree.value)
    models = "both models find" if agreement.n_repeats == 2 else f"all {wording.count(agreement.n_repeats)} models find"
    return f"Of the entities that {models} alone ({share} of 100), {right} of 100 are right."


def when_only_the_sure(cuts: Sequence[Cut], n_found: int, precision: float) -> str:
    """What it gives to take only entities of at least nine in ten; "" if there are none."""
    [cut] = [one for one in cuts if one.at == _LEFT_TO_THE_SURE]
    if not cut.n or not n_found:
        return ""
    taken, right, found, before = wording.of_100(cut.n / n_found, cut.precision, cut.recall, precision)
    if float(right) <= float(before):  # nothing is gained, as far as the sentence can tell
        return ""
    return (
        f"If only entities with a probability of {cut.at:g} or more are taken ({taken} of 100 that it finds), {right} "
        f"of 100 are right instead of {before}, and {found} of 100 that are there are found."
    )


def cautions(e: "EntityEvidence") -> list[str]:
    """What weakens all the rest."""
    said: list[str] = []
    if e.diverged:
        which = ", ".join(str(i + 1) for i in e.diverged)
        said.append(
            f"{len(e.diverged)} of {len(e.diverged) + e.n_repeats} repeats diverged (number {which}) and are left out "
            "of everything here. Fewer steps, or another encoder, would help."
        )
    units = e.n if e.n_groups is None else e.n_groups
    if units < 50:
        said.append(f"{units} documents are few: every number here could be quite different on others.")
    if not e.n_found:
        said.append("No entity is found at all: more steps (--steps), or an encoder for this language, would help.")
    if e.n_lost:
        said.append(
            f"{e.n_lost} of {e.n_entities} annotated entities begin or end within a word, so that nothing can find "
            "them; they count as missed. --unit=character could find them."
        )
    return said


def two_questions(e: "EntityEvidence") -> str:
    """The interval over documents and the spread over seeds, as the two questions they answer."""
    single, ours = e.single[METRIC], e.scores[METRIC]
    low, high = (wording.score(x) for x in (ours.low, ours.high))
    rows = f"Other {e.noun}s like these would give an F1 between {low} and {high}." if low != "unknown" else ""
    if e.n_repeats == 1:
        return f"{rows} It was trained with one seed only, so what another seed would give is not known.".strip()
    return (
        f"{rows} Another seed is another question: one model alone has {wording.score(single.mean)} on average, "
        f"{wording.score(single.minimum)} to {wording.score(single.maximum)} over {e.n_repeats} seeds "
        f"(sd {wording.score(single.sd)}); the score above is of all together: the best tags by the mean of their "
        "scores."
    ).strip()


def trust(e: "EntityEvidence") -> str:
    """How right it is where the seeds agree, and elsewhere."""
    if e.n_repeats < 2:
        return "One seed says nothing of agreement; more seeds would show which entities are uncertain."
    a = e.agreement
    if a is None:
        return ""
    share = f"{wording.of_100(a.share.value)[0]} of 100 entities that are found ({a.n_agreed} of {e.n_found})"
    said = [f"Each of the {a.n_repeats} seeds finds {share} alone."]
    for where, measured in (("Of these", a.where_all_agree), ("Of the others", a.elsewhere)):
        if measured:
            value, low, high = wording.of_100(*_limits(measured))
            said.append(f"{where} {value} of 100 are right ({wording.between(low, high)}).")
    return " ".join(said)


def calibration(e: "EntityEvidence") -> str:
    """ECE and Brier score of found entities, each beside what to compare it with."""
    r = e.reliability
    if r is None:
        return ""
    off = "no further off than that"
    if r.ece > r.ece_if_calibrated_high:
        more = sum(b.n * (b.accuracy - b.confidence) for b in r.bins if b.n) > 0
        off = f"further off than chance explains: they are right {'more' if more else 'less'} often than they say"
    return (
        f"An entity's probability is that exactly these words are an entity of this type, by the CRF, the mean over "
        f"the seeds. Expected calibration error {r.ece:.3f} (15 bins of equal width, found entities); a perfectly "
        f"calibrated model would show {r.ece_if_calibrated:.3f} on so many, up to {r.ece_if_calibrated_high:.3f} by "
        f"chance, so they are {off}. Their Brier score is {r.brier:.3f}; that of the share that is right alone "
        f"{r.brier_of_shares:.3f}. Probabilities are shown as they are: no temperature is fitted."
    )


def look(e: "EntityEvidence") -> str:
    """Which annotations to look at, for a terminal."""
    if not e.n_suspects:
        return "No annotation stands out as wrong."
    ids = ", ".join(dict.fromkeys(one.id for one in e.suspects[:3]))
    annotations = "annotation looks" if e.n_suspects == 1 else "annotations look"
    return f"{e.n_suspects} {annotations} wrong, such as in {ids}. The page shows them."


def share(value: float) -> str:
    """A share to three places, empty where there is none."""
    return wording.score(value) if math.isfinite(value) else ""
