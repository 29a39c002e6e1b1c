"""The page of a fit that finds entities: the same template as `fit_page.py`, with what there is to say of entities."""

from typing import Any

from markupsafe import Markup

from stablefit.fit import charts, entity_words, evidence_words, fit_page, wording
from stablefit.fit.entity_evidence import EntityEvidence
from stablefit.fit.entity_rows import SURE, UNLIKELY
from stablefit.fit.fit_page import MOST_LINES, MOST_ROWS, About, Table, Words


def render(evidence: EntityEvidence, about: About) -> str:
    """The page."""
    return fit_page.filled(_parts(evidence, about))


def _parts(e: EntityEvidence, about: About) -> dict[str, Any]:
    units = f"{e.noun}s"
    nothing = dict.fromkeys(
        ("threshold_words", "spread_table", "scatter_chart", "scatter_words", "heat", "class_words", "curve_chart"), ""
    )
    return nothing | {
        "e": e,
        "about": about,
        "words": Words(
            units,
            f"Entity F1 over all types, by models that never saw the {e.noun}; an entity is right if its start, end "
            f"and type are. Lines: 95 % intervals over {units if e.n_groups is None else 'documents'}.",
            "Annotations that are probably wrong",
            "Entities the seeds disagree on",
            "annotated",
            "found",
        ),
        "alarm": evidence_words.lost(e),
        "warnings": entity_words.cautions(e),
        "facts": _facts(e, about),
        "metric_words": "Entity F1",
        "metric_name": "entity F1",
        "two_questions": entity_words.two_questions(e),
        "made": fit_page.made(about, (units, str(e.n))),
        "suspects": e.suspects[:MOST_ROWS],
        "suspect_words": _suspect_words(e),
        "disputed": e.disputed[:MOST_ROWS],
        "disputed_words": _disputed_words(e),
        **fit_page.contest(e),
        **_trust(e),
        **_types(e),
        **(
            {"curve_chart": Markup(charts.curve_plot(e.curve.points, e.curve.says, "entity F1", units))}
            if e.curve
            else {}
        ),
    }


def _facts(e: EntityEvidence, about: About) -> str:
    groups = "" if e.n_groups is None else f" of {e.n_groups} documents that were never split"
    seeds = f"{e.n_repeats} seed{'s' if e.n_repeats > 1 else ''}"
    types = f"{len(e.types)} type{'s' if len(e.types) > 1 else ''}"
    return (
        f"{about.file}: {e.n} {e.noun}s{groups} with {e.n_entities} entities of {types}. Each is read by models that "
        f"never saw it, {seeds}."
    )


def _trust(e: EntityEvidence) -> dict[str, Any]:
    parts: dict[str, Any] = dict.fromkeys(
        ("coverage_chart", "coverage_words", "reliability_chart", "reliability_words", "cut_table", "cut_words"), ""
    )
    parts |= {"trust_words": entity_words.trust(e), "calibration_words": entity_words.calibration(e)}
    if not e.n_found:
        return parts
    lines = [
        (f"{cut.at:g} or more", str(cut.n), entity_words.share(cut.precision), entity_words.share(cut.recall))
        for cut in e.cuts
        if cut.n
    ]
    whole = (wording.score(e.scores[name].value) for name in ("precision", "recall"))
    header = ("probability", "found", "precision", "recall")
    parts["cut_table"] = Table(header, [("any", str(e.n_found), *whole), *lines], header[1:])
    parts["cut_words"] = (
        "If only entities of at least this probability are taken. Which limit suits depends on what a wrong entity "
        "costs, and what a missed one; predict writes the probability of each."
    )
    if len(e.coverage) > 1:
        says = entity_words.when_only_the_sure(e.cuts, e.n_found, e.scores["precision"].value)
        across = "share of found entities that are taken"
        said = f"Precision by share of found entities. {says}"
        parts["coverage_chart"] = Markup(charts.coverage_plot(e.coverage, said, "precision", across))
        parts["coverage_words"] = "If only the surest entities that it finds are taken. Band: 95 % interval."
    if e.reliability:
        r = e.reliability
        said = f"Reliability diagram of found entities, ECE {r.ece:.3f}"
        parts["reliability_chart"] = Markup(charts.reliability_plot(r.bins, said, "share right"))
        parts["reliability_words"] = (
            "On the dashed line a probability means what it says. Larger dots: more entities; bars: 95 % intervals."
        )
    return parts


def _types(e: EntityEvidence) -> dict[str, Any]:
    lines = sorted(e.per_type, key=lambda line: line.f1) if len(e.per_type) > MOST_LINES else e.per_type
    header = ("type", "precision", "recall", "F1", "annotated", "found")
    rows = [
        (x.name, f"{x.precision:.2f}", f"{x.recall:.2f}", f"{x.f1:.2f}", str(x.support), str(x.predicted))
        for x in lines[:MOST_LINES]
    ]
    parts: dict[str, Any] = {"class_heading": "Type by type", "class_table": Table(header, rows, header[1:])}
    if len(e.per_type) > MOST_LINES:
        parts["class_words"] = f"The {MOST_LINES} with the lowest F1 of {len(e.per_type)}."
    pairs = [(c.given, c.predicted, str(c.n)) for c in e.confused[:10]]
    parts["confused_table"] = Table(("annotated", "found", "entities"), pairs, ("entities",)) if pairs else ""
    wrong = [
        ("right words, wrong type", e.errors.wrong_type),
        ("right type, shares words with one that is annotated", e.errors.wrong_edges),
        ("wrong type, shares words with one that is annotated", e.errors.overlapping),
        ("nothing is annotated there", e.errors.nothing_there),
        ("annotated, and nothing is found there", e.errors.missed),
        ("annotated, and cuts a word, so that nothing can find it", e.errors.lost),
    ]
    counts = [("right", str(e.errors.right)), *((name, str(n)) for name, n in wrong if n)]
    parts["error_table"] = Table(("what is found, beside what is annotated", "entities"), counts, ("entities",))
    return parts


def _suspect_words(e: EntityEvidence) -> str:
    if not e.suspects:
        return "None stands out."
    first = f" The first {MOST_ROWS} are shown." if e.n_suspects > MOST_ROWS else ""
    return (
        f"{e.n_suspects} of them: what every seed finds, with a probability of {SURE:g} or more, and is not annotated "
        f"so; and what is annotated, has a probability of {UNLIKELY:g} or less, and no seed finds anything there. No "
        "model saw the text. Some are right and only hard; look at them first, for a wrong annotation costs twice, in "
        f"training and here.{first}"
    )


def _disputed_words(e: EntityEvidence) -> str:
    shown = f" The {MOST_ROWS} most disputed are shown." if e.n_disputed > MOST_ROWS else ""
    return f"{e.n_disputed} entities are found by some seeds and not by others.{shown}"
