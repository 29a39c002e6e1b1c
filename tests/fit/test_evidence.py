"""The evidence of out-of-fold predictions, against scikit-learn, cases by hand and simulations."""

import dataclasses
import json
import re

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from stablefit.errors import InputError
from stablefit.fit import row_scores, thresholds
from stablefit.fit.evidence import to_dict, weigh
from stablefit.fit.row_scores import Resamples
from tests.fit.out_of_fold import classes, numbers, several


def test_scores_of_classes_are_scikit_learns():
    oof = classes()
    evidence = weigh(oof)
    whole = oof.outputs.mean(0)
    ours = {name: measured.value for name, measured in evidence.scores.items()}
    assert ours == pytest.approx(
        {
            "accuracy": sk.accuracy_score(oof.targets, whole.argmax(-1)),
            "f1_macro": sk.f1_score(oof.targets, whole.argmax(-1), average="macro"),
            "log_loss": sk.log_loss(oof.targets, whole),
        }
    )
    assert np.array_equal(evidence.confusion, sk.confusion_matrix(oof.targets, whole.argmax(-1)))
    rates = sk.precision_recall_fscore_support(oof.targets, whole.argmax(-1))
    have = [[getattr(line, name) for line in evidence.per_class] for name in ("precision", "recall", "f1", "support")]
    np.testing.assert_allclose(have, np.array(rates, float))
    singles = [sk.accuracy_score(oof.targets, one.argmax(-1)) for one in oof.outputs]
    assert evidence.single["accuracy"].values == pytest.approx(singles)
    assert evidence.single["accuracy"].sd == pytest.approx(np.std(singles, ddof=1))


def test_scores_of_numbers_are_scikit_learns():
    oof = numbers()
    ours = {name: measured.value for name, measured in weigh(oof).scores.items()}
    whole = oof.outputs.mean(0)
    assert ours == pytest.approx(
        {
            "r2": sk.r2_score(oof.targets, whole),
            "mae": sk.mean_absolute_error(oof.targets, whole),
            "rmse": sk.root_mean_squared_error(oof.targets, whole),
            "spearman": stats.spearmanr(oof.targets, whole).statistic,
        }
    )


def test_scores_of_labels_are_scikit_learns():
    oof = several()
    evidence = weigh(oof)
    whole = oof.outputs.mean(0)
    tuned = whole >= np.array(evidence.thresholds)
    for name in ("micro", "macro"):
        want = sk.f1_score(oof.targets, tuned, average=name, zero_division=0)
        assert evidence.scores_by_tuned[f"f1_{name}"] == pytest.approx(want)
        want = sk.f1_score(oof.targets, whole >= 0.5, average=name, zero_division=0)
        assert evidence.scores_at_half[f"f1_{name}"] == pytest.approx(want)


def test_several_labels_are_scored_by_thresholds_that_did_not_see_the_row():
    oof = several(n=40, skill=0.5)
    evidence = weigh(oof, seed=3)
    given = thresholds.cross_decisions(oof.outputs.mean(0), oof.targets, np.arange(40), 3)
    want = row_scores.plain(row_scores.label_scorer(given, oof.targets), 40)
    assert {name: measured.value for name, measured in evidence.scores.items()} == pytest.approx(want)
    assert evidence.scores["f1_micro"].value < evidence.scores_by_tuned["f1_micro"]


