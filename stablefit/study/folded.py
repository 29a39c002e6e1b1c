"""What a page of a study shows when it is asked: every sentence, all scores, all tests, losses, agreement."""

from collections.abc import Mapping

from stablefit.study import findings, forest, overview, readable, statistics, words
from stablefit.study.document import Block, Figure, Folded, Paragraph, Table
from stablefit.study.findings import Group
from stablefit.study.statistics import Interval
from stablefit.study.verdicts import ALPHA
from stablefit.study.words import number, p_value, signed


def sections(group: Group, figures: Mapping[str, Figure], prefix: str = "") -> list[Block]:
    """The folded parts of a group that its runs allow.

    Args:
        figures: by kind.
        prefix: before each title, where there are several groups.
    """
    parts = [("All scores", _scores(group)), ("All tests", _comparisons(group))]
    parts += [
        ("Re-initialised layers", [figures["reinit"]] if "reinit" in figures else []),
        ("The best of several seeds", [figures["best-of-k"]] if "best-of-k" in figures else []),
        ("Convergence of the training loss", _convergence(group)),
        ("Agreement of the runs", _agreement(group)),
    ]
    return [Folded(f"{prefix}{title}", blocks) for title, blocks in parts if blocks]


# --- scores


def _scores(group: Group) -> list[Block]:
    if not group.finished:
        return []
    header = ("setting", "n", "failed (share, 95\u00a0%)", "mean", "SD", "median", "IQM (95\u00a0%)", "min", "max")
    rows = []
    for setting in group.finished:
        s = setting.summary
        assert s is not None
        counts = (str(s.n), overview.with_interval(str(s.n_failed), s.failed_interval, 2))
        middle = (number(s.mean), number(s.sd), number(s.median), _iqm(s))
        rows.append((setting.name, *counts, *middle, number(s.minimum), number(s.maximum)))
    title = f"Test {readable.metric(group.task)} on {readable.data_set(group.task)}"
    return [Table(title, header, rows), Paragraph(_scores_note(group), "note")]


def _iqm(s: statistics.Summary) -> str:
    """With its interval, if there are runs enough for one."""
    return overview.with_interval(number(s.iqm), s.iqm_interval) if s.n >= statistics.MIN_SEEDS else number(s.iqm)


def _scores_note(group: Group) -> str:
    patient = [f"{s.cell.n_patient} of {s.name}" for s in group.finished if s.cell.n_patient]
    early = f" Stopped by patience: {', '.join(patient)} runs." if patient else ""
    return (
        f"Failed: {overview.failing(group)}; in brackets the share that fails, with the interval of Clopper and "
        "Pearson. Failed runs are in every number, a diverged one with score 0. IQM: mean of the middle half, with the "
        f"interval of Tukey and McLaughlin.{early}"
    )


# --- tests


def _comparisons(group: Group) -> list[Block]:
    header = ("setting", "verdict", "difference (95\u00a0%)", "p", "detectable", "P(better) (95\u00a0%)", "SD ratio")
    header += ("p of spread", "p of failed runs", "p without failed", "labels exchanged")
    rows = []
    for setting in forest.ordered(group):
        c = setting.comparison
        assert c is not None
        told = setting.judged.said + (" (control)" if setting.control else "")
        difference = overview.with_interval(signed(c.difference), c.interval)
        improvement = "–"
        if setting.judged.unit == "seeds":
            improvement = overview.with_interval(number(c.improvement, 2), c.improvement_interval, 2)
        tests = (_bare(p) for p in (c.p_spread, c.p_failed, c.p_without_failed))
        undecided = c.verdict == "cannot decide"
        exchanged = "–" if undecided else f"within {setting.judged.unit}" if c.paired else "among all runs"
        verdict = (setting.name, told, difference, _bare(c.p_value), number(c.detectable))
        rows.append((*verdict, improvement, number(c.spread_ratio, 2), *tests, exchanged))
    if not rows:
        return []
    note = _comparisons_note(len([s for s in group.settings if s.comparison and not s.control]))
    title = f"Tests of each setting against {group.settings[0].name}"
    return [Table(title, header, rows, words=("verdict", "labels exchanged")), Paragraph(note, "note")]


def _bare(p: float) -> str:
    return p_value(p).removeprefix("p ").removeprefix("= ")


def _comparisons_note(compared: int) -> str:
    return (
        "Difference: mean of the setting minus mean of the baseline. All p are of step-down max-t permutation tests "
        f"(Westfall and Young 1993) of all settings compared ({compared}, controls apart) and of all looks; the "
        f"verdict is at {ALPHA}. Labels are exchanged within seeds where all settings have the same seeds, and enough "
        "of them, else among all runs. The interval holds for all settings together, and agrees with the verdict. "
        "Detectable: the difference that so many such runs find four times in five, by this test. P(better): "
        "probability that a run of the setting beats a run of the baseline, ties half, with Newcombe's interval, which "
        "is of this setting alone. p of spread: of the log of the ratio of mean absolute deviations. p without failed: "
        f"of the runs that did not fail. Fewer than {statistics.MIN_SEEDS} seeds decide nothing."
    )


