"""What out-of-fold predictions of several repeats say: how good, how sure, better than what, and which rows to look at.

`OutOfFold` holds predictions of rows by models that never saw them, one set a repeat (a seed); `weigh` turns them into
`Evidence`. Two questions are kept apart: what other rows would have given (intervals of the bootstrap over rows, of the
ensemble of the repeats), and what another seed would have given (the spread of single repeats).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from stablefit.errors import InputError
from stablefit.fit import calibration, headline, label_curve, label_issues, row_agreement, row_scores, wording
from stablefit.fit import thresholds as thresholding
from stablefit.fit.label_issues import Suspect
from stablefit.fit.row_agreement import Disputed
from stablefit.fit.row_scores import MAIN, Entrant, Kind, Measured, Resamples, Scorer, Spread
from stablefit.fit.tables import Confused, PerClass, PerLabel, confused, confusion, per_class, per_label
from stablefit.fit.temperature import Temperature

MOST_DISPUTED = 50  # rows that are kept with their text
_OURS = "ours"  # no baseline's key: those begin with "baseline"


@dataclasses.dataclass(frozen=True)
class OutOfFold:
    """Predictions of N rows by models that never saw them.

    Args:
        kind: classification, regression or multilabel.
        labels: names of the classes or labels; empty for numbers.
        targets: [N] int class ids, [N] numbers, or [N, L] of 0 and 1.
        outputs: of R repeats: [R, N, C] probabilities, [R, N] numbers, or [R, N, L] probabilities.
        baselines: name -> an array like one repeat of `outputs`, in the same folds.
        texts, ids: N each, as they are shown.
        groups: [N] int, rows with the same number belong together; None: each row for itself.
        temperature: what the logits were divided by, if anything.
    """

    kind: Kind
    labels: tuple[str, ...]
    targets: np.ndarray
    outputs: np.ndarray
    baselines: Mapping[str, np.ndarray]
    texts: Sequence[str]
    ids: Sequence[str]
    groups: np.ndarray | None = None
    temperature: Temperature | None = None


@dataclasses.dataclass(frozen=True)
class ListedRow:
    """A row to look at: what it says, its label and what the ensemble answers, in words."""

    id: str
    text: str
    given: str
    predicted: str
    note: str  # probability, distance, or votes


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What a page or a terminal needs; `to_dict` makes JSON of it. It holds texts of rows.

    Args:
        metric: the main score: accuracy, r2 or f1_micro.
        n_groups: None if each row is for itself.
        diverged: repeats (positions) whose outputs were not all finite; they are left out of everything.
        scores: of the ensemble; of several labels by thresholds that did not see the row.
        single: of each repeat alone.
        best_baseline: the one with the best main score; None if there is none.
        headline, says: the first sentence, and what else is said at once.
        coverage: surest rows first; of numbers the mean absolute error; empty where nothing says how sure a row is.
        confusion: [given][predicted] counts, empty unless classes; confused: its off-diagonal counts, largest first.
        pairs: (true, predicted) of numbers.
        thresholds: of several labels, tuned on all rows, to be used for new ones; scores_by_tuned: the optimistic score
            that these thresholds have on the rows they were tuned on; scores_at_half: with .5 throughout.
        suspects: rows whose label is probably wrong, the likeliest first.
        doubted: rows (positions, each once) whose label is in doubt, those of `suspects` first.
    """

    kind: Kind
    labels: tuple[str, ...]
    metric: str
    n: int
    n_groups: int | None
    n_repeats: int
    diverged: tuple[int, ...]
    scores: dict[str, Measured]
    single: dict[str, Spread]
    baselines: tuple[Entrant, ...]
    best_baseline: str | None
    headline: str
    says: tuple[str, ...]
    agreement: row_agreement.Agreement | None
    spread_and_error: row_agreement.SpreadAndError | None
    coverage: tuple[calibration.Covered, ...]
    reliability: calibration.Reliability | None
    confusion: tuple[tuple[int, ...], ...]
    confused: tuple[Confused, ...]
    per_class: tuple[PerClass, ...]
    per_label: tuple[PerLabel, ...]
    pairs: tuple[tuple[float, float], ...]
    suspects: tuple[ListedRow, ...]
    doubted: tuple[int, ...]
    n_disputed: int
    disputed: tuple[ListedRow, ...]
    temperature: Temperature | None
    thresholds: tuple[float, ...] | None
    scores_by_tuned: dict[str, float]
    scores_at_half: dict[str, float]
    curve: label_curve.LabelCurve | None


