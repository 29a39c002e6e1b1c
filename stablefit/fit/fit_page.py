"""The page of a fit: evidence in sentences, tables and charts, as one HTML file that needs nothing else.

What comes from the user's data (texts, labels, names of files and columns) is escaped by the template's autoescape.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from stablefit.data.checks.finding import Finding
from stablefit.data.tables.rows import counted
from stablefit.fit import charts, evidence_words, headline, label_issues, wording
from stablefit.fit.evidence import Evidence, ListedRow
from stablefit.fit.row_scores import Measured, Spread
from stablefit.fit.tables import PerLabel

if TYPE_CHECKING:
    from stablefit.fit.entity_evidence import EntityEvidence

MOST_ROWS = 20  # of a list of rows to look at
MOST_CLASSES = 12  # of a confusion matrix
MOST_LINES = 30  # of the table of classes
_LONGEST = 400  # characters of a text that are shown


@dataclasses.dataclass(frozen=True)
class Block:
    """A piece of code to copy, with its title."""

    title: str
    code: str


@dataclasses.dataclass(frozen=True)
class About:
    """What the page says beside the evidence.

    Args:
        title: of the page.
        file: the data's file.
        model: the encoder it started from.
        kept: what the kept model is, such as "the average of the weights of five seeds".
        columns: (role, name), such as ("text", "body").
        command: that makes this page again.
        found: sentences on what was read; findings: of the data check.
        cost, settings, versions: (name, value).
        use: code blocks.
    """

    title: str
    file: str
    model: str = ""
    kept: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    command: str = ""
    found: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    cost: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    use: tuple[Block, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """The first column names the line; columns in `numbers` are set flush right."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    numbers: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Words:
    """What the page calls things.

    Args:
        units: what is counted and drawn: rows, or documents.
        score: below the scores.
        suspects, disputed: headings.
        given, predicted: before what a person said of a listed row, and what the models say.
    """

    units: str
    score: str
    suspects: str
    disputed: str
    given: str
    predicted: str


def render(evidence: Evidence, about: About) -> str:
    """The page."""
    return filled(_parts(evidence, about))


