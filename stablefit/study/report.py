"""The report of a study: a question, verdicts in words, tables, figures, and how it was made."""

import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stablefit.errors import InputError
from stablefit.study import document, figures, findings, reading, statistics
from stablefit.study.document import Block, Code, Figure, Heading, Named, Paragraph, Table
from stablefit.study.findings import Group, Setting, number, p_value, signed
from stablefit.study.reading import Study


def write(workdir: Path, out: Path) -> list[Path]:
    """Writes report.md, report.html and the figures.

    Args:
        workdir: of a study or of a single run; only read.
        out: where to; made if it is not there, files of an earlier report are replaced.

    Returns:
        The files.

    Raises:
        InputError: no study, a damaged file, matplotlib is missing, or `out` cannot be written.
    """
    study = reading.load(workdir)
    groups = findings.analyse(study)
    drawings = {group.task.name: figures.draw_all(group) for group in groups}
    blocks = build(study, groups, drawings)
    files: dict[str, str | bytes] = {
        "report.md": document.to_markdown(blocks),
        "report.html": document.to_html(blocks),
    }
    for drawing in (drawing for several in drawings.values() for drawing in several):
        files |= {f"{drawing.name}.svg": drawing.svg, f"{drawing.name}.png": drawing.png}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode("utf-8", "replace")
            temporary = out / f".{name}.tmp"
            temporary.write_bytes(data)
            os.replace(temporary, out / name)
    except OSError as error:
        raise InputError(f"cannot write the report to {out}: {error.strerror}; give another --out") from None
    return [out / name for name in files]


def build(study: Study, groups: Sequence[Group], drawings: dict[str, list[figures.Drawing]]) -> list[Block]:
    """The report as blocks."""
    title = reading.printable(study.workdir.resolve().name)
    blocks: list[Block] = [Heading(1, f"Study: {title}" if len(study.cells) > 1 else f"Run: {title}")]
    blocks += _question(study)
    blocks += _unfinished(study)
    for group in groups:
        part = _group(group, drawings[group.task.name])
        task = f"{group.task.name}: " if len(groups) > 1 else ""
        blocks += [Heading(one.level, task + one.text) if isinstance(one, Heading) else one for one in part]
    return [*blocks, *_how_made(study, groups)]


def _question(study: Study) -> list[Block]:
    """The docstring of the sweep: paragraphs, and indented lines as they are."""
    blocks: list[Block] = []
    for part in textwrap.dedent(study.question).strip("\n").split("\n\n"):
        lines = [reading.printable(line) for line in part.split("\n")]
        if all(line.startswith("    ") for line in lines):
            blocks.append(Code("\n".join(line[4:] for line in lines)))
        elif part.strip():
            blocks.append(Paragraph(" ".join(lines)))
    return blocks


def _unfinished(study: Study) -> list[Block]:
    gaps = [f"{cell.name} ({len(cell.missing)} of {len(cell.config['seeds'])})" for cell in study.cells if cell.missing]
    if not gaps:
        return []
    return [
        Paragraph(
            f"Not finished: seeds are missing in {', '.join(gaps)}. What follows is of the finished runs. To look "
            "early, and to stop when the answer pleases, makes false alarms: p-values hold for a study that is carried "
            "out as planned.",
            "warning",
        )
    ]


def _group(group: Group, drawings: Sequence[figures.Drawing]) -> list[Block]:
    blocks: list[Block] = [Heading(2, "Verdict")]
    blocks.append(Paragraph(_headline(group)))
    blocks.append(Named([(setting.name, findings.verdict(setting, group)) for setting in group.settings]))
    blocks += _selections(group)
    if not group.finished:
        return blocks
    by_kind = {drawing.name.removeprefix(f"{group.task.name}-"): Figure(drawing) for drawing in drawings}
    blocks += [Heading(2, "Scores"), by_kind["scores"], _scores(group), Paragraph(_scores_note(group), "note")]
    if any(setting.comparison for setting in group.settings):
        blocks += [Heading(3, "Against the baseline"), _comparisons(group), Paragraph(_comparisons_note(group), "note")]
    if "reinit" in by_kind:
        blocks += [Heading(2, "Re-initialised layers"), by_kind["reinit"]]
    if "best-of-k" in by_kind:
        blocks += [Heading(2, "The best of several seeds"), by_kind["best-of-k"]]
    blocks += _convergence(group, by_kind)
    return [*blocks, *_instability(group)]


