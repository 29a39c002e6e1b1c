"""What a fit tells a person: before it starts, on the screen at its end, and in its page and its record."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from stablefit.data.checks.finding import Finding
from stablefit.data.tables.own import OwnTexts
from stablefit.fit import evidence as weighing
from stablefit.fit import fit_page, fit_summary, fitting
from stablefit.fit.baselines import MAJORITY
from stablefit.fit.fit_page import About, Block
from stablefit.fit.fitting import KEPT, VALIDATED, Fit, Wishes
from stablefit.models import sources
from stablefit.training import plan
from stablefit.training.files import write_whole
from stablefit.training.job import Job

_SETTINGS = (
    "max_steps",
    "batch_size",
    "learning_rate",
    "max_length",
    "pooling",
    "head_start",
    "dropout",
    "warmup_ratio",
)


def announcement(wishes: Wishes, jobs: Mapping[str, Job], process: str, units: str = "rows") -> str:
    """What will be done.

    Args:
        units: what a file has of examples.
    """
    main = jobs[VALIDATED]
    runs = sum(len(one.settings.seeds) for one in jobs.values())
    steps = sum(len(one.settings.seeds) * one.total_steps for one in jobs.values())
    lines = [
        ("model", main.source),
        ("runs", f"{runs}: {wishes.folds} folds x {wishes.repeats} seeds, and {wishes.members} on all {units}"),
        ("steps", f"{main.total_steps} of {main.spec.batch_size} {units} a run, {steps:,} in all"),
        ("keep", kept_in_words(wishes, units)),
        *([("export", text)] if (text := plan.no_export(main)) else []),
        ("out", str(wishes.out)),
        ("process", process),
    ]
    return "\n".join(_line(name, text) for name, text in lines) + "\n"


def _line(name: str, text: str) -> str:
    """A name and what it is, within a terminal; a path stays whole."""
    inner = " " * 9
    return textwrap.fill(
        f"{name:<9}{text}", fit_summary.WIDTH, subsequent_indent=inner, break_long_words=False, break_on_hyphens=False
    )


def kept_in_words(wishes: Wishes, units: str = "rows") -> str:
    """What the model to keep is."""
    if wishes.keep == "single" or wishes.members == 1:
        return f"one model, trained on all {units}"
    what = "all of them" if wishes.keep == "ensemble" else "the average of their weights"
    return f"{wishes.members} models trained on all {units} with different seeds: {what}"


def write(
    wishes: Wishes, done: Fit, jobs: Mapping[str, Job], own: OwnTexts, found: Sequence[Finding], command: str
) -> None:
    """Writes the model, the page and the record; the record last."""
    e = done.evidence
    fitting.keep(wishes, jobs[KEPT], e.thresholds, facts(done, own), e.temperature)
    write_whole(wishes.out / "report.html", fit_page.render(done.evidence, about(wishes, done, own, found, command)))
    tested = None if done.tested is None else weighing.to_dict(done.tested)
    write_record(wishes, done.seconds, weighing.to_dict(done.evidence), tested, found, command)


def write_record(
    wishes: Wishes,
    seconds: float,
    evidence: Mapping[str, Any],
    tested: Mapping[str, Any] | None,
    found: Sequence[Finding],
    command: str,
) -> None:
    """Writes OUT/fit.json: what was asked for, and what is known."""
    record = sources.read_json(wishes.out / "fit.json")
    record |= {
        "seconds": round(record.get("seconds", 0.0) + seconds, 1),
        "evidence": evidence,
        "tested": tested,
        "findings": [one._asdict() for one in found],
        "commands": list(dict.fromkeys([*record.get("commands", []), command])),
    }
    write_whole(wishes.out / "fit.json", json.dumps(record, indent=2) + "\n")


def said(wishes: Wishes, done: Fit) -> str:
    """The end on the screen."""
    lines = [fit_summary.summary(done.evidence)]
    if done.tested is not None:
        score = done.tested.scores[done.tested.metric]
        lines.append(
            f"On the test table ({done.tested.n} rows) the model to keep has {done.tested.metric} {score.value:.3f} "
            f"({score.low:.3f} to {score.high:.3f})."
        )
    return "\n\n".join([*lines, where(wishes, "rows")])


def where(wishes: Wishes, listed: str) -> str:
    """Where everything lies, and what comes next.

    Args:
        listed: what out_of_fold.csv holds.
    """
    out = wishes.out
    return (
        f"page     {out / 'report.html'} (it shows texts of the file)\n"
        f"{listed:<9}{out / 'out_of_fold.csv'}\n"
        f"model    {out / 'model'}\n"
        f"next     stablefit predict {out} new.csv --out=answers.csv"
    )


def facts(done: Fit, own: OwnTexts) -> dict[str, Any]:
    """What the model card says of how good the model is; no texts."""
    e, metric = done.evidence, done.evidence.metric
    score, single = e.scores[metric], e.single[metric]
    counts: dict[str, int] = {}
    if e.kind != "regression":
        labels = own.examples.labels
        marks = labels if e.kind == "multilabel" else labels[:, None] == range(len(e.labels))
        counts = {name: int(n) for name, n in zip(e.labels, marks.sum(0), strict=True)}
    least = next((one.scores[metric].value for one in e.baselines if one.name in MAJORITY.values()), 0.0)
    seeds = [{"seed": r, "score": score, "failed": not score > least} for r, score in enumerate(single.values)]
    found: dict[str, Any] = {
        "seeds": seeds + [{"seed": r, "score": 0.0, "failed": True, "diverged": True} for r in e.diverged],
        "examples": {"all": e.n},
        "per_label": counts,
        "metric": metric,
        "score": [score.value, score.low, score.high],
        "how": "rows that the model asked had not seen, in cross-validation",
        "baselines": {one.name: one.scores[metric].value for one in e.baselines},
        "notes": [
            e.headline,
            f"A single seed: {single.mean:.3f} on average, {single.minimum:.3f} to {single.maximum:.3f}.",
        ][: min(2, e.n_repeats)],
    }
    if e.reliability is not None:
        found["calibration"] = {"ECE": e.reliability.ece, "Brier": e.reliability.brier}
    if e.temperature is not None:
        found["calibration"]["temperature (the head is divided by it)"] = e.temperature.value
    return found


def about(wishes: Wishes, done: Fit, own: OwnTexts, found: Sequence[Finding], command: str) -> About:
    """What the page says beside the evidence."""
    main = done.job
    roles = (
        ("text", own.choice.text),
        ("label", own.choice.label),
        ("group", (own.choice.group,)),
        ("id", (own.choice.id,)),
    )
    tested = []
    if done.tested is not None:
        score = done.tested.scores[done.tested.metric]
        tested = [
            ("on the test table", f"{done.tested.metric} {score.value:.3f} ({score.low:.3f} to {score.high:.3f})")
        ]
    return About(
        title=f"A model for {own.path.rsplit('/', 1)[-1]}",
        file=own.path,
        model=main.source,
        kept=kept_in_words(wishes),
        columns=tuple((role, name) for role, names in roles for name in names if name),
        command=command,
        found=own.said,
        findings=tuple(found),
        cost=(*cost(done.rows), *tested),
        settings=tuple((name, str(main.values[name])) for name in _SETTINGS),
        versions=tuple(main.provenance["versions"].items()),
        use=use(wishes, done.job),
    )


def cost(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[tuple[str, str], ...]:
    """What the runs of all cells took."""
    every = [row for cell in rows.values() for row in cell]
    minutes = sum(row["seconds"] for row in every) / 60
    return ("training runs", str(len(every))), ("time in them", f"{minutes:.1f} minutes on {every[0]['device']}")


def use(wishes: Wishes, main: Job) -> tuple[Block, ...]:
    """How the model is used: code that runs as it stands."""
    out, pair = str(wishes.out), main.columns["pair"]
    asked = '["a text"], ["another text"]' if pair else '["a new text"]'
    return (
        Block("Label a file", f"stablefit predict {out} new.csv --out=answers.csv"),
        Block("In Python", f'import stablefit\n\nmodel = stablefit.load("{out}")\nprint(model.predict({asked}))'),
        Block(
            "In transformers, or anywhere else",
            f"stablefit export {out} exported\n\n"
            "from transformers import AutoModelForSequenceClassification, AutoTokenizer\n\n"
            'model = AutoModelForSequenceClassification.from_pretrained("exported")\n'
            'tokenizer = AutoTokenizer.from_pretrained("exported")',
        ),
    )
