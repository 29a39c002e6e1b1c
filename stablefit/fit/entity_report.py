"""What a fit that finds entities tells a person: on the screen at its end, and in its page and its record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from stablefit.data.checks.finding import Finding
from stablefit.data.tags.own_tags import OwnTags
from stablefit.fit import entity_evidence, entity_page, entity_words, fit_report, fit_summary, fitting
from stablefit.fit.entity_evidence import EntityEvidence
from stablefit.fit.entity_fitting import TagFit
from stablefit.fit.fit_page import About, Block
from stablefit.fit.fitting import KEPT, Wishes
from stablefit.training.files import write_whole
from stablefit.training.job import Job

_SETTINGS = (
    "task", "max_steps", "batch_size", "learning_rate", "lr_multipliers", "reinit_layers", "max_length", "pieces",
    "crf", "tag_scheme", "dropout", "warmup_ratio",
)  # fmt: skip


def write(
    wishes: Wishes, done: TagFit, jobs: Mapping[str, Job], own: OwnTags, found: Sequence[Finding], command: str
) -> None:
    """Writes the model, the page and the record; the record last."""
    fitting.keep(wishes, jobs[KEPT], None, facts(done, own))
    write_whole(wishes.out / "report.html", entity_page.render(done.evidence, about(wishes, done, own, found, command)))
    tested = None if done.tested is None else entity_evidence.to_dict(done.tested)
    fit_report.write_record(wishes, done.seconds, entity_evidence.to_dict(done.evidence), tested, found, command)


def said(wishes: Wishes, done: TagFit) -> str:
    """The end on the screen."""
    e = done.evidence
    lines = [fit_summary.told(e, entity_words.cautions(e), entity_words.look(e))]
    if done.tested is not None:
        lines.append(f"On the test file ({done.tested.n} {e.noun}s) the model to keep has {_score(done.tested)}.")
    return "\n\n".join([*lines, fit_report.where(wishes, "entities")])


def _score(e: EntityEvidence) -> str:
    score = e.scores[e.metric]
    return f"entity F1 {score.value:.3f} ({score.low:.3f} to {score.high:.3f})"


def facts(done: TagFit, own: OwnTags) -> dict[str, Any]:
    """What the model card says of how good the model is; no texts."""
    e = done.evidence
    score, single = e.scores[e.metric], e.single[e.metric]
    types = Counter(span.type for spans in own.examples.entities for span in spans)
    # A run that finds nothing right has failed, as everywhere.
    seeds = [{"seed": r, "score": value, "failed": not value > 0} for r, value in enumerate(single.values)]
    lost = [{"seed": e.n_repeats + i, "score": 0.0, "failed": True, "diverged": True} for i in range(len(e.diverged))]
    known: dict[str, Any] = {
        "seeds": seeds + lost,
        "examples": {"all": e.n},
        "per_label": dict(sorted(types.items())),
        "metric": e.metric,
        "score": [score.value, score.low, score.high],
        "how": f"{e.noun}s that the model asked had not seen, in cross-validation; an entity is right if its start, "
        "end and type are",
        "baselines": {one.name: one.scores[e.metric].value for one in e.baselines},
        "notes": [
            e.headline,
            f"A single seed: {single.mean:.3f} on average, {single.minimum:.3f} to {single.maximum:.3f}.",
        ],
    }
    if e.reliability is not None:
        known["calibration"] = {"ECE": e.reliability.ece, "Brier": e.reliability.brier}
    return known


def about(wishes: Wishes, done: TagFit, own: OwnTags, found: Sequence[Finding], command: str) -> About:
    """What the page says beside the evidence."""
    main = done.job
    tested = [] if done.tested is None else [("on the test file", _score(done.tested))]
    return About(
        title=f"A model for {own.path.rsplit('/', 1)[-1]}",
        file=own.path,
        model=main.source,
        kept=fit_report.kept_in_words(wishes, own.noun + "s"),
        command=command,
        found=own.said,
        findings=tuple(found),
        cost=(*fit_report.cost(done.rows), *tested),
        settings=tuple((name, str(main.values[name])) for name in _SETTINGS),
        versions=tuple(main.provenance["versions"].items()),
        use=use(wishes),
    )


def use(wishes: Wishes) -> tuple[Block, ...]:
    """How the model is used: code that runs as it stands."""
    out = str(wishes.out)
    return (
        Block("Find entities in a file", f"stablefit predict {out} new.csv --out=answers.csv"),
        Block(
            "In Python",
            f'import stablefit\n\nmodel = stablefit.load("{out}")\n'
            'for entity in model.predict(["a new text"])[0]:\n'
            "    print(entity.start, entity.end, entity.type, entity.text, entity.probability)",
        ),
        Block(
            "In transformers, or anywhere else: one of the models, with its CRF beside it",
            f"stablefit export {out} exported --member=0\n\n"
            "from transformers import AutoModelForTokenClassification, AutoTokenizer\n\n"
            'model = AutoModelForTokenClassification.from_pretrained("exported")\n'
            'tokenizer = AutoTokenizer.from_pretrained("exported")',
        ),
    )
