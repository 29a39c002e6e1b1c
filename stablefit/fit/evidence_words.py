"""What evidence says beside the headline, in sentences for the page and the terminal."""

from typing import TYPE_CHECKING

from stablefit.fit import wording
from stablefit.fit.evidence import Evidence

if TYPE_CHECKING:
    from stablefit.fit.entity_evidence import EntityEvidence


def lost(e: "Evidence | EntityEvidence") -> bool:
    """Whether fine-tuning is not better than the best baseline."""
    return any(entrant.name == e.best_baseline and entrant.verdict != "better" for entrant in e.baselines)


def cautions(e: Evidence) -> list[str]:
    """What weakens all the rest."""
    said: list[str] = []
    if e.diverged:
        which = ", ".join(str(i + 1) for i in e.diverged)
        said.append(
            f"{len(e.diverged)} of {len(e.diverged) + e.n_repeats} repeats diverged (number {which}) and are left out "
            "of everything here. A lower learning rate or more warm-up would help."
        )
    if e.n < 50:
        said.append(f"{e.n} rows are few: every number here could be quite different on others.")
    if e.n_groups is not None and e.n_groups < 20:
        said.append(f"The rows come from {e.n_groups} groups, which is few: intervals are wide and rough.")
    return said


def two_questions(e: Evidence) -> str:
    """The interval over rows and the spread over seeds, as the two questions they answer."""
    single, ours = e.single[e.metric], e.scores[e.metric]
    name = wording.METRICS[e.metric]
    low, high = (wording.score(x) for x in (ours.low, ours.high))
    rows = f"Other rows like these would give {name} between {low} and {high}." if low != "unknown" else ""
    if e.n_repeats == 1:
        return f"{rows} It was trained with one seed only, so what another seed would give is not known.".strip()
    return (
        f"{rows} Another seed is another question: one model alone has {wording.score(single.mean)} on average, "
        f"{wording.score(single.minimum)} to {wording.score(single.maximum)} over {e.n_repeats} seeds "
        f"(sd {wording.score(single.sd)}); the score above is of their mean prediction."
    ).strip()


def threshold_words(e: Evidence) -> str:
    """What is to be known of thresholds; "" if there are none."""
    if e.thresholds is None:
        return ""
    fair, tuned, half = (
        wording.score(x)
        for x in (e.scores["f1_micro"].value, e.scores_by_tuned["f1_micro"], e.scores_at_half["f1_micro"])
    )
    return (
        "A label is given where its probability reaches the label's threshold. The stored ones are tuned on these "
        f"rows, on which their micro F1 is {tuned}: too good, as they have seen them. Shown above is {fair}, with "
        f"thresholds tuned on one half of the rows and scored on the other. With .5 throughout it is {half}."
    )


def trust_words(e: Evidence) -> str:
    """How right it is where the seeds agree, and elsewhere."""
    if e.n_repeats < 2:
        return "One seed says nothing of agreement; more seeds would show which rows are uncertain."
    if e.spread_and_error:
        return (
            "Where the seeds lie far apart the number is less certain; the rank correlation of their spread and the "
            f"error is {e.spread_and_error.correlation:.2f}."
        )
    a = e.agreement
    if a is None:
        return ""
    right = "wholly right" if e.kind == "multilabel" else "right"
    share = f"{wording.of_100(a.share.value)[0]} of 100 rows ({a.n_agreed} of {e.n})"
    seeds = "Both seeds" if a.n_repeats == 2 else f"All {a.n_repeats} seeds"
    said = [f"{seeds} give the same answer on {share}."]
    for where, measured in (("There", a.where_all_agree), ("Elsewhere", a.elsewhere)):
        if measured:
            value, low, high = wording.of_100(measured.value, measured.low, measured.high)
            said.append(f"{where} {value} of 100 are {right} ({wording.between(low, high)}).")
    return " ".join(said)


def calibration_words(e: Evidence) -> str:
    """ECE and Brier score, each beside what to compare it with."""
    r = e.reliability
    if r is None:
        return ""
    what = "every label's probability" if e.kind == "multilabel" else "the likeliest class's probability"
    off = "no further off than that"
    if r.ece > r.ece_if_calibrated_high:
        off = "further off than chance explains"
        if e.kind == "classification":
            more = sum(b.n * (b.accuracy - b.confidence) for b in r.bins if b.n) > 0
            off += f": on the whole it is right {'more' if more else 'less'} often than its probabilities say"
    return (
        f"Expected calibration error {r.ece:.3f} (15 bins of equal width, {what}); a perfectly calibrated model would "
        f"show {r.ece_if_calibrated:.3f} on so many rows, up to {r.ece_if_calibrated_high:.3f} by chance, so it is "
        f"{off}. Its Brier score is {r.brier:.3f}; that of the data's shares "
        f"alone {r.brier_of_shares:.3f}.{_temperature_words(e)}"
    )


def _temperature_words(e: Evidence) -> str:
    t = e.temperature
    if t is None:
        return " Probabilities are shown as they are: no temperature is fitted."
    return (
        " All logits are divided by a temperature that was fitted on the rows of the other folds: "
        f"{t.low:.2f} to {t.high:.2f}, on all rows {t.value:.2f}, which the model to keep has. Without it the error "
        f"would be {t.ece[0]:.3f} instead of {t.ece[1]:.3f}, and the log loss {t.log_loss[0]:.3f} instead of "
        f"{t.log_loss[1]:.3f}."
    )