@pytest.mark.parametrize("make", [classes, numbers], ids=["classes", "numbers"])
def test_a_resample_scores_as_the_repeated_rows_do(make):
    """Counts as weights are the rows written out that often, ties of ranks and absent classes included."""
    oof = make(n=30)
    output = np.round(oof.outputs[0], 0 if make is numbers else 3)
    targets = np.round(oof.targets) if make is numbers else oof.targets
    scorer = (row_scores.number_scorer if make is numbers else row_scores.class_scorer)(output, targets)
    for seed in range(5):
        counts = np.bincount(np.random.default_rng(seed).integers(0, 30, 30), minlength=30)
        counts[targets == (2 if make is classes else np.inf)] = 0
        rows = np.repeat(np.arange(30), counts)
        by_counts = {name: value[0] for name, value in scorer(counts[None].astype(float)).items()}
        again = (row_scores.number_scorer if make is numbers else row_scores.class_scorer)(output[rows], targets[rows])
        assert by_counts == pytest.approx(row_scores.plain(again, len(rows)))
        if make is classes:
            want = sk.f1_score(targets[rows], output[rows].argmax(-1), average="macro")
            assert by_counts["f1_macro"] == pytest.approx(want)
        else:
            assert by_counts["spearman"] == pytest.approx(stats.spearmanr(targets[rows], output[rows]).statistic)


@pytest.mark.parametrize(("n", "accuracy"), [(20, 0.8), (400, 0.79), (25, 0.97)])
def test_intervals_of_accuracy_cover_as_often_as_they_say(n, accuracy):
    """Discrete scores of few rows cannot be exact; well under 95 % would be a lie."""
    rng = np.random.default_rng(1)
    resamples = Resamples(n, n_resamples=500)
    covered = []
    for _ in range(400):
        hits = rng.random(n) < accuracy
        scorer = row_scores.share_scorer(hits, {"": np.ones(n)})
        measured = resamples.measure(hits.mean(), resamples.scores({"": scorer})[""][""], n)
        covered.append(measured.low <= accuracy <= measured.high)
    assert np.mean(covered) > (0.92 if n > 100 else 0.88)


def test_intervals_of_groups_cover_where_those_of_rows_do_not():
    rng = np.random.default_rng(2)
    groups = np.repeat(np.arange(25), 10)
    covered = {"groups": [], "rows": []}
    drawers = {"groups": Resamples(250, groups, n_resamples=400), "rows": Resamples(250, None, n_resamples=400)}
    for _ in range(200):
        hits = rng.random(250) < rng.beta(2, 1, 25)[groups]  # 2/3 on average, alike within a group
        scorer = row_scores.share_scorer(hits, {"": np.ones(250)})
        for name, resamples in drawers.items():
            low, high = resamples.interval(resamples.scores({"": scorer})[""][""])
            covered[name].append(low <= 2 / 3 <= high)
    assert np.mean(covered["groups"]) > 0.91
    assert np.mean(covered["rows"]) < 0.85


def test_intervals_of_few_rows_are_widened():
    """The tails lie where Student's distribution and n - 1 put them, not at 2.5 %."""
    values = np.linspace(0, 1, 10001)
    for n, tail in ((4, stats.norm.cdf(np.sqrt(4 / 3) * stats.t.ppf(0.025, 3))), (10**6, 0.025)):
        assert Resamples(n).interval(values) == pytest.approx((tail, 1 - tail), abs=1e-4)


def test_an_interval_of_nothing_but_hits_is_not_a_point():
    oof = classes(n=20, skill=50)
    accuracy = weigh(oof).scores["accuracy"]
    assert (accuracy.value, accuracy.high) == (1.0, 1.0)
    assert accuracy.low == pytest.approx(0.025 ** (1 / 20))


def test_one_group_has_no_interval():
    evidence = weigh(classes(n=20, groups=np.zeros(20, int)))
    assert np.isnan(evidence.scores["accuracy"].low)
    assert "too few rows for an interval" in " ".join([evidence.headline, *evidence.says])
    json.dumps(to_dict(evidence), allow_nan=False)


def test_the_same_seed_gives_the_same_evidence():
    assert to_dict(weigh(several(n=40), seed=3)) == to_dict(weigh(several(n=40), seed=3))


