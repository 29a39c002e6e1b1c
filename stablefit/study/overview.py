"""What a reader sees first: a sentence, the verdict on each setting, and how steady each is."""

import math
from collections.abc import Sequence

import numpy as np

from stablefit.objectives import metrics
from stablefit.study import forest, readable, statistics, words
from stablefit.study.comparison import Comparison
from stablefit.study.document import Block, Paragraph, Table
from stablefit.study.findings import Group, Setting
from stablefit.study.statistics import Interval
from stablefit.study.verdicts import ALPHA
from stablefit.study.words import between, number, signed


def opening(group: Group, designed: str = "") -> list[Block]:
    """The sentence, what was measured, and how often was looked."""
    blocks: list[Block] = [Paragraph(words.headline(group), "headline"), Paragraph(measured(group, designed), "lead")]
    looked = words.looked(group)
    return [*blocks, Paragraph(looked, "lead")] if looked else blocks


def measured(group: Group, designed: str = "") -> str:
    """What the numbers are of.

    Args:
        designed: what varied between the runs, in words.
    """
    task = group.task
    text = (
        f"Measured: test {readable.metric(task)} on {readable.data_set(task)}, at the step that is best on validation."
    )
    compared = forest.ordered(group)
    if not compared:
        return text
    numbers = sorted({setting.summary.n for setting in (group.settings[0], *compared) if setting.summary})
    runs = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    base = group.settings[0]
    design = f" ({designed})" if designed else ""
    text += f" {runs} run{'' if runs == '1' else 's'} a setting{design}; differences are from {base.name}"
    text += f" (mean {number(base.summary.mean)})." if base.summary else "."
    if any(setting.judged.outcome != "cannot decide" for setting in compared):
        text += f" Intervals: {100 * (1 - ALPHA):.0f} %, for all settings together."
    return text


def verdict_table(group: Group) -> Table:
    """Every setting with its verdict: the baseline, then the compared ones by their difference, then the rest."""
    base, compared = group.settings[0], forest.ordered(group)
    others = [setting for setting in group.settings[1:] if setting.comparison is None]
    header = ["setting", "mean", "SD", "n"]
    metric = readable.metric(group.task)
    title = f"Test {metric} of each setting on {readable.data_set(group.task)}"
    if not compared and not others:
        return Table(title, header, [(base.name, *_moments(base))], fits=True)
    header[1:1] = ["verdict", "difference (95\u00a0%)"]
    rows = [
        (setting.name, outcome(setting), difference(setting.comparison), *_moments(setting))
        for setting in (base, *compared, *others)
    ]
    return Table(title, header, rows, words=("verdict",), spare=("mean", "SD", "n"), fits=True)


def outcome(setting: Setting) -> str:
    """The verdict as a table has it."""
    return "no verdict: chosen seeds" if setting.judged.outcome == "chosen" else setting.judged.said


def difference(c: Comparison | None) -> str:
    """A difference with its interval; a dash where nothing is compared."""
    return "–" if c is None else with_interval(signed(c.difference), c.interval)


def with_interval(value: str, interval: Interval, digits: int = 3) -> str:
    """A value and its interval in brackets, which a narrow screen may part in this one place."""
    return value if math.isnan(interval.low) else f"{value} " + f"({between(interval, digits)})".replace(" ", "\u00a0")


def _moments(setting: Setting) -> tuple[str, str, str]:
    s = setting.summary
    return ("–", "–", "0") if s is None else (number(s.mean), number(s.sd), str(s.n))


def threshold(group: Group, worse_than: float | None) -> float:
    """The score that a run should reach: the one given, or that of the baseline's median run; NaN without any."""
    if worse_than is not None:
        return worse_than
    summary = group.settings[0].summary
    return math.nan if summary is None else summary.median


def below(setting: Setting, limit: float) -> tuple[float, Interval]:
    """The share of runs with a score below a limit, and its interval (Clopper and Pearson).

    In cross-validation runs of one fold are no independent ones, and there is no interval.
    """
    scores = setting.cell.runs().scores
    k = int(np.sum(scores < limit))
    if setting.judged.unit == "folds":
        return k / len(scores), Interval(math.nan, math.nan)
    return k / len(scores), statistics.share_interval(k, len(scores))


def stability(group: Group, worse_than: float | None) -> list[Block]:
    """How steady each setting is; empty without a run."""
    limit = threshold(group, worse_than)
    settings = [setting for setting in (group.settings[0], *forest.ordered(group)) if setting.summary]
    if not settings or math.isnan(limit):
        return []
    spread = "" if _in_folds(group) else " (95\u00a0%)"
    header = ["setting", "verdict", "failed", f"a run below {number(limit)}{spread}", "SD", "SD ratio"]
    rows = [(setting.name, _steady(setting, group), *_runs(setting, limit)) for setting in settings]
    # Of one setting alone the share below its own median says nothing.
    alone = len(settings) == 1
    kept = [i for i in range(len(header)) if not alone or i in (0, 2, 4) or (i == 3 and worse_than is not None)]
    title = f"Stability of each setting on {readable.data_set(group.task)}"
    header, rows = [header[i] for i in kept], [[row[i] for i in kept] for row in rows]
    table = Table(title, header, rows, words=("verdict",), spare=("SD", "SD ratio"), fits=True)
    return [table, Paragraph(_stability_note(group, limit, worse_than, alone), "note")]


