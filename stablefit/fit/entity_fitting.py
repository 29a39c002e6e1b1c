"""From a file of entities to what is known of a tagger fine-tuned on it; the runs are those of `fitting.py`."""

import csv
import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from stablefit.data.tags.ner import TaggedExamples
from stablefit.data.tags.own_tags import OwnTags
from stablefit.data.tags.tagging_encoding import EncodedTags
from stablefit.data.tags.tagging_splits import units
from stablefit.fit import entity_baselines, entity_evidence, entity_predictions, entity_rows, fitting
from stablefit.fit.entity_evidence import EntityEvidence
from stablefit.fit.entity_predictions import Predicted
from stablefit.fit.fitting import KEPT, VALIDATED, Wishes
from stablefit.training.job import Job

OUT_OF_FOLD = "out_of_fold.csv"
_HEADER = ("id", "start", "end", "text", "type", "annotated", "found", "probability", "agreement")


@dataclasses.dataclass(frozen=True)
class TagFit:
    """What came of it."""

    evidence: EntityEvidence
    tested: EntityEvidence | None  # of the test file, if there is one
    job: Job  # of the cross-validation
    rows: Mapping[str, Sequence[Mapping[str, Any]]]  # of each cell
    seconds: float  # of this command


def run(
    wishes: Wishes, jobs: Mapping[str, Job], own: OwnTags, quiet: bool, launcher: Callable[..., list[str]]
) -> TagFit | Sequence[str]:
    """Does the runs that are not done yet, and weighs what they say; or says what could not be run.

    Args:
        jobs: from `fitting.load`.
        own: the training file.
        quiet: no display.
        launcher: of `launch`.

    Raises:
        Interrupted: a signal came; the same call goes on from there.
    """
    clock = time.monotonic()
    trained = fitting.train(wishes, jobs, quiet, launcher)
    if trained.lost:
        return trained.lost
    workdir, main = wishes.out / "runs", jobs[VALIDATED]
    documents = own.examples
    unit = units(documents.groups, wishes.folds)
    said = _predicted(workdir, main, documents)
    cheap = entity_baselines.found(main, documents, [part["test"] for part in main.objective.chosen])
    weighed = entity_evidence.weigh(said, cheap, unit, noun=own.noun)
    points = []
    for name, part in jobs.items():
        if name not in (VALIDATED, KEPT):
            one = entity_evidence.weigh(_predicted(workdir, part, documents), {}, unit, noun=own.noun)
            score = one.scores[one.metric]
            points.append((int(part.values["train_examples"]), score.value, score.low, score.high))
    if points:
        score, n = weighed.scores[weighed.metric], _n_train(main)
        points.append((n, score.value, score.low, score.high))
        weighed = entity_evidence.weigh(said, cheap, unit, noun=own.noun, curve=points)
    assert said is not None  # else there is nothing to weigh
    write_out_of_fold(wishes.out / OUT_OF_FOLD, said)
    return TagFit(weighed, _tested(workdir, jobs[KEPT], own), main, trained.rows, time.monotonic() - clock)


def _n_train(main: Job) -> int:
    """How many documents a run of the cross-validation is trained on."""
    return min(len(part["train"]) for part in main.objective.chosen)


def _predicted(workdir: Path, part: Job, documents: TaggedExamples) -> Predicted | None:
    said = entity_predictions.read(workdir, part)
    repeats = entity_predictions.by_repeat(said, part.spec.folds or 1)
    return entity_predictions.predicted(documents, part.objective.labels, repeats)


def _tested(workdir: Path, whole: Job, own: OwnTags) -> EntityEvidence | None:
    """What the models to keep say of the test file."""
    test = whole.objective.encoded.get("test")
    if not isinstance(test, EncodedTags):
        return None
    said = _predicted(workdir, whole, test.documents)
    return entity_evidence.weigh(said, {}, units(test.documents.groups, 0), noun=own.noun)


def write_out_of_fold(file: Path, p: Predicted) -> None:
    """One line an entity that is annotated or found: where, what, and what models that never saw the document say."""
    temporary = file.with_name(f".{file.name}.tmp")
    with temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_HEADER)
        for d, name in enumerate(p.documents.ids):
            own = dict(zip(p.documents.entities[d], p.annotated[d], strict=True))
            found = {one.span: one for one in p.found[d]}
            for span in sorted({*own, *found}):
                start, end = entity_rows.places(p, d, span)
                probability = found[span].probability if span in found else own[span]
                agreement = np.mean([span in spans[d] for spans in p.alone])
                marks = ["yes" if span in some else "no" for some in (own, found)]
                text = p.documents.texts[d][start:end]
                writer.writerow([name, start, end, text, span.type, *marks, f"{probability:.4f}", f"{agreement:.2f}"])
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)
