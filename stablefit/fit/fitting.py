"""From a file of labelled texts to a model to keep, and what is known of it.

OUT/fit.json          what was asked for, and the evidence; the same command goes on here, another is refused
OUT/runs/             the study: cross-validation over seeds, and the model's own runs on all rows
OUT/out_of_fold.csv   what models that never saw a row say of it
OUT/report.html       the page
OUT/model/            bundle/, members/0.safetensors ..., facts.json: what `stablefit predict` and `export` take
"""

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from stablefit.configs import own as own_config
from stablefit.configs import own_tags as own_tags_config
from stablefit.data.tables.own import OwnTexts
from stablefit.errors import InputError
from stablefit.fit import baselines, evidence, kept, temperature
from stablefit.fit.evidence import Evidence, OutOfFold
from stablefit.fit.temperature import Temperature
from stablefit.models import sources
from stablefit.paths import Tree
from stablefit.study import grid
from stablefit.training import bundle, job, probe, settings
from stablefit.training.files import write_whole
from stablefit.training.job import Job
from stablefit.training.settings import Settings

VALIDATED, KEPT = "cross-validation", "the model to keep"
STEP = "last"  # whose parameters count


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What a person asked for.

    Args:
        file: a table, or a folder of train, dev and test tables.
        out: OUT.
        fields: of the config, as far as they were given: columns, kind of the labels, model, steps.
        folds: of cross-validation.
        repeats: how often each row is predicted, each time by a model of another seed.
        members: how many models are trained on all rows.
        keep: ensemble: all of them; average: one, whose weights are their mean; single: the first.
        curve: whether to train on a third and on two thirds of the rows too.
    """

    file: str
    out: Path
    fields: Mapping[str, Any]
    folds: int = 5
    repeats: int = 3
    members: int = 3
    keep: str = "ensemble"
    curve: bool = False


@dataclasses.dataclass(frozen=True)
class Trained:
    """What the runs left."""

    rows: Mapping[str, Sequence[Mapping[str, Any]]]  # of each cell
    seconds: float  # of this command
    lost: Sequence[str]  # what could not be run


@dataclasses.dataclass(frozen=True)
class Fit:
    """What came of it."""

    evidence: Evidence
    tested: Evidence | None  # of the test table, if there is one
    job: Job  # of the cross-validation
    rows: Mapping[str, Sequence[Mapping[str, Any]]]  # of each cell
    seconds: float  # of this command
    lost: Sequence[str]  # what could not be run


def claim(wishes: Wishes) -> None:
    """Makes OUT this fit's, or finds that it is.

    Raises:
        InputError: it holds something else, or a fit that was asked for otherwise.
    """
    out, file = wishes.out, wishes.out / "fit.json"
    asked = _asked(wishes)
    if file.is_file():
        before = sources.read_json(file).get("asked")
        if before != asked:
            known = before if isinstance(before, dict) else {}
            name = next((name for name in asked if known.get(name) != asked[name]), "asked")
            raise InputError(
                f"{out} holds a fit with {name}={known.get(name)!r}, this one has {asked.get(name)!r}; give another "
                "--out, or the same arguments to go on"
            )
        return
    if wishes.file != str(out / kept.INPUT):
        kept.check_free(out)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps({"asked": asked}, indent=2) + "\n")


def _asked(wishes: Wishes) -> dict[str, Any]:
    values = dataclasses.asdict(wishes)
    return {name: value for name, value in values.items() if name != "out"}


def cells(wishes: Wishes, n_rows: int) -> dict[str, Settings]:
    """The settings of the runs: name of each cell -> settings.

    Args:
        n_rows: of the training table.
    """

    def cell(**changes: Any) -> Settings:
        tagging = is_tagging(wishes)
        config = (own_tags_config if tagging else own_config).get_config()
        place = "data_dir" if tagging else "data_file"
        config.update({place: wishes.file, **wishes.fields, **changes})
        return settings.read(config.to_dict())

    runs = wishes.folds * wishes.repeats
    # With a schedule that ends at 0, to choose a step on a few dozen rows is to choose by luck, and costs those rows.
    common = {"train_on_all": True, "evaluations": 1}
    validated = {**common, "folds": wishes.folds, "keep": "none"}
    found = {VALIDATED: cell(seeds=tuple(range(runs)), **validated)}
    if wishes.curve:
        for third in (1, 2):
            rows = n_rows * third // 3
            found[f"{rows} rows"] = cell(train_examples=rows, seeds=tuple(range(runs)), **validated)
    last = {**common, "folds": 0, "keep": "best"}
    return {**found, KEPT: cell(seeds=tuple(range(wishes.members)), **last)}


def is_tagging(wishes: Wishes) -> bool:
    """Whether entities are to be found."""
    return str(wishes.fields.get("task", "")).startswith("tagging")


def load(wishes: Wishes, n_rows: int) -> dict[str, Job]:
    """The jobs of all cells, loaded and checked."""
    return {name: job.load(cell) for name, cell in cells(wishes, n_rows).items()}


def train(wishes: Wishes, jobs: Mapping[str, Job], quiet: bool, launcher: Callable[..., list[str]]) -> Trained:
    """Does the runs that are not done yet.

    Args:
        jobs: from `load`.
        quiet: no display.
        launcher: of `launch`.

    Raises:
        Interrupted: a signal came; the same call goes on from there.
    """
    clock = time.monotonic()
    workdir = wishes.out / "runs"
    lost = grid.run(jobs, workdir, quiet, launcher)
    marks = {one.settings.fingerprint: one.settings.seeds for one in jobs.values()}
    by_mark = grid.read_rows(workdir, marks)
    rows = {name: by_mark[one.settings.fingerprint] for name, one in jobs.items()}
    return Trained(rows, time.monotonic() - clock, lost)


def run(wishes: Wishes, jobs: Mapping[str, Job], own: OwnTexts, quiet: bool, launcher: Callable[..., list[str]]) -> Fit:
    """Does the runs that are not done yet, and weighs what they say; arguments as of `train`.

    Args:
        own: the training table.

    Raises:
        Interrupted: as `train`.
    """
    clock = time.monotonic()
    workdir = wishes.out / "runs"
    trained = train(wishes, jobs, quiet, launcher)
    main = jobs[VALIDATED]
    oof = out_of_fold(main, own, kept.predictions(workdir, main, STEP), wishes.repeats)
    weighed = evidence.weigh(oof)
    points = []
    for name, part in jobs.items():
        if name not in (VALIDATED, KEPT):
            known = kept.predictions(workdir, part, STEP)
            points.append(_point(part, known, wishes.repeats, weighed.temperature))
    if points:
        score = weighed.scores[weighed.metric]
        points.append((len(own), score.value, score.low, score.high))
        weighed = evidence.weigh(oof, curve=points)
    tested = None
    if "test" in jobs[KEPT].objective.encoded:
        said = kept.predictions(workdir, jobs[KEPT], STEP)
        data = jobs[KEPT].data["test"]
        known = _as_evidence(jobs[KEPT], data.labels, list(data.ids), said, len(said), weighed.temperature)
        tested = evidence.weigh(known)
    kept.write_out_of_fold(wishes.out / "out_of_fold.csv", oof, weighed)
    return Fit(weighed, tested, main, trained.rows, time.monotonic() - clock, trained.lost)


def out_of_fold(main: Job, own: OwnTexts, said: Mapping[int, Mapping[str, np.ndarray]], repeats: int) -> OutOfFold:
    """The predictions of all rows by models that never saw them, beside the baselines in the same folds."""
    held_out = [part["test"] for part in main.objective.chosen]
    cheap = baselines.predictions(main.task, own.examples, probe.frozen_features(main), held_out)
    examples = own.examples
    texts = examples.texts_a
    if examples.texts_b is not None:
        texts = [f"{first} | {second}" for first, second in zip(texts, examples.texts_b, strict=True)]
    known = _as_evidence(main, examples.labels, examples.ids, said, repeats)
    if known.kind != "regression":
        outputs, fitted = temperature.cross_fitted(known.outputs, known.targets, known.kind, held_out)
        known = dataclasses.replace(known, outputs=outputs, temperature=fitted)
    return dataclasses.replace(known, baselines=cheap, texts=list(texts), groups=examples.groups)


def _as_evidence(
    part: Job,
    targets: np.ndarray,
    ids: Sequence[str],
    said: Mapping[int, Mapping[str, np.ndarray]],
    repeats: int,
    divisor: Temperature | None = None,
) -> OutOfFold:
    """A run's outputs as evidence without texts; probabilities, if there is a temperature to divide logits by."""
    place = {name: i for i, name in enumerate(ids)}
    kind: Any = part.task.kind
    outputs = np.full((repeats, len(ids), part.task.n_outputs), np.nan)
    folds = part.spec.folds or 1
    for seed, one in said.items():
        rows = [place[name] for name in one["ids"].tolist()]
        outputs[seed // folds, rows] = one["outputs"].reshape(len(rows), -1)
    if kind == "regression":
        outputs = outputs[:, :, 0]
    elif divisor is not None:
        outputs = temperature.probabilities(outputs / divisor.value, kind)
    return OutOfFold(kind, part.task.labels, targets, outputs, {}, [""] * len(ids), list(ids), None, divisor)


def _point(
    part: Job, said: Mapping[int, Mapping[str, np.ndarray]], repeats: int, divisor: Temperature | None
) -> tuple[int, float, float, float]:
    data = part.objective.encoded["train"]
    weighed = evidence.weigh(_as_evidence(part, data.labels, list(data.ids), said, repeats, divisor))
    score = weighed.scores[weighed.metric]
    return len(data), score.value, score.low, score.high


def keep(
    wishes: Wishes,
    whole: Job,
    thresholds: Sequence[float] | None,
    facts: Mapping[str, Any],
    divisor: Temperature | None = None,
) -> None:
    """Puts the model into OUT/model.

    Args:
        whole: of the runs on all rows.
        thresholds: of several labels.
        facts: what is known of it, for the model card.
        divisor: of the logits; the heads that are kept are divided by it, so that nobody has to know of it.
    """
    place = wishes.out / "runs" / "cells" / whole.settings.fingerprint
    trees = kept.members(place, whole.settings.seeds)
    if divisor is not None:
        by = np.float32(divisor.value)
        trees = [{**tree, "head": jax.tree.map(lambda x: x / by, tree["head"])} for tree in trees]
    chosen: list[Tree] = trees
    if wishes.keep == "average":
        chosen = [jax.tree.map(lambda *xs: np.mean(xs, axis=0, dtype=np.float32), *trees)]
    if wishes.keep == "single":
        chosen = trees[:1]
    described = dataclasses.replace(bundle.of_job(whole), thresholds=None if thresholds is None else tuple(thresholds))
    kept.write_model(wishes.out / "model", described, chosen, facts)