def _in_folds(group: Group) -> bool:
    return group.settings[0].judged.unit == "folds"


def _steady(setting: Setting, group: Group) -> str:
    """The verdicts on spread and on failed runs."""
    c = setting.comparison
    if c is None:
        return "baseline" if setting is group.settings[0] else "–"
    if setting.judged.outcome == "cannot decide":
        return "cannot decide"
    said: list[str] = [words.steadier(setting, group)]
    said.append(words.fails(setting, c, group))
    return ", ".join(word for word in said if word) or "no difference found"


def _runs(setting: Setting, limit: float) -> tuple[str, str, str, str]:
    s, c = setting.summary, setting.comparison
    assert s is not None
    share, interval = below(setting, limit)
    told = with_interval(f"{share:.2f}", interval, 2)
    ratio = "–" if c is None else number(c.spread_ratio, 2)
    return f"{s.n_failed} of {s.n}".replace(" ", "\u00a0"), told, number(s.sd), ratio


def _stability_note(group: Group, limit: float, worse_than: float | None, alone: bool) -> str:
    text = f"Failed: {failing(group)}."
    if alone and worse_than is None:
        return f"{text} --worse-than=X adds the probability that a single run is worse than X."
    median = f"the score of the median run of {group.settings[0].name}; --worse-than=X chooses another"
    source = "given with --worse-than" if worse_than is not None else median
    text += (
        f" A run below {number(limit)}: the probability that a single run is worse than that, as a share of the runs"
    )
    text += f"{'' if _in_folds(group) else ', with the interval of Clopper and Pearson'} ({source})."
    if not alone:
        text += (
            " SD ratio: over the baseline's. The verdict is of tests of the spread and of the number of failed runs, "
            f"each at {ALPHA} for all settings together."
        )
    return text


def failing(group: Group) -> str:
    """What makes a run a failed one."""
    # Rows of before correlations were held against their sampling error have 0 there.
    old = group.majority == 0.0 and group.metric in ("matthews", "pearson", "spearman")
    what = "which is chance" if old else f"what {metrics.without_reading(group.metric)}"
    return f"test {readable.metric(group.task)} not above {number(group.majority)}, {what}, or diverged"


def across(groups: Sequence[Group]) -> list[Block]:
    """In how many data sets each setting was better or worse; empty for one data set, or none compared in two."""
    found: dict[str, list[str]] = {}
    for group in groups:
        for setting in forest.ordered(group):
            found.setdefault(_kind(setting, groups), []).append(setting.judged.outcome)
    shared = {name: outcomes for name, outcomes in found.items() if len(outcomes) > 1}
    if len(groups) < 2 or not shared:
        return []
    names = ("better", "worse", "no difference found", "cannot decide")
    order = sorted(shared.items(), key=lambda pair: _rank(pair[1]))
    rows = [(name, *(str(outcomes.count(word)) for word in names), str(len(outcomes))) for name, outcomes in order]
    told = [f"{name} {_in_sets(outcomes)}" for name, outcomes in order if {"better", "worse"} & {*outcomes}]
    undecided = all({*outcomes} == {"cannot decide"} for outcomes in shared.values())
    none = "nothing can be decided with so few seeds" if undecided else "no setting was better or worse in any"
    line = f"{'; '.join(told) or none}."
    table = Table("In how many data sets", ("setting", *names, "data sets"), rows, spare=names[2:], fits=True)
    return [Paragraph(f"Across {len(groups)} data sets: {line}", "headline"), table]


def _rank(outcomes: Sequence[str]) -> int:
    """The settings that were better most often come first, those that were worse most often last."""
    return outcomes.count("worse") - outcomes.count("better")


def _in_sets(outcomes: Sequence[str]) -> str:
    counts = [(word, outcomes.count(word)) for word in ("better", "worse")]
    return " and ".join(f"{word} in {n}" for word, n in counts if n) + f" of {len(outcomes)}"


def _kind(setting: Setting, groups: Sequence[Group]) -> str:
    """What a setting is in all data sets: its name, or where names are of one data set, what it changes."""
    named = sum(other.name == setting.name for group in groups for other in group.settings)
    changed = ", ".join(f"{name}={here}" for name, (here, _) in setting.changes.items())
    return setting.name if named > 1 or not changed else changed