def _headline(group: Group) -> str:
    baseline, *others = group.settings
    measured = f"Measured: test {group.metric} on {group.task.name}, at the step that is best on validation."
    if not others:
        return measured
    if not any(setting.cell.rows for setting in group.settings):
        return f"{measured} No run is finished yet."
    counts: dict[str, int] = {}
    for setting in others:
        word = setting.comparison.verdict if setting.comparison else "not compared"
        word = "no verdict (too few seeds)" if word == "too few seeds" else word
        counts[word] = counts.get(word, 0) + 1
    said = ", ".join(f"{n} {word}" for word, n in counts.items())
    return f"{measured} Compared with the baseline, {baseline.name}: {said}."


def _selections(group: Group) -> list[Block]:
    """The settings of which only the best seeds were finished."""
    chosen = [(setting.name, setting.selection) for setting in group.settings if setting.selection]
    if not chosen:
        return []
    header = ("setting", "started", "finished", "compared at step", "training, in full runs", "validation of the best")
    header += (f"its test {group.metric}", "best of the baseline for as much (SD)")
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
    return [Heading(2, "The best of many started seeds"), Table(header, rows), Paragraph(note, "note")]


def _scores(group: Group) -> Table:
    header = ("setting", "n", "failed (share, 95\u00a0%)", "mean", "SD", "median", "IQM (95\u00a0%)", "min", "max")
    rows = []
    for setting in group.finished:
        s = setting.summary
        assert s is not None
        counts = (str(s.n), f"{s.n_failed} {_interval(s.failed_interval, 2)}")
        middle = (number(s.mean), number(s.sd), number(s.median), _iqm(s))
        rows.append((setting.name, *counts, *middle, number(s.minimum), number(s.maximum)))
    return Table(header, rows)


def _interval(interval: statistics.Interval, digits: int = 3) -> str:
    return f"({number(interval.low, digits)} to {number(interval.high, digits)})"


def _iqm(s: statistics.Summary) -> str:
    """With its interval, if there are runs enough for one."""
    return f"{number(s.iqm)} {_interval(s.iqm_interval)}" if s.n >= statistics.MIN_SEEDS else number(s.iqm)


def _scores_note(group: Group) -> str:
    if group.metric in ("accuracy", "f1") or group.task.kind == "tagging":
        failed = f"not above {number(group.majority)}, what the majority class alone gives"
    else:
        failed = f"not above {number(group.majority)}, which is chance"
    patient = [f"{s.cell.n_patient} of {s.name}" for s in group.finished if s.cell.n_patient]
    early = f" Stopped by patience: {', '.join(patient)} runs." if patient else ""
    return (
        f"Failed: test {group.metric} {failed}, or diverged; in brackets the share that fails, Clopper-Pearson. Failed "
        "runs are in every number, a diverged one with score 0. IQM: mean of the middle half, with its bootstrap "
        f"interval.{early}"
    )


def _comparisons(group: Group) -> Table:
    header = ("setting", "difference", "p", "verdict", "detectable", "P(better) (95\u00a0%)", "p of spread")
    header += ("p of failed runs", "p without failed", "runs")
    rows = []
    for setting in group.settings[1:]:
        c = setting.comparison
        if c is None:
            continue
        detectable = "–" if c.verdict == "too few seeds" else number(c.detectable)
        verdict = (signed(c.difference), _bare(c.p_adjusted), c.verdict, detectable)
        improvement = f"{number(c.improvement, 2)} {_interval(c.improvement_interval, 2)}"
        tests = (_bare(p) for p in (setting.judged.p_spread, setting.judged.p_failed, c.p_without_failed))
        rows.append((setting.name, *verdict, improvement, *tests, "paired" if c.paired else "unpaired"))
    return Table(header, rows, words=("runs", "verdict"))


def _bare(p: float) -> str:
    return p_value(p).removeprefix("p ").removeprefix("= ")


def _comparisons_note(group: Group) -> str:
    compared = sum(setting.comparison is not None for setting in group.settings)
    return (
        "Difference: mean of the setting minus mean of the baseline. p: permutation test of it, the verdict at 0.05. "
        "Runs are paired where both have the same seeds and enough of them. P(better): probability that a run of the "
        "setting beats a run of the baseline, ties half, Newcombe's interval. Spread: Brown and Forsythe's test. "
        "Failed runs: McNemar's test of pairs, else Fisher's. These three p are adjusted by Holm's method over the "
        f"settings compared ({compared}); p without failed is not. McNemar's test cannot come below 0.05 before six "
        "pairs have a failed run on one side alone, more once adjusted. Detectable: the difference that so many such "
        "runs find four times in five, at the strictest level that Holm's method asks for. Fewer than "
        f"{statistics.MIN_SEEDS} seeds: no verdict."
    )