@pytest.mark.parametrize(
    ("skill", "frozen", "verdict"), [(3.0, 0.5, "better"), (2.0, 2.0, "no difference found"), (0.5, 3.0, "worse")]
)
def test_the_verdict_on_fine_tuning_and_the_first_sentence(skill, frozen, verdict):
    evidence = weigh(classes(skill=skill, frozen=frozen, n=200))
    assert evidence.best_baseline == "frozen"
    by_name = {entrant.name: entrant for entrant in evidence.baselines}
    assert by_name["frozen"].verdict == verdict
    difference = by_name["frozen"].difference["accuracy"]
    want = evidence.scores["accuracy"].value - by_name["frozen"].scores["accuracy"].value
    assert difference.value == pytest.approx(want)
    assert difference.low <= difference.value <= difference.high
    above = sum(x > by_name["frozen"].scores["accuracy"].value for x in evidence.single["accuracy"].values)
    assert by_name["frozen"].seeds_above == above
    starts = {
        "better": "About",
        "no difference found": "Fine-tuning is not shown to be better than a linear model on the frozen encoder",
        "worse": "Fine-tuning is worse than a linear model on the frozen encoder",
    }
    assert evidence.headline.startswith(starts[verdict])
    assert ("About" in evidence.says[0]) == (verdict != "better")


def test_paired_intervals_are_narrower_than_unpaired_ones():
    """The frozen encoder's errors are the same rows', so most of the noise cancels."""
    evidence = weigh(classes(skill=2.0, frozen=2.0, n=400))
    frozen = next(entrant for entrant in evidence.baselines if entrant.name == "frozen")
    width = {
        name: m.high - m.low
        for name, m in (("paired", frozen.difference["accuracy"]), ("alone", evidence.scores["accuracy"]))
    }
    assert width["paired"] < 0.8 * width["alone"]


def test_lower_errors_are_better():
    difference = row_scores.Measured(-1.0, -2.0, -0.5)
    assert row_scores.verdict("mae", difference) == "better"
    assert row_scores.verdict("r2", difference) == "worse"


def test_headlines_say_what_a_manager_asks():
    said = weigh(classes(n=200)).headline
    assert "of 100 new rows like these will be labelled right" in said
    assert "where all five models agree" in said
    said = weigh(numbers(n=200)).headline
    assert "the number will be off by" in said
    assert "a bag of words is off by" in said
    assert "of 100 labels that it gives" in weigh(several(n=200)).headline


def test_a_difference_of_r2_is_in_its_own_unit():
    """A hundredth of it is no point."""
    first = weigh(numbers(noise=9.0, repeats=2)).headline
    assert re.search(r"R2 -?\d\.\d+ against 0\.\d+, a difference of -\d\.\d{3} \(-\d\.\d{3} to ", first), first
    assert " points (" in weigh(classes(skill=0.5, frozen=2.0)).headline


def test_agreement_by_hand():
    oof = classes(n=4, repeats=2, labels=("a", "b"))
    first = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.2, 0.8]])
    second = np.array([[0.8, 0.2], [0.3, 0.7], [0.1, 0.9], [0.3, 0.7]])
    oof = dataclasses.replace(oof, outputs=np.stack([first, second]), targets=np.array([0, 1, 1, 0]))
    evidence = weigh(oof)
    agreement = evidence.agreement
    assert agreement is not None
    assert (agreement.n_agreed, agreement.share.value) == (3, 0.75)
    assert agreement.where_all_agree is not None
    assert agreement.where_all_agree.value == pytest.approx(2 / 3)
    assert agreement.elsewhere is not None
    assert agreement.elsewhere.value == 1.0  # the ensemble of row 1 says b by .55
    assert evidence.n_disputed == 1
    assert evidence.disputed[0].id == "tickets.csv:3"
    assert evidence.disputed[0].note == "1 for a, 1 for b"
    assert [c.score.value for c in evidence.coverage] == pytest.approx([1.0, 1.0, 2 / 3, 3 / 4])


