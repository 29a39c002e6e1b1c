"""The verdicts of a study in sentences."""

import math
from collections.abc import Sequence
from typing import Literal

from stablefit.study.comparison import Comparison
from stablefit.study.findings import Group, Selection, Setting
from stablefit.study.statistics import Interval
from stablefit.study.verdicts import ALPHA

Unit = Literal["seeds", "folds"]

_NAMED = 3  # settings that a headline names of those better, and of those worse


def headline(group: Group) -> str:
    """What the study found, in one or two sentences, with names and intervals."""
    baseline, *others = group.settings
    judged = [(setting, setting.comparison) for setting in others if setting.comparison and not setting.control]
    if not others:
        return sentence(_baseline(baseline, alone=True))
    if not judged:
        what = "no other setting that could be compared with it" if baseline.summary else "no finished run yet"
        return sentence(f"{quoted(baseline.name)}: {what}.")
    by = {
        word: sorted(((s, c) for s, c in judged if c.verdict == word), key=lambda pair: -abs(pair[1].difference))
        for word in ("better", "worse", "no difference found", "cannot decide")
    }
    own = [(s, c) for s, c in by["better"] if s.within is None]
    named = {s.name for s, _ in (*own[:_NAMED], *by["worse"][:_NAMED])}
    said = [_did(own, group, f"did better than {quoted(baseline.name)}")] if own else []
    said += [_no_more_than_a_part(s, c) for s, c in by["better"] if s.within is not None]
    if by["worse"]:
        said.append(_did(by["worse"], group, "did worse" if own else f"did worse than {quoted(baseline.name)}"))
    if not by["better"] and not by["worse"] and by["no difference found"]:
        said.append(f"No setting was found to differ from {quoted(baseline.name)}.")
    elif by["no difference found"]:
        n = len(by["no difference found"])
        said.append(f"Of {n} other setting{'' if n == 1 else 's'} no difference was found.")
    if by["cannot decide"]:
        n, needed = len(by["cannot decide"]), max(c.seeds_needed for _, c in by["cannot decide"])
        some = f"{n} settings" if n > 1 else quoted(by["cannot decide"][0][0].name)
        what = f"{n} cannot be decided" if n < len(judged) else f"Nothing can be decided of {some}"
        said.append(f"{what} with so few seeds: {needed} of each would do.")
    said += _steadiness(group, [(s, c) for s, c in judged if s.name not in named])
    return " ".join(map(sentence, said))


def _did(found: Sequence[tuple[Setting, Comparison]], group: Group, what: str) -> str:
    """The first few by name, the others counted."""
    names = [f"{quoted(s.name)} ({'; '.join([_told(c), *_remarks(s, c, group)])})" for s, c in found[:_NAMED]]
    more = len(found) - len(names)
    return f"{listed([*names, *([f'{more} more'] if more else [])])} {what}."


def _told(c: Comparison) -> str:
    return f"{signed(c.difference)}, {between(c.interval)}"


def _no_more_than_a_part(setting: Setting, c: Comparison) -> str:
    """Of a setting found better that contains another one and does no better than that."""
    assert setting.within is not None
    part, difference = setting.within
    return (
        f"{quoted(setting.name)} ({signed(c.difference)}) did no better than {quoted(part)} ({signed(difference)}), "
        "which is part of it."
    )


def _remarks(setting: Setting, c: Comparison, group: Group) -> list[str]:
    """What is found of its spread and its failed runs."""
    return [word for word in (steadier(setting, group), fails(setting, c, group)) if word]


def fails(setting: Setting, c: Comparison, group: Group) -> Literal["fails more often", "fails less often", ""]:
    """The verdict on the share of failed runs; none where it is not found to differ."""
    if not c.p_failed <= ALPHA:
        return ""
    return "fails more often" if _share(setting) > _share(group.settings[0]) else "fails less often"


def _steadiness(group: Group, judged: Sequence[tuple[Setting, Comparison]]) -> list[str]:
    """The same of settings that have not been named."""
    ways = {
        "steadier": "spread less from seed to seed",
        "less steady": "spread more from seed to seed",
        "fails less often": "failed less often",
        "fails more often": "failed more often",
    }
    found = {way: [quoted(s.name) for s, c in judged if way in _remarks(s, c, group)] for way in ways}
    return [f"{listed(names)} {ways[way]}." for way, names in found.items() if names]


def _share(setting: Setting) -> float:
    return setting.summary.n_failed / setting.summary.n if setting.summary else math.nan


def steadier(setting: Setting, group: Group) -> Literal["steadier", "less steady", ""]:
    """The verdict on the spread of the scores; none where it is not found to differ, or every run failed."""
    c, s = setting.comparison, setting.summary
    if c is None or s is None or not c.p_spread <= ALPHA or s.n_failed == s.n:  # at chance all are alike: no merit
        return ""
    return "steadier" if c.spread_ratio < 1 else "less steady"