# --- losses and agreement


def _convergence(group: Group) -> list[Block]:
    curves = [(setting.name, setting.curve) for setting in group.settings if setting.curve]
    if not curves:
        return []
    baseline = group.settings[0].curve if len(group.settings) > 1 else None
    header = ("setting", "steps", "last loss (middle half)", "left out")
    whose = "baseline's" if baseline else "first setting's"
    note = (
        f"The training loss of a run is averaged over its last {group.window} batches (5 % of the {whose} steps, "
        "but at least five), then the median is taken over the runs."
    )
    if any(setting.cell.n_patient for setting in group.settings):
        note += " Where runs were stopped by patience, a curve ends with the shortest."
    if baseline:
        header += ("step at the baseline's last loss", "of its steps", "runs that get there")
        note += (
            " A setting has reached the baseline's last loss at the first step from which on its median stays below "
            f"it, or at most {100 * findings.SLACK:.0f} % above. It is the loss of the training step, with the dropout "
            "and mixout of the setting: settings that change these are not alike in it."
        )
    rows = [_curve_row(name, curve, baseline) for name, curve in curves]
    title = f"Training loss on {readable.data_set(group.task)}"
    return [Table(title, header, rows, words=("left out",)), Paragraph(note, "note")]


def _curve_row(name: str, curve: findings.Curve, baseline: findings.Curve | None) -> tuple[str, ...]:
    last = overview.with_interval(number(curve.median[-1]), Interval(curve.low[-1], curve.high[-1]))
    gaps = [f"{n} {word}" for n, word in ((curve.n_diverged, "diverged"), (curve.n_missing, "without record")) if n]
    row = (name, str(curve.steps[-1]), last, ", ".join(gaps) or "–")
    if baseline is None:
        return row
    share = f"{100 * curve.reaches / int(baseline.steps[-1]):.0f} %" if curve.reaches else "–"
    return (*row, str(curve.reaches or "never"), share, f"{curve.n_reaching} of {curve.n}")


def _agreement(group: Group) -> list[Block]:
    found = [(setting.name, setting.agreement) for setting in group.settings if setting.agreement]
    if not found:
        return []
    if group.task.kind != "regression":
        header = ("setting", "n", "disagreement", "Fleiss' kappa")
        rows = [(name, str(a.n), f"{100 * a.disagreement:.1f} %", number(a.kappa, 2)) for name, a in found]
        what = "words" if group.task.kind == "tagging" else "examples"
        note = (
            f"Disagreement: the share of test {what} on which two runs of a setting differ, over all pairs of runs. "
            "Kappa: agreement above chance, 1 is full. Runs of equal score may well disagree."
        )
    else:
        header = ("setting", "n", "SD of a prediction")
        rows = [(name, str(a.n), number(a.disagreement)) for name, a in found]
        note = "The SD over runs of the score that a test example gets, averaged over the examples."
    note += " Predictions of the best step on validation; diverged runs are left out."
    if group.settings[0].cell.config.get("folds"):
        note += " Of one fold of the cross-validation, the first."
    title = f"Agreement of the runs on {readable.data_set(group.task)}"
    return [Table(title, header, rows), Paragraph(note, "note")]


# --- seeds that were compared


def selections(group: Group) -> list[Block]:
    """The settings of which only the best seeds were finished."""
    chosen = [(setting.name, setting.selection) for setting in group.settings if setting.selection]
    if not chosen:
        return []
    header = ("setting", "started", "finished", "compared at step", "training, in full runs", "validation of the best")
    header += (f"its test {readable.metric(group.task)}", "best of the baseline for as much (SD)")
    rows = []
    for name, s in chosen:
        counts = (str(s.n_started), str(s.n_finished), str(s.step), number(s.cost, 1))
        equal = f"{number(s.equal[1])} ({number(s.equal[2])}), of {s.equal[0]}" if s.equal else "–"
        rows.append((name, *counts, number(s.validation), number(s.test), equal))
    note = (
        "Many seeds were started, and the best on validation finished (Dodge et al. 2020). A finished one is no random "
        "run of its setting, so there is no mean, spread or p-value, and these settings are in no other table or "
        "figure. The last column: the best on validation of as many full runs of the baseline, test score averaged "
        "over all draws of them; one result against it is no test."
    )
    return [Table("The best of many started seeds", header, rows), Paragraph(note, "note")]


def sentences(group: Group) -> list[tuple[str, str]]:
    """Every setting with what is said of it."""
    return [(setting.name, words.verdict(setting, group)) for setting in group.settings]