def weigh(
    oof: OutOfFold, *, seed: int = 0, curve: Sequence[tuple[int, float, float, float]] = (), n_resamples: int = 2000
) -> Evidence:
    """The evidence of out-of-fold predictions.

    Args:
        seed: of the bootstrap, of the halvings for thresholds and of the simulated calibration.
        curve: of a learning curve (training rows, main score, low, high).

    Raises:
        InputError: every repeat diverged.
        ValueError: shapes do not fit, or a baseline is not finite.
    """
    _check(oof)
    finite = np.array([bool(np.isfinite(output).all()) for output in oof.outputs])
    if not finite.any():
        raise InputError(
            f"all {len(finite)} repeats diverged (their outputs are not finite), so nothing can be said of the "
            f"{len(oof.targets)} rows; a lower learning rate or more warm-up would be right"
        )
    outputs = np.asarray(oof.outputs, np.float64)[finite]
    whole = outputs.mean(0)
    resamples = Resamples(len(oof.targets), oof.groups, seed, n_resamples)
    reader = _Reader(oof, resamples, seed)
    singles = [row_scores.plain(reader.scorer(one), len(oof.targets)) for one in outputs]
    scores, entrants = _contest(oof, whole, singles, reader, resamples)
    best = _best(oof.kind, entrants)
    answers, hits, sureness = reader.answers(outputs, whole)
    numbers = oof.kind == "regression"
    agreement = None if numbers else row_agreement.agreement(answers, hits, resamples)
    spread_and_error = row_agreement.spread_and_error(outputs, oof.targets, resamples) if numbers else None
    unsure = numbers and len(outputs) < 2
    coverage = [] if unsure else calibration.coverage_curve(sureness, hits, resamples, shares=not numbers)
    first, more = headline.headline(oof.kind, scores, best, agreement, spread_and_error)
    disputes = row_agreement.disputed(oof.kind, answers, sureness)
    doubts = sorted(_suspects(oof, outputs, whole), key=lambda suspect: not label_issues.probable(suspect))
    return Evidence(
        kind=oof.kind,
        labels=tuple(oof.labels),
        metric=MAIN[oof.kind],
        n=len(oof.targets),
        n_groups=None if oof.groups is None else resamples.n_units,
        n_repeats=len(outputs),
        diverged=tuple(map(int, np.flatnonzero(~finite))),
        scores=scores,
        single={name: row_scores.spread(np.array([single[name] for single in singles])) for name in scores},
        baselines=tuple(entrants),
        best_baseline=best.name if best else None,
        headline=first,
        says=tuple(filter(None, (more, headline.when_left_to_a_person(oof.kind, coverage)))),
        agreement=agreement,
        spread_and_error=spread_and_error,
        coverage=tuple(coverage),
        reliability=None if numbers else calibration.reliability(whole, oof.targets, seed),
        temperature=oof.temperature,
        suspects=tuple(_suspect(oof, suspect) for suspect in doubts if label_issues.probable(suspect)),
        doubted=tuple(dict.fromkeys(suspect.row for suspect in doubts)),
        n_disputed=len(disputes),
        disputed=tuple(_dispute(oof, dispute, whole, reader, len(outputs)) for dispute in disputes[:MOST_DISPUTED]),
        curve=label_curve.label_curve(curve, MAIN[oof.kind]),
        **_tables(oof, whole, reader),
    )


def to_dict(evidence: Evidence) -> dict[str, Any]:
    """The evidence as JSON has it: what has no value is None."""
    return _json(dataclasses.asdict(evidence))