def verdict(setting: Setting, group: Group) -> str:
    """What the study says of a setting, as a sentence or two."""
    outcome, c = setting.judged.outcome, setting.comparison
    if outcome == "chosen":
        return _selected(setting, group)
    if outcome == "baseline" and setting.summary:
        return _baseline(setting, alone=len(group.settings) == 1)
    if c is None:
        return {
            "no run": "no finished run yet.",
            "baseline chosen": "no verdict: seeds of the baseline were stopped, so that it has no sample of runs to "
            "compare with.",
        }.get(outcome, "no verdict: the baseline has no finished run yet.")
    unit = setting.judged.unit
    if outcome == "cannot decide":
        return (
            f"cannot be decided ({signed(c.difference)}) with {counted(c.n, unit)}, and {counted(c.n_baseline, unit)} "
            f"of the baseline; {c.seeds_needed} of each would do."
        )
    told = f"{between(c.interval)}; {p_value(c.p_value)}"
    if outcome == "no difference found":
        said = (
            f"no difference found ({signed(c.difference)}, {told}); with {_both(c, unit)} a difference of "
            f"{number(c.detectable)} would have been found four times in five."
        )
    else:
        said = f"{outcome} by {number(abs(c.difference))} ({told})"
        if unit == "seeds":
            low, high = c.improvement_interval
            said += (
                f"; a run of it beats a run of the baseline with probability {number(c.improvement, 2)} "
                f"({number(low, 2)} to {number(high, 2)})"
            )
        said += "."
    apart = ["A control: it takes nothing from the verdicts on the others."] if setting.control else []
    return " ".join([said, *apart, *_failed_runs(setting, group), *_spread(setting, group)])


def _baseline(setting: Setting, alone: bool) -> str:
    summary = setting.summary
    if summary is None:
        return "no finished run yet."
    failed = f", {summary.n_failed} of them failed" if summary.n_failed else ""
    spread = "" if math.isnan(summary.sd) else f", SD {number(summary.sd)}"
    role = "" if alone else "the baseline; "
    return f"{role}mean {number(summary.mean)}{spread} over {counted(summary.n, 'seeds')}{failed}."


def _selected(setting: Setting, group: Group) -> str:
    s = setting.selection
    if s is None:
        return "no result yet: it is known when the last seed is finished."
    role = "the baseline, without a sample of runs" if setting is group.settings[0] else "no verdict"
    return (
        f"{role}: of {counted(s.n_started, 'seeds')} the {s.n_finished} best on validation at step {s.step} were "
        f"finished. They are chosen and not drawn, so that only one result counts, the best of {s.n_started} by "
        f"validation: {number(s.test)}, for the training of {number(s.cost, 1)} full runs.{_equal(s)}"
    )


def _equal(s: Selection) -> str:
    if s.equal is None:
        return ""
    if s.equal[0] == 1:
        return f" One run of the baseline has {number(s.equal[1])} on average (SD {number(s.equal[2])})."
    return (
        f" The best of {s.equal[0]} runs of the baseline, by validation, has {number(s.equal[1])} on average "
        f"(SD {number(s.equal[2])})."
    )


def _both(c: Comparison, unit: Unit) -> str:
    if c.n == c.n_baseline:
        return counted(c.n, unit)
    return f"{counted(c.n, unit)} against {counted(c.n_baseline, unit)}"


def _failed_runs(setting: Setting, group: Group) -> list[str]:
    """What failed runs have to do with the verdict."""
    summary, baseline, c = setting.summary, group.settings[0].summary, setting.comparison
    if summary is None or baseline is None or c is None or not summary.n_failed + baseline.n_failed:
        return []
    counts = f"{summary.n_failed} of {summary.n} runs failed, of the baseline's {baseline.n_failed} of {baseline.n}"
    differ = fails(setting, c, group).replace("fails", ":")
    said = [f"{counts}{differ} ({p_value(c.p_failed)})."]
    if math.isnan(c.p_without_failed):
        said.append("Without failed runs too few are left to compare.")
    elif (c.p_without_failed <= ALPHA) != (c.verdict != "no difference found"):
        said.append(f"Without failed runs the test says otherwise: {p_value(c.p_without_failed)}.")
    return said


def _spread(setting: Setting, group: Group) -> list[str]:
    word, baseline, c = steadier(setting, group), group.settings[0].summary, setting.comparison
    if not word or setting.summary is None or baseline is None or c is None:
        return []
    return [
        f"Its scores spread {'less' if word == 'steadier' else 'more'}: SD {number(setting.summary.sd)} against "
        f"{number(baseline.sd)} ({p_value(c.p_spread)})."
    ]


def looked(group: Group) -> str:
    """How often the study could have been judged; nothing for once."""
    most = max((setting.comparison.looks for setting in group.settings if setting.comparison), default=0)
    if most < 2:
        return ""
    return (
        f"This is look number {most} at these settings: seeds were added after a look. The p-values and intervals "
        "account for it."
    )


def counted(n: int, unit: Unit) -> str:
    """`1 seed`, `10 seeds`."""
    return f"{n} {unit if n != 1 else unit[:-1]}"


def quoted(name: str) -> str:
    """A name in which a comma would be taken for one of the sentence."""
    return f"“{name}”" if "," in name else name


def sentence(text: str) -> str:
    """With a capital, unless it begins with a name in which capitals mean something."""
    first = text.split(maxsplit=1)[0] if text else ""
    return text[:1].upper() + text[1:] if first.islower() and first.isalpha() else text


def listed(names: Sequence[str]) -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def number(value: float, digits: int = 3) -> str:
    """A number for a table or a sentence; a dash for none."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def signed(value: float, digits: int = 3) -> str:
    """A number with its sign."""
    return "–" if math.isnan(value) else f"{value:+.{digits}f}".replace("-", "−")


def between(interval: Interval, digits: int = 3) -> str:
    """`0.042 to 0.134`; an end that is 0 because the test says no more is `0`."""
    low, high = ("0" if end == 0 else number(end, digits) for end in interval)
    return f"{low} to {high}"


def p_value(value: float) -> str:
    """`p = 0.012`; exact zeros do not exist."""
    if math.isnan(value):
        return "p = –"
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
