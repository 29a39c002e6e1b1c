"""What the evidence says, in the sentences that a reader sees first."""

from collections.abc import Mapping, Sequence

from stablefit.fit import wording
from stablefit.fit.calibration import Covered
from stablefit.fit.row_agreement import Agreement, SpreadAndError
from stablefit.fit.row_scores import MAIN, Entrant, Kind, Measured

# What the short names of baselines mean; any other name stands as it is.
BASELINES = {
    "majority": "always the most frequent answer",
    "mean": "always the mean",
    "tfidf": "a bag of words",
    "frozen": "a linear model on the frozen encoder",
    "nothing": "finding no entity",
    "dictionary": "a dictionary of the annotated entities",
}


_SHORT = {
    "majority": "most frequent answer",
    "mean": "mean",
    "tfidf": "bag of words",
    "frozen": "frozen encoder",
    "nothing": "no entity",
    "dictionary": "dictionary",
}


def baseline(name: str) -> str:
    """A baseline's name in a sentence."""
    return BASELINES.get(name, name)


def short(name: str) -> str:
    """A baseline's name in a table."""
    return _SHORT.get(name, name)


def headline(
    kind: Kind,
    scores: Mapping[str, Measured],
    best: Entrant | None,
    agreement: Agreement | None,
    spread_and_error: SpreadAndError | None,
) -> tuple[str, str]:
    """The first sentence, and what else is to be said at once ("" if nothing).

    If fine-tuning is not better than the best baseline, that is the first sentence.
    """
    expected = {"classification": _classes, "regression": _numbers, "multilabel": _labels}[kind]
    trusted = _where_all_agree(agreement, kind) or _where_close(spread_and_error)
    apart = trusted[:1].upper() + trusted[1:] + "." if trusted and kind == "multilabel" else ""
    trusted = "" if apart else trusted  # the sentence on labels is long enough
    if best is not None and best.verdict != "better":
        return _no_gain(kind, scores, best), " ".join(filter(None, (_sentence(expected(scores, None), trusted), apart)))
    return _sentence(expected(scores, None), trusted, expected(best.scores, best) if best else ""), apart


def when_left_to_a_person(kind: Kind, coverage: Sequence[Covered]) -> str:
    """What leaving the least sure fifth of the rows to a person gives; "" if the curve has no such point."""
    if len(coverage) < 2:
        return ""
    part = min(coverage[:-1], key=lambda covered: abs(covered.coverage - 0.8))
    (left,) = wording.of_100(1 - part.coverage)
    if kind == "regression":
        now, whole = (wording.number(x.score.value) for x in (part, coverage[-1]))
        return (
            f"If a person takes the {left} of 100 rows it is least sure of, the rest are off by {now} on average, "
            f"instead of {whole} over all."
        )
    right, low, high, whole = wording.of_100(
        part.score.value, part.score.low, part.score.high, coverage[-1].score.value
    )
    what = "wholly right" if kind == "multilabel" else "right"
    return (
        f"If a person takes the {left} of 100 rows it is least sure of, {right} of 100 of the rest are {what} "
        f"({wording.between(low, high)}), instead of {whole} over all."
    )


def _classes(scores: Mapping[str, Measured], of: Entrant | None) -> str:
    value, low, high = _shares(scores["accuracy"])
    if of:
        return f"{baseline(of.name)} gets {value}"
    return f"About {value} of 100 new rows like these will be labelled right ({wording.between(low, high)})"


def _numbers(scores: Mapping[str, Measured], of: Entrant | None) -> str:
    error = scores["mae"]
    value, low, high = (wording.number(x) for x in (error.value, error.low, error.high))
    if of:
        return f"{baseline(of.name)} is off by {value}"
    return f"For new rows like these the number will be off by {value} on average ({wording.between(low, high)})"


def _labels(scores: Mapping[str, Measured], of: Entrant | None) -> str:
    f1 = scores["f1_micro"]
    value, low, high = (wording.score(x) for x in (f1.value, f1.low, f1.high))
    if of:
        return f"{baseline(of.name)} gets an F1 of {value}"
    right, found = wording.of_100(scores["precision"].value, scores["recall"].value)
    return (
        f"About {right} of 100 labels that it gives to new rows like these will be right, and it will find {found} of "
        f"100 that belong there (micro F1 {value}, {wording.between(low, high)})"
    )


def _where_all_agree(agreement: Agreement | None, kind: Kind) -> str:
    if agreement is None or agreement.where_all_agree is None:
        return ""
    share, right = wording.of_100(agreement.share.value, agreement.where_all_agree.value)
    models = _all_models(agreement.n_repeats)
    rows = f"where {models} agree ({share} of 100 rows)"
    return f"{rows}, all labels of {right} of 100 rows are right" if kind == "multilabel" else f"{rows}, {right} of 100"


def _where_close(spread_and_error: SpreadAndError | None) -> str:
    if spread_and_error is None or len(spread_and_error.parts) < 2:
        return ""
    near = wording.number(spread_and_error.parts[0].mae.value)
    models = f"the {wording.count(spread_and_error.n_repeats)} models"
    return f"by {near} on the quarter of rows where {models} are closest together"


def _all_models(n: int) -> str:
    return "both models" if n == 2 else f"all {wording.count(n)} models"


def _no_gain(kind: Kind, scores: Mapping[str, Measured], best: Entrant) -> str:
    metric = MAIN[kind]
    ours, theirs = (wording.score(x) for x in (scores[metric].value, best.scores[metric].value))
    difference = best.difference[metric]
    written = wording.signed if kind == "regression" else wording.points
    value, low, high = (written(x) for x in (difference.value, difference.low, difference.high))
    unit = "" if kind == "regression" else " points"  # hundredths, which nobody says of R2
    verdict = "is worse than" if best.verdict == "worse" else "is not shown to be better than"
    return (
        f"Fine-tuning {verdict} {baseline(best.name)}: {wording.METRICS[metric]} {ours} against {theirs}, a difference "
        f"of {value}{unit} ({wording.between(low, high)})."
    )


def _shares(measured: Measured) -> list[str]:
    return wording.of_100(measured.value, measured.low, measured.high)


def _sentence(*parts: str) -> str:
    return "; ".join(part for part in parts if part) + "."