class _Reader:
    """How outputs of this kind are read as answers and scored; of several labels with their thresholds."""

    def __init__(self, oof: OutOfFold, resamples: Resamples, seed: int):
        self.oof, self.resamples, self.seed = oof, resamples, seed
        self._given: dict[bytes, np.ndarray] = {}

    def scorer(self, output: np.ndarray) -> Scorer:
        if self.oof.kind == "classification":
            return row_scores.class_scorer(output, self.oof.targets)
        if self.oof.kind == "regression":
            return row_scores.number_scorer(output, np.asarray(self.oof.targets, np.float64))
        return row_scores.label_scorer(self.given(output), self.oof.targets)

    def given(self, output: np.ndarray) -> np.ndarray:
        """[N, L]: labels given by thresholds that did not see the row."""
        key = output.tobytes()
        if key not in self._given:
            self._given[key] = thresholding.cross_decisions(output, self.oof.targets, self.resamples.unit, self.seed)
        return self._given[key]

    def tuned(self, output: np.ndarray) -> np.ndarray:
        return thresholding.tune_all(output, self.oof.targets)

    def by_fixed(self, output: np.ndarray, thresholds_L: np.ndarray) -> dict[str, float]:
        return row_scores.plain(row_scores.label_scorer(output >= thresholds_L, self.oof.targets), len(output))

    def answers(self, outputs: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Each repeat's answers, whether the ensemble is right (of numbers its error), and how sure it is, [N] each."""
        targets = self.oof.targets
        if self.oof.kind == "classification":
            return outputs.argmax(-1), whole.argmax(-1) == targets, whole.max(-1)
        if self.oof.kind == "regression":
            return outputs, np.abs(whole - targets), -outputs.std(0)
        cuts = self.tuned(whole)
        right = ((self.given(whole) >= 0.5) == (targets == 1)).all(-1)
        return outputs >= cuts, right, np.abs(whole - cuts).min(-1)


def _tables(oof: OutOfFold, whole: np.ndarray, reader: _Reader) -> dict[str, Any]:
    """The fields that only one kind has."""
    found: dict[str, Any] = dict.fromkeys(("confusion", "confused", "per_class", "per_label", "pairs"), ())
    found |= {"thresholds": None, "scores_by_tuned": {}, "scores_at_half": {}}
    if oof.kind == "regression":
        found["pairs"] = tuple(zip(map(float, oof.targets), map(float, whole), strict=True))
    elif oof.kind == "classification":
        counts = confusion(whole.argmax(-1), oof.targets, len(oof.labels))
        found["confusion"] = tuple(tuple(map(int, row)) for row in counts)
        found["confused"], found["per_class"] = confused(counts, oof.labels), per_class(counts, oof.labels)
    else:
        tuned = reader.tuned(whole)
        found["thresholds"] = tuple(map(float, tuned))
        found["per_label"] = per_label(reader.given(whole), oof.targets, oof.labels, tuned)
        found["scores_by_tuned"] = reader.by_fixed(whole, tuned)
        found["scores_at_half"] = reader.by_fixed(whole, np.full(len(oof.labels), 0.5))
    return found


def _contest(
    oof: OutOfFold, whole: np.ndarray, singles: Sequence[dict[str, float]], reader: _Reader, resamples: Resamples
) -> tuple[dict[str, Measured], list[Entrant]]:
    """Our scores, and each baseline's with the paired differences."""
    n, share_of = len(whole), {"accuracy": len(whole)}
    named = {name: np.asarray(output, np.float64) for name, output in oof.baselines.items()}
    scorers = {_OURS: reader.scorer(whole)} | {f"baseline {name}": reader.scorer(out) for name, out in named.items()}
    drawn = resamples.scores(scorers)
    plain = {key: row_scores.plain(scorer, n) for key, scorer in scorers.items()}

    def measured(key: str) -> dict[str, Measured]:
        return {m: resamples.measure(value, drawn[key][m], share_of.get(m)) for m, value in plain[key].items()}

    metric = MAIN[oof.kind]
    entrants: list[Entrant] = []
    for name in named:
        key = f"baseline {name}"
        difference = {
            m: resamples.measure(plain[_OURS][m] - plain[key][m], drawn[_OURS][m] - drawn[key][m]) for m in plain[_OURS]
        }
        above = sum(single[metric] > plain[key][metric] for single in singles)
        said = row_scores.verdict(metric, difference[metric])
        entrants.append(Entrant(name, measured(key), difference, said, above))
    return measured(_OURS), entrants


def _best(kind: Kind, entrants: Sequence[Entrant]) -> Entrant | None:
    return max(entrants, key=lambda entrant: entrant.scores[MAIN[kind]].value, default=None)


def _suspects(oof: OutOfFold, outputs: np.ndarray, whole: np.ndarray) -> list[Suspect]:
    if oof.kind == "classification":
        return label_issues.of_classes(whole, oof.targets)
    if oof.kind == "multilabel":
        return label_issues.of_labels(whole, oof.targets)
    spread_N = outputs.std(0, ddof=1) if len(outputs) > 1 else None
    return label_issues.of_numbers(whole, oof.targets, spread_N)


def _suspect(oof: OutOfFold, suspect: Suspect) -> ListedRow:
    i = suspect.row
    if oof.kind == "regression":
        note = f"{suspect.confidence:.1f} times the usual error away"
        given, predicted = wording.exact(suspect.label), wording.number(suspect.predicted)
    else:
        note = f"probability {suspect.confidence:.2f}, of the given one {suspect.support:.2f}"
        if oof.kind == "multilabel":
            name = oof.labels[suspect.which]
            given, predicted = (f"{name}: {'yes' if x else 'no'}" for x in (suspect.label, suspect.predicted))
        else:
            given, predicted = oof.labels[int(suspect.label)], oof.labels[int(suspect.predicted)]
    return ListedRow(str(oof.ids[i]), str(oof.texts[i]), given, predicted, note)


def _dispute(oof: OutOfFold, dispute: Disputed, whole: np.ndarray, reader: _Reader, n_repeats: int) -> ListedRow:
    i = dispute.row
    if oof.kind == "regression":
        given, predicted = wording.exact(oof.targets[i]), wording.number(whole[i])
        low, high = (wording.number(x) for x in (min(dispute.votes), max(dispute.votes)))
        note = f"from {low} to {high}, sd {wording.number(dispute.amount)}"
    elif oof.kind == "multilabel":
        given, predicted = (
            ", ".join(name for name, yes in zip(oof.labels, row, strict=True) if yes) or "none"
            for row in (oof.targets[i], reader.given(whole)[i] >= 0.5)
        )
        split = [(name, int(n)) for name, n in zip(oof.labels, dispute.votes, strict=True) if 0 < n < n_repeats]
        note = "seeds that give: " + ", ".join(f"{name} {n} of {n_repeats}" for name, n in split)
    else:
        given, predicted = oof.labels[int(oof.targets[i])], oof.labels[int(whole[i].argmax())]
        classes, counts = np.unique(np.array(dispute.votes, int), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        note = ", ".join(f"{counts[k]} for {oof.labels[classes[k]]}" for k in order)
    return ListedRow(str(oof.ids[i]), str(oof.texts[i]), given, predicted, note)


def _check(oof: OutOfFold) -> None:
    if oof.kind not in MAIN:
        raise ValueError(f"kind {oof.kind!r} is not one of {', '.join(MAIN)}")
    n, width = len(oof.targets), len(oof.labels)
    one = (n,) if oof.kind == "regression" else (n, width)
    targets = (n, width) if oof.kind == "multilabel" else (n,)
    shapes = {"targets": (oof.targets.shape, targets), "outputs": (oof.outputs.shape[1:], one)}
    shapes |= {f"baseline {name!r}": (np.shape(output), one) for name, output in oof.baselines.items()}
    shapes |= {"texts": ((len(oof.texts),), (n,)), "ids": ((len(oof.ids),), (n,))}
    if oof.groups is not None:
        shapes["groups"] = (np.shape(oof.groups), (n,))
    for name, (have, want) in shapes.items():
        if have != want or not n or not len(oof.outputs):
            raise ValueError(f"{name}: shape {have} is not {want} with at least one row and one repeat")
    for name, output in oof.baselines.items():
        if not np.isfinite(output).all():
            raise ValueError(f"baseline {name!r} is not finite throughout")


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