def _convergence(group: Group, figure: dict[str, Figure]) -> list[Block]:
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
    table = Table(header, rows, words=("left out",))
    return [Heading(2, "Convergence"), figure["loss"], table, Paragraph(note, "note")]


def _curve_row(name: str, curve: findings.Curve, baseline: findings.Curve | None) -> tuple[str, ...]:
    last = f"{number(curve.median[-1])} {_interval(statistics.Interval(curve.low[-1], curve.high[-1]))}"
    gaps = [f"{n} {word}" for n, word in ((curve.n_diverged, "diverged"), (curve.n_missing, "without record")) if n]
    row = (name, str(curve.steps[-1]), last, ", ".join(gaps) or "–")
    if baseline is None:
        return row
    share = f"{100 * curve.reaches / int(baseline.steps[-1]):.0f} %" if curve.reaches else "–"
    return (*row, str(curve.reaches or "never"), share, f"{curve.n_reaching} of {curve.n}")


def _instability(group: Group) -> list[Block]:
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
    return [Heading(2, "Agreement of the runs"), Table(header, rows), Paragraph(note, "note")]


def _how_made(study: Study, groups: Sequence[Group]) -> list[Block]:
    facts = [("Started", study.started)] if study.started else []
    facts += _provenance([row for cell in study.cells for row in cell.rows])
    blocks: list[Block] = [Heading(2, "How it was made"), Named(facts)] if facts else [Heading(2, "How it was made")]
    blocks += [Code("\n".join(study.commands))] if study.commands else []
    for group in groups:
        baseline = group.settings[0]
        header = ("setting", "config", "changes against the baseline", "seeds", "steps", "minutes a seed")
        rows = [(setting.name, *_made(setting, setting is baseline)) for setting in group.settings]
        title = f"Settings of {group.task.name}" if len(groups) > 1 else "Settings"
        blocks += [Heading(3, title), Table(header, rows, words=header[1:4])]
        fields = [(name, _value(value)) for name, value in sorted(baseline.cell.config.items())]
        blocks += [
            Heading(3, f"The config of {baseline.name}"),
            Table(("field", "value"), fields, words=("value",)),
        ]
    return blocks


def _provenance(rows: Sequence[Any]) -> list[tuple[str, str]]:
    """What rows say of how they were made, each value once."""
    if not rows:
        return []
    models = _distinct(row.get("model", "not recorded") for row in rows)
    devices = _distinct(row.get("device", "not recorded") for row in rows)
    versions = _distinct(
        ", ".join(f"{name} {version}" for name, version in row["versions"].items())
        for row in rows
        if isinstance(row.get("versions"), dict)
    )
    members = _distinct(row["layout"].get("members") for row in rows if isinstance(row.get("layout"), dict))
    total = sum(row["seconds"] for row in rows)
    return [
        ("Model", models),
        ("Device", devices),
        ("Versions", versions or "not recorded"),
        *([("Seeds in one program", members)] if members else []),
        ("Training", f"{len(rows)} runs, {_duration(total)} together, evaluations not counted"),
    ]


def _distinct(values: Any) -> str:
    return "; ".join(dict.fromkeys(reading.printable(str(value)) for value in values))


def _duration(seconds: float) -> str:
    if seconds < 5400:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.1f} hours"


def _made(setting: Setting, is_baseline: bool) -> tuple[str, ...]:
    rows = setting.cell.rows
    changes = ", ".join(
        f"{name}={_value(here)} (baseline {_value(there)})" for name, (here, there) in setting.changes.items()
    )
    mark = reading.printable(str(rows[0].get("fingerprint", "–"))) if rows else "–"
    ends = sorted({row["steps"] for row in rows})
    steps = "–" if not ends else str(ends[0]) if len(ends) == 1 else f"{ends[0]}–{ends[-1]}"
    minutes = number(sum(row["seconds"] for row in rows) / len(rows) / 60, 1) if rows else "–"
    return mark, "the baseline" if is_baseline else changes or "none", _ranges(setting), steps, minutes


def _ranges(setting: Setting) -> str:
    """The finished seeds, runs of them as `0–9`."""
    numbers = sorted(row["seed"] for row in setting.cell.rows)
    parts: list[list[int]] = []
    for seed in numbers:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}–{part[-1]}" for part in parts) or "–"


def _value(value: Any) -> str:
    """A value of a config as a person would write it."""
    if isinstance(value, list):
        return ",".join(map(_value, value)) or "()"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return reading.printable(str(value)) if value != "" else '""'
