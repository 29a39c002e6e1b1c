"""The verdict on a setting: of which scores, against which baseline, adjusted for how many."""

import pytest

from stablefit.data.tasks import get_task
from stablefit.study import statistics, verdicts
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


def test_spreads_and_failed_runs_are_adjusted_for_the_number_of_settings():
    wide = [0.4, 0.9, 0.45, 0.85, 0.41, 0.95, 0.43, 0.88]
    cells = [Scored("base", rows(LOW)), Scored("wide", rows(wide)), Scored("same", rows(LOW))]
    judged = verdicts.judge(cells, TASK)
    for of in ("p_spread", "p_failed"):
        plain = [getattr(judged[name].comparison, of) for name in ("wide", "same")]
        adjusted = [getattr(judged[name], of) for name in ("wide", "same")]
        assert adjusted == statistics.holm(plain)
        assert adjusted[0] == pytest.approx(2 * plain[0])
