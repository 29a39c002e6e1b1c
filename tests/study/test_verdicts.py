"""The verdict on a setting: of which scores, against which baseline, adjusted for how many."""

import numpy as np
import pytest

from stablefit import factors
from stablefit.data.tasks import get_task
from stablefit.study import verdicts
from stablefit.study.looks import Look
from stablefit.study.verdicts import Scored

TASK = get_task("rte")


def rows(best, last=0.5, started=0):
    """One row a seed: its scores of the best step, and of the last."""
    return [
        {
            "seed": seed,
            "stopped": "",
            "validation": {"accuracy": score},
            "test_best": {"accuracy": score},
            "test_last": {"accuracy": last},
            "failed": score < 0.5,
            **({"started": started} if started else {}),
        }
        for seed, score in enumerate(best)
    ]


LOW, HIGH = [0.60 + 0.01 * i for i in range(8)], [0.80 + 0.01 * i for i in range(8)]


def test_the_sample_is_of_the_best_steps():
    judged = verdicts.judge([Scored("base", rows(LOW)), Scored("better", rows(HIGH))], TASK)
    assert judged["base"].runs.scores.tolist() == LOW
    assert [one.outcome for one in judged.values()] == ["baseline", "better"]
    assert judged["better"].comparison.difference == pytest.approx(0.2)


def test_seeds_that_were_chosen_are_no_sample():
    judged = verdicts.judge([Scored("base", rows(LOW)), Scored("chosen", rows(HIGH, started=20), 20)], TASK)
    chosen = judged["chosen"]
    assert (chosen.outcome, chosen.runs, chosen.comparison) == ("chosen", None, None)
    assert chosen.best["test_best"]["accuracy"] == max(HIGH)
    assert chosen.said == "no verdict: the best of 20 started, by validation"


def test_nothing_is_compared_with_a_baseline_of_chosen_seeds():
    judged = verdicts.judge([Scored("base", rows(LOW, started=20), 20), Scored("other", rows(HIGH))], TASK)
    assert (judged["other"].outcome, judged["other"].comparison) == ("baseline chosen", None)


def test_a_setting_and_a_baseline_without_runs_are_said():
    assert verdicts.judge([Scored("base", rows(LOW)), Scored("none", [])], TASK)["none"].outcome == "no run"
    judged = verdicts.judge([Scored("base", []), Scored("other", rows(HIGH))], TASK)
    assert judged["other"].outcome == "baseline without a run"


def test_a_control_takes_nothing_from_the_others():
    others = [Scored("own", rows([score + 0.02 for score in LOW]))]
    controls = [Scored(f"again {i}", rows(LOW[i:] + LOW[:i]), control=True) for i in range(1, 5)]
    apart = verdicts.judge([Scored("base", rows(LOW)), *others, *controls], TASK)
    alone = verdicts.judge([Scored("base", rows(LOW)), *others], TASK)
    assert repr(apart["own"].comparison) == repr(alone["own"].comparison)
    together = [one._replace(control=False) for one in controls]
    among = verdicts.judge([Scored("base", rows(LOW)), *others, *together], TASK)
    assert among["own"].comparison.interval != apart["own"].comparison.interval
    assert apart["again 1"].outcome == "no difference found"


def test_earlier_looks_count_where_a_verdict_was_possible():
    cells = [Scored("base", rows(LOW)), Scored("own", rows([score + 0.02 for score in LOW]))]
    seen = {n: Look("", {"base": n, "own": n}) for n in (3, 5)}
    once = verdicts.judge(cells, TASK)["own"].comparison
    assert verdicts.judge(cells, TASK, [seen[3]])["own"].comparison.p_value == once.p_value
    twice = verdicts.judge(cells, TASK, [seen[3], seen[5]])["own"].comparison
    assert twice.p_value > once.p_value


def test_in_cross_validation_what_is_compared_are_folds():
    """A setting that is good in one fold, whatever its seeds, is one observation of that."""

    def folded(scores):
        return [{**row, "fold": row["seed"] % 5} for row in rows(scores)]

    base = [0.6 + 0.01 * (i % 5) for i in range(20)]
    own = [score + (0.2 if i % 5 == 0 else 0.0) for i, score in enumerate(base)]
    judged = verdicts.judge([Scored("base", folded(base)), Scored("own", folded(own))], TASK)["own"]
    assert judged.unit == "folds"
    assert (judged.comparison.n, judged.comparison.verdict) == (5, "no difference found")
    assert judged.summary.n == 20
    assert judged.comparison.difference == pytest.approx(0.04)
    runs = verdicts.of_folds([{**row, "failed": row["seed"] == 7} for row in folded(base)], TASK)
    assert runs.scores == pytest.approx([0.60, 0.61, 0.62, 0.63, 0.64])
    assert runs.failed.tolist() == [False, False, True, False, False]


def test_on_other_training_sets_a_draw_is_one_observation():
    """A gain on every draw holds elsewhere; one that a single draw makes holds on these training sets alone."""
    design = factors.parse("subset=6 seed=5")
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.004, 30)
    draw = np.arange(30) % 6
    base = 0.7 + noise + 0.05 * (draw == 1)
    always, once = base + 0.02 + rng.normal(0, 0.002, 30), base + 0.12 * (draw == 0) + rng.normal(0, 0.002, 30)
    cells = [
        Scored(name, rows(scores), design=design)
        for name, scores in (("base", base), ("always", always), ("once", once))
    ]
    judged = verdicts.judge(cells, TASK)
    assert [judged[name].outcome for name in ("always", "once")] == ["better", "better"]
    elsewhere = {name: judged[name].elsewhere for name in ("always", "once")}
    assert [one.verdict for one in elsewhere.values()] == ["better", "no difference found"]
    assert (elsewhere["always"].n, elsewhere["always"].paired) == (6, True)
    assert elsewhere["once"].difference == pytest.approx(judged["once"].comparison.difference)
    assert judged["base"].elsewhere is None


def test_other_training_sets_wait_for_every_combination():
    design = factors.parse("subset=5 seed=2")
    cells = [Scored("base", rows(LOW), design=design), Scored("other", rows(HIGH), design=design)]
    assert [judged.elsewhere for judged in verdicts.judge(cells, TASK).values()] == [None, None]
    plain = [cell._replace(design=()) for cell in cells]
    assert verdicts.judge(plain, TASK)["other"].elsewhere is None