def filled(parts: dict[str, Any]) -> str:
    """The template with its parts."""
    loader = jinja2.PackageLoader("stablefit.fit", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("fit.html").render(parts)


def _parts(e: Evidence, about: About) -> dict[str, Any]:
    metric = wording.METRICS[e.metric][:1].upper() + wording.METRICS[e.metric][1:]
    score = f"{metric} of each row's prediction by models that never saw it. Lines: 95 % intervals over rows."
    return {
        "e": e,
        "about": about,
        "words": Words(
            "rows", score, "Rows whose label is probably wrong", "Rows the seeds disagree on", "label", "predicted"
        ),
        "alarm": evidence_words.lost(e),
        "warnings": evidence_words.cautions(e),
        "facts": _facts(e, about),
        "metric_words": metric,
        "metric_name": wording.METRICS[e.metric],
        "two_questions": evidence_words.two_questions(e),
        "made": made(about, ("rows", str(e.n))),
        "cut_table": "",
        "error_table": "",
        "suspects": _shown(e.suspects),
        "disputed": _shown(e.disputed),
        "threshold_words": evidence_words.threshold_words(e),
        **contest(e),
        **_trust(e),
        **_classes(e),
        **_row_words(e),
        "curve_chart": Markup(charts.curve_plot(e.curve.points, e.curve.says, wording.METRICS[e.metric]))
        if e.curve
        else "",
    }


def _facts(e: Evidence, about: About) -> str:
    what = {
        "classification": f"{len(e.labels)} classes",
        "regression": "a number for each",
        "multilabel": f"several of {len(e.labels)} labels for each",
    }[e.kind]
    groups = "" if e.n_groups is None else f", in {e.n_groups} groups that were never split"
    seeds = f"{e.n_repeats} seed{'s' if e.n_repeats > 1 else ''}"
    return f"{about.file}: {e.n} rows, {what}{groups}. Each row is predicted by models that never saw it, {seeds}."


def made(about: About, size: tuple[str, str]) -> list[tuple[str, str]]:
    """How the model was made, as pairs of a name and a value."""
    pairs = [("data", about.file), *about.columns, size, ("encoder", about.model)]
    pairs += [("kept model", about.kept), ("command", about.command)]
    return [(name, value) for name, value in pairs if value]


def contest(e: "Evidence | EntityEvidence") -> dict[str, Any]:
    """The scores beside those of the baselines, and every seed's."""
    dots = [_dot("fine-tuned", e.scores, e.metric, True)]
    dots += [_dot(headline.short(b.name), b.scores, e.metric, False) for b in e.baselines]
    said = "; ".join(f"{dot.name} {dot.written}" for dot in dots)
    names = tuple(wording.METRICS[m] for m in e.scores)
    rows = [("fine-tuned", *_measures(e.scores))]
    rows += [(headline.short(b.name), *_measures(b.scores)) for b in e.baselines]
    added = [
        (headline.short(b.name), b.verdict, f"{b.seeds_above} of {e.n_repeats}", *_differences(b.difference))
        for b in e.baselines
    ]
    runs = None
    if e.n_repeats > 1:
        numbers = [i for i in range(e.n_repeats + len(e.diverged)) if i not in e.diverged]
        lines = [(f"seed {i + 1}", *_singles(e.single, k)) for k, i in enumerate(numbers)]
        lines += [(f"seed {i + 1}", "diverged", *[""] * (len(names) - 1)) for i in e.diverged]
        runs = Table(("", *names), lines, names)
    return {
        "score_chart": Markup(charts.dot_plot(dots, f"{wording.METRICS[e.metric]}: {said}")),
        "scores": Table(("", *names), rows, names),
        "best_table": Table(
            ("compared with", "by " + wording.METRICS[e.metric], "seeds above", *names), added, (*names, "seeds above")
        )
        if e.baselines
        else None,
        "runs": runs,
    }


def _trust(e: Evidence) -> dict[str, Any]:
    parts: dict[str, Any] = dict.fromkeys(
        (
            "trust_words",
            "spread_table",
            "coverage_chart",
            "coverage_words",
            "reliability_chart",
            "reliability_words",
            "scatter_chart",
            "scatter_words",
            "calibration_words",
        ),
        "",
    )
    parts["trust_words"] = evidence_words.trust_words(e)
    numbers = e.kind == "regression"
    if e.coverage:
        up = {"regression": "mean error", "multilabel": "rows wholly right"}.get(e.kind, "share right")
        says = headline.when_left_to_a_person(e.kind, e.coverage)
        parts["coverage_chart"] = Markup(
            charts.coverage_plot(e.coverage, f"{up} by share of rows answered. {says}", up)
        )
        sure = {
            "regression": "the seeds lie closest together",
            "multilabel": "every label is far from its threshold",
        }.get(e.kind, "the likeliest class has the highest probability")
        parts["coverage_words"] = (
            f"If the least sure rows are left to a person: surest are the rows where {sure}. Band: 95 % interval."
        )
    if e.reliability:
        r, up = e.reliability, "share that have the label" if e.kind == "multilabel" else "share right"
        parts["reliability_chart"] = Markup(
            charts.reliability_plot(r.bins, f"Reliability diagram, ECE {r.ece:.3f}", up)
        )
        parts["reliability_words"] = (
            "On the dashed line a probability means what it says. Larger dots: more rows; bars: 95 % intervals."
        )
        parts["calibration_words"] = evidence_words.calibration_words(e)
    if numbers:
        said = f"Predicted against true number of {e.n} rows, R2 {wording.score(e.scores['r2'].value)}"
        parts["scatter_chart"] = Markup(charts.scatter(e.pairs, said))
        parts["scatter_words"] = "Every row; on the dashed line the prediction is right." + (
            f" {charts.MOST_POINTS} of {e.n} rows are drawn." if e.n > charts.MOST_POINTS else ""
        )
    if e.spread_and_error:
        lines = [
            (f"{wording.number(p.low)} to {wording.number(p.high)}", str(p.n), _number(p.mae))
            for p in e.spread_and_error.parts
        ]
        header = ("sd of the seeds", "rows", "mean absolute error")
        parts["spread_table"] = Table(header, lines, header[1:])
    return parts


def _classes(e: Evidence) -> dict[str, Any]:
    parts: dict[str, Any] = dict.fromkeys(("class_heading", "class_table", "heat", "confused_table", "class_words"), "")
    if e.kind == "regression":
        return parts
    lines = (
        sorted(e.per_label or e.per_class, key=lambda line: line.f1)
        if len(e.labels) > MOST_LINES
        else (e.per_label or e.per_class)
    )
    header = ("class" if e.per_class else "label", "precision", "recall", "F1", "rows", "predicted")
    rows = [
        (x.name, f"{x.precision:.2f}", f"{x.recall:.2f}", f"{x.f1:.2f}", str(x.support), f"{x.predicted:.0f}")
        + ((f"{x.threshold:.2f}",) if isinstance(x, PerLabel) else ())
        for x in lines[:MOST_LINES]
    ]
    header = (*header, "threshold") if e.per_label else header
    parts["class_heading"] = "Which classes it confuses" if e.per_class else "Label by label"
    parts["class_table"] = Table(header, rows, header[1:])
    if len(e.labels) > MOST_LINES:
        parts["class_words"] = f"The {MOST_LINES} with the lowest F1 of {len(e.labels)}."
    if e.per_class and len(e.labels) <= MOST_CLASSES:
        parts["heat"] = [_heat(name, i, e.confusion[i]) for i, name in enumerate(e.labels)]
    elif e.confused:
        pairs = [(c.given, c.predicted, str(c.n)) for c in e.confused[:20]]
        parts["confused_table"] = Table(("label", "predicted", "rows"), pairs, ("rows",))
    return parts


def _heat(name: str, i: int, counts: Sequence[int]) -> dict[str, Any]:
    total = sum(counts)
    cells = [
        {"n": n, "kind": "right" if i == j else "wrong", "weight": f"{min(1.0, _tint(i == j) * n / max(total, 1)):.3f}"}
        for j, n in enumerate(counts)
    ]
    return {"name": name, "cells": cells, "total": total}


def _tint(right: bool) -> float:
    """How strongly a share is coloured: mistakes are few, and would not be seen."""
    return 1.0 if right else 3.0


def _row_words(e: Evidence) -> dict[str, str]:
    if e.kind == "regression":
        disputes = f"The {min(MOST_ROWS, len(e.disputed))} rows on which the seeds lie farthest apart."
    else:
        disputes = f"On {e.n_disputed} of {e.n} rows not all seeds give the same answer."
        disputes += f" The {MOST_ROWS} most disputed are shown." if e.n_disputed > MOST_ROWS else ""
    return {"suspect_words": _suspect_words(e), "disputed_words": disputes}


def _suspect_words(e: Evidence) -> str:
    n_rows = len({row.id for row in e.suspects})
    where = f"{n_rows} of {e.n} rows."
    if e.kind == "multilabel":
        where = f"{counted(len(e.suspects), 'label')} of {counted(n_rows, 'row')}, of {e.n}."
    if e.kind == "regression":
        why = (
            "Their number is more than three times as far from the prediction as the usual error and the seeds' spread "
            "explain."
        )
    else:
        why = (
            "Models that never saw the row take another answer to be at least "
            f"{wording.count(int(label_issues.LIKELIER))} times as likely as its label, and are surer of it than they "
            "usually are of rows that have it (confident learning, Northcutt et al. 2021)."
        )
    first = (
        "Some are right and only hard; the likeliest wrong come first. A wrong label costs twice, in training and here."
    )
    said = [where, why, first] if e.suspects else ["None stands out."]
    if len(e.suspects) > MOST_ROWS:
        said.append(f"The first {MOST_ROWS} are shown.")
    if more := len(e.doubted) - n_rows:
        noun, less = ("more row", ", but less") if e.suspects else ("row", ", but not so much")
        said.append(f"The labels of {counted(more, noun)} are in doubt{less}.")
    if more or len(e.suspects) > MOST_ROWS:
        said.append("In out_of_fold.csv column doubt numbers all of them.")
    return " ".join(said)


def _shown(rows: Sequence[ListedRow]) -> list[ListedRow]:
    return [dataclasses.replace(row, text=_cut(row.text)) for row in rows[:MOST_ROWS]]


def _cut(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _LONGEST else text[:_LONGEST].rstrip() + " …"


def _dot(name: str, scores: dict[str, Measured], metric: str, ours: bool) -> charts.Dot:
    return charts.Dot(name, scores[metric], wording.measure(metric, scores[metric].value), ours)


def _measure(metric: str, measured: Measured) -> str:
    value, low, high = (wording.measure(metric, x) for x in (measured.value, measured.low, measured.high))
    return _with_limits(value, low, high)


def _with_limits(value: str, low: str, high: str) -> str:
    """A value and its interval, which a narrow screen may part in this one place."""
    return f"{value} " + f"({wording.between(low, high)})".replace(" ", "\N{NO-BREAK SPACE}")


def _measures(scores: dict[str, Measured]) -> list[str]:
    return [_measure(metric, measured) for metric, measured in scores.items()]


def _differences(difference: dict[str, Measured]) -> list[str]:
    said: list[str] = []
    for metric, d in difference.items():
        value, low, high = (
            wording.number(x, signed=True) if metric in ("mae", "rmse") else wording.signed(x)
            for x in (d.value, d.low, d.high)
        )
        said.append(_with_limits(value, low, high))
    return said


def _singles(single: dict[str, Spread], k: int) -> list[str]:
    return [wording.measure(metric, values.values[k]) for metric, values in single.items()]


def _number(measured: Measured) -> str:
    return _measure("mae", measured)