def test_the_rows_that_seeds_differ_on_most_come_first():
    """Three of four agree on the first row, two on the second, all on the third."""
    ids = np.array([[0, 0, 1], [0, 0, 1], [0, 1, 1], [1, 1, 1]])
    oof = dataclasses.replace(classes(n=3, labels=("a", "b")), outputs=np.eye(2)[ids] * 0.8 + 0.1)
    evidence = weigh(oof)
    assert [row.id for row in evidence.disputed] == ["tickets.csv:3", "tickets.csv:2"]
    assert evidence.disputed[1].note == "3 for a, 1 for b"


def test_numbers_that_seeds_agree_on_are_the_surest():
    oof = numbers(n=100)
    error, spread = np.abs(oof.outputs.mean(0) - oof.targets), oof.outputs.std(0)
    for covered in weigh(oof).coverage:
        assert covered.score.value == pytest.approx(error[np.argsort(spread)[: covered.n]].mean())


@pytest.mark.parametrize("make", [classes, numbers, several])
def test_one_repeat_claims_no_agreement(make):
    evidence = weigh(make(repeats=1))
    assert evidence.agreement is None
    assert evidence.spread_and_error is None
    assert not evidence.disputed
    assert "agree" not in " ".join([evidence.headline, *evidence.says])
    assert np.isnan(evidence.single[evidence.metric].sd)
    assert bool(evidence.coverage) == (make is not numbers)


@pytest.mark.parametrize("make", [classes, numbers, several])
@pytest.mark.parametrize(("n", "repeats"), [(2, 1), (3, 2), (20, 5)])
def test_few_rows_are_defined(make, n, repeats):
    written = json.dumps(to_dict(weigh(make(n=n, repeats=repeats))), allow_nan=False)
    assert json.loads(written)["n"] == n


@pytest.mark.parametrize("make", [classes, numbers, several])
def test_a_diverged_repeat_is_counted_and_left_out(make):
    oof = make()
    broken = oof.outputs.copy()
    broken[1, 3] = np.nan
    without = dataclasses.replace(oof, outputs=oof.outputs[[0, 2, 3, 4]])
    evidence = weigh(dataclasses.replace(oof, outputs=broken))
    assert evidence.diverged == (1,)
    assert evidence.n_repeats == 4
    assert evidence.scores == weigh(without).scores
    broken[:, 0] = np.inf
    with pytest.raises(InputError, match="all 5 repeats diverged"):
        weigh(dataclasses.replace(oof, outputs=broken))


def test_shapes_that_do_not_fit_are_refused():
    oof = classes()
    with pytest.raises(ValueError, match="baseline 'short'"):
        weigh(dataclasses.replace(oof, baselines={"short": oof.outputs[0, :-1]}))
    with pytest.raises(ValueError, match="texts"):
        weigh(dataclasses.replace(oof, texts=["one"]))
    with pytest.raises(ValueError, match="not finite"):
        weigh(dataclasses.replace(oof, baselines={"broken": np.full_like(oof.outputs[0], np.nan)}))


def test_numbers_that_are_all_the_same():
    oof = numbers()
    evidence = weigh(dataclasses.replace(oof, targets=np.full(120, 7.0)))
    assert evidence.scores["r2"].value == 0.0
    assert evidence.scores["spearman"].value == 0.0


def test_numbers_far_from_zero_keep_their_r2():
    oof = numbers()
    far = dataclasses.replace(oof, targets=oof.targets + 1e6, outputs=oof.outputs + 1e6, baselines={})
    near = dataclasses.replace(oof, baselines={})
    assert weigh(far).scores["r2"].low == pytest.approx(weigh(near).scores["r2"].low, abs=1e-6)


def test_error_grows_with_the_spread():
    parts = weigh(numbers(n=400)).spread_and_error
    assert parts is not None
    assert [part.n for part in parts.parts] == [100] * 4
    assert parts.parts[0].mae.value < parts.parts[-1].mae.value / 2
    assert parts.correlation > 0.3
